// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/three_pass.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The anchor comes from the first logits of the row instead of its maximum, which saves the pass over all of it: any
// power of two near the maximum serves. A row that climbs out of the range of that anchor (60 above the largest of its
// first logits, for f32) shows it by its sum and is walked again. That needs the logits, so a row in place, whose
// logits the exponentials have overwritten, goes by way of its maximum.
struct Anchored {
  template <class Row>
  static void walk(const Row& row) {
    using T = typename Row::T;
    if (row.in_place && row.stash != nullptr) return ThreePass::walk(row);
    const std::size_t first = row.cols < detail::anchor_length ? row.cols : detail::anchor_length;
    const double max = static_cast<double>(max_pass(row.x, 0, first));
    // What lies within the climb must be ordinary too.
    if (!is_ordinary<T>(max) || !is_ordinary<T>(max + ExpRange<T>::climb)) return row.walk_any();
    const std::int64_t anchor = anchor_of(max);
    const SplitSum sum = row.stashed_sum(Exp<T, true>(anchor), anchor).sum;
    if (is_nan(sum)) return row.fill_nan();
    if (sum.high >= climbed_sum<T>) return row.walk_any();
    row.normalize(anchor, sum);
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
