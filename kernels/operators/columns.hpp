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
    with_dtype(task_.logits.dtype, [&](auto in) {
      using In = decltype(in);
      const char* const from = cursor.at(task_.logits) + first * sizeof(In);
      each_run(
          n, [&](std::size_t c, std::size_t i, std::size_t m, T * tile) __attribute__((always_inline)) {
            const auto* const x =
                reinterpret_cast<const In*>(from + static_cast<std::ptrdiff_t>(c) * task_.logits.axis_stride);
            store(tile, m == width<T> ? load(x + i) : load_first(x + i, m, Vector<T>(T(0))));
          });
    });
    for (std::size_t i = 0; i < n; i += width<T>) walk_vector(place(0, i), n - i < width<T> ? n - i : width<T>);
    with_dtype(task_.output.dtype, [&](auto out) {
      using Out = decltype(out);
      char* const to = cursor.at(task_.output) + first * sizeof(Out);
      each_run(
          n, [&](std::size_t c, std::size_t i, std::size_t m, const T* tile) __attribute__((always_inline)) {
            auto* const y = reinterpret_cast<Out*>(to + static_cast<std::ptrdiff_t>(c) * task_.output.axis_stride);
            m == width<T> ? store(y + i, load(tile)) : store_first(y + i, m, load(tile));
          });
    });
  }

 private:
  // Where column c of the i-th row of the block is.
  T* place(std::size_t c, std::size_t i) { return tile_ + (i / pitch<T> * task_.cols + c) * pitch<T> + i % pitch<T>; }

  // The vectors of the tile in the order of memory: m rows from the i-th on, at column c.
  template <class Work>
  SIMDSOFTMAX_INLINE void each_run(std::size_t n, const Work& work) {
    for (std::size_t c = 0; c < task_.cols; ++c) {
      std::size_t i = 0;
      for (; i + width<T> <= n; i += width<T>) work(c, i, width<T>, place(c, i));
      if (i < n) work(c, i, n - i, place(c, i));
    }
  }

  template <class Work>
  SIMDSOFTMAX_INLINE static void with_dtype(Dtype dtype, const Work& work) {
    if constexpr (sizeof(T) == 8) {
      static_cast<void>(dtype);
      work(double{});
    } else {
      if (dtype == Dtype::f16) return work(Half<Dtype::f16>{});
      if (dtype == Dtype::bf16) return work(Half<Dtype::bf16>{});
      work(float{});
    }
  }

  void walk_vector(T* tile, std::size_t n) {
    if (task_.function != Function::softmax || task_.theta != 1.0) return walk_alone(tile, n);
    const Vector<T> max = max_of_columns(tile, task_.cols);
    if (!all_ordinary(max)) return walk_alone(tile, n);
    WideLanes<T> high, low;
    exp_sum_of_columns(tile, task_.cols, ColumnExp<T>(max), high, low);
    scale_columns(tile, task_.cols, high, low);
  }

  static bool all_ordinary(Vector<T> max) {
    const Vector<T> giant(ExpRange<T>::giant);
    return !any_above(max, giant) && xsimd::all((max < giant) & (max > -giant));
  }

  // Rows that have no way in common are walked one by one, in the tile.
  SIMDSOFTMAX_NOINLINE void walk_alone(T* tile, std::size_t n) const {
    RowsTask rows = {};
    rows.cols = task_.cols;
    rows.part_length = detail::segment_length;
    rows.function = task_.function;
    rows.variant = Variant::three_pass;
    rows.theta = task_.theta;
    rows.in_place = true;
    rows.empty_row_zeros = task_.empty_row_zeros;
    const Team alone = {0, 1, nullptr, nullptr};
    RowTeam team(alone, rows.cols, rows.part_length);
    const RowCursor cursor(rows.grid, 0);
    constexpr auto stride = static_cast<std::ptrdiff_t>(pitch<T> * sizeof(T));
    Tile<T> row_tile;
    for (std::size_t i = 0; i < n; ++i) {
      rows.logits = {reinterpret_cast<char*>(tile + i), dtype_of<T>, stride, {}};
      rows.output = rows.logits;
      walk_row<T>(rows, cursor, team, row_tile);
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
