// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/online_sum.hpp"
#include "variants/row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The running maximum and the rescaled sum in one pass that stores nothing; then exponentials again, scaled. Two reads
// and one write.
struct Online {
  template <class Source, Accuracy accuracy>
  static bool walk(RowLogits<Source, accuracy>& row, RowState& state) {
    row.stash = {};
    state =
        row.with_sink(row.team.sum([&](std::size_t begin, std::size_t end) { return part_state(row, begin, end); }));
    // NaN here also stands for a part that needs another way; no part with mass, for a row without any.
    return !is_nan(state.sum) && !is_nothing(state);
  }

 private:
  template <class Source, Accuracy accuracy>
  static RowState part_state(const RowLogits<Source, accuracy>& row, std::size_t part_begin, std::size_t part_end) {
    using T = typename Source::T;
    OnlineSum<T, accuracy> online;
    RowState state = nothing;
    const auto range = row.visible(part_begin, part_end);
    for (std::size_t begin = range.begin; begin < range.end;) {
      const std::size_t whole = (begin / detail::segment_length + 1) * detail::segment_length;
      const std::size_t end = range.end < whole ? range.end : whole;
      online.sum = {};
      bool walked = true;
      row.x.each_tile(begin, end, [&](const auto& tile, std::size_t, std::size_t n) {
        walked = walked && online_sum_pass(tile, online, n) == Walk::done;
      });
      if (!walked) return not_a_sum;
      const SplitSum sum = online.sum.total();
      if (is_nan(sum)) return not_a_sum;
      if (online.max > -Limits<T>::infinity) state = merge(state, {online.anchor, no_shift, sum});
      begin = end;
    }
    return state;
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
