// SPDX-License-Identifier: Apache-2.0
#include "loss_case.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "inputs.hpp"

namespace softmax_test {
namespace {

constexpr Wide wide_nan = std::numeric_limits<Wide>::quiet_NaN();

Sizes sizes_of_rows(const Sizes& shape, std::size_t axis, bool keeps_axis) {
  return keeps_axis ? with_axis(shape, axis, 1) : without_axis(shape, axis);
}

}  // namespace

// The definitions in cross_entropy.h, which are those of PyTorch's CrossEntropyLoss.
struct LossCase::Exact {
  std::vector<ExactRow> softmax;
  std::vector<Wide> losses;
  std::vector<std::vector<Wide>> gradients;   // of the reduced loss
  std::vector<std::vector<Wide>> magnitudes;  // of the terms that these are differences of
  Wide sum = 0;
  Wide divisor = 0;  // of MEAN
};

LossCase::LossCase(simdsoftmax_dtype dtype, Sizes shape, std::size_t axis, bool dense, unsigned seed)
    : logits(normal_logits(format_of(dtype), count_of(shape), 3, seed)),
      loss_dtype(dtype),
      labels_dtype(dense ? dtype : SIMDSOFTMAX_I64),
      weights_dtype(dtype),
      grad_dtype(dtype),
      log_dtype(dtype),
      dtype_(dtype),
      shape_(std::move(shape)),
      axis_(axis),
      dense_(dense) {
  Random random(seed + 1);
  const std::size_t cols = shape_[axis_];
  const std::size_t rows = cols == 0 ? 0 : logits.size() / cols;
  if (!dense_) {
    for (std::size_t r = 0; r < rows; ++r) labels.push_back(static_cast<double>(random() % cols));
    return;
  }
  std::size_t inner = 1;
  for (std::size_t d = axis_ + 1; d < shape_.size(); ++d) inner *= shape_[d];
  labels.resize(logits.size());
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<double> row(cols);
    double total = 0;
    for (double& value : row) total += value = random() % 4 == 0 ? 0 : uniform(random);
    for (std::size_t c = 0; c < cols; ++c) {
      labels[(r / inner * cols + c) * inner + r % inner] =
          round_to(format_of(labels_dtype), total == 0 ? 0 : row[c] / total);
    }
  }
}

LossResult LossCase::run() const {
  const Sizes row_sizes = sizes_of_rows(shape_, axis_, keeps_axis);
  const Sizes loss_sizes = reduction == SIMDSOFTMAX_REDUCE_NONE ? row_sizes : Sizes{};
  const Sizes& label_sizes = dense_ ? shape_ : row_sizes;
  LossResult result;
  const Tensor x(dtype_, shape_, stepped_strides(shape_, gap, step), logits);
  const Tensor q(labels_dtype, label_sizes, padded_strides(label_sizes, 2 * gap), labels);
  const Tensor w(weights_dtype, {weights.size()}, Strides{static_cast<std::ptrdiff_t>(gap + 1)}, weights);
  result.loss = Tensor(loss_dtype, loss_sizes, padded_strides(loss_sizes, gap));
  if (!grad_in_place) result.grad_logits = Tensor(grad_dtype, shape_, stepped_strides(shape_, 2 * gap, step));
  if (!log_in_place) result.log_probabilities = Tensor(log_dtype, shape_, stepped_strides(shape_, gap, step));
  const simdsoftmax_tensor x_view = x.view();
  const simdsoftmax_tensor q_view = q.view();
  const simdsoftmax_tensor w_view = w.view();
  const simdsoftmax_tensor loss_view = result.loss.view();
  const simdsoftmax_tensor grad_view = grad_in_place ? x_view : result.grad_logits.view();
  const simdsoftmax_tensor log_view = log_in_place ? x_view : result.log_probabilities.view();
  simdsoftmax_cross_entropy_options loss_options = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
  loss_options.reduction = reduction;
  loss_options.use_ignore_index = ignore_index.has_value() ? 1 : 0;
  loss_options.ignore_index = ignore_index.value_or(0);
  loss_options.label_smoothing = label_smoothing;
  if (!weights.empty()) loss_options.class_weights = &w_view;
  if (wants_grad || grad_in_place) loss_options.grad_logits = &grad_view;
  if (wants_log || log_in_place) loss_options.log_probabilities = &log_view;
  loss_options.bad_row = &result.bad_row;
  simdsoftmax_options options = serial_options();
  options.theta = theta;
  options.num_threads = num_threads;
  const auto call = dense_ ? simdsoftmax_softmax_cross_entropy : simdsoftmax_sparse_softmax_cross_entropy;
  result.status = call(&x_view, &q_view, &loss_view, static_cast<std::int32_t>(axis_), &loss_options, &options);
  EXPECT_TRUE(result.loss.gaps_untouched());
  if (grad_in_place) result.grad_logits = x;
  if (log_in_place) result.log_probabilities = x;
  EXPECT_TRUE(result.grad_logits.gaps_untouched());
  EXPECT_TRUE(result.log_probabilities.gaps_untouched());
  return result;
}

LossCase::Exact LossCase::exact() const {
  const auto rows = rows_along(Tensor(dtype_, shape_, logits).values(), shape_, axis_);
  std::vector<std::vector<double>> label_rows;
  if (dense_) label_rows = rows_along(Tensor(labels_dtype, shape_, labels).values(), shape_, axis_);
  const std::vector<double> w = Tensor(weights_dtype, {weights.size()}, weights).values();
  const std::size_t cols = shape_[axis_];
  const auto wide_cols = static_cast<Wide>(cols);
  const auto e = static_cast<Wide>(label_smoothing);
  const auto weight = [&](std::size_t c) { return w.empty() ? Wide{1} : static_cast<Wide>(w[c]); };
  RowOps ops;
  ops.theta = theta;
  Exact result;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    result.softmax.push_back(exact_row(rows[r], ops));
    const ExactRow& p = result.softmax.back();
    const bool ignored = !dense_ && ignore_index.has_value() && labels[r] == static_cast<double>(*ignore_index);
    Wide loss = 0;
    Wide mass = 0;
    std::vector<Wide> wq(cols, 0);
    for (std::size_t c = 0; c < cols && !ignored; ++c) {
      const Wide q = dense_ ? static_cast<Wide>(label_rows[r][c]) : static_cast<double>(c) == labels[r] ? 1 : 0;
      wq[c] = weight(c) * ((1 - e) * q + e / wide_cols);
      mass += wq[c];
      if (wq[c] != 0) loss -= wq[c] * p.log_probabilities[c];
    }
    if (p.nan && !ignored) loss = wide_nan;
    result.losses.push_back(loss);
    result.sum += loss;
    result.divisor += dense_ ? 1 : ignored ? 0 : weight(static_cast<std::size_t>(labels[r]));
    std::vector<Wide> gradient(cols, 0);
    std::vector<Wide> magnitude(cols, 0);
    for (std::size_t c = 0; c < cols && !ignored; ++c) {
      const Wide probability = p.nan ? wide_nan : p.probabilities[c];
      gradient[c] = static_cast<Wide>(theta) * (probability * mass - wq[c]);
      magnitude[c] = std::fabs(static_cast<Wide>(theta)) * std::max(probability * mass, wq[c]);
    }
    result.gradients.push_back(gradient);
    result.magnitudes.push_back(magnitude);
  }
  if (reduction != SIMDSOFTMAX_REDUCE_MEAN) return result;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      if (result.magnitudes[r][c] == 0) continue;
      result.gradients[r][c] /= result.divisor;
      result.magnitudes[r][c] /= result.divisor;
    }
  }
  return result;
}

void LossCase::check(const std::string& name) const {
  const LossResult got = run();
  ASSERT_EQ(got.status, SIMDSOFTMAX_OK) << name;
  const Exact want = exact();
  const Format& compute = compute_format(format_of(dtype_));
  std::vector<Wide> losses = want.losses;
  if (reduction == SIMDSOFTMAX_REDUCE_SUM) losses = {want.sum};
  if (reduction == SIMDSOFTMAX_REDUCE_MEAN) losses = {want.sum / want.divisor};
  const std::vector<double> got_losses = got.loss.values();
  ASSERT_EQ(got_losses.size(), losses.size()) << name;
  for (std::size_t r = 0; r < losses.size(); ++r) {
    const Wide unit = std::isfinite(losses[r]) ? last_place(compute, losses[r]) : 1;
    ASSERT_LE(rounded_error(compute, format_of(loss_dtype), losses[r], unit, 4, got_losses[r]), 1)
        << name << ", loss " << r << " is " << got_losses[r] << ", exactly " << losses[r];
  }
  if (wants_log || log_in_place) {
    const auto rows = rows_along(got.log_probabilities.values(), shape_, axis_);
    const Format& out = format_of(log_in_place ? dtype_ : log_dtype);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      ASSERT_LE(log_softmax_error(format_of(dtype_), out, want.softmax[r], false, 0, rows[r]), 1)
          << name << ", log-probabilities of row " << r;
    }
  }
  if (!wants_grad && !grad_in_place) return;
  const auto rows = rows_along(got.grad_logits.values(), shape_, axis_);
  const Format& out = format_of(grad_in_place ? dtype_ : grad_dtype);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      const Wide exact = want.gradients[r][c];
      const Wide unit = std::isfinite(exact) ? last_place(compute, want.magnitudes[r][c]) : 1;
      // The probability's own 4 ULP; the sum of the labels, two products and the difference are rounded.
      ASSERT_LE(rounded_error(compute, out, exact, unit, 6, rows[r][c]), 1)
          << name << ", gradient of row " << r << ", class " << c << " is " << rows[r][c] << ", exactly " << exact;
    }
  }
}

}  // namespace softmax_test
