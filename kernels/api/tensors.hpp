// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

// How the shape of a tensor follows from that of the first tensor of the call.
enum class Fit {
  same,
  per_row,         // without the axis, or with 1 in its place
  other_axis,      // any size in the place of the axis
  broadcast,       // matched from the last dimension; each the same or 1
  broadcast_rows,  // broadcast, and 1 along the axis
  one_element,     // of any rank
  along_axis       // rank 1, the size of the axis
};

enum class Access {
  input,
  replaceable,  // an input that an output of the same elements may replace
  output,
  replacing,  // an output that may replace such an input
};

// A tensor of a call, seen along the dimensions of the first one. Strides in bytes; 0 repeats.
struct Argument {
  const simdsoftmax_tensor* tensor;
  Fit fit;
  Access access;
  std::size_t axis_size;
  std::ptrdiff_t strides[max_rank];
  std::ptrdiff_t row_strides[max_rank - 1];  // along the dimensions of the grid
  std::size_t extent;                        // bytes from the first to behind the last element
};

// The tensors of a call, from the caller's structs to the operands of a task. In this order, with other checks between:
// add all, read_ranks, match_shapes, lay_out, and, unless it is empty, make_grid.
class Tensors {
 public:
  // The first one gives the shape that others must fit. A null tensor is left out.
  // Returns what operand() wants.
  int add(const simdsoftmax_tensor* tensor, Fit fit, Access access);

  simdsoftmax_status read_ranks(std::int32_t axis);  // all ranks, and the shape and the axis of the first
  simdsoftmax_status match_shapes();
  simdsoftmax_status lay_out();  // strides, sizes, null data, shared memory

  int rank() const { return rank_; }
  int axis() const { return axis_; }
  std::size_t size(int dimension) const { return shape_[dimension]; }
  std::size_t cols() const { return shape_[axis_]; }
  std::size_t axis_size(int argument) const { return arguments_[argument].axis_size; }

  bool empty() const;     // there is nothing to do
  bool no_rows() const;   // some size but that of the axis is 0
  bool in_place() const;  // an output replaces the first tensor

  // The position along this dimension matters to the task.
  void use_position(int dimension) { positions_[position_count_++].dimension = dimension; }

  // Dimensions but the axis, without those of one element; neighbours that are one run for all arguments are merged.
  void make_grid();
  const RowGrid& grid() const { return grid_; }
  std::size_t rows() const { return rows_; }
  Operand operand(int argument) const;     // null data for what was left out
  Position position(int dimension) const;  // zeros for what was not asked for, or has one element

 private:
  static constexpr int most_arguments = 8;
  static constexpr int most_positions = 2;

  struct PositionTrack {
    int dimension;
    std::int64_t row_strides[max_rank - 1];
  };

  simdsoftmax_status match(Argument& argument) const;
  simdsoftmax_status set_strides(Argument& argument) const;
  bool same_elements(const Argument& a, const Argument& b) const;
  bool may_merge(int dimension) const;

  int count_ = 0;
  int rank_;
  int axis_;
  int position_count_ = 0;
  bool in_place_ = false;
  std::size_t rows_;
  std::size_t shape_[max_rank];
  RowGrid grid_;
  PositionTrack positions_[most_positions];
  Argument arguments_[most_arguments];
};

}  // namespace simdsoftmax::detail
