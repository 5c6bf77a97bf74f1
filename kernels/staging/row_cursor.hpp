// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/batch.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Operand;
using detail::RowGrid;

// Walks the rows of a grid in order and knows where each operand has the present one.
class RowCursor {
 public:
  RowCursor(const RowGrid& grid, std::size_t row) : grid_(grid) {
    for (int d = grid.rank - 1; d > 0; --d) {
      index_[d] = static_cast<std::ptrdiff_t>(row % grid.dims[d]);
      row /= grid.dims[d];
    }
    index_[0] = static_cast<std::ptrdiff_t>(row);
  }

  void next() {
    for (int d = grid_.rank - 1; d > 0; --d) {
      if (static_cast<std::size_t>(++index_[d]) < grid_.dims[d]) return;
      index_[d] = 0;
    }
    ++index_[0];
  }

  // How many of the next rows, two limits kept, lie along the last dimension of the grid; and a step over them.
  std::size_t left_of(std::size_t rows, std::size_t most) const {
    const int last = grid_.rank - 1;
    const std::size_t left = grid_.dims[last] - static_cast<std::size_t>(index_[last]);
    const std::size_t n = left < rows ? left : rows;
    return n < most ? n : most;
  }
  void advance(std::size_t n) {
    index_[grid_.rank - 1] += static_cast<std::ptrdiff_t>(n) - 1;
    next();
  }

  char* at(const Operand& operand) const { return operand.data + sum(operand.row_strides); }
  std::int64_t at(const detail::Position& position) const { return sum(position.row_strides); }

 private:
  template <class Stride>
  Stride sum(const Stride* strides) const {
    Stride offset = 0;
    for (int d = 0; d < grid_.rank; ++d) offset += index_[d] * strides[d];
    return offset;
  }

  const RowGrid& grid_;
  std::ptrdiff_t index_[detail::max_rank - 1];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
