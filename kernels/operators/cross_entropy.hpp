// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/gradients.hpp"
#include "operators/narrow_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::LossTask;

// The sum of c(i) * -log p(i); classes with c = 0 add nothing. -log p = (max - z) + log_sum, no term negative.
template <class Source, class Coefficients>
class WeightedLosses {
 public:
  WeightedLosses(const Source& x, const Coefficients& c, const LogScale& scale)
      : x_(x), c_(c), max_(scale.max), max_low_(scale.max_low), log_sum_(scale.log_sum) {}

  SIMDSOFTMAX_INLINE F64 operator()(std::size_t i) const { return loss(x_(i), c_(i)); }
  SIMDSOFTMAX_INLINE F64 first(std::size_t i, std::size_t n) const { return loss(x_.first(i, n), c_.first(i, n)); }

 private:
  template <class Logit>
  SIMDSOFTMAX_INLINE F64 loss(const Logit& z, F64 weight) const {
    const F64 below = (max_ - high_part<double>(z)) + (max_low_ - low_part<double>(z));
    return xsimd::select(weight == F64(0.0), F64(0.0), weight * (below + log_sum_));
  }

  Source x_;
  Coefficients c_;
  F64 max_;
  F64 max_low_;
  F64 log_sum_;
};

// What coefficients c take from the gradient: factor * c, c in f64, rounded to the compute type of the logits.
template <class T, class Coefficients>
class Pull {
 public:
  Pull(const Coefficients& c, double factor) : c_(c), minus_factor_(-factor) {}

  // p * weight without it, for n columns from column i on.
  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> p, Vector<T> weight, std::size_t i, std::size_t n) const {
    if constexpr (sizeof(T) == sizeof(double)) {
      return mul_add(p, weight, part(i, n));
    } else {
      const std::size_t w = width<double>;
      return mul_add(p, weight, join_halves(part(i, n), n > w ? part(i + w, n - w) : F64(0.0)));
    }
  }

 private:
  SIMDSOFTMAX_INLINE F64 part(std::size_t i, std::size_t n) const {
    return (n < width<double> ? c_.first(i, n) : c_(i)) * minus_factor_;
  }

  Coefficients c_;
  F64 minus_factor_;
};
struct NoPull {
  template <class V>
  SIMDSOFTMAX_INLINE V operator()(V p, V weight, std::size_t, std::size_t) const {
    return p * weight;
  }
};

// Gradients from logits: p * weight without what pulls.
template <class Source, class Sink, class PullOf>
SIMDSOFTMAX_NOINLINE void loss_gradient_pass(const Source x, const Sink y, const RowState& state,
                                             const Normalizer<typename Source::T>& normalizer, double weight,
                                             const PullOf& pull_of, std::size_t n) {
  using T = typename Source::T;
  const Exp<T, true> exp(state.anchor);
  const Normalizer<T> normalize = normalizer;
  const Vector<T> of_p(static_cast<T>(weight));
  const PullOf pull = pull_of;
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { y(i, pull(normalize(exp(x(i))), of_p, i, width<T>)); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { y.first(i, m, pull(normalize(exp(x.first(i, m))), of_p, i, m)); });
}

// e^x - 1 for x <= 0. Maximum error: 3 ULP (Kahan's way: the errors of e^x and of its log cancel).
SIMDSOFTMAX_INLINE double exp_minus_one(double x) {
  const double e = scalar_exp(x);
  if (e == 1) return x;
  return e > 0.5 ? (e - 1) * x / scalar_log(e) : e - 1;
}

// What log_scale gives for a row.
struct KnownScale {
  LogScale scale;
  RowState state;
};

// Those of the next rows, found for several at a time where rows are dense and short.
template <class In>
class NextScales {
 public:
  NextScales(const LossTask& task, std::size_t row, std::size_t rows)
      : task_(task), cursor_(task.grid, row), left_(rows), logs_(task.cols, room(task)) {}

  static bool fits(const LossTask& task) {
    return task.logits.axis_stride == static_cast<std::ptrdiff_t>(sizeof(In)) && task.theta == 1.0 && task.cols > 1 &&
           task.cols <= longest_narrow<Compute<In>>;
  }

  // Of the next row; false if it needs another way.
  bool next(KnownScale& known) {
    if (at_ == found_) find();
    return together_ && logs_.scale_of(at_++, known.scale, known.state);
  }

 private:
  // Logits that are read again should be near.
  static std::size_t room(const LossTask& task) {
    const bool once = task.grad_logits.data == nullptr && task.log_probabilities.data == nullptr;
    return once ? logsumexp_room : narrow_block_bytes;
  }

  void find() {
    found_ = cursor_.left_of(left_, logs_.rows_at_once());
    together_ = logs_.find_scales(rows_from<const In>(cursor_, task_.grid, task_.logits), found_);
    cursor_.advance(found_);
    left_ -= found_;
    at_ = 0;
  }

  const LossTask& task_;
  RowCursor cursor_;
  std::size_t left_;
  NarrowLogs<In> logs_;
  std::size_t found_ = 0;
  std::size_t at_ = 0;
  bool together_ = false;
};

// The losses of the rows of a task, one thread a row.
template <class T>
class LossRows {
 public:
  LossRows(const LossTask& task, std::size_t row)
      : task_(task), cursor_(task.grid, row), team_(alone_, task.cols, task.part_length) {
    is_sparse_ = task.labels.dtype == Dtype::i32 || task.labels.dtype == Dtype::i64;
  }

  // The loss of the present row, with its gradient and log-probabilities written; then on to the next one. known: what
  // is known of it, or null.
  SIMDSOFTMAX_NOINLINE double next(const KnownScale* known) {
    const double loss = loss_of_row(known);
    if (task_.losses.data != nullptr) store_one(loss, cursor_.at(task_.losses), task_.losses.dtype);
    cursor_.next();
    return loss;
  }

 private:
  double loss_of_row(const KnownScale* known) {
    const bool ignored = is_sparse_ && task_.use_ignore_index && label() == task_.ignore_index;
    const bool writes_log = task_.log_probabilities.data != nullptr;
    if (ignored && !writes_log) {
      fill_gradient(0);
      return 0;
    }
    if (known == nullptr) {
      StagedRow<T> row = staged(task_.log_probabilities);
      found_.scale = log_scale(row, found_.state);
      known = &found_;
    }
    const double loss = ignored ? 0 : loss_from(known->scale, known->state);
    // A gradient that overwrites the logits comes last.
    const bool log_in_place = task_.log_probabilities.data == task_.logits.data;
    if (log_in_place) write_gradient(ignored, loss, known->scale, known->state);
    if (writes_log) write_log_probabilities(known->scale, known->state);
    if (!log_in_place) write_gradient(ignored, loss, known->scale, known->state);
    return loss;
  }

  double loss_from(const LogScale& scale, const RowState& state) {
    if (!(scale.max > -Limits<double>::infinity)) return Limits<double>::nan;
    if (is_plain()) {
      const double weight = weight_of_label();
      return weight == 0 ? 0 : weight * minus_log_p(scale, state);
    }
    return weighted_loss(
        {scale.max + state.shift.high, scale.max_low + state.shift.low, scale.log_sum, scale.log_sum_low});
  }

  // Of the label.
  double minus_log_p(const LogScale& scale, const RowState& state) {
    return ((scale.max - logit_of_label(state)) + scale.max_low) + scale.log_sum;
  }

  void write_log_probabilities(const LogScale& scale, const RowState& state) {
    StagedRow<T> row = staged(task_.log_probabilities);
    row.x = row.x.shifted(state.shift);
    write_log(row, state, scale, false);
  }

  // Integer labels that are not smoothed: one class counts.
  bool is_plain() const { return is_sparse_ && task_.label_smoothing == 0; }

  // Also leaves the sum of the coefficients, if a gradient needs it.
  double weighted_loss(const LogScale& scale) {
    if (is_plain_row(task_.logits) && task_.theta == 1.0) {
      const auto* const x = reinterpret_cast<const InF64*>(cursor_.at(task_.logits));
      return weighted_loss_of(PlainRow<InF64>{x, task_.cols}, scale);
    }
    Tile<double> tile;
    return weighted_loss_of(StagedSource<double>(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile), scale);
  }

  template <class Source>
  double weighted_loss_of(const Source& x, const LogScale& scale) {
    SplitSum loss = {0.0, 0.0};
    SplitSum weight = {0.0, 0.0};
    each_piece([&](std::size_t begin, std::size_t n, const auto& c) {
      SignedSum losses;
      x.each_tile(begin, begin + n, [&](const auto& z, std::size_t, std::size_t) {
        using Losses = WeightedLosses<std::decay_t<decltype(z)>, std::decay_t<decltype(c)>>;
        sum_pass(n, losses, Losses(z, c, scale));
      });
      accumulate(loss, losses.total());
      if (task_.grad_logits.data == nullptr) return;
      SignedSum weights;
      sum_pass(n, weights, c);
      accumulate(weight, weights.total());
    });
    weight_sum_ = total(weight);
    // What the compensation of an infinite sum holds is NaN.
    return is_finite(loss.high) ? total(loss) : loss.high;
  }

  // work(begin, n, c) for all classes in pieces; c: the coefficients of n of them from `begin` on.
  template <class Work>
  SIMDSOFTMAX_INLINE void each_piece(const Work& work) const {
    alignas(64) double coefficients[tile_length<double>];
    const bool lie_there =
        is_plain_row(task_.labels) && task_.label_smoothing == 0 && task_.class_weights.data == nullptr;
    for (std::size_t begin = 0; begin < task_.cols; begin += tile_length<double>) {
      const std::size_t n = task_.cols - begin < tile_length<double> ? task_.cols - begin : tile_length<double>;
      if (lie_there) {
        const auto* const labels = reinterpret_cast<const InF64*>(cursor_.at(task_.labels));
        work(begin, n, PlainSource<InF64, true>{labels + begin});
      } else {
        fill_coefficients(begin, n, coefficients);
        work(begin, n, PlainSource<double, true>{coefficients});
      }
    }
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
      const double log_p = -minus_log_p(scale, state);
      at_label = factor * weight * exp_minus_one(log_p < 0 ? log_p : 0);
    }
    const Operand& grad = task_.grad_logits;
    if (is_plain_row(task_.logits) && is_plain_row(grad) && task_.theta == 1.0 && state.shift.high == 0) {
      write_gradient(PlainRow<T>{reinterpret_cast<const T*>(cursor_.at(task_.logits)), task_.cols},
                     PlainOutput<T>{reinterpret_cast<T*>(cursor_.at(grad))}, state, weight, factor);
    } else {
      const StagedRow<T> row = staged(grad);
      write_gradient(row.x.shifted(state.shift), row.y, state, weight, factor);
    }
    if (plain) store_one(at_label, cursor_.at(grad) + label() * grad.axis_stride, grad.dtype);
  }

  template <class Source, class Output>
  void write_gradient(const Source& x, const Output& y, const RowState& state, double weight, double factor) {
    const Normalizer<T> normalizer(state.sum, y.smallest_normal());
    const auto write = [&](std::size_t begin, std::size_t n, const auto& pull) {
      x.each_tile(begin, begin + n, [&](const auto& tile, std::size_t at, std::size_t m) {
        loss_gradient_pass(tile, y.sink(at), state, normalizer, factor * weight, pull, m);
        y.flush(at, m);
      });
    };
    if (is_plain()) return write(0, task_.cols, NoPull{});
    each_piece([&](std::size_t begin, std::size_t n, const auto& c) {
      write(begin, n, Pull<T, std::decay_t<decltype(c)>>(c, factor));
    });
  }

  // Relative to the state's shift.
  double logit_of_label(const RowState& state) {
    if (task_.theta == 1.0 && state.shift.high == 0) {
      const Operand& logits = task_.logits;
      return load_one(cursor_.at(logits) + label() * logits.axis_stride, logits.dtype);
    }
    return StagedSource<T>(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile_)
        .shifted(state.shift)
        .one(static_cast<std::size_t>(label()));
  }

  static bool is_plain_row(const Operand& operand) {
    return operand.dtype == dtype_of<T> && operand.axis_stride == static_cast<std::ptrdiff_t>(sizeof(T));
  }

  void fill_gradient(T value) {
    if (task_.grad_logits.data != nullptr) staged(task_.grad_logits).fill(value);
  }

  StagedRow<T> staged(const Operand& output) {
    const StagedSource<T> x(task_.logits, task_.theta, nullptr, task_.cols, cursor_, tile_);
    return {{x, {}, true, team_}, StagedOutput<T>(output, cursor_, tile_)};
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

  using InF64 = std::conditional_t<sizeof(T) == sizeof(double), double, Wide<T>>;

  const LossTask& task_;
  bool is_sparse_;
  RowCursor cursor_;
  const Team alone_ = {0, 1, nullptr, nullptr};
  RowTeam team_;
  double weight_sum_ = 0;
  KnownScale found_;
  Tile<T> tile_;
};

// next_loss(): of each row in order.
template <class NextLoss>
SIMDSOFTMAX_INLINE void add_losses(const LossTask& task, std::size_t first, std::size_t last,
                                   const NextLoss& next_loss) {
  for (std::size_t b = first; b < last; ++b) {
    const std::size_t end = (b + 1) * task.block < task.rows ? (b + 1) * task.block : task.rows;
    SplitSum sum = {0.0, 0.0};
    for (std::size_t r = b * task.block; r < end; ++r) accumulate(sum, next_loss());
    task.block_sums[b] = sum;
  }
}

template <class In>
SIMDSOFTMAX_NOINLINE void walk_losses_in_blocks(const LossTask& task, std::size_t first, std::size_t last) {
  const std::size_t row = first * task.block;
  const std::size_t end = last * task.block < task.rows ? last * task.block : task.rows;
  LossRows<Compute<In>> rows(task, row);
  NextScales<In> scales(task, row, end - row);
  KnownScale known;
  add_losses(task, first, last, [&] { return rows.next(scales.next(known) ? &known : nullptr); });
}

template <class T>
void walk_losses(const void* given, std::size_t first, std::size_t last, const Team&) {
  const LossTask& task = *static_cast<const LossTask*>(given);
  const auto in_blocks = [&](auto logit) {
    using In = decltype(logit);
    const bool fits = NextScales<In>::fits(task);
    if (fits) walk_losses_in_blocks<In>(task, first, last);
    return fits;
  };
  if constexpr (sizeof(T) == sizeof(double)) {
    if (task.logits.dtype == Dtype::f64 && in_blocks(double{})) return;
  } else {
    if (task.logits.dtype == Dtype::f32 && in_blocks(float{})) return;
    if (task.logits.dtype == Dtype::f16 && in_blocks(Half<Dtype::f16>{})) return;
    if (task.logits.dtype == Dtype::bf16 && in_blocks(Half<Dtype::bf16>{})) return;
  }
  LossRows<T> rows(task, first * task.block);
  add_losses(task, first, last, [&] { return rows.next(nullptr); });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
