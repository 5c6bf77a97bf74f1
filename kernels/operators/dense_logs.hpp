// SPDX-License-Identifier: Apache-2.0
#pragma once

// log_softmax and logsumexp of dense rows as they are.

#include "operators/row_blocks.hpp"
#include "operators/staged_rows.hpp"
#include "passes/row_logs.hpp"
#include "staging/plain_row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows with infinities, NaN, or huge logits.
template <class T>
SIMDSOFTMAX_NOINLINE void walk_staged_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Tile<T> tile;
  walk_row(task, cursor, team, tile);
}

template <class In>
RowLogits<PlainRow<In>> dense_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  return {{reinterpret_cast<const In*>(cursor.at(task.logits)), task.cols}, nullptr, 0, true, team};
}

// False if the row needs another way.
template <class In>
SIMDSOFTMAX_NOINLINE bool dense_log_scale(RowLogits<PlainRow<In>>& row, RowState& state, LogScale& scale) {
  using T = Compute<In>;
  const double max = row.max();
  if (!is_ordinary<T>(max)) return false;
  const std::int64_t anchor = anchor_of(max);
  state = row.sum(NoSink<T>{}, Exp<T>(anchor), anchor);
  if (is_nan(state.sum)) return false;
  scale = log_scale_of(row, state, max);
  return true;
}

template <class In, class Out>
SIMDSOFTMAX_NOINLINE void dense_log_softmax(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Row<PlainRow<In>, PlainOutput<Out>> row{dense_row<In>(task, cursor, team),
                                          {reinterpret_cast<Out*>(cursor.at(task.output))}};
  RowState state;
  LogScale scale;
  if (!dense_log_scale<In>(row, state, scale)) return walk_staged_row<Compute<In>>(task, cursor, team);
  row.write([&](const auto& x, const auto& to, std::size_t n) { log_pass(x, to, scale, n); },
            -Limits<Compute<In>>::infinity);
}

// Where f32 is not good enough, see row_logsumexp, f32 logits are taken in f64 here, halves the general way.
template <class In>
constexpr bool refines_here = sizeof(In) == sizeof(float);
SIMDSOFTMAX_INLINE bool is_near_zero(double result) { return result < 4 && result > -4; }

// As row_logsumexp.
template <class In>
SIMDSOFTMAX_NOINLINE void dense_logsumexp(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  using T = Compute<In>;
  RowState state;
  double result;
  if constexpr (sizeof(T) == sizeof(float)) {
    RowLogits<PlainRow<In>> row = dense_row<In>(task, cursor, team);
    if (!ThreePass::walk(row, state)) return walk_staged_row<T>(task, cursor, team);
    result = logsumexp_of(row, state);
    if (is_near_zero(result)) {
      if constexpr (refines_here<In>) return dense_logsumexp<Wide<In>>(task, cursor, team);
      return walk_staged_row<T>(task, cursor, team);
    }
  } else {
    RowLogits<PlainRow<In>> row = dense_row<In>(task, cursor, team);
    LogScale scale;
    if (!dense_log_scale<In>(row, state, scale)) return walk_staged_row<T>(task, cursor, team);
    result = logsumexp_of(scale, 0);
  }
  if (team.is_first()) store_one(result, cursor.at(task.output), task.output.dtype);
}

// Several short rows at a time.
template <class In>
class NarrowLogs {
  using T = Compute<In>;

 public:
  explicit NarrowLogs(std::size_t cols) : block_(cols) {}

  std::size_t rows_at_once() const { return block_.rows_at_once(); }

  // Of at most rows_at_once() rows, NaN where a row needs another way; false if all do.
  bool find_log_sums(const EvenRows<const In>& x, std::size_t rows, const Destination& destination) {
    if (!block_.exponentiate(x, rows, destination)) return false;
    const BlockShape shape = block_.shape(rows);
    row_max_pass(x, shape, max_);
    const LogSums<In> log_sums(x, {block_.exponentials(), shape.cols, rows}, block_.anchor(), max_);
    for (std::size_t r = 0; r < rows; r += width<double>) {
      const SplitSums of_group = log_sums(r, block_.totals(r));
      store(results_ + r, of_group.high);
      store(results_low_ + r, of_group.low);
    }
    return true;
  }
  LogScale scale(std::size_t r) const { return {static_cast<double>(max_[r]), 0, results_[r], results_low_[r]}; }

  bool find_logsumexps(const EvenRows<const In>& x, std::size_t rows) {
    const Destination nowhere = {reinterpret_cast<char*>(results_), 0, 0};
    if constexpr (sizeof(T) == sizeof(double)) {
      if (!find_log_sums(x, rows, nowhere)) return false;
      for (std::size_t r = 0; r < rows; r += width<double>) {
        SplitSums result = {load(results_ + r), load(results_low_ + r)};
        accumulate(result, load_f64(max_ + r));
        store(results_ + r, total(result));
      }
      return true;
    } else {
      if (!block_.exponentiate(x, rows, nowhere)) return false;
      for (std::size_t r = 0; r < rows; r += width<double>) {
        store(results_ + r, logsumexps_of<T>(block_.totals(r), block_.anchor()));
      }
      return true;
    }
  }
  const double* results() const { return results_; }
  double* results() { return results_; }

 private:
  NarrowBlock<In, Accuracy::balanced> block_;
  alignas(64) T max_[most_narrow_rows];
  alignas(64) double results_[most_narrow_rows];
  alignas(64) double results_low_[most_narrow_rows];
};

template <class In, class Out>
SIMDSOFTMAX_NOINLINE void narrow_log_softmax(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& team) {
  NarrowLogs<In> logs(task.cols);
  each_block(cursor, rows, logs.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const In>(cursor, task.grid, task.logits);
    const auto y = rows_from<Out>(cursor, task.grid, task.output);
    const bool together = logs.find_log_sums(x, n, destination_of(y));
    for (std::size_t r = 0; r < n; ++r, cursor.next()) {
      if (together && !is_nan(logs.scale(r).log_sum)) {
        log_pass(PlainSource<In>{x[r]}, Sink<Out>{y[r]}, logs.scale(r), task.cols);
      } else {
        dense_log_softmax<In, Out>(task, cursor, team);
      }
    }
  });
}

// All rows of the block in f64, for those near 0.
template <class In>
SIMDSOFTMAX_NOINLINE void refine(const EvenRows<const In>& x, std::size_t cols, std::size_t rows, double* results) {
  NarrowLogs<Wide<In>> logs(cols);
  for (std::size_t first = 0; first < rows; first += logs.rows_at_once()) {
    const std::size_t n = rows - first < logs.rows_at_once() ? rows - first : logs.rows_at_once();
    const EvenRows<const Wide<In>> wide = {reinterpret_cast<const Wide<In>*>(x[first]), x.stride};
    const bool together = logs.find_logsumexps(wide, n);
    for (std::size_t r = 0; r < n; ++r) {
      double& result = results[first + r];
      if (is_near_zero(result)) result = together ? logs.results()[r] : Limits<double>::nan;
    }
  }
}

template <class In>
SIMDSOFTMAX_NOINLINE void narrow_logsumexp(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& team) {
  NarrowLogs<In> logs(task.cols);
  each_block(cursor, rows, logs.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const In>(cursor, task.grid, task.logits);
    const auto y = rows_from<char>(cursor, task.grid, task.output);
    const bool together = logs.find_logsumexps(x, n);
    double* const results = logs.results();
    if constexpr (refines_here<In>) {
      bool any_near_zero = false;
      for (std::size_t r = 0; r < n && together; ++r) any_near_zero |= is_near_zero(results[r]);
      if (any_near_zero) refine(x, task.cols, n, results);
    } else if constexpr (sizeof(Compute<In>) == sizeof(float)) {
      for (std::size_t r = 0; r < n; ++r) results[r] = is_near_zero(results[r]) ? Limits<double>::nan : results[r];
    }
    if (together) store_run(results, y.first, task.output.dtype, y.stride, n);
    for (std::size_t r = 0; r < n; ++r, cursor.next()) {
      if (!together || is_nan(results[r])) dense_logsumexp<In>(task, cursor, team);
    }
  });
}

template <class In, class Out>
void walk_dense_logs(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  const bool together = row_team.alone() && task.cols > 1 && task.cols <= longest_narrow<Compute<In>> / 2;
  const bool log_softmax = task.function == Function::log_softmax;
  if (together && log_softmax) return narrow_log_softmax<In, Out>(task, cursor, last - first, row_team);
  if (together) return narrow_logsumexp<In>(task, cursor, last - first, row_team);
  for (std::size_t r = first; r < last; ++r, cursor.next()) {
    if (log_softmax) {
      dense_log_softmax<In, Out>(task, cursor, row_team);
    } else {
      dense_logsumexp<In>(task, cursor, row_team);
    }
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
