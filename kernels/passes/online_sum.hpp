// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/lane_sum.hpp"
#include "passes/max.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The running maximum and the sum relative to its anchor, in one pass (Milakov and Gimelshein, arXiv:1805.02867, with
// anchors in place of maxima: a new one scales the sums by a power of two, which is exact).
template <class T, Accuracy accuracy>
struct OnlineSum {
  T max = -Limits<T>::infinity;
  std::int64_t anchor = 0;
  LaneSum<T, accuracy> sum;

  // Follows the maximum up; false for a logit that needs another way (+inf, or beyond ExpRange::giant).
  SIMDSOFTMAX_INLINE bool climb(T largest) {
    if (!(largest < ExpRange<T>::giant && largest > -ExpRange<T>::giant)) return false;
    const std::int64_t next = anchor_of(largest);
    // Before the first finite logit there is nothing to keep.
    sum.scale(max == -Limits<T>::infinity ? 0.0 : power_of_two(anchor - next));
    max = largest;
    anchor = next;
    return true;
  }
};

enum class Walk { done, needs_another_way };

// Adds n logits to the state. All calls for a segment but the last take whole chunks.
template <Accuracy accuracy, class Source>
SIMDSOFTMAX_NOINLINE Walk online_sum_pass(const Source x, OnlineSum<typename Source::T, accuracy>& state,
                                          std::size_t n) {
  using T = typename Source::T;
  using V = Vector<T>;
  using Exp = Exp<T, false, accuracy>;
  Exp exp(state.anchor);
  V max(state.max);

  const auto follow = [&](V stretch_max) __attribute__((always_inline)) {
    if (__builtin_expect(!any_above(stretch_max, max), 1)) return true;
    if (!state.climb(lane_max(stretch_max))) return false;
    exp = Exp(state.anchor);
    max = V(state.max);
    return true;
  };

  for (std::size_t i = 0; i < n; i += stretch_length<T>) {
    const std::size_t end = i + stretch_length<T> < n ? i + stretch_length<T> : n;
    V stretch_max(-Limits<T>::infinity);
    for_each_vector<T>(
        i, end,
        [&](std::size_t k)
            __attribute__((always_inline)) { stretch_max = max_or_second(high_part<T>(x(k)), stretch_max); },
        [&](std::size_t k, std::size_t m)
            __attribute__((always_inline)) { stretch_max = max_or_second(first_high_parts(x, k, m), stretch_max); });
    if (!follow(stretch_max)) return Walk::needs_another_way;
    add_values<T>(
        state.sum, i, end, [&](const auto& at) __attribute__((always_inline)) { return exp(map(x, at)); },
        [&](std::size_t k, std::size_t m) __attribute__((always_inline)) { return keep_first(exp(x.first(k, m)), m); });
  }
  return Walk::done;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
