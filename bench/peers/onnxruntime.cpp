// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime comes without headers in its Python package. Its C interface is a table of functions that only ever
// grows, so those that are used here are named by their places in it.
#include <memory>
#include <stdexcept>

#include "onnx_model.hpp"
#include "peer.hpp"

extern "C" {
struct OrtApiBase {
  const void* (*get_api)(std::uint32_t version);
  const char* (*get_version)();
};
const OrtApiBase* OrtGetApiBase();
}

namespace {

using bench::Call;
using bench::Function;

constexpr std::uint32_t api_version = 5;

enum Place {
  get_error_message = 2,
  create_env = 3,
  create_session_from_array = 8,
  run_session = 9,
  create_session_options = 10,
  set_intra_op_num_threads = 24,
  create_tensor_with_data = 49,
  create_cpu_memory_info = 69,
  release_status = 93,
};

using Handle = void*;  // to any of its objects; they live as long as the process

template <class Result, class... Arguments>
Result call_place(Place place, Arguments... arguments) {
  static const void* const table = OrtGetApiBase()->get_api(api_version);
  if (table == nullptr) throw std::runtime_error("ONNX Runtime does not have the version of its interface");
  using Pointer = Result (*)(Arguments...);
  return static_cast<const Pointer*>(table)[place](arguments...);
}

template <class... Arguments>
void check(Place place, Arguments... arguments) {
  const Handle status = call_place<Handle>(place, arguments...);
  if (status == nullptr) return;
  const std::string message = call_place<const char*>(get_error_message, status);
  call_place<void>(release_status, status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

template <class... Arguments>
Handle create(Place place, Arguments... arguments) {
  Handle created = nullptr;
  check(place, arguments..., &created);
  return created;
}

Handle tensor(const Call& call, const void* data, bool reduced) {
  static const Handle memory = create(create_cpu_memory_info, 0, 0);
  std::vector<std::int64_t> dims;
  std::size_t bytes = call.dtype == SIMDSOFTMAX_F64 ? 8 : call.dtype == SIMDSOFTMAX_F32 ? 4 : 2;
  for (std::size_t d = 0; d < call.dims.size(); ++d) {
    if (reduced && d == call.axis) continue;
    dims.push_back(static_cast<std::int64_t>(call.dims[d]));
    bytes *= call.dims[d];
  }
  const auto* sizes = static_cast<const std::int64_t*>(dims.data());
  return create(create_tensor_with_data, memory, const_cast<void*>(data), bytes, sizes, dims.size(),
                peer::onnx_type(call.dtype));
}

std::function<void()> prepare(const Call& call) {
  constexpr int fatal = 4;
  static const Handle environment = create(create_env, fatal, "bench");
  const Handle options = create(create_session_options);
  check(set_intra_op_num_threads, options, call.threads);
  const std::string model = peer::onnx_model(call);
  Handle session = nullptr;
  try {
    session =
        create(create_session_from_array, environment, static_cast<const void*>(model.data()), model.size(), options);
  } catch (const std::runtime_error&) {
    return {};  // no kernel for this element type
  }
  const Handle logits = tensor(call, call.logits, false);
  const Handle output = tensor(call, call.output, call.function == Function::logsumexp);
  return [=]() mutable {
    static const char* const input_name = "x";
    static const char* const output_name = "y";
    check(run_session, session, Handle(), &input_name, &logits, std::size_t{1}, &output_name, std::size_t{1}, &output);
  };
}

std::string version() { return OrtGetApiBase()->get_version(); }

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"ONNX Runtime", version, bench::only_best_isa, prepare};
