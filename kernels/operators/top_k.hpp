// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/staged_rows.hpp"
#include "passes/largest.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::TopKTask;

// Candidates and exponentials of one row in one sweep, the exponentials relative to the anchor of its first logits.
template <class T>
class TopKRow {
 public:
  TopKRow(const TopKTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile)
      : task_(task),
        cursor_(cursor),
        tile_(tile),
        row_{StagedSource<T>(task.logits, task.theta, task.pre_ops, task.cols, cursor, tile), {}, true, team},
        largest_(task.k) {}

  void walk() {
    RowState state = sweep();
    if (is_nan(state.sum) || state.sum.high >= climbed_sum<T>) state = any_state(row_);
    const bool valid = !is_nan(state.sum) && !is_nothing(state);
    add_missing(valid);
    largest_.sort();
    write_columns();
    if (task_.probabilities.data != nullptr) write_probabilities(state, valid);
    if (task_.pre_ops != nullptr && task_.pre_ops->logsumexp.data != nullptr) {
      const Operand& output = task_.pre_ops->logsumexp;
      store_one(logsumexp_of(row_, state), cursor_.at(output), output.dtype);
    }
  }

 private:
  // NaN for a row that the anchor does not serve; candidates are complete in any case.
  RowState sweep() {
    const std::size_t first = row_.x.first();
    const std::size_t last = row_.x.last();
    const std::size_t end = last - first < detail::anchor_length ? last : first + detail::anchor_length;
    const double max = first < end ? static_cast<double>(row_.max_of(first, end)) : -Limits<double>::infinity;
    const bool ordinary = is_ordinary<T>(max) && is_ordinary<T>(max + ExpRange<T>::climb);
    const std::int64_t anchor = ordinary ? anchor_of(max) : 0;
    const Exp<T, true> exp(anchor);
    const RowState state = row_.team.sum([&](std::size_t part_begin, std::size_t part_end) {
      const auto range = row_.visible(part_begin, part_end);
      return add_segments(anchor, no_shift, range.begin, range.end, [&](std::size_t begin, std::size_t stop) {
        LaneSum<T> lanes;
        row_.x.each_tile(begin, stop, [&](const auto& tile, std::size_t at, std::size_t n) {
          exp_sum_pass(tile, NoSink<T>{}, exp, n, lanes);
          if (at == first) largest_.expect(tile, n);
          largest_pass(tile, at, n, largest_);
        });
        return lanes.total();
      });
    });
    return ordinary ? row_.with_sink(state) : not_a_sum;
  }

  // Rows with fewer logits than k above -inf: the lowest other columns.
  void add_missing(bool valid) {
    if (!valid) largest_ = Largest<T>(task_.k);
    const std::size_t found = largest_.size();
    if (found >= task_.k) return;
    bool taken[2 * detail::max_top_k] = {};
    for (std::size_t i = 0; i < found; ++i) {
      if (largest_.column(i) < static_cast<std::int64_t>(2 * detail::max_top_k)) taken[largest_.column(i)] = true;
    }
    for (std::size_t column = 0; largest_.size() < task_.k; ++column) {
      if (!taken[column]) largest_.append(-Limits<T>::infinity, 0, static_cast<std::int64_t>(column));
    }
  }

  void write_columns() const {
    const Operand& indices = task_.indices;
    char* to = cursor_.at(indices);
    for (std::size_t i = 0; i < task_.k; ++i, to += indices.axis_stride) {
      const std::int64_t wide = largest_[i].column;
      const auto narrow = static_cast<std::int32_t>(wide);
      if (indices.dtype == Dtype::i64) {
        __builtin_memcpy(to, &wide, sizeof wide);
      } else {
        __builtin_memcpy(to, &narrow, sizeof narrow);
      }
    }
  }

  void write_probabilities(const RowState& state, bool valid) {
    const StagedOutput<T> output(task_.probabilities, cursor_, tile_);
    if (!valid) {
      const bool zeros = !is_nan(state.sum) && task_.empty_row_zeros;
      return output.fill(0, task_.k, zeros ? T(0) : Limits<T>::nan);
    }
    // As softmax gives them: the sink has it all, or the only column has.
    if (!is_finite(state.sum.high)) return output.fill(0, task_.k, T(0));
    if (task_.cols == 1 && !row_.x.has_sink()) return output.fill(0, 1, T(1));
    tile_.forget();
    for (std::size_t i = 0; i < task_.k; ++i) {
      tile_.hi[i] = largest_[i].hi;
      tile_.lo[i] = largest_[i].lo;
    }
    // No vector reads beyond what was written.
    for (std::size_t i = task_.k; i < task_.k + width<T>; ++i) tile_.hi[i] = tile_.lo[i] = 0;
    tile_.has_lo = true;
    if (state.shift.high != 0) shift_tile(tile_.hi, tile_, task_.k, state.shift);
    const Exp<T, true> exp(state.anchor);
    const PairSource<T> winners{tile_.hi, tile_.lo};
    SplitSum sum = state.sum;
    if (task_.over_top_k) {
      LaneSum<T> lanes;
      exp_sum_pass(winners, NoSink<T>{}, exp, task_.k, lanes);
      sum = lanes.total();
    }
    exp_scale_pass(winners, output.sink(0), exp, Normalizer<T>(sum, output.smallest_normal()), task_.k);
    output.flush(0, task_.k);
  }

  const TopKTask& task_;
  const RowCursor& cursor_;
  Tile<T>& tile_;
  RowLogits<StagedSource<T>> row_;
  Largest<T> largest_;
};

template <class T>
void walk_top_k(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const TopKTask& task = *static_cast<const TopKTask*>(given);
  Tile<T> tile;
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  for (std::size_t r = first; r < last; ++r, cursor.next()) TopKRow<T>(task, cursor, row_team, tile).walk();
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
