// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operators/softmax.hpp"
#include "passes/log_normalize.hpp"
#include "passes/row_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What the largest logit of a row has beside its hi.
template <class Source>
double low_of_max(const RowLogits<Source>& row, typename Source::T max) {
  return row.team.max(
      [&](std::size_t begin, std::size_t end) { return static_cast<double>(row.low_of_max(max, begin, end)); });
}

// For one row.
template <class T>
SIMDSOFTMAX_NOINLINE SplitSum log_sum_of(const RowState& state, double max) {
  const F64 low(state.sum.low / state.sum.high);
  return in_first_lane(log_sums_of<T>(F64(state.sum.high), low, state.anchor, F64(max)));
}
template <class T>
SIMDSOFTMAX_NOINLINE SplitSum log_sum_beside(const SplitSum& others, const RowState& state, double max,
                                             double max_low) {
  const double largest = exp_in<T>(state, max) * scalar_exp(max_low);
  return in_first_lane(log_sums_beside<T>(in_all_lanes(others), F64(largest), state.anchor, F64(max), F64(max_low)));
}

// The log scale of a row with mass, from its state and its maximum, both relative to the state's shift.
template <class Source>
LogScale log_scale_of(RowLogits<Source>& row, const RowState& state, double max) {
  using T = typename Source::T;
  // A sink so far above everything that its exponential is infinite is all of the sum.
  if (!is_finite(state.sum.high)) return {max, 0, above_shift(row.x.sink(), state) - max, 0};

  double max_low = 0;
  SplitSum log_sum = log_sum_of<T>(state, max);
  if (log_sum.high < one_dominates) {
    if (!row.x.is_exact()) max_low = low_of_max(row, static_cast<T>(max));
    // There may be many of the others, each too small to be told from zero beside the largest: with a lower anchor, of
    // which they do not climb out, they are.
    constexpr int lower = ExpRange<T>::headroom;
    const ExpOfOthers<T> others(Exp<T>(state.anchor - lower), static_cast<T>(max));
    const RowState rest = row.sum(NoSink<T>{}, others, state.anchor - lower, state.shift);
    log_sum = log_sum_beside<T>(scaled(rest.sum, power_of_two(-lower)), state, max, max_low);
  }
  return {max, max_low, log_sum.high, log_sum.low};
}

// The state of a row and its log scale, relative to the state's shift; the row's source is shifted with it. max is -inf
// for a row without mass, NaN for one with NaN or +inf.
template <class Source>
SIMDSOFTMAX_NOINLINE LogScale log_scale(RowLogits<Source>& row, RowState& state) {
  using T = typename Source::T;
  double max = row.max();
  const bool ordinary = is_ordinary<T>(max);
  const std::int64_t anchor = ordinary ? anchor_of(max) : 0;
  state = ordinary ? row.sum(NoSink<T>{}, Exp<T>(anchor), anchor) : any_state(row);
  if (is_nan(state.sum)) return {Limits<double>::nan, 0, 0, 0};
  if (is_nothing(state) || max == -Limits<double>::infinity) return {-Limits<double>::infinity, 0, 0, 0};
  if (state.shift.high != 0) {
    row.x = row.x.shifted(state.shift);
    max = row.max();
  }
  return log_scale_of(row, state, max);
}

// logsumexp of a row with this scale, relative to this shift. Rounded once.
SIMDSOFTMAX_INLINE double logsumexp_of(const LogScale& scale, const SplitSum& shift) {
  SplitSum result = {scale.log_sum, scale.log_sum_low + scale.max_low};
  accumulate(result, scale.max);
  accumulate(result, shift.low);
  accumulate(result, shift.high);
  return total(result);
}

// Log-probabilities of a row with this state and scale.
template <class Row>
void write_log(const Row& row, const RowState& state, const LogScale& scale, bool empty_row_zeros) {
  using T = typename Row::T;
  if (is_nan(scale.max)) return row.fill(Limits<T>::nan);
  if (scale.max == -Limits<double>::infinity) {
    // A sink is mass, though none of it is written.
    return row.fill(empty_row_zeros || !is_nothing(state) ? -Limits<T>::infinity : Limits<T>::nan);
  }
  row.write([&](const auto& tile, const auto& to, std::size_t n) { log_pass(tile, to, scale, n); },
            -Limits<T>::infinity);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
