// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/rows.hpp"
#include "passes/columns.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::ColumnsTask;

// Softmax across memory: a block of neighbouring rows is brought into a tile, where each has a lane.
template <class T>
class ColumnBlocks {
 public:
  explicit ColumnBlocks(const ColumnsTask& task) : task_(task), blocks_((task.inner + task.block - 1) / task.block) {}

  void walk(std::size_t unit) {
    const RowCursor cursor(task_.grid, unit / blocks_);
    const std::size_t first = unit % blocks_ * task_.block;
    const std::size_t n = task_.inner - first < task_.block ? task_.inner - first : task_.block;
    const auto each_run = [&](const Operand& operand, const auto& work) {
      char* at = cursor.at(operand) + static_cast<std::ptrdiff_t>(first) * size_of(operand.dtype);
      for (std::size_t c = 0; c < task_.cols; ++c, at += operand.axis_stride) work(at, tile_ + c * task_.block);
    };
    const Operand& logits = task_.logits;
    each_run(logits, [&](const char* at, T* run) { load_run(at, logits.dtype, size_of(logits.dtype), n, run); });
    for (std::size_t i = 0; i < n; i += width<T>) walk_vector(tile_ + i, n - i < width<T> ? n - i : width<T>);
    const Operand& output = task_.output;
    each_run(output, [&](char* at, const T* run) { store_run(run, at, output.dtype, size_of(output.dtype), n); });
  }

 private:
  void walk_vector(T* tile, std::size_t n) {
    const Vector<T> max = max_of_columns(tile, task_.block, task_.cols);
    if (!all_ordinary(max)) return walk_alone(tile, n);
    WideLanes<T> high, low;
    exp_sum_of_columns(tile, task_.block, task_.cols, ColumnExp<T>(max), high, low);
    scale_columns(tile, task_.block, task_.cols, high, low);
  }

  static bool all_ordinary(Vector<T> max) {
    const Vector<T> giant(ExpRange<T>::giant);
    return !any_above(max, giant) && xsimd::all((max < giant) & (max > -giant));
  }

  // Rows that have no common way are walked one by one, in the tile.
  SIMDSOFTMAX_NOINLINE void walk_alone(T* tile, std::size_t n) const {
    RowsTask rows = {};
    rows.cols = task_.cols;
    rows.part_length = detail::segment_length;
    rows.variant = Variant::three_pass;
    rows.theta = 1;
    rows.in_place = true;
    rows.empty_row_zeros = task_.empty_row_zeros;
    const Team alone = {0, 1, nullptr, nullptr};
    RowTeam team(alone, rows.cols, rows.part_length);
    const RowCursor cursor(rows.grid, 0);
    constexpr Dtype dtype = sizeof(T) == 4 ? Dtype::f32 : Dtype::f64;
    const auto stride = static_cast<std::ptrdiff_t>(task_.block * sizeof(T));
    Tile<T> row_tile;
    for (std::size_t i = 0; i < n; ++i) {
      rows.logits = {reinterpret_cast<char*>(tile + i), dtype, stride, {}};
      rows.output = rows.logits;
      softmax_row<T>(rows, cursor, team, row_tile);
    }
  }

  const ColumnsTask& task_;
  std::size_t blocks_;
  alignas(64) T tile_[detail::columns_tile_bytes / sizeof(T)];
};

template <class T>
void walk_columns(const void* given, std::size_t first, std::size_t last, const Team&) {
  ColumnBlocks<T> blocks(*static_cast<const ColumnsTask*>(given));
  for (std::size_t unit = first; unit < last; ++unit) blocks.walk(unit);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
