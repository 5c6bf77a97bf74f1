// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/staged_rows.hpp"
#include "passes/column_runs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::ColumnsTask;

template <class In, class Out>
constexpr bool is_offered = sizeof(In) + sizeof(Out) == sizeof(float) + sizeof(Half<Dtype::f16>);
template <class In>
constexpr bool is_offered<In, In> = true;

// Softmax across memory, a block of neighbouring rows at a time.
template <class T, Accuracy accuracy>
class ColumnBlocks {
 public:
  explicit ColumnBlocks(const ColumnsTask& task) : task_(task), blocks_((task.inner + task.block - 1) / task.block) {}

  void walk(std::size_t unit) {
    const RowCursor cursor(task_.grid, unit / blocks_);
    const std::size_t first = unit % blocks_ * task_.block;
    const std::size_t n = task_.inner - first < task_.block ? task_.inner - first : task_.block;
    const Place place = {moved(task_.logits, cursor.at(task_.logits), first),
                         moved(task_.output, cursor.at(task_.output), first)};
    if (task_.function != Function::softmax || task_.theta != 1.0) return walk_alone(place, n);
    with_element(task_.logits.dtype, [&](auto in) {
      with_element(task_.output.dtype, [&](auto out) {
        using In = decltype(in);
        using Out = decltype(out);
        if constexpr (is_offered<In, Out>) walk_pieces<In, Out>(place, n);
      });
    });
  }

 private:
  struct Place {
    char* logits;
    char* output;
  };

  static char* moved(const Operand& operand, char* at, std::size_t rows) {
    return at + static_cast<std::ptrdiff_t>(rows) * size_of(operand.dtype);
  }

  // Of short rows only so many at a time that they, and what is known of them, stay in the nearest cache. (Of rows of
  // 81 columns as few took twice as long as runs of 2 KiB, whose pages and prefetchers then serve for longer.)
  template <class In, class Out>
  void walk_pieces(const Place& place, std::size_t n) {
    const std::size_t most = task_.cols <= longest_in_pieces ? looked_ahead<T> : n;
    for (std::size_t i = 0; i < n; i += most) {
      const Place piece = {moved(task_.logits, place.logits, i), moved(task_.output, place.output, i)};
      walk_block<In, Out>(piece, n - i < most ? n - i : most);
    }
  }

  // A block with a row that has no way in common with the others is taken vector by vector, and such a vector row by
  // row.
  template <class In, class Out>
  void walk_block(const Place& place, std::size_t n) {
    if (walk_together<In, Out>(place, n)) return;
    if (n <= width<T>) return walk_alone(place, n);
    for (std::size_t i = 0; i < n; i += width<T>) {
      const Place part = {moved(task_.logits, place.logits, i), moved(task_.output, place.output, i)};
      walk_block<In, Out>(part, n - i < width<T> ? n - i : width<T>);
    }
  }

  // False if that is not possible; the logits are still there.
  template <class In, class Out>
  bool walk_together(const Place& place, std::size_t n) {
    const Runs<const In> x = {place.logits, task_.logits.axis_stride};
    const Runs<Out> y = {place.output, task_.output.axis_stride};
    // Anchors come from the first columns, as in the anchored variant, unless exponentials overwrite the logits.
    const bool overwritten = place.logits == place.output && sizeof(Out) == sizeof(T);
    const bool all = overwritten || task_.cols < detail::anchor_length;
    max_of_runs(x, all ? task_.cols : detail::anchor_length, n, state_);
    if (!anchor_runs(n, state_)) return false;
    if constexpr (sizeof(Out) == sizeof(T)) {
      exp_sum_of_runs(x, y, task_.cols, n, state_);
    } else {
      exp_sum_of_runs(x, Runs<NoElement>{nullptr, 0}, task_.cols, n, state_);
    }
    if (!normalize_runs(task_.cols, n, smallest_result<Out>, state_)) return false;
    scale_runs(x, y, task_.cols, n, state_);
    return true;
  }

  // Runs that are not written.
  struct NoElement {};

  // An element of this dtype that is computed with in T.
  template <class Work>
  SIMDSOFTMAX_INLINE static void with_element(Dtype dtype, const Work& work) {
    if constexpr (sizeof(T) == 8) {
      if constexpr (accuracy != Accuracy::exact) return work(double{});
      if (dtype == Dtype::f16) return work(Wide<Half<Dtype::f16>>{});
      if (dtype == Dtype::bf16) return work(Wide<Half<Dtype::bf16>>{});
      work(Wide<float>{});
    } else {
      if (dtype == Dtype::f16) return work(Half<Dtype::f16>{});
      if (dtype == Dtype::bf16) return work(Half<Dtype::bf16>{});
      work(float{});
    }
  }

  SIMDSOFTMAX_NOINLINE void walk_alone(const Place& place, std::size_t n) const {
    RowsTask rows = {};
    rows.logits = task_.logits;
    rows.output = task_.output;
    rows.cols = task_.cols;
    rows.part_length = detail::segment_length;
    rows.function = task_.function;
    rows.variant = Variant::three_pass;
    rows.theta = task_.theta;
    rows.in_place = place.logits == place.output;
    rows.empty_row_zeros = task_.empty_row_zeros;
    const Team alone = {0, 1, nullptr, nullptr};
    RowTeam team(alone, rows.cols, rows.part_length);
    const RowCursor cursor(rows.grid, 0);
    Tile<T> row_tile;
    for (std::size_t i = 0; i < n; ++i) {
      rows.logits.data = moved(task_.logits, place.logits, i);
      rows.output.data = moved(task_.output, place.output, i);
      walk_row<T, accuracy>(rows, cursor, team, row_tile);
    }
  }

  static constexpr std::size_t longest_in_pieces = 64;

  const ColumnsTask& task_;
  std::size_t blocks_;
  BlockState<T, accuracy> state_;
};

template <class T, Accuracy accuracy = Accuracy::balanced>
void walk_columns(const void* given, std::size_t first, std::size_t last, const Team&) {
  ColumnBlocks<T, accuracy> blocks(*static_cast<const ColumnsTask*>(given));
  for (std::size_t unit = first; unit < last; ++unit) blocks.walk(unit);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
