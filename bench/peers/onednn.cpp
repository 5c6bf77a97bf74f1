// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "peer.hpp"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using bench::Call;
using bench::Function;

struct Softmax {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::memory logits;
  dnnl::memory output;
  dnnl::softmax_forward primitive;

  Softmax(const Call& call, const dnnl::memory::desc& shape)
      : logits(shape, engine, const_cast<void*>(call.logits)),
        output(shape, engine, call.output),
        primitive(descriptor(call, shape)) {}

  dnnl::softmax_forward::primitive_desc descriptor(const Call& call, const dnnl::memory::desc& shape) const {
    const auto axis = static_cast<int>(call.axis);
    constexpr auto inference = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
    const auto kind =
        call.function == Function::softmax ? dnnl::algorithm::softmax_accurate : dnnl::algorithm::softmax_log;
    return {engine, inference, kind, shape, shape, axis};
#else
    if (call.function != Function::softmax) throw std::invalid_argument("another primitive in this release");
    return {{inference, shape, axis}, engine};
#endif
  }

  void operator()() {
    primitive.execute(stream, {{DNNL_ARG_SRC, logits}, {DNNL_ARG_DST, output}});
    stream.wait();
  }
};

std::function<void()> prepare(const Call& call) {
  using Type = dnnl::memory::data_type;
  if (call.function == Function::logsumexp || call.dtype == SIMDSOFTMAX_F64) return {};
  const Type type = call.dtype == SIMDSOFTMAX_F32 ? Type::f32 : call.dtype == SIMDSOFTMAX_F16 ? Type::f16 : Type::bf16;
#ifdef _OPENMP
  omp_set_num_threads(call.threads);
#endif
  dnnl::memory::dims sizes;
  dnnl::memory::dims strides(call.dims.size(), 1);
  for (const std::size_t size : call.dims) sizes.push_back(static_cast<dnnl::memory::dim>(size));
  for (std::size_t d = sizes.size() - 1; d > 0; --d) strides[d - 1] = strides[d] * sizes[d];
  try {
    const auto softmax = std::make_shared<Softmax>(call, dnnl::memory::desc(sizes, type, strides));
    return [softmax] { (*softmax)(); };
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return {};
    throw;
  } catch (const std::invalid_argument&) {
    return {};
  }
}

bool limit_isa(const std::string& isa, bool best) {
  if (best) return true;
  return isa == "avx2" && dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2) == dnnl::status::success;
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"oneDNN", version, limit_isa, prepare};
