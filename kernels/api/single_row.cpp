// SPDX-License-Identifier: Apache-2.0
#include "api/call.hpp"
#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/overlap.hpp"
#include "api/softmax.hpp"
#include "isa/registry.hpp"
#include "parallel/float_environment.hpp"

namespace simdsoftmax::detail {

namespace {

// Whether options can be taken without another look; what they say then is the accuracy.
bool are_plain(const simdsoftmax_options& options) {
  return options.struct_size == sizeof options && bits_of(options.theta) == bits_of(1.0) &&
         options.variant == SIMDSOFTMAX_AUTO && options.num_threads >= 0 && options.pre_ops == nullptr &&
         static_cast<unsigned>(options.empty_row) <= SIMDSOFTMAX_EMPTY_ROW_ZEROS &&
         static_cast<unsigned>(options.accuracy) < accuracy_count;
}

bool is_short_row(const DenseRows& dense) {
  constexpr std::size_t longest = 8192;
  if (dense.rows != 1 || dense.cols - 1 >= longest || (dense.logits_stride | dense.output_stride) < 0) return false;
  if (dense.logits == nullptr || dense.output == nullptr) return false;
  constexpr auto dtypes = static_cast<unsigned>(dtype_count);
  return static_cast<unsigned>(dense.logits_dtype) < dtypes && static_cast<unsigned>(dense.output_dtype) < dtypes;
}

bool lie_apart(const DenseRows& dense) {
  if (dense.logits == dense.output) return dense.logits_dtype == dense.output_dtype;
  const std::size_t logits_bytes = dense.cols * dtype_size(static_cast<Dtype>(dense.logits_dtype));
  const std::size_t output_bytes = dense.cols * dtype_size(static_cast<Dtype>(dense.output_dtype));
  return !overlap(dense.logits, logits_bytes, dense.output, output_bytes);
}

}  // namespace

bool softmax_of_single_row(const DenseRows& dense, const simdsoftmax_options* given) {
  if (!is_short_row(dense) || !lie_apart(dense) || (given != nullptr && !are_plain(*given))) return false;
  const KernelTable* const kernels = active_kernels().kernels;
  if (kernels == nullptr || reports_calls()) return false;
  const int accuracy = given != nullptr ? given->accuracy : static_cast<int>(SIMDSOFTMAX_BALANCED);
  const SingleRowKernel kernel = kernels->single_row[accuracy][dense.logits_dtype][dense.output_dtype];
  if (kernel == nullptr) return false;
  const FloatEnvironment environment;
  return kernel(dense.logits, dense.output, dense.cols);
}

}  // namespace simdsoftmax::detail
