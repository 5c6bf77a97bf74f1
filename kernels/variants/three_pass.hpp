// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The maximum; exponentials, summed and stored; what was stored, scaled. Without a stash nothing is stored and the last
// pass takes the exponentials again: three_pass_recompute.
struct ThreePass {
  template <class Row>
  static void walk(const Row& row) {
    using T = typename Row::T;
    const double max = row.max();
    if (!is_ordinary<T>(max)) return row.walk_any();
    const std::int64_t anchor = anchor_of(max);
    const SplitSum sum = row.stashed_sum(Exp<T>(anchor), anchor).sum;
    if (is_nan(sum)) return row.fill_nan();
    row.normalize(anchor, sum);
  }
};

struct ThreePassRecompute {
  template <class Row>
  static void walk(Row row) {
    row.stash = nullptr;
    ThreePass::walk(row);
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
