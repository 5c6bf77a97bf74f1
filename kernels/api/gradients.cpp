// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>

#include "api/call.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/tensors.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

namespace {

simdsoftmax_status gradient(Function function, const simdsoftmax_tensor* grad_output, const simdsoftmax_tensor* output,
                            const simdsoftmax_tensor* grad_input, std::int32_t axis, const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_plain_options(given, options)) return status;
  if (grad_output == nullptr || output == nullptr || grad_input == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  for (const auto* tensor : {grad_output, output, grad_input}) {
    if (!is_real(tensor->dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  }
  for (const auto* tensor : {output, grad_input}) {
    if (const auto status = check_compute_dtype(grad_output->dtype, tensor->dtype)) return status;
  }
  if (const auto status = check_logits_dtype(grad_output->dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  Tensors tensors;
  const int grad_from = tensors.add(grad_output, Fit::same, Access::replaceable);
  const int output_from = tensors.add(output, Fit::same, Access::replaceable);
  const int grad_to = tensors.add(grad_input, Fit::same, Access::replacing);
  if (const auto status = tensors.read_ranks(axis)) return status;
  if (const auto status = tensors.match_shapes()) return status;
  if (const auto status = tensors.lay_out()) return status;
  if (tensors.empty()) return SIMDSOFTMAX_OK;

  tensors.make_grid();
  GradientTask task;
  task.grid = tensors.grid();
  task.cols = tensors.cols();
  task.part_length = row_part_length(task.cols);
  task.grad_output = tensors.operand(grad_from);
  task.output = tensors.operand(output_from);
  task.grad_input = tensors.operand(grad_to);
  task.function = function;
  task.theta = options.theta;

  const std::size_t rows = tensors.rows();
  const Shape shape = {rows, task.cols, task.grad_output.dtype, task.grad_input.dtype, tensors.in_place()};
  const Plan plan = plan_shared_rows(rows, task.cols, thread_limit(options));
  report_call(function == Function::softmax ? "softmax_backward" : "log_softmax_backward", kernels->isa, shape, plan);
  run_rows(kernels->gradient[compute_index(grad_output->dtype)], &task, rows, plan);
  return SIMDSOFTMAX_OK;
}

}  // namespace

simdsoftmax_status simdsoftmax_softmax_backward(const simdsoftmax_tensor* grad_output, const simdsoftmax_tensor* output,
                                                const simdsoftmax_tensor* grad_input, int32_t axis,
                                                const simdsoftmax_options* options) {
  return gradient(Function::softmax, grad_output, output, grad_input, axis, options);
}

simdsoftmax_status simdsoftmax_log_softmax_backward(const simdsoftmax_tensor* grad_output,
                                                    const simdsoftmax_tensor* output,
                                                    const simdsoftmax_tensor* grad_input, int32_t axis,
                                                    const simdsoftmax_options* options) {
  return gradient(Function::log_softmax, grad_output, output, grad_input, axis, options);
}
