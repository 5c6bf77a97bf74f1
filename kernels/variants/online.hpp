// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/online_sum.hpp"
#include "variants/row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The running maximum and the rescaled sum in one pass that stores nothing; then exponentials again, scaled. Two reads
// and one write.
struct Online {
  template <class Row>
  static void walk(const Row& row) {
    using T = typename Row::T;
    const RowState state =
        row.team.sum([&](std::size_t begin, std::size_t end) { return part_state(row.x, begin, end); });
    // NaN here also stands for a part that needs another way; no part with mass, for a row without any.
    if (is_nan(state.sum) || state.anchor == nothing.anchor) return row.walk_any();
    row.normalize_logits(Exp<T>(state.anchor), state.sum);
  }

 private:
  template <class Source>
  static RowState part_state(const Source& x, std::size_t part_begin, std::size_t part_end) {
    using T = typename Source::T;
    OnlineSum<T> online;
    RowState state = nothing;
    for (std::size_t begin = part_begin; begin < part_end; begin += detail::segment_length) {
      const std::size_t end = part_end - begin < detail::segment_length ? part_end : begin + detail::segment_length;
      online.sum = {};
      if (online_sum_pass(x, online, begin, end) == Walk::needs_another_way) return not_a_sum;
      const SplitSum sum = online.sum.total();
      if (is_nan(sum)) return not_a_sum;
      if (online.max > -Limits<T>::infinity) state = merge(state, {online.anchor, sum});
    }
    return state;
  }

  static constexpr RowState not_a_sum = {nothing.anchor, {Limits<double>::nan, 0.0}};
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
