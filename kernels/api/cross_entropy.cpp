// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "api/call.hpp"
#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/tensors.hpp"
#include "parallel/float_environment.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

namespace {

using LossOptions = simdsoftmax_cross_entropy_options;

// Losses are added up by blocks, whose number does not depend on threads.
constexpr std::size_t most_blocks = 256;

simdsoftmax_status read_loss_options(const LossOptions* given, bool integer_labels, LossOptions& options) {
  options = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
  if (given == nullptr) return SIMDSOFTMAX_OK;
  if (const auto status = read_struct(*given, sizeof options, options)) return status;
  if (options.reduction < SIMDSOFTMAX_REDUCE_NONE || options.reduction > SIMDSOFTMAX_REDUCE_MEAN) {
    return SIMDSOFTMAX_BAD_REDUCTION;
  }
  if (options.use_ignore_index < 0 || options.use_ignore_index > (integer_labels ? 1 : 0)) {
    return SIMDSOFTMAX_BAD_OPTIONS;
  }
  return is_share(options.label_smoothing) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_SMOOTHING;
}

simdsoftmax_status check_dtypes(const simdsoftmax_tensor& logits, const simdsoftmax_tensor& labels,
                                const simdsoftmax_tensor& loss, const LossOptions& options, bool integer_labels,
                                double theta) {
  if (const auto status = check_logits_dtype(logits.dtype, theta)) return status;
  if (integer_labels) {
    if (!is_index(labels.dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  } else if (const auto status = check_compute_dtype(logits.dtype, labels.dtype)) {
    return status;
  }
  if (!is_real(loss.dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  if (loss.dtype != logits.dtype && loss.dtype != SIMDSOFTMAX_F32 && loss.dtype != SIMDSOFTMAX_F64) {
    return SIMDSOFTMAX_BAD_DTYPE_PAIR;
  }
  for (const auto* tensor : {options.class_weights, options.grad_logits, options.log_probabilities}) {
    if (tensor == nullptr) continue;
    if (const auto status = check_compute_dtype(logits.dtype, tensor->dtype)) return status;
  }
  return SIMDSOFTMAX_OK;
}

// Knuth's two-sum: what the addition rounds away is kept.
void accumulate(SplitSum& sum, double value) {
  const double high = sum.high + value;
  const double added = high - sum.high;
  sum.low += (sum.high - (high - added)) + (value - added);
  sum.high = high;
}

// Where the sum is infinite or NaN, the rest says nothing.
double total(const SplitSum& sum) { return std::isfinite(sum.high) ? sum.high + sum.low : sum.high; }

std::int64_t load_label(const char* from, Dtype dtype) {
  if (dtype == Dtype::i32) {
    std::int32_t label;
    std::memcpy(&label, from, sizeof label);
    return label;
  }
  std::int64_t label;
  std::memcpy(&label, from, sizeof label);
  return label;
}

// What the labels of a call come to.
struct Labels {
  std::size_t bad_row;  // the first with a label that is none; the number of rows if there is no such row
  double weight;        // the sum of the weights of the labels that count
};

// Walks the labels in the order of rows.
Labels check_labels(const LossTask& task) {
  const FloatEnvironment environment;
  const auto classes = static_cast<std::int64_t>(task.cols);
  const int inner = task.grid.rank - 1;
  const std::size_t run = inner >= 0 ? task.grid.dims[inner] : 1;
  const std::ptrdiff_t step = inner >= 0 ? task.labels.row_strides[inner] : 0;
  std::size_t index[max_rank] = {};
  std::size_t counted = 0;
  SplitSum weight = {0.0, 0.0};
  for (std::size_t row = 0; row < task.rows; row += run) {
    const char* at = task.labels.data;
    for (int d = 0; d < inner; ++d) at += static_cast<std::ptrdiff_t>(index[d]) * task.labels.row_strides[d];
    for (std::size_t i = 0; i < run; ++i) {
      const std::int64_t label = load_label(at + static_cast<std::ptrdiff_t>(i) * step, task.labels.dtype);
      if (task.use_ignore_index && label == task.ignore_index) continue;
      if (label < 0 || label >= classes) return {row + i, 0.0};
      ++counted;
      if (task.class_weights.data != nullptr) {
        const char* const of_label = task.class_weights.data + label * task.class_weights.axis_stride;
        accumulate(weight, load_real(of_label, task.class_weights.dtype));
      }
    }
    for (int d = inner - 1; d >= 0; --d) {
      if (++index[d] < task.grid.dims[d]) break;
      index[d] = 0;
    }
  }
  return {task.rows, task.class_weights.data != nullptr ? total(weight) : static_cast<double>(counted)};
}

void store_reduced(const simdsoftmax_tensor& loss, double value) {
  store_real(value, static_cast<char*>(loss.data), static_cast<Dtype>(loss.dtype));
}

simdsoftmax_status cross_entropy(const char* function, bool integer_labels, const simdsoftmax_tensor* logits,
                                 const simdsoftmax_tensor* labels, const simdsoftmax_tensor* loss, std::int32_t axis,
                                 const LossOptions* given_loss_options, const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_plain_options(given, options)) return status;
  LossOptions loss_options;
  if (const auto status = read_loss_options(given_loss_options, integer_labels, loss_options)) return status;
  if (logits == nullptr || labels == nullptr || loss == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (const auto status = check_dtypes(*logits, *labels, *loss, loss_options, integer_labels, options.theta)) {
    return status;
  }
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;

  const bool reduced = loss_options.reduction != SIMDSOFTMAX_REDUCE_NONE;
  const bool mean = loss_options.reduction == SIMDSOFTMAX_REDUCE_MEAN;
  Tensors tensors;
  const int from = tensors.add(logits, Fit::same, Access::replaceable);
  const int labels_from = tensors.add(labels, integer_labels ? Fit::per_row : Fit::same, Access::input);
  const int loss_to = tensors.add(loss, reduced ? Fit::one_element : Fit::per_row, Access::output);
  const int weights_from = tensors.add(loss_options.class_weights, Fit::along_axis, Access::input);
  const int grad_to = tensors.add(loss_options.grad_logits, Fit::same, Access::replacing);
  const int log_to = tensors.add(loss_options.log_probabilities, Fit::same, Access::replacing);
  if (const auto status = tensors.read_ranks(axis)) return status;
  if (const auto status = tensors.match_shapes()) return status;
  if (const auto status = tensors.lay_out()) return status;
  if (tensors.empty()) {
    if (!reduced || !tensors.no_rows()) return SIMDSOFTMAX_OK;
    if (loss->data == nullptr) return SIMDSOFTMAX_NULL_POINTER;
    store_reduced(*loss, mean ? std::nan("") : 0.0);
    return SIMDSOFTMAX_OK;
  }

  tensors.make_grid();
  SplitSum block_sums[most_blocks];
  LossTask task;
  task.grid = tensors.grid();
  task.rows = tensors.rows();
  task.cols = tensors.cols();
  task.part_length = row_part_length(task.cols);
  task.block = (task.rows + most_blocks - 1) / most_blocks;
  task.logits = tensors.operand(from);
  task.labels = tensors.operand(labels_from);
  task.losses = tensors.operand(reduced ? -1 : loss_to);
  task.class_weights = tensors.operand(weights_from);
  task.grad_logits = tensors.operand(grad_to);
  task.log_probabilities = tensors.operand(log_to);
  task.theta = options.theta;
  task.label_smoothing = loss_options.label_smoothing;
  task.use_ignore_index = loss_options.use_ignore_index != 0;
  task.ignore_index = loss_options.ignore_index;
  task.block_sums = block_sums;

  double denominator = static_cast<double>(task.rows);
  if (integer_labels) {
    const Labels checked = check_labels(task);
    if (checked.bad_row < task.rows) {
      if (loss_options.bad_row != nullptr) *loss_options.bad_row = checked.bad_row;
      return SIMDSOFTMAX_BAD_LABEL;
    }
    denominator = checked.weight;
  }
  task.grad_factor = 1.0;
  if (mean) {
    const FloatEnvironment environment;
    task.grad_factor = 1.0 / denominator;
  }

  const std::size_t blocks = (task.rows + task.block - 1) / task.block;
  const Shape shape = {task.rows,          task.cols,
                       task.logits.dtype,  static_cast<Dtype>(loss->dtype),
                       tensors.in_place(), static_cast<Accuracy>(options.accuracy)};
  const Plan plan = plan_units(task.rows, task.cols, blocks, thread_limit(options));
  report_call(function, kernels->isa, shape, plan);
  run_rows(kernels->loss[compute_index(logits->dtype, options.accuracy)], &task, blocks, plan);
  if (!reduced) return SIMDSOFTMAX_OK;

  const FloatEnvironment environment;
  SplitSum sum = {0.0, 0.0};
  for (std::size_t b = 0; b < blocks; ++b) {
    accumulate(sum, block_sums[b].high);
    sum.low += block_sums[b].low;
  }
  store_reduced(*loss, mean ? total(sum) / denominator : total(sum));
  return SIMDSOFTMAX_OK;
}

}  // namespace

simdsoftmax_status simdsoftmax_softmax_cross_entropy(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* labels,
                                                     const simdsoftmax_tensor* loss, int32_t axis,
                                                     const simdsoftmax_cross_entropy_options* loss_options,
                                                     const simdsoftmax_options* options) {
  return cross_entropy("softmax_cross_entropy", false, logits, labels, loss, axis, loss_options, options);
}

simdsoftmax_status simdsoftmax_sparse_softmax_cross_entropy(const simdsoftmax_tensor* logits,
                                                            const simdsoftmax_tensor* labels,
                                                            const simdsoftmax_tensor* loss, int32_t axis,
                                                            const simdsoftmax_cross_entropy_options* loss_options,
                                                            const simdsoftmax_options* options) {
  return cross_entropy("sparse_softmax_cross_entropy", true, logits, labels, loss, axis, loss_options, options);
}
