// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "api/call.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/pre_ops.hpp"
#include "api/tensors.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

namespace {

static_assert(max_top_k == SIMDSOFTMAX_MAX_TOP_K, "the limit of the kernels is that of the header");

// fit: of the results to the logits.
simdsoftmax_status top_k(const char* function, const simdsoftmax_tensor* logits,
                         const simdsoftmax_tensor* probabilities, const simdsoftmax_tensor* indices, Fit fit,
                         std::int32_t axis, simdsoftmax_normalization normalization, const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  CallPreOps pre_ops;
  if (const auto status = pre_ops.read(options.pre_ops)) return status;
  if (normalization != SIMDSOFTMAX_OVER_ROW && normalization != SIMDSOFTMAX_OVER_TOP_K) {
    return SIMDSOFTMAX_BAD_NORMALIZATION;
  }
  if (logits == nullptr || indices == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  const auto probabilities_dtype = probabilities != nullptr ? probabilities->dtype : logits->dtype;
  if (const auto status = check_dtypes(logits->dtype, probabilities_dtype, options.theta)) return status;
  if (!is_index(indices->dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  TopKTask task;
  if (const auto status = pre_ops.check_dtypes(logits->dtype, options, task.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  Tensors tensors;
  const int from = tensors.add(logits, Fit::same, Access::replaceable);
  const int probabilities_to = tensors.add(probabilities, fit, Access::replacing);
  const int indices_to = tensors.add(indices, fit, Access::output);
  pre_ops.add_to(tensors);
  if (const auto status = tensors.read_ranks(axis)) return status;
  if (const auto status = pre_ops.check_dimensions(tensors)) return status;
  if (const auto status = tensors.match_shapes()) return status;
  task.k = tensors.axis_size(indices_to);
  task.cols = tensors.cols();
  if (probabilities != nullptr && tensors.axis_size(probabilities_to) != task.k) return SIMDSOFTMAX_BAD_SHAPE;
  // argmax of no columns is no bad k, but nothing to do.
  if (fit == Fit::other_axis && (task.k > max_top_k || task.k > task.cols)) return SIMDSOFTMAX_BAD_K;
  if (indices->dtype == SIMDSOFTMAX_I32 && task.cols > std::size_t{1} << 31) return SIMDSOFTMAX_BAD_DTYPE;
  if (const auto status = tensors.lay_out()) return status;
  if (tensors.empty()) return SIMDSOFTMAX_OK;

  tensors.make_grid();
  task.grid = tensors.grid();
  task.part_length = row_part_length(task.cols);
  task.logits = tensors.operand(from);
  task.probabilities = tensors.operand(probabilities_to);
  task.indices = tensors.operand(indices_to);
  task.over_top_k = normalization == SIMDSOFTMAX_OVER_TOP_K;
  task.empty_row_zeros = options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS;
  PreOps kernel_pre_ops;
  task.pre_ops = nullptr;
  if (pre_ops.any()) {
    kernel_pre_ops = pre_ops.kernel_pre_ops(tensors);
    task.pre_ops = &kernel_pre_ops;
  }

  const std::size_t rows = tensors.rows();
  const Shape shape = {rows,
                       task.cols,
                       task.logits.dtype,
                       static_cast<Dtype>(probabilities_dtype),
                       tensors.in_place(),
                       static_cast<Accuracy>(options.accuracy)};
  const Plan plan = plan_units(rows, task.cols, rows, thread_limit(options));
  report_call(function, kernels->isa, shape, plan);
  run_rows(kernels->top_k[compute_index(logits->dtype, options.accuracy)], &task, rows, plan);
  return SIMDSOFTMAX_OK;
}

}  // namespace

simdsoftmax_status simdsoftmax_softmax_top_k(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* probabilities,
                                             const simdsoftmax_tensor* indices, int32_t axis,
                                             simdsoftmax_normalization normalization,
                                             const simdsoftmax_options* options) {
  return top_k("softmax_top_k", logits, probabilities, indices, Fit::other_axis, axis, normalization, options);
}

simdsoftmax_status simdsoftmax_argmax(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* probabilities,
                                      const simdsoftmax_tensor* indices, int32_t axis,
                                      const simdsoftmax_options* options) {
  return top_k("argmax", logits, probabilities, indices, Fit::per_row, axis, SIMDSOFTMAX_OVER_ROW, options);
}
