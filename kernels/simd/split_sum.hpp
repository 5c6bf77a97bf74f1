// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::SplitSum;

// One to a lane.
struct SplitSums {
  F64 high;
  F64 low;
};
SIMDSOFTMAX_INLINE SplitSums in_all_lanes(const SplitSum& sum) { return {F64(sum.high), F64(sum.low)}; }
SIMDSOFTMAX_INLINE SplitSum in_first_lane(const SplitSums& sums) { return {sums.high.get(0), sums.low.get(0)}; }

// Knuth's two-sum: what the addition rounds away is kept. For one number, or lane by lane.
template <class Number>
SIMDSOFTMAX_INLINE void accumulate(Number& high, Number& low, Number value) {
  const Number sum = high + value;
  const Number added = sum - high;
  low = low + ((high - (sum - added)) + (value - added));
  high = sum;
}
// The same of numbers that are not negative, in one step less: the larger one is known (Dekker's fast two-sum).
SIMDSOFTMAX_INLINE void accumulate_positive(F64& high, F64& low, F64 value) {
  const F64 sum = high + value;
  low = low + (min_or_second(high, value) - (sum - max_or_second(high, value)));
  high = sum;
}
SIMDSOFTMAX_INLINE void accumulate(SplitSum& sum, double value) { accumulate(sum.high, sum.low, value); }
SIMDSOFTMAX_INLINE void accumulate(SplitSums& sums, F64 value) { accumulate(sums.high, sums.low, value); }
SIMDSOFTMAX_INLINE void accumulate(SplitSum& sum, const SplitSum& value) {
  accumulate(sum, value.high);
  sum.low += value.low;
}

SIMDSOFTMAX_INLINE SplitSum scaled(const SplitSum& sum, double factor) { return {sum.high * factor, sum.low * factor}; }

SIMDSOFTMAX_INLINE double total(const SplitSum& sum) { return sum.high + sum.low; }
SIMDSOFTMAX_INLINE F64 total(const SplitSums& sums) { return sums.high + sums.low; }

// The same, with the total as its first part.
SIMDSOFTMAX_INLINE SplitSums joined(const SplitSums& sums) {
  SplitSums all = {sums.high, F64(0.0)};
  accumulate(all, sums.low);
  return all;
}

SIMDSOFTMAX_INLINE bool is_nan(const SplitSum& sum) { return is_nan(sum.high); }

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
