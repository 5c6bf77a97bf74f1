// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/exp.hpp"
#include "simd/scalar.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::RowState;

// What a part without probability mass adds.
constexpr RowState nothing = {-(std::int64_t{1} << 40), 0.0, {0.0, 0.0}};
// What a part with NaN or +inf adds.
constexpr RowState not_a_sum = {nothing.anchor, 0.0, {Limits<double>::nan, 0.0}};

SIMDSOFTMAX_INLINE bool is_nothing(const RowState& state) { return state.anchor == nothing.anchor; }

// x - shift - anchor * ln 2: how far e^x lies above what the state is relative to.
SIMDSOFTMAX_INLINE double distance(double x, const RowState& state) {
  const SplitSum anchor = in_first_lane(times_ln_2(F64(static_cast<double>(state.anchor))));
  return ((x - state.shift) - anchor.high) - anchor.low;
}

// Exponentials of single numbers in the units of the sum: with headroom, and the factor that those of the row carry.
// By way of the anchor that x would have itself, so that the anchor of the state changes nothing but the exponent.
template <class T>
double exp_in(const RowState& state, double x) {
  const double above = x - state.shift;
  if (!(above < 0x1p40)) return above - above + Limits<double>::infinity;  // NaN for NaN
  if (above < -0x1p40) return 0;
  const RowState own = {anchor_of(above), state.shift, {0.0, 0.0}};
  const double mantissa = scalar_exp(distance(x, own) + ExpCore<T>::log_factor);
  return mantissa * power_of_two(own.anchor - state.anchor + ExpRange<T>::headroom);
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
  accumulate(log, state.shift);
  return total(log);
}

// Relative to different shifts, the lower state is multiplied by a power of e; otherwise both are taken relative to the
// higher anchor, which is exact.
SIMDSOFTMAX_NOINLINE RowState merge(const RowState& a, const RowState& b) {
  if (is_nan(a.sum) || is_nan(b.sum)) return not_a_sum;
  if (a.shift != b.shift) {
    if (is_nothing(a)) return b;
    if (is_nothing(b)) return a;
    const double above = distance(b.shift + static_cast<double>(b.anchor) * ln_2, a);
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
