// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/staged_rows.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::SliceTask;

// A slice is walked as a row of its own, by one thread.
template <class T, Accuracy accuracy, class Work>
void with_slice(const SliceTask& task, void* output, Dtype output_dtype, const Work& work) {
  RowsTask rows = {};
  rows.logits = {static_cast<char*>(const_cast<void*>(task.logits)), task.dtype, size_of(task.dtype), {}};
  rows.output = {static_cast<char*>(output), output_dtype, size_of(output_dtype), {}};
  rows.cols = task.count;
  rows.theta = task.theta;
  const Team alone = {0, 1, nullptr, nullptr};
  RowTeam team(alone, task.count, task.part_length);
  const RowCursor cursor(rows.grid, 0);
  Tile<T> tile;
  StagedRow<T, accuracy> row = staged_row<T, accuracy>(rows, cursor, tile, team);
  row.stash = {};
  work(row);
}

template <class T, Accuracy accuracy>
void slice_states(const SliceTask& task, RowState* states) {
  with_slice<T, accuracy>(task, nullptr, task.dtype, [&](const StagedRow<T, accuracy>& row) {
    std::size_t part = 0;
    row.team.each_part([&](std::size_t begin, std::size_t end) { states[part++] = any_part_state(row, begin, end); });
  });
}

template <class T, Accuracy accuracy>
void finish_slice(const SliceTask& task, const RowState& state, void* output, Dtype output_dtype,
                  bool empty_row_zeros) {
  with_slice<T, accuracy>(task, output, output_dtype, [&](const StagedRow<T, accuracy>& row) {
    if (task.cols == 1 && !is_nan(state.sum) && !is_nothing(state)) return row.fill(1);
    finish_any(row, state, empty_row_zeros);
  });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
