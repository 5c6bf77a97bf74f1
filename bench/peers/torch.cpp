// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>
#include <torch/headeronly/version.h>

#include <cstdlib>

#include "peer.hpp"

namespace {

using bench::Call;
using bench::Function;

c10::ScalarType scalar_type(simdsoftmax_dtype dtype) {
  switch (dtype) {
    case SIMDSOFTMAX_F64:
      return c10::kDouble;
    case SIMDSOFTMAX_F16:
      return c10::kHalf;
    case SIMDSOFTMAX_BF16:
      return c10::kBFloat16;
    default:
      return c10::kFloat;
  }
}

std::function<void()> prepare(const Call& call) {
  at::set_num_threads(call.threads);
  const c10::InferenceMode inference;
  std::vector<std::int64_t> sizes(call.dims.begin(), call.dims.end());
  const auto type = at::TensorOptions().dtype(scalar_type(call.dtype));
  const at::Tensor logits = at::from_blob(const_cast<void*>(call.logits), sizes, type);
  const auto axis = static_cast<std::int64_t>(call.axis);
  if (call.function == Function::logsumexp) sizes.erase(sizes.begin() + axis);
  at::Tensor output = at::from_blob(call.output, sizes, type);
  switch (call.function) {
    case Function::softmax:
      return [=]() mutable {
        const c10::InferenceMode mode;
        at::softmax_out(output, logits, axis);
      };
    case Function::log_softmax:
      return [=]() mutable {
        const c10::InferenceMode mode;
        at::log_softmax_out(output, logits, axis);
      };
    default:
      return [=]() mutable {
        const c10::InferenceMode mode;
        at::logsumexp_out(output, logits, axis);
      };
  }
}

bool limit_isa(const std::string& isa, bool best) {
  return best || (isa == "avx2" && setenv("ATEN_CPU_CAPABILITY", "avx2", 1) == 0);  // read at the first use
}

std::string version() { return TORCH_VERSION; }

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"PyTorch", version, limit_isa, prepare};
