// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/gradients.hpp"
#include "operators/staged_rows.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::LossTask;

// The sum of c(i) * -log p(i); classes with c = 0 add nothing. -log p = (max - z) + log_sum, no term negative.
template <class Source>
SIMDSOFTMAX_NOINLINE void weighted_loss_pass(const Source x, const double* c, const LogScale& scale, std::size_t n,
                                             SignedSum& lanes) {
  SignedSum sum = lanes;
  std::size_t i = 0;
  const auto loss = [&](const auto& z, std::size_t k) __attribute__((always_inline)) {
    const F64 below = (F64(scale.max) - high_part<double>(z)) + (F64(scale.max_low) - low_part<double>(z));
    const F64 weight = load(c + k);
    return xsimd::select(weight == F64(0.0), F64(0.0), weight * (below + F64(scale.log_sum)));
  };
  const auto full = [&](std::size_t k) __attribute__((always_inline)) { return loss(x(i + k), i + k); };
  const auto last = [&](std::size_t k, std::size_t m) __attribute__((always_inline)) {
    return keep_first(loss(x.first(i + k, m), i + k), m);
  };
  for (; i + chunk_length<double> <= n; i += chunk_length<double>) sum.add(full);
  if (i < n) sum.add_first(n - i, full, last);
  lanes = sum;
}

// factor * (p * weight - c), from logits and c; all but p in f64 until here.
template <class Source, class Sink>
SIMDSOFTMAX_NOINLINE void loss_gradient_pass(const Source x, const Sink y, const RowState& state,
                                             const Normalizer<typename Source::T>& normalizer, double weight,
                                             const double* c, double factor, std::size_t n) {
  using T = typename Source::T;
  const Exp<T, true> exp(state.anchor);
  const Normalizer<T> normalize = normalizer;
  const Vector<T> of_p(static_cast<T>(factor * weight));
  alignas(64) T subtracted[width<T>];
  const auto result = [&](Vector<T> p, std::size_t i, std::size_t m) __attribute__((always_inline)) {
    if (c == nullptr) return p * of_p;
    for (std::size_t k = 0; k < m; ++k) subtracted[k] = static_cast<T>(-factor * c[i + k]);
    return mul_add(p, of_p, load(subtracted));
  };
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { y(i, result(normalize(exp(x(i))), i, width<T>)); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { y.first(i, m, result(normalize(exp(x.first(i, m))), i, m)); });
}

// e^x - 1 for x <= 0. Maximum error: 3 ULP (Kahan's way: the errors of e^x and of its log cancel).
SIMDSOFTMAX_INLINE double exp_minus_one(double x) {
  const double e = scalar_exp(x);
  if (e == 1) return x;
  return e > 0.5 ? (e - 1) * x / scalar_log(e) : e - 1;
}

// The losses of the rows of a task, one thread a row.
template <class T>
class LossRows {
 public:
  LossRows(const LossTask& task, std::size_t row)
      : task_(task), cursor_(task.grid, row), team_(alone_, task.cols, task.part_length) {
    is_sparse_ = task.labels.dtype == Dtype::i32 || task.labels.dtype == Dtype::i64;
  }

  // The loss of the present row, with its gradient and log-probabilities written; then on to the next one.
  double next() {
    const double loss = loss_of_row();
    if (task_.losses.data != nullptr) store_one(loss, cursor_.at(task_.losses), task_.losses.dtype);
    cursor_.next();
    return loss;
  }

 private:
  double loss_of_row() {
    const bool ignored = is_sparse_ && task_.use_ignore_index && label() == task_.ignore_index;
    if (ignored && task_.log_probabilities.data == nullptr) {
      fill_gradient(0);
      return 0;
    }
    StagedRow<T> row = staged(task_.log_probabilities);
    RowState state;
    const LogScale scale = log_scale(row, state);
    // A gradient that overwrites the logits comes last.
    const bool log_in_place = task_.log_probabilities.data == task_.logits.data;
    const double loss = ignored ? 0 : loss_from(row, scale, state);
    if (log_in_place) write_gradient(ignored, loss, scale, state);
    if (task_.log_probabilities.data != nullptr) write_log(row, state, scale, false);
    if (!log_in_place) write_gradient(ignored, loss, scale, state);
    return loss;
  }

  double loss_from(const StagedRow<T>& row, const LogScale& scale, const RowState& state) {
    if (!(scale.max > -Limits<double>::infinity)) return Limits<double>::nan;
    if (is_plain()) {
      const double below = (scale.max - row.x.one(static_cast<std::size_t>(label()))) + scale.max_low;
      const double weight = weight_of_label();
      return weight == 0 ? 0 : weight * (below + scale.log_sum);
    }
    return weighted_loss(
        {scale.max + state.shift.high, scale.max_low + state.shift.low, scale.log_sum, scale.log_sum_low});
  }

  // Integer labels that are not smoothed: one class counts.
  bool is_plain() const { return is_sparse_ && task_.label_smoothing == 0; }

  // Also leaves the sum of the coefficients.
  double weighted_loss(const LogScale& scale) {
    Tile<double> tile;
    const StagedSource<double> x(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile);
    SplitSum loss = {0.0, 0.0};
    SplitSum weight = {0.0, 0.0};
    alignas(64) double coefficients[tile_length<double>];
    for (std::size_t begin = 0; begin < task_.cols; begin += tile_length<double>) {
      const std::size_t n = piece(begin);
      fill_coefficients(begin, n, coefficients);
      SignedSum losses;
      x.each_tile(begin, begin + n, [&](const auto& z, std::size_t, std::size_t) {
        weighted_loss_pass(z, coefficients, scale, n, losses);
      });
      accumulate(loss, losses.total());
      SignedSum weights;
      dot_pass<Term::single>(coefficients, coefficients, n, weights);
      accumulate(weight, weights.total());
    }
    weight_sum_ = total(weight);
    // What the compensation of an infinite sum holds is NaN.
    return is_finite(loss.high) ? total(loss) : loss.high;
  }

  void write_gradient(bool ignored, double loss, const LogScale& scale, const RowState& state) {
    if (task_.grad_logits.data == nullptr) return;
    if (ignored) return fill_gradient(0);
    if (is_nan(loss) || !(scale.max > -Limits<double>::infinity)) return fill_gradient(Limits<T>::nan);
    const double factor = task_.theta * task_.grad_factor;
    const bool plain = is_plain();
    const double weight = plain ? weight_of_label() : weight_sum_;
    // 1 - p of the label keeps its accuracy where p is near 1.
    double at_label = 0;
    if (plain) {
      const double log_p = -((scale.max - one_logit(state)) + scale.max_low + scale.log_sum);
      at_label = factor * weight * exp_minus_one(log_p < 0 ? log_p : 0);
    }
    StagedRow<T> row = staged(task_.grad_logits);
    row.x = row.x.shifted(state.shift);
    alignas(64) double coefficients[tile_length<double>];
    for (std::size_t begin = 0; begin < task_.cols; begin += tile_length<double>) {
      const std::size_t n = piece(begin);
      if (!plain) fill_coefficients(begin, n, coefficients);
      row.x.each_tile(begin, begin + n, [&](const auto& tile, std::size_t at, std::size_t m) {
        loss_gradient_pass(tile, row.y.sink(at), state, row.normalizer(state), weight, plain ? nullptr : coefficients,
                           factor, m);
        row.y.flush(at, m);
      });
    }
    if (plain) {
      const Operand& grad = task_.grad_logits;
      store_one(at_label, cursor_.at(grad) + label() * grad.axis_stride, grad.dtype);
    }
  }

  double one_logit(const RowState& state) {
    Tile<T> tile;
    return StagedSource<T>(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile)
        .shifted(state.shift)
        .one(static_cast<std::size_t>(label()));
  }

  void fill_gradient(T value) {
    if (task_.grad_logits.data != nullptr) staged(task_.grad_logits).fill(value);
  }

  StagedRow<T> staged(const Operand& output) {
    const StagedSource<T> x(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile_);
    return {{x, {}, true, team_}, StagedOutput<T>(output, cursor_, tile_)};
  }

  std::size_t piece(std::size_t begin) const {
    return task_.cols - begin < tile_length<double> ? task_.cols - begin : tile_length<double>;
  }

  std::int64_t label() const {
    const char* const at = cursor_.at(task_.labels);
    std::int64_t wide;
    if (task_.labels.dtype == Dtype::i64) {
      __builtin_memcpy(&wide, at, sizeof wide);
      return wide;
    }
    std::int32_t narrow;
    __builtin_memcpy(&narrow, at, sizeof narrow);
    return narrow;
  }

  double weight_of_label() const {
    const Operand& weights = task_.class_weights;
    if (weights.data == nullptr) return 1;
    return load_one(weights.data + label() * weights.axis_stride, weights.dtype);
  }

  // Smoothed labels times class weights, for n classes from `begin` on.
  void fill_coefficients(std::size_t begin, std::size_t n, double* c) const {
    const auto offset = static_cast<std::ptrdiff_t>(begin);
    const Operand& labels = task_.labels;
    if (is_sparse_) {
      for (std::size_t i = 0; i < n; ++i) c[i] = 0;
      const std::int64_t at = label() - static_cast<std::int64_t>(begin);
      if (at >= 0 && at < static_cast<std::int64_t>(n)) c[at] = 1;
    } else {
      load_run(cursor_.at(labels) + offset * labels.axis_stride, labels.dtype, labels.axis_stride, n, c);
    }
    if (task_.label_smoothing != 0) {
      const double even = task_.label_smoothing / static_cast<double>(task_.cols);
      for (std::size_t i = 0; i < n; ++i) c[i] = (1 - task_.label_smoothing) * c[i] + even;
    }
    const Operand& weights = task_.class_weights;
    if (weights.data == nullptr) return;
    constexpr std::size_t piece = 128;
    alignas(64) double w[piece];
    for (std::size_t i = 0; i < n; i += piece) {
      const std::size_t m = n - i < piece ? n - i : piece;
      load_run(weights.data + (offset + static_cast<std::ptrdiff_t>(i)) * weights.axis_stride, weights.dtype,
               weights.axis_stride, m, w);
      for (std::size_t k = 0; k < m; ++k) c[i + k] *= w[k];
    }
  }

  const LossTask& task_;
  bool is_sparse_;
  RowCursor cursor_;
  const Team alone_ = {0, 1, nullptr, nullptr};
  RowTeam team_;
  double weight_sum_ = 0;
  Tile<T> tile_;
};

template <class T>
void walk_losses(const void* given, std::size_t first, std::size_t last, const Team&) {
  const LossTask& task = *static_cast<const LossTask*>(given);
  LossRows<T> rows(task, first * task.block);
  for (std::size_t b = first; b < last; ++b) {
    const std::size_t end = (b + 1) * task.block < task.rows ? (b + 1) * task.block : task.rows;
    SplitSum sum = {0.0, 0.0};
    for (std::size_t r = b * task.block; r < end; ++r) accumulate(sum, rows.next());
    task.block_sums[b] = sum;
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
