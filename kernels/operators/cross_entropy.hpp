// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/loss_passes.hpp"
#include "operators/loss_scales.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

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
