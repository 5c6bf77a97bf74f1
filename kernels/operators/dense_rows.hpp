// SPDX-License-Identifier: Apache-2.0
#pragma once

// Softmax of dense rows as they are.

#include "operators/row_blocks.hpp"
#include "operators/staged_rows.hpp"
#include "staging/plain_row.hpp"
#include "variants/narrow.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows that a variant cannot finish.
template <class T, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void finish_alone(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Tile<T> tile;
  StagedRow<T, accuracy> row = staged_row<T, accuracy>(task, cursor, tile, team);
  row.stash = {};
  const RowState state = any_state(row);
  finish_any(row, state, task.empty_row_zeros);
}

// Exponentials of a row, or a thread's parts of it, whose output type cannot hold all of them; on the stack of the
// thread.
constexpr std::size_t scratch_length = 32768;

template <class T>
struct Scratch {
  T* exponentials;
  std::size_t length;
};

// Softmax of dense rows as they are, one by one.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_single_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& row_team,
                                           const Scratch<Compute<In>>& scratch) {
  using T = Compute<In>;
  constexpr bool stash_in_output = sizeof(Out) == sizeof(T);
  for (; rows > 0; --rows, cursor.next()) {
    const auto* const x = reinterpret_cast<const In*>(cursor.at(task.logits));
    auto* const y = reinterpret_cast<Out*>(cursor.at(task.output));
    const std::size_t first = row_team.first_column();
    Stash<T> stash;
    if constexpr (stash_in_output) {
      stash = stash_in(reinterpret_cast<T*>(y), 0);
    } else {
      stash = stash_beside(scratch.exponentials, scratch.length, y, !task.in_place, first, row_team.last_column(),
                           task.part_length);
    }
    const bool logits_survive = !stash_in_output || !task.in_place;
    const auto* const results = reinterpret_cast<const char*>(y + first);
    Row<PlainRow<In>, PlainOutput<Out>, accuracy> row{
        {{x, task.cols}, stash, logits_survive, row_team, results, sizeof(Out)}, {y}};
    RowState state;
    const bool single = task.cols == 1;
    // Exponentials of finish_alone are not fast ones, so what is left to it must not depend on the variant.
    const auto walked = [&] {
      return walk(row, task.variant, state) || (accuracy == Accuracy::fast && ThreePass::walk(row, state));
    };
    if (single && is_finite(row.max())) {
      row.fill(1);  // exactly, which e * (1 / e) need not be
    } else if (single || !walked()) {
      finish_alone<T, accuracy == Accuracy::fast ? Accuracy::balanced : accuracy>(task, cursor, row_team);
    } else if (is_nan(state.sum)) {
      row.fill(Limits<T>::nan);
    } else if (row.stash.is_empty() && task.variant == Variant::streaming) {
      row.stream(state);
    } else {
      row.normalize(state);
    }
  }
}

template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_single_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  using T = Compute<In>;
  constexpr std::size_t length = sizeof(Out) == sizeof(T) ? 1 : scratch_length;
  alignas(64) T exponentials[length];
  walk_single_rows<In, Out, accuracy>(task, cursor, rows, row_team, {exponentials, length});
}

// Softmax of dense rows as they are, several at a time.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_narrow_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  Narrow<In, Out, accuracy> narrow(task.cols, destination_of<In, Out>(task, rows));
  each_block(cursor, rows, narrow.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const In>(cursor, task.grid, task.logits);
    if (narrow.walk(x, rows_from<Out>(cursor, task.grid, task.output), n)) {
      cursor.advance(n);
    } else {
      walk_single_rows<In, Out, accuracy>(task, cursor, n, row_team, {narrow.room(), task.cols});
    }
    return n;
  });
  narrow.finish();
}

template <class In, class Out, Accuracy accuracy = Accuracy::balanced>
void walk_dense_rows(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowCursor cursor(task.grid, first);
  RowTeam row_team(team, task.cols, task.part_length);
  const bool several = task.variant == Variant::narrow || task.variant == Variant::streaming;
  if (several && row_team.alone() && task.cols > 1 && task.cols <= longest_narrow<Compute<In>>) {
    walk_narrow_rows<In, Out, accuracy>(task, cursor, last - first, row_team);
  } else {
    walk_single_rows<In, Out, accuracy>(task, cursor, last - first, row_team);
  }
  if (task.variant == Variant::streaming) stream_fence();
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
