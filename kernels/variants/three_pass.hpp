// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// A variant gives the state of a row, and leaves its exponentials in the stash or takes the stash away. False: this row
// needs another way; logits and output are as they were.

// The maximum; exponentials, summed and stored; what was stored, scaled. Without a stash nothing is stored and the last
// pass takes the exponentials again: three_pass_recompute.
struct ThreePass {
  template <class Source, Accuracy accuracy>
  static bool walk(RowLogits<Source, accuracy>& row, RowState& state) {
    using T = typename Source::T;
    const double max = row.max();
    if (!is_ordinary<T>(max)) return false;
    const std::int64_t anchor = anchor_of(max);
    state = row.stashed_sum(typename RowLogits<Source, accuracy>::AnchoredExp(anchor), anchor);
    return true;
  }
};

struct ThreePassRecompute {
  template <class Source, Accuracy accuracy>
  static bool walk(RowLogits<Source, accuracy>& row, RowState& state) {
    row.stash = {};
    return ThreePass::walk(row, state);
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
