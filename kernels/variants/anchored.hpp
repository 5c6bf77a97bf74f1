// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/three_pass.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The anchor comes from the first logits of the row instead of its maximum, which saves the pass over all of it: any
// power of two near the maximum serves. A row that climbs out of the range of that anchor (55 above the largest of its
// first logits, for f32) shows it by its sum and is walked again. That needs the logits, so a row whose logits the
// exponentials overwrite goes by way of its maximum.
struct Anchored {
  template <class Source, Accuracy accuracy>
  static bool walk(RowLogits<Source, accuracy>& row, RowState& state) {
    using T = typename Source::T;
    if (!row.logits_survive) return ThreePass::walk(row, state);
    const std::size_t first = row.x.first();
    const std::size_t last =
        row.x.last() - first < detail::anchor_length ? row.x.last() : first + detail::anchor_length;
    const double max = first < last ? static_cast<double>(row.max_of(first, last)) : -Limits<double>::infinity;
    // What lies within the climb must be ordinary too.
    if (!is_ordinary<T>(max) || !is_ordinary<T>(max + ExpRange<T>::climb)) return false;
    const std::int64_t anchor = anchor_of(max);
    state = row.stashed_sum(Exp<T, true, accuracy>(anchor), anchor);
    return !(state.sum.high >= climbed_sum<T>);
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
