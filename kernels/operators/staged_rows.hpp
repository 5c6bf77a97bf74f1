// SPDX-License-Identifier: Apache-2.0
#pragma once

// softmax, log_softmax and logsumexp of rows of any dtype and stride, with any pre-operations, one by one.

#include "operators/log_softmax.hpp"
#include "staging/staged_source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Function;
using detail::RowsTask;

template <class T, Accuracy accuracy = Accuracy::balanced>
using StagedRow = Row<StagedSource<T>, StagedOutput<T>, accuracy>;

// Exponentials go to the output where it can hold them: its lines then come in while they are computed, not while they
// are scaled. In place, and where it cannot, they stay in the tile if the row fits it.
template <class T, Accuracy accuracy = Accuracy::balanced>
StagedRow<T, accuracy> staged_row(const RowsTask& task, const RowCursor& cursor, Tile<T>& tile, RowTeam& team) {
  const StagedSource<T> x(task.logits, task.theta, task.pre_ops, task.cols, cursor, tile);
  const StagedOutput<T> y(task.output, cursor, tile);
  const bool in_tile = team.alone() && !x.is_in_memory() && x.last() - x.first() <= tile_length<T> &&
                       x.first() / tile_length<T> == (x.last() - (x.last() > x.first())) / tile_length<T>;
  if (in_tile && (task.in_place || y.memory() == nullptr)) return {{x, stash_in(tile.hi, x.first()), true, team}, y};
  return {{x, stash_in(y.memory(), 0), !task.in_place || y.memory() == nullptr, team}, y};
}

template <class T>
SIMDSOFTMAX_NOINLINE double logsumexp_in(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Tile<T> tile;
  StagedRow<T> row = staged_row<T>(task, cursor, tile, team);
  row.stash = {};
  RowState state;
  if constexpr (sizeof(T) == 8) {
    // Relative to the maximum, which is the result where it has all of the mass.
    const LogScale scale = log_scale(row, state);
    if (is_finite(scale.max) && is_finite(state.sum.high)) return logsumexp_of(scale, state.shift);
  } else {
    if (!ThreePass::walk(row, state)) state = any_state(row);
  }
  return logsumexp_of(row, state);
}

// The exponentials of f32 rows are good for 1 ULP of logsumexp from 4 on, and for 2^-21 below: there it is taken in
// f64.
template <class T>
double row_logsumexp(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  const double result = logsumexp_in<T>(task, cursor, team);
  if (sizeof(T) == 4 && result < 4 && result > -4) return logsumexp_in<double>(task, cursor, team);
  return result;
}

template <class T, Accuracy accuracy>
void softmax_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  StagedRow<T, accuracy> row = staged_row<T, accuracy>(task, cursor, tile, team);
  RowState state;
  // One column has exactly 1, which e * (1 / e) need not be.
  const bool single = task.cols == 1 && !row.x.has_sink();
  if (single || !walk(row, task.variant, state)) {
    row.stash = {};
    state = any_state(row);
    if (single && !is_nan(state.sum) && !is_nothing(state)) {
      row.fill(1);
    } else {
      finish_any(row, state, task.empty_row_zeros);
    }
  } else if (!is_finite(state.sum.high)) {
    row.fill(is_nan(state.sum) ? Limits<T>::nan : T(0));  // infinite: the sink has it all
  } else {
    row.normalize(state);
  }
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr && team.is_first()) {
    store_one(logsumexp_of(row, state), cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

template <class T>
void log_softmax_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  StagedRow<T> row = staged_row(task, cursor, tile, team);
  RowState state;
  const LogScale scale = log_scale(row, state);
  write_log(row, state, scale, task.empty_row_zeros);
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr && team.is_first()) {
    store_one(logsumexp_of(row, state), cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

template <class T>
void logsumexp_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  const double result = row_logsumexp<T>(task, cursor, team);
  if (!team.is_first()) return;
  store_one(result, cursor.at(task.output), task.output.dtype);
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr) {
    store_one(result, cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

// accuracy: of softmax; the others take all that T has.
template <class T, Accuracy accuracy = Accuracy::balanced>
SIMDSOFTMAX_NOINLINE void walk_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  switch (task.function) {
    case Function::softmax:
      return softmax_row<T, accuracy>(task, cursor, team, tile);
    case Function::log_softmax:
      return log_softmax_row<T>(task, cursor, team, tile);
    case Function::logsumexp:
      return logsumexp_row<T>(task, cursor, team);
  }
}

template <class T, Accuracy accuracy = Accuracy::balanced>
SIMDSOFTMAX_NOINLINE void walk_staged_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  Tile<T> tile;
  for (; rows > 0; --rows, cursor.next()) walk_row<T, accuracy>(task, cursor, row_team, tile);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
