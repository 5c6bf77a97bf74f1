// SPDX-License-Identifier: Apache-2.0
#pragma once

// log_softmax and logsumexp of dense rows as they are.

#include "operators/narrow_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Bytes, in the compute type, of rows that are no block (512x4096 took 1.08 times as long as such on avx512, 1.35 on
// avx2), but whose results may wait in the caches until they are written.
constexpr std::size_t longest_expected = 262144;

template <class In, class Out>
void walk_dense_logs(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  const std::size_t bytes = task.cols * sizeof(Compute<In>);
  const bool in_blocks = row_team.alone() && task.cols > 1 && bytes <= detail::narrow_row_bytes;
  if (task.function == Function::logsumexp) {
    if (in_blocks) return narrow_logsumexp<In>(task, cursor, last - first, row_team);
    for (std::size_t r = first; r < last; ++r, cursor.next()) dense_logsumexp<In>(task, cursor, row_team);
  } else {
    if (in_blocks) return narrow_log_softmax<In, Out>(task, cursor, last - first, row_team);
    if (row_team.alone() && bytes <= longest_expected) {
      return dense_log_softmax_rows<In, Out>(task, cursor, last - first, row_team);
    }
    for (std::size_t r = first; r < last; ++r, cursor.next()) dense_log_softmax<In, Out>(task, cursor, row_team);
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
