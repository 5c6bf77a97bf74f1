// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/anchored.hpp"
#include "variants/online.hpp"
#include "variants/three_pass.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Variant;

// The state of a row by one of the variants.
template <class Source, Accuracy accuracy>
bool walk(RowLogits<Source, accuracy>& row, Variant variant, RowState& state) {
  switch (variant) {
    case Variant::three_pass_recompute:
      return ThreePassRecompute::walk(row, state);
    case Variant::streaming:  // alone, as a row of more than the caches hold
      if (row.x.last() - row.x.first() <= detail::segment_length) return Anchored::walk(row, state);
      row.stash = {};
      return Anchored::walk(row, state) || Online::walk(row, state);
    case Variant::online:
      return Online::walk(row, state);
    case Variant::anchored:
      return Anchored::walk(row, state);
    case Variant::narrow:  // alone, as a row that does not go with others
      if (row.x.last() - row.x.first() > detail::anchor_length) return Anchored::walk(row, state);
      break;
    case Variant::three_pass:
    case Variant::automatic:
      break;
  }
  return ThreePass::walk(row, state);
}

// The state of a part of any row, by its own maximum: relative to that where it is huge.
template <class Source, Accuracy accuracy>
RowState any_part_state(const RowLogits<Source, accuracy>& row, std::size_t begin, std::size_t end) {
  using T = typename Source::T;
  const T max = row.max_of(begin, end);
  if (max == Limits<T>::infinity) return not_a_sum;
  // Every logit is -inf, or NaN where the maximum passes over it.
  const bool empty = max == -Limits<T>::infinity;
  const bool ordinary = empty || is_ordinary<T>(static_cast<double>(max));
  SplitSum shift = no_shift;
  if (!empty && !ordinary) shift = {static_cast<double>(max), static_cast<double>(row.low_of_max(max, begin, end))};
  const std::int64_t anchor = empty || !ordinary ? 0 : anchor_of(max);
  RowLogits<Source, accuracy> shifted = row;
  shifted.x = row.x.shifted(shift);
  const RowState state =
      shifted.part_sum(NoSink<T>{}, Exp<T, true, accuracy>(anchor), anchor, shift, row.visible(begin, end));
  if (is_nan(state.sum)) return not_a_sum;
  return empty ? nothing : state;
}

// The state of any row. A row without mass but with a sink has the sink alone.
template <class Source, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE RowState any_state(const RowLogits<Source, accuracy>& row) {
  using T = typename Source::T;
  const RowState state =
      row.team.sum([&](std::size_t begin, std::size_t end) { return any_part_state(row, begin, end); });
  if (!is_nothing(state) || is_nan(state.sum) || !row.x.has_sink()) return row.with_sink(state);
  const double sink = row.x.sink();
  if (is_nan(sink) || sink == Limits<double>::infinity) return not_a_sum;
  if (sink == -Limits<double>::infinity) return nothing;
  RowState alone = {0, {sink, 0.0}, {0.0, 0.0}};
  accumulate(alone.sum, exp_in<T>(alone, 0.0));
  return alone;
}

// A sink whose exponential is infinite in the units of the sum is all there is to the log.
template <class Source, Accuracy accuracy>
double logsumexp_of(const RowLogits<Source, accuracy>& row, const RowState& state) {
  if (row.x.has_sink() && state.sum.high == Limits<double>::infinity) return row.x.sink();
  return logsumexp_of<typename Source::T>(state);
}

// Probabilities of a row with this state from its logits.
template <class Row>
SIMDSOFTMAX_NOINLINE void finish_any(const Row& row, const RowState& state, bool empty_row_zeros) {
  using T = typename Row::T;
  if (is_nan(state.sum)) return row.fill(Limits<T>::nan);
  if (is_nothing(state)) return row.fill(empty_row_zeros ? T(0) : Limits<T>::nan);
  if (!is_finite(state.sum.high)) return row.fill(0);  // the sink has it all
  Row shifted = row;
  shifted.x = row.x.shifted(state.shift);
  shifted.template normalize_logits<true>(state);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
