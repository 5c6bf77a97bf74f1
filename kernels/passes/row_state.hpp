// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/exp.hpp"
#include "simd/scalar.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::RowState;

constexpr SplitSum no_shift = {0.0, 0.0};

// What a part without probability mass adds.
constexpr RowState nothing = {-(std::int64_t{1} << 40), no_shift, {0.0, 0.0}};
// What a part with NaN or +inf adds.
constexpr RowState not_a_sum = {nothing.anchor, no_shift, {Limits<double>::nan, 0.0}};

SIMDSOFTMAX_INLINE bool is_nothing(const RowState& state) { return state.anchor == nothing.anchor; }

SIMDSOFTMAX_INLINE SplitSum times_ln_2(std::int64_t anchor) {
  return in_first_lane(times_ln_2(F64(static_cast<double>(anchor))));
}

SIMDSOFTMAX_INLINE double above_shift(double x, const RowState& state) {
  return (x - state.shift.high) - state.shift.low;
}

// Exponentials of single numbers, relative to the shift of the state, in the units of its sum: with headroom, and the
// factor that those of the row carry. By way of the anchor that x would have itself, so that the anchor of the state
// changes nothing but the exponent.
template <class T>
double exp_in(const RowState& state, double x) {
  if (!(x < 0x1p40)) return x - x + Limits<double>::infinity;  // NaN for NaN
  if (x < -0x1p40) return 0;
  const std::int64_t own = anchor_of(x);
  const SplitSum anchor = times_ln_2(own);
  const double mantissa = scalar_exp(((x - anchor.high) - anchor.low) + ExpCore<T>::log_factor);
  return mantissa * power_of_two(own - state.anchor + ExpRange<T>::headroom);
}

// Logs of sums v (1 + low) relative to the anchor, which do not depend on what a variant has chosen for it: the powers
// of two of the sums go to the anchor.
template <class T>
SIMDSOFTMAX_INLINE SplitSums logs_of(F64 v, F64 low, std::int64_t anchor) {
  SplitSums logs = split_log(v, low, F64(static_cast<double>(anchor - ExpRange<T>::headroom)));
  logs.low = logs.low - F64(ExpCore<T>::log_factor);
  return logs;
}

// The log of the sum of exponentials.
template <class T>
double logsumexp_of(const RowState& state) {
  if (is_nan(state.sum)) return Limits<double>::nan;
  if (is_nothing(state)) return -Limits<double>::infinity;
  SplitSum log = in_first_lane(logs_of<T>(F64(state.sum.high), F64(state.sum.low / state.sum.high), state.anchor));
  accumulate(log, state.shift.low);
  accumulate(log, state.shift.high);
  return total(log);
}

// How far what b is relative to lies above what a is.
SIMDSOFTMAX_NOINLINE double distance(const RowState& a, const RowState& b) {
  const double shifts = b.shift.high - a.shift.high;
  if (!(shifts < 0x1p1000 && shifts > -0x1p1000)) return shifts;
  const SplitSum anchors = times_ln_2(b.anchor - a.anchor);
  SplitSum sum = {shifts, 0.0};
  const double terms[] = {b.shift.low, -a.shift.low, anchors.high, anchors.low};
  for (const double term : terms) accumulate(sum, term);
  return total(sum);
}

// Relative to different shifts, the lower state is multiplied by a power of e; otherwise both are taken relative to the
// higher anchor, which is exact.
SIMDSOFTMAX_NOINLINE RowState merge(const RowState& a, const RowState& b) {
  if (is_nan(a.sum) || is_nan(b.sum)) return not_a_sum;
  if (a.shift.high != b.shift.high || a.shift.low != b.shift.low) {
    if (is_nothing(a)) return b;
    if (is_nothing(b)) return a;
    const double above = distance(a, b);
    const RowState& high = above > 0 ? b : a;
    const RowState& low = above > 0 ? a : b;
    RowState merged = high;
    accumulate(merged.sum, scaled(low.sum, scalar_exp(above > 0 ? -above : above)));
    return merged;
  }
  const std::int64_t anchor = a.anchor > b.anchor ? a.anchor : b.anchor;
  RowState merged = {anchor, a.shift, scaled(a.sum, power_of_two(a.anchor - anchor))};
  accumulate(merged.sum, scaled(b.sum, power_of_two(b.anchor - anchor)));
  return merged;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
