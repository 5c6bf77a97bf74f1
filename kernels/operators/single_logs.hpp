// SPDX-License-Identifier: Apache-2.0
#pragma once

// log_softmax and logsumexp of dense rows as they are, one by one.

#include "operators/staged_rows.hpp"
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
  return {{reinterpret_cast<const In*>(cursor.at(task.logits)), task.cols}, {}, true, team};
}

// The state of a row relative to the anchor of its maximum; exponentials go to the sink. False if the row needs another
// way.
template <class In, class To>
SIMDSOFTMAX_INLINE bool dense_sum(RowLogits<PlainRow<In>>& row, const To& e, double& max, RowState& state) {
  using T = Compute<In>;
  max = row.max();
  if (!is_ordinary<T>(max)) return false;
  const std::int64_t anchor = anchor_of(max);
  state = row.sum(e, Exp<T>(anchor), anchor);
  return !is_nan(state.sum);
}

// Its log scale too. False likewise.
template <class In>
SIMDSOFTMAX_NOINLINE bool dense_log_scale(RowLogits<PlainRow<In>>& row, RowState& state, LogScale& scale) {
  double max;
  if (!dense_sum(row, NoSink<Compute<In>>{}, max, state)) return false;
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

// The same for rows that no one shares, one behind the other. A row is written when the exponentials of the next one
// have been summed, because its scale takes as long to come out as 500 of them, and no longer than this if the
// processor has something else to do meanwhile.
template <class In, class Out>
SIMDSOFTMAX_NOINLINE void dense_log_softmax_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                                 RowTeam& team) {
  const In* x = nullptr;
  Out* y = nullptr;
  LogScale scale;
  const auto write_last = [&] {
    if (x != nullptr) log_pass(PlainSource<In>{x}, Sink<Out>{y}, scale, task.cols);
    x = nullptr;
  };
  for (; rows > 0; --rows, cursor.next()) {
    RowLogits<PlainRow<In>> row = dense_row<In>(task, cursor, team);
    auto* const results = reinterpret_cast<Out*>(cursor.at(task.output));
    const ExpectingSink<Compute<In>> expected = {reinterpret_cast<const char*>(results), sizeof(Out)};
    double max;
    RowState state;
    const bool summed = dense_sum(row, expected, max, state);
    write_last();
    if (!summed) {
      walk_staged_row<Compute<In>>(task, cursor, team);
    } else {
      scale = log_scale_of(row, state, max);
      x = row.x.x;
      y = results;
    }
  }
  write_last();
}

// As row_logsumexp; where f32 is not good enough, in f64.
template <class In>
SIMDSOFTMAX_NOINLINE void dense_logsumexp(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  using T = Compute<In>;
  RowState state;
  double result;
  if constexpr (sizeof(T) == sizeof(float)) {
    RowLogits<PlainRow<In>> row = dense_row<In>(task, cursor, team);
    if (!Anchored::walk(row, state)) return walk_staged_row<T>(task, cursor, team);
    result = logsumexp_of(row, state);
    if (is_near_zero(result)) return dense_logsumexp<Wide<In>>(task, cursor, team);
  } else {
    RowLogits<PlainRow<In>> row = dense_row<In>(task, cursor, team);
    LogScale scale;
    if (!dense_log_scale<In>(row, state, scale)) return walk_staged_row<T>(task, cursor, team);
    result = logsumexp_of(scale, no_shift);
  }
  if (team.is_first()) store_one(result, cursor.at(task.output), task.output.dtype);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
