// SPDX-License-Identifier: Apache-2.0
#include "api/call.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

simdsoftmax_status simdsoftmax_softmax_rows(const void* logits, simdsoftmax_dtype logits_dtype, ptrdiff_t logits_stride,
                                            void* output, simdsoftmax_dtype output_dtype, ptrdiff_t output_stride,
                                            size_t rows, size_t cols, const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  if (const auto status = check_dtypes(logits_dtype, output_dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  Shape shape = {rows, cols, static_cast<Dtype>(logits_dtype), static_cast<Dtype>(output_dtype), false};
  RowsLayout layout = {logits, output, logits_stride, output_stride, false};
  if (const auto status = check_layout(layout, shape.logits, shape.output, rows, cols)) return status;
  if (rows == 0 || cols == 0) return SIMDSOFTMAX_OK;
  shape.in_place = layout.in_place;

  const Plan plan = plan_call(shape, options);
  report_call(kernels->isa, shape, plan);
  const RowsTask task = {
      layout.logits, layout.output, layout.logits_stride, layout.output_stride,
      cols,          options.theta, plan.variant,         options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS};
  run_rows(task, rows, kernels->rows[logits_dtype][output_dtype], plan);
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_plan_rows(simdsoftmax_dtype logits_dtype, simdsoftmax_dtype output_dtype, size_t rows,
                                         size_t cols, int in_place, const simdsoftmax_options* given,
                                         simdsoftmax_plan* result) {
  if (result == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  if (const auto status = check_dtypes(logits_dtype, output_dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  const Shape shape = {rows, cols, static_cast<Dtype>(logits_dtype), static_cast<Dtype>(output_dtype), in_place != 0};
  if (const auto status = check_size(shape)) return status;
  const Plan plan = plan_call(shape, options);
  *result = {kernels->isa, static_cast<simdsoftmax_variant>(plan.variant), plan.threads, plan.split_rows ? 1 : 0,
             plan.reason};
  return SIMDSOFTMAX_OK;
}
