// SPDX-License-Identifier: Apache-2.0
// Softmax of rows that are dense: nothing of the machinery for tensors, which would take longer than a short row.

#include <cstdint>
#include <limits>

#include "api/call.hpp"
#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/overlap.hpp"
#include "api/pre_ops.hpp"
#include "api/softmax.hpp"
#include "parallel/rows.hpp"
#include "plan/caches.hpp"

using namespace simdsoftmax::detail;

namespace {

constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());

// Bytes from the first to behind the last element of rows that lie `stride` bytes apart; false if ptrdiff_t overflows.
bool extent(std::size_t rows, std::size_t row_bytes, std::size_t stride, std::size_t& bytes) {
  if (row_bytes > most) return false;
  if (stride != 0 && rows - 1 > (most - row_bytes) / stride) return false;
  bytes = (rows - 1) * stride + row_bytes;
  return true;
}

// The two buffers of a call. Strides come in elements and leave in bytes.
struct Layout {
  const void* logits;
  void* output;
  std::ptrdiff_t logits_stride;
  std::ptrdiff_t output_stride;
};

simdsoftmax_status check_layout(Layout& layout, Shape& shape) {
  const std::size_t rows = shape.rows;
  const std::size_t cols = shape.cols;
  if (layout.logits_stride < 0 || layout.output_stride < 0) return SIMDSOFTMAX_BAD_STRIDE;
  if (rows == 0 || cols == 0) return SIMDSOFTMAX_OK;
  if (layout.logits == nullptr || layout.output == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (rows > 1 && static_cast<std::size_t>(layout.output_stride) < cols) return SIMDSOFTMAX_BAD_STRIDE;

  const std::size_t in_size = dtype_size(shape.logits);
  const std::size_t out_size = dtype_size(shape.output);
  // One row has no use for its strides, whatever they are.
  const std::size_t in_stride = rows > 1 ? static_cast<std::size_t>(layout.logits_stride) : 0;
  const std::size_t out_stride = rows > 1 ? static_cast<std::size_t>(layout.output_stride) : 0;
  if (cols > most / 8 || in_stride > most / 8 || out_stride > most / 8) return SIMDSOFTMAX_SIZE_OVERFLOW;

  std::size_t in_bytes;
  std::size_t out_bytes;
  if (!extent(rows, cols * in_size, in_stride * in_size, in_bytes) ||
      !extent(rows, cols * out_size, out_stride * out_size, out_bytes)) {
    return SIMDSOFTMAX_SIZE_OVERFLOW;
  }
  shape.in_place = layout.logits == layout.output && shape.logits == shape.output && in_stride == out_stride;
  if (!shape.in_place && overlap(layout.logits, in_bytes, layout.output, out_bytes)) {
    return SIMDSOFTMAX_PARTIAL_OVERLAP;
  }
  layout.logits_stride = static_cast<std::ptrdiff_t>(in_stride * in_size);
  layout.output_stride = static_cast<std::ptrdiff_t>(out_stride * out_size);
  return SIMDSOFTMAX_OK;
}

// Whether dense rows of this shape fit the address space.
bool fits(const Shape& shape) { return shape.rows == 0 || shape.cols <= most / sizeof(double) / shape.rows; }

// Of the strides of rows only that of the one dimension is set.
void set_operand(Operand& operand, const void* data, Dtype dtype, std::ptrdiff_t row_stride) {
  operand.data = static_cast<char*>(const_cast<void*>(data));
  operand.dtype = dtype;
  operand.axis_stride = static_cast<std::ptrdiff_t>(dtype_size(dtype));
  operand.row_strides[0] = row_stride;
}

}  // namespace

namespace simdsoftmax::detail {

simdsoftmax_status softmax_of_rows(const DenseRows& dense, const simdsoftmax_options& options) {
  if (const auto status = check_dtypes(dense.logits_dtype, dense.output_dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  Shape shape = {dense.rows,
                 dense.cols,
                 static_cast<Dtype>(dense.logits_dtype),
                 static_cast<Dtype>(dense.output_dtype),
                 false,
                 static_cast<Accuracy>(options.accuracy),
                 !are_equal(options.theta, 1.0),
                 kernels->has_fma};
  Layout layout = {dense.logits, dense.output, dense.logits_stride, dense.output_stride};
  if (const auto status = check_layout(layout, shape)) return status;
  if (dense.rows == 0 || dense.cols == 0) return SIMDSOFTMAX_OK;

  const Plan plan = plan_rows(shape, static_cast<Variant>(options.variant), thread_limit(options), machine_caches());
  report_call("softmax", kernels->isa, shape, plan);
  RowsTask task;
  task.grid.rank = 1;
  task.grid.dims[0] = dense.rows;
  task.cols = dense.cols;
  task.part_length = row_part_length(dense.cols);
  set_operand(task.logits, layout.logits, shape.logits, layout.logits_stride);
  set_operand(task.output, layout.output, shape.output, layout.output_stride);
  task.function = Function::softmax;
  task.variant = plan.variant;
  task.theta = options.theta;
  task.in_place = shape.in_place;
  task.empty_row_zeros = options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS;
  task.pre_ops = nullptr;
  task.near_bytes = near_bytes(machine_caches());
  run_rows(are_equal(options.theta, 1.0) ? kernels->dense_rows[options.accuracy][dense.logits_dtype][dense.output_dtype]
                                         : kernels->rows[compute_index(dense.logits_dtype, options.accuracy)],
           &task, dense.rows, plan);
  return SIMDSOFTMAX_OK;
}

}  // namespace simdsoftmax::detail

namespace {

simdsoftmax_status softmax_with_pre_ops(const DenseRows& dense, const simdsoftmax_options& options) {
  const size_t sizes[] = {dense.rows, dense.cols};
  const ptrdiff_t logits_strides[] = {dense.logits_stride, 1};
  const ptrdiff_t output_strides[] = {dense.output_stride, 1};
  const simdsoftmax_tensor logits = {const_cast<void*>(dense.logits), dense.logits_dtype, 2, sizes, logits_strides};
  const simdsoftmax_tensor output = {dense.output, dense.output_dtype, 2, sizes, output_strides};
  return softmax_of_tensors(Function::softmax, &logits, &output, 1, options);
}

}  // namespace

simdsoftmax_status simdsoftmax_softmax_rows(const void* logits, simdsoftmax_dtype logits_dtype, ptrdiff_t logits_stride,
                                            void* output, simdsoftmax_dtype output_dtype, ptrdiff_t output_stride,
                                            size_t rows, size_t cols, const simdsoftmax_options* given) {
  const DenseRows dense = {rows, logits, logits_dtype, logits_stride, output, output_dtype, output_stride, cols};
  if (softmax_of_single_row(dense, given)) return SIMDSOFTMAX_OK;
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  return options.pre_ops != nullptr ? softmax_with_pre_ops(dense, options) : softmax_of_rows(dense, options);
}

simdsoftmax_status simdsoftmax_plan_rows(simdsoftmax_dtype logits_dtype, simdsoftmax_dtype output_dtype, size_t rows,
                                         size_t cols, int in_place, const simdsoftmax_options* given,
                                         simdsoftmax_plan* result) {
  if (result == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  simdsoftmax_options options;
  if (const auto status = read_options(given, options)) return status;
  CallPreOps pre_ops;
  if (const auto status = pre_ops.read(options.pre_ops)) return status;
  if (const auto status = check_dtypes(logits_dtype, output_dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  const Shape shape = {rows,
                       cols,
                       static_cast<Dtype>(logits_dtype),
                       static_cast<Dtype>(output_dtype),
                       in_place != 0,
                       static_cast<Accuracy>(options.accuracy),
                       pre_ops.any() || !are_equal(options.theta, 1.0),
                       kernels->has_fma};
  if (!fits(shape)) return SIMDSOFTMAX_SIZE_OVERFLOW;
  const Plan plan = plan_rows(shape, static_cast<Variant>(options.variant), thread_limit(options), machine_caches());
  *result = {kernels->isa, static_cast<simdsoftmax_variant>(plan.variant), plan.threads, plan.split_rows ? 1 : 0,
             plan.reason};
  return SIMDSOFTMAX_OK;
}
