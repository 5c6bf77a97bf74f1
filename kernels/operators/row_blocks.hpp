// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/narrow_block.hpp"
#include "staging/row_cursor.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::RowsTask;
using detail::Variant;

// The rows of an operand from the present one on, along the last dimension of the grid.
template <class Element>
EvenRows<Element> rows_from(const RowCursor& cursor, const RowGrid& grid, const Operand& operand) {
  return {reinterpret_cast<Element*>(cursor.at(operand)), operand.row_strides[grid.rank - 1]};
}

template <class In, class Out>
Destination destination_of(const RowsTask& task, std::size_t rows) {
  if (task.variant == Variant::streaming) return Destination::past_caches;
  const bool is_near = rows * task.cols * (sizeof(In) + sizeof(Out)) <= task.near_bytes;
  return is_near ? Destination::near : Destination::cached;
}

// work(n) for the next rows, at most so many at a time and along the last dimension of the grid; it moves the cursor
// over those it takes, and returns how many these are.
template <class Work>
SIMDSOFTMAX_INLINE void each_block(RowCursor& cursor, std::size_t rows, std::size_t most, const Work& work) {
  while (rows > 0) rows -= work(cursor.left_of(rows, most));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
