// SPDX-License-Identifier: Apache-2.0
#include "api/softmax.hpp"

#include <limits>

#include "api/call.hpp"
#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/pre_ops.hpp"
#include "api/tensors.hpp"
#include "parallel/rows.hpp"
#include "plan/caches.hpp"

namespace simdsoftmax::detail {

namespace {

constexpr const char* function_names[] = {"softmax", "log_softmax", "logsumexp"};

bool is_dense(std::ptrdiff_t stride, Dtype dtype) { return stride == static_cast<std::ptrdiff_t>(dtype_size(dtype)); }

// Whether rows lie beside one another, and there are enough of them to fill vectors with elements of the same column.
bool lies_across(const RowsTask& task) {
  constexpr std::size_t least_inner = 8;
  const int inner = task.grid.rank - 1;
  return task.pre_ops == nullptr && task.cols > 1 && task.cols <= segment_length && inner >= 0 &&
         task.grid.dims[inner] >= least_inner && is_dense(task.logits.row_strides[inner], task.logits.dtype) &&
         is_dense(task.output.row_strides[inner], task.output.dtype);
}

// What all kernels need to know of a call.
struct Call {
  const KernelTable* kernels;
  Shape shape;
  int compute;  // which of the kernels for compute types
  int thread_limit;
};

// That for dense rows as they are, or the one for all others.
Kernel kernel_of(const Call& call, const RowsTask& task) {
  const int in = static_cast<int>(task.logits.dtype);
  const int out = static_cast<int>(task.output.dtype);
  const bool is_plain =
      task.pre_ops == nullptr && are_equal(task.theta, 1.0) && is_dense(task.logits.axis_stride, task.logits.dtype);
  const bool is_written_dense =
      task.function == Function::logsumexp || is_dense(task.output.axis_stride, task.output.dtype);
  Kernel kernel = nullptr;
  if (is_plain && is_written_dense) {
    if (task.function == Function::softmax) {
      kernel = call.kernels->dense_rows[static_cast<int>(call.shape.accuracy)][in][out];
    } else if (call.shape.accuracy != Accuracy::exact) {
      kernel = call.kernels->dense_logs[in][out];
    }
  }
  return kernel != nullptr ? kernel : call.kernels->rows[call.compute];
}

void run_columns(const Call& call, const RowsTask& rows) {
  ColumnsTask task;
  task.grid = rows.grid;
  task.inner = rows.grid.dims[--task.grid.rank];
  task.cols = rows.cols;
  const std::size_t outer = call.shape.rows / task.inner;
  task.block = columns_block(outer, task.inner, call.compute > 0 ? sizeof(double) : sizeof(float), call.thread_limit);
  task.logits = rows.logits;
  task.output = rows.output;
  task.function = rows.function;
  task.theta = rows.theta;
  task.empty_row_zeros = rows.empty_row_zeros;
  RowsTask dense = rows;
  dense.logits.axis_stride = static_cast<std::ptrdiff_t>(dtype_size(rows.logits.dtype));
  dense.output.axis_stride = static_cast<std::ptrdiff_t>(dtype_size(rows.output.dtype));
  task.row_kernel = kernel_of(call, dense);
  const std::size_t blocks = (task.inner + task.block - 1) / task.block;
  const std::size_t units = outer * blocks;
  const Plan plan = plan_units(call.shape.rows, rows.cols, units, call.thread_limit);
  report_call(function_names[static_cast<int>(rows.function)], call.kernels->isa, call.shape, plan);
  run_rows(call.kernels->columns[call.compute], &task, units, plan);
}

}  // namespace

simdsoftmax_status softmax_of_tensors(Function function, const simdsoftmax_tensor* logits,
                                      const simdsoftmax_tensor* output, std::int32_t axis,
                                      const simdsoftmax_options& options) {
  CallPreOps pre_ops;
  if (const auto status = pre_ops.read(options.pre_ops)) return status;
  if (logits == nullptr || output == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (const auto status = check_dtypes(logits->dtype, output->dtype, options.theta)) return status;
  RowsTask task;
  if (const auto status = pre_ops.check_dtypes(logits->dtype, options, task.theta)) return status;
  Call call;
  if (const auto status = current_kernels(call.kernels)) return status;

  Tensors tensors;
  const int from = tensors.add(logits, Fit::same, Access::replaceable);
  const int to = tensors.add(output, function == Function::logsumexp ? Fit::per_row : Fit::same, Access::replacing);
  pre_ops.add_to(tensors);
  if (const auto status = tensors.read_ranks(axis)) return status;
  if (const auto status = pre_ops.check_dimensions(tensors)) return status;
  if (const auto status = tensors.match_shapes()) return status;
  if (const auto status = tensors.lay_out()) return status;
  if (tensors.empty()) return SIMDSOFTMAX_OK;

  tensors.make_grid();
  task.grid = tensors.grid();
  task.cols = tensors.cols();
  task.part_length = row_part_length(task.cols);
  task.logits = tensors.operand(from);
  task.output = tensors.operand(to);
  task.function = function;
  task.in_place = tensors.in_place();
  task.empty_row_zeros = options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS;
  task.near_bytes = near_bytes(machine_caches());
  PreOps kernel_pre_ops;
  task.pre_ops = nullptr;
  if (pre_ops.any()) {
    kernel_pre_ops = pre_ops.kernel_pre_ops(tensors);
    task.pre_ops = &kernel_pre_ops;
  }

  call.shape = {tensors.rows(),
                task.cols,
                task.logits.dtype,
                task.output.dtype,
                task.in_place,
                static_cast<Accuracy>(options.accuracy),
                pre_ops.any() || !are_equal(task.theta, 1.0),
                call.kernels->has_fma};
  call.compute = compute_index(logits->dtype, options.accuracy);
  call.thread_limit = thread_limit(options);
  const Kernel kernel = kernel_of(call, task);
  if (kernel == call.kernels->rows[call.compute] && lies_across(task)) {
    run_columns(call, task);
    return SIMDSOFTMAX_OK;
  }
  Plan plan = function == Function::softmax
                  ? plan_rows(call.shape, static_cast<Variant>(options.variant), call.thread_limit, machine_caches())
                  : plan_shared_rows(call.shape.rows, task.cols, call.thread_limit);
  task.variant = function == Function::softmax ? plan.variant : Variant::three_pass;
  report_call(function_names[static_cast<int>(function)], call.kernels->isa, call.shape, plan);
  run_rows(kernel, &task, call.shape.rows, plan);
  return SIMDSOFTMAX_OK;
}

}  // namespace simdsoftmax::detail

using namespace simdsoftmax::detail;

namespace {

// Whether two tensors are just that, without anything amiss; most are, and the general way takes longer than a short
// row.
bool are_dense_rows(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output, std::int32_t axis,
                    DenseRows& dense) {
  if (logits == nullptr || output == nullptr || logits->data == nullptr || output->data == nullptr) return false;
  if (logits->strides != nullptr || output->strides != nullptr) return false;
  const std::int32_t rank = logits->rank;
  if (rank < 1 || rank > max_rank || output->rank != rank || (axis != rank - 1 && axis != -1)) return false;
  if (logits->shape == nullptr || output->shape == nullptr) return false;
  std::size_t rows = 1;
  for (std::int32_t d = 0; d < rank; ++d) {
    const std::size_t size = logits->shape[d];
    if (size == 0 || output->shape[d] != size) return false;
    if (d < rank - 1 && __builtin_mul_overflow(rows, size, &rows)) return false;
  }
  const std::size_t cols = logits->shape[rank - 1];
  if (cols > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max())) return false;
  const auto stride = static_cast<std::ptrdiff_t>(cols);
  dense = {rows, logits->data, logits->dtype, stride, output->data, output->dtype, stride, cols};
  return true;
}

simdsoftmax_status run(Function function, const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output,
                       std::int32_t axis, const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  return softmax_of_tensors(function, logits, output, axis, options);
}

}  // namespace

simdsoftmax_status simdsoftmax_softmax(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output, int32_t axis,
                                       const simdsoftmax_options* given) {
  DenseRows rows;
  const bool is_dense = are_dense_rows(logits, output, axis, rows);
  if (is_dense && softmax_of_single_row(rows, given)) return SIMDSOFTMAX_OK;
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  if (is_dense && options.pre_ops == nullptr) return softmax_of_rows(rows, options);
  return softmax_of_tensors(Function::softmax, logits, output, axis, options);
}

simdsoftmax_status simdsoftmax_log_softmax(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output,
                                           int32_t axis, const simdsoftmax_options* options) {
  return run(Function::log_softmax, logits, output, axis, options);
}

simdsoftmax_status simdsoftmax_logsumexp(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output,
                                         int32_t axis, const simdsoftmax_options* options) {
  return run(Function::logsumexp, logits, output, axis, options);
}
