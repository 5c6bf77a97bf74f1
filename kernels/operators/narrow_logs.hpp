// SPDX-License-Identifier: Apache-2.0
#pragma once

// log_softmax and logsumexp of dense rows as they are, several at a time.

#include "operators/row_blocks.hpp"
#include "operators/single_logs.hpp"
#include "passes/row_logs.hpp"
#include "variants/narrow.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What the LogNormalizer of each row holds; log_sum is NaN where a row needs another way. The arrays hold whole
// vectors.
template <class T>
struct RowLogScales {
  T* max;
  T* log_sum;
  T* rest;
};

// What logits of several rows may take. Those of log_softmax are read again from L1, beside which their results have to
// fit, and take no more than other blocks (with twice as much 1024x1000 and 1024x2000 took 1.1 to 1.25 times as long,
// 64x512 1.06); those of logsumexp are not.
constexpr std::size_t logsumexp_room = 262144;

// Several rows at a time: as many as in softmax, or one for each lane of their logs if that is more and their logits
// have room. (Logs of single rows took 1.1 to 1.4 times as long up to 2,048 columns, with logsumexp 1.1 to 2.4 times.)
template <class In>
class NarrowLogs {
  using T = Compute<In>;

 public:
  NarrowLogs(std::size_t cols, std::size_t room) : block_(cols, rows_at_once(cols, room)) {}

  std::size_t rows_at_once() const { return block_.rows_at_once(); }

  // Of at most rows_at_once() rows; false if all of them need another way.
  template <class Traffic>
  bool find_scales(const EvenRows<const In>& x, std::size_t rows, Traffic& traffic, RowTeam& team) {
    const bool together = find_log_sums(x, rows, traffic, [&](std::size_t r, const SplitSums& sums) {
      const F64 rounded = sizeof(T) == sizeof(float) ? as_float(sums.high) : sums.high;
      store_as(log_sum_ + r, sums.high);
      store_as(rest_ + r, (sums.high - rounded) + sums.low);
    });
    if (together && !block_.keeps_all()) {
      for (std::size_t r = 0; r < rows; ++r) {
        if (static_cast<double>(log_sum_[r]) < one_dominates) find_scale_beside(x[r], r, team);
      }
    }
    return together;
  }
  RowLogScales<T> scales() { return {max_, log_sum_, rest_}; }

  // NaN where a row needs another way.
  bool find_logsumexps(const EvenRows<const In>& x, std::size_t rows) {
    LogitTraffic<In> traffic{x};
    if constexpr (sizeof(T) == sizeof(double)) {
      return find_log_sums(x, rows, traffic, [&](std::size_t r, SplitSums sums) {
        const auto is_known = F64(block_.keeps_all() ? -1.0 : one_dominates) < sums.high;
        accumulate(sums, load_f64(max_ + r));
        store(results_ + r, xsimd::select(is_known, total(sums), F64(Limits<double>::nan)));
      });
    } else {
      if (!block_.exponentiate(x, rows, traffic)) return false;
      for (std::size_t r = 0; r < rows; r += width<double>) {
        store(results_ + r, logsumexps_of<T>(block_.totals(r), block_.anchor()));
      }
      return true;
    }
  }
  double* results() { return results_; }

  // For scale_of: of at most rows_at_once() rows; false if all of them need another way.
  bool find_scales(const EvenRows<const In>& x, std::size_t rows) {
    LogitTraffic<In> traffic{x};
    return find_log_sums(x, rows, traffic, [&](std::size_t r, const SplitSums& sums) {
      store(results_ + r, sums.high);
      store(results_low_ + r, sums.low);
    });
  }
  // What log_scale gives for row r, in f64. False if the row needs another way.
  bool scale_of(std::size_t r, LogScale& scale, RowState& state) const {
    const double log_sum = results_[r];
    if (is_nan(log_sum) || (!block_.keeps_all() && log_sum < one_dominates)) return false;
    scale = {static_cast<double>(max_[r]), 0, log_sum, results_low_[r]};
    state = state_of(r);
    return true;
  }

 private:
  static std::size_t rows_at_once(std::size_t cols, std::size_t room) {
    const std::size_t fitting = room / sizeof(T) / cols;
    const std::size_t for_lanes = fitting < width<double> ? fitting : width<double>;
    const std::size_t as_softmax = narrow_rows<T>(cols, narrow_block_bytes);
    return for_lanes > as_softmax ? for_lanes : as_softmax;
  }

  // Of a row whose exponentials are gone.
  SIMDSOFTMAX_NOINLINE void find_scale_beside(const In* x, std::size_t r, RowTeam& team) {
    RowLogits<PlainRow<In>> row = {{x, block_.shape(1).cols}, {}, true, team};
    const LogScale scale = log_scale_of(row, state_of(r), static_cast<double>(max_[r]));
    log_sum_[r] = static_cast<T>(scale.log_sum);
    rest_[r] = rest_of<T>(scale);
  }

  // Relative to the row's own anchor.
  RowState state_of(std::size_t r) const {
    const std::int64_t anchor = anchor_of(static_cast<double>(max_[r]));
    return {anchor, no_shift, scaled(block_.total(r), power_of_two(block_.anchor() - anchor))};
  }

  template <class Traffic, class Use>
  SIMDSOFTMAX_INLINE bool find_log_sums(const EvenRows<const In>& x, std::size_t rows, Traffic& traffic,
                                        const Use& use) {
    if (!block_.exponentiate(x, rows, traffic, nullptr, max_)) return false;
    const BlockShape shape = block_.shape(rows);
    for (std::size_t r = rows; r % width<double> != 0; ++r) max_[r] = max_[r - 1];
    const StoredRows<T> stored = {block_.exponentials(), block_.keeps_all() ? rows : 0, shape.cols};
    LogSums<In> log_sums(x, stored, block_.anchor(), max_);
    for (std::size_t r = 0; r < rows; r += width<double>) use(r, log_sums(r, block_.totals(r)));
    return true;
  }

  NarrowBlock<In, Accuracy::balanced> block_;
  alignas(64) T max_[most_narrow_rows];
  alignas(64) T log_sum_[most_narrow_rows];
  alignas(64) T rest_[most_narrow_rows];
  alignas(64) double results_[most_narrow_rows];
  alignas(64) double results_low_[most_narrow_rows];
};

template <class In, class Out, class Traffic>
SIMDSOFTMAX_NOINLINE void narrow_log_pass(const EvenRows<const In>& rows, BlockShape shape,
                                          const RowLogScales<Compute<In>>& scales, const EvenRows<Out>& to,
                                          const Traffic& traffic) {
  using T = Compute<In>;
  auto lines = traffic.template begin<Phase::results>(shape);
  const BlockShape block = shape;
  const EvenRows<const In> x = rows;
  const EvenRows<Out> y = to;
  const RowLogScales<T> scale = scales;
  for (std::size_t r = 0; r < block.rows; ++r) {
    if (is_nan(static_cast<double>(scale.log_sum[r]))) continue;
    lines.begin_row(r);
    const LogNormalizer<T> log(scale.max[r], scale.log_sum[r], scale.rest[r]);
    write_logs(
        PlainSource<In, true>{x[r]}, Sink<Out>{y[r]}, log,
        block.cols, [&](std::size_t) __attribute__((always_inline)) { lines.template ask<4 * width<T>>(); });
  }
}

template <class In, class Out>
SIMDSOFTMAX_NOINLINE void narrow_log_softmax(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& team) {
  NarrowLogs<In> logs(task.cols, narrow_block_bytes);
  const bool is_near = destination_of<In, Out>(task, rows) == Destination::near;
  each_block(cursor, rows, logs.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const In>(cursor, task.grid, task.logits);
    const auto y = rows_from<Out>(cursor, task.grid, task.output);
    const BlockShape shape = {n, task.cols};
    CachedTraffic<In, Out> traffic{x, y};
    const bool together = logs.find_scales(x, n, traffic, team);
    const RowLogScales<Compute<In>> scales = logs.scales();
    if (together) {
      is_near ? narrow_log_pass(x, shape, scales, y, NoTraffic{}) : narrow_log_pass(x, shape, scales, y, traffic);
    }
    for (std::size_t r = 0; r < n; ++r, cursor.next()) {
      if (!together || is_nan(static_cast<double>(scales.log_sum[r]))) dense_log_softmax<In, Out>(task, cursor, team);
    }
    return n;
  });
}

// The results of those rows of a block that are near 0, once more in f64; of a block of at most so many logits.
template <class In>
constexpr std::size_t most_refined = narrow_block_bytes / sizeof(In);
template <class In>
SIMDSOFTMAX_NOINLINE void refine(const EvenRows<const In>& x, std::size_t cols, std::size_t rows, double* results) {
  In packed[most_refined<In>];
  std::size_t places[most_narrow_rows];
  std::size_t count = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    if (!is_near_zero(results[r])) continue;
    __builtin_memcpy(packed + count * cols, x[r], cols * sizeof(In));
    places[count++] = r;
  }
  NarrowLogs<Wide<In>> logs(cols, narrow_block_bytes);
  for (std::size_t first = 0; first < count; first += logs.rows_at_once()) {
    const std::size_t n = count - first < logs.rows_at_once() ? count - first : logs.rows_at_once();
    const EvenRows<const Wide<In>> wide = {reinterpret_cast<const Wide<In>*>(packed + first * cols),
                                           static_cast<std::ptrdiff_t>(cols * sizeof(In))};
    const bool together = logs.find_logsumexps(wide, n);
    for (std::size_t r = 0; r < n; ++r) {
      results[places[first + r]] = together ? logs.results()[r] : Limits<double>::nan;
    }
  }
}

template <class In>
SIMDSOFTMAX_NOINLINE void narrow_logsumexp(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& team) {
  NarrowLogs<In> logs(task.cols, logsumexp_room);
  each_block(cursor, rows, logs.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const In>(cursor, task.grid, task.logits);
    const auto y = rows_from<char>(cursor, task.grid, task.output);
    const bool together = logs.find_logsumexps(x, n);
    double* const results = logs.results();
    if constexpr (sizeof(Compute<In>) == sizeof(float)) {
      if (n * task.cols <= most_refined<In>) {
        if (together) refine(x, task.cols, n, results);
      } else {
        for (std::size_t r = 0; r < n; ++r) results[r] = is_near_zero(results[r]) ? Limits<double>::nan : results[r];
      }
    }
    if (together) store_run(results, y.first, task.output.dtype, y.stride, n);
    for (std::size_t r = 0; r < n; ++r, cursor.next()) {
      if (!together || is_nan(results[r])) dense_logsumexp<In>(task, cursor, team);
    }
    return n;
  });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
