// SPDX-License-Identifier: Apache-2.0
#pragma once

// log_softmax and logsumexp of dense rows as they are.

#include "operators/narrow_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows that are taken several at a time, bytes in the compute type: beyond, a block has too few of them.
constexpr std::size_t longest_narrow_logs = 8192;
constexpr std::size_t longest_narrow_logsumexp = 32768;
// And those whose results may wait in the caches until they are written.
constexpr std::size_t longest_expected = 262144;

template <class In, class Out>
void walk_dense_logs(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  const std::size_t bytes = task.cols * sizeof(Compute<In>);
  const bool several = row_team.alone() && task.cols > 1;
  if (task.function == Function::logsumexp) {
    if (several && bytes <= longest_narrow_logsumexp) return narrow_logsumexp<In>(task, cursor, last - first, row_team);
    for (std::size_t r = first; r < last; ++r, cursor.next()) dense_logsumexp<In>(task, cursor, row_team);
  } else {
    if (several && bytes <= longest_narrow_logs) {
      return narrow_log_softmax<In, Out>(task, cursor, last - first, row_team);
    }
    if (row_team.alone() && bytes <= longest_expected) {
      return dense_log_softmax_rows<In, Out>(task, cursor, last - first, row_team);
    }
    for (std::size_t r = first; r < last; ++r, cursor.next()) dense_log_softmax<In, Out>(task, cursor, row_team);
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
