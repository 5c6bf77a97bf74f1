// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/scalar.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::SplitSum;

// Knuth's two-sum: what the addition rounds away is kept.
SIMDSOFTMAX_INLINE void accumulate(SplitSum& sum, double value) {
  const double high = sum.high + value;
  const double added = high - sum.high;
  sum.low += (sum.high - (high - added)) + (value - added);
  sum.high = high;
}
SIMDSOFTMAX_INLINE void accumulate(SplitSum& sum, const SplitSum& value) {
  accumulate(sum, value.high);
  sum.low += value.low;
}

// Lane by lane.
SIMDSOFTMAX_INLINE void accumulate(F64& high, F64& low, F64 v) {
  const F64 sum = high + v;
  const F64 added = sum - high;
  low = low + ((high - (sum - added)) + (v - added));
  high = sum;
}

SIMDSOFTMAX_INLINE SplitSum scaled(const SplitSum& sum, double factor) { return {sum.high * factor, sum.low * factor}; }

SIMDSOFTMAX_INLINE double total(const SplitSum& sum) { return sum.high + sum.low; }

// log of the sum, with relative accuracy near 1.
SIMDSOFTMAX_INLINE double log(const SplitSum& sum) { return scalar_log(sum.high) + sum.low / sum.high; }

SIMDSOFTMAX_INLINE bool is_nan(const SplitSum& sum) { return is_nan(sum.high); }

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
