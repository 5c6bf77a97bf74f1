// SPDX-License-Identifier: Apache-2.0
#pragma once

// Log-probabilities and logsumexp of the rows of a block, one row to a lane.

#include "passes/column_scale.hpp"
#include "passes/log_normalize.hpp"
#include "passes/row_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// exp, but 0 for the largest logit of each row.
template <class Exp, class T, Accuracy accuracy>
class RunExpOfOthers {
 public:
  RunExpOfOthers(const Exp& exp, const BlockState<T, accuracy>& block) : exp_(exp), max_(block.max) {}

  template <class In>
  SIMDSOFTMAX_INLINE Vector<T> operator()(const In* x, std::size_t i, std::size_t m) {
    return xsimd::select(load_lanes(x + i, m) == load(max_ + i), Vector<T>(T(0)), exp_(x, i, m));
  }

 private:
  Exp exp_;
  const T* max_;
};

// log_sum and rest of the rows of a block, from their maxima and their sums relative to the anchor. False if one of
// them is NaN. sum_others(): sums without the largest take the place of all others.
template <class T, Accuracy accuracy, class SumOthers>
SIMDSOFTMAX_NOINLINE bool log_scales_of_runs(std::size_t cols, std::size_t n, const Runs<T>& e, std::int64_t anchor,
                                             BlockState<T, accuracy>& block, const SumOthers& sum_others) {
  double* const high = block.log_sum_high;
  double* const low = block.log_sum_low;
  // body(r, sum, max) for the parts of the vector of rows i, i + 1, ...
  const auto each_part = [&](std::size_t i, const auto& body) __attribute__((always_inline)) {
    const RunTotals<T, accuracy> totals(block, e, cols, i);
    const WideLanes<T> max = widen(load(block.max + i));
    for (std::size_t k = 0; k < max.count; ++k) {
      body(i + k * width<double>, SplitSums{totals.high.part[k], totals.low.part[k]}, max.part[k]);
    }
  };
  const auto is_dominated = [&](std::size_t i) __attribute__((always_inline)) {
    bool any = false;
    for (std::size_t r = i; r < i + width<T>; r += width<double>) {
      any = any || any_above(F64(one_dominates), load_f64(high + r));
    }
    return any;
  };
  bool is_known = true;
  for (std::size_t i = 0; i < n; i += width<T>) {
    each_part(
        i, [&](std::size_t r, const SplitSums& sum, F64 max) __attribute__((always_inline)) {
          const SplitSums logs = log_sums_of<T>(sum.high, relative_low<T>({sum.high, sum.low}), anchor, max);
          is_known = is_known && xsimd::all(sum.high == sum.high);
          store(high + r, logs.high);
          store(low + r, logs.low);
        });
  }
  if (!is_known) return false;
  bool know_others = false;
  for (std::size_t i = 0; i < n; i += width<T>) {
    if (!is_dominated(i)) continue;
    if (!know_others) sum_others();
    know_others = true;
    each_part(
        i, [&](std::size_t r, const SplitSums& others, F64 max) __attribute__((always_inline)) {
          const SplitSums beside = log_sums_beside<T>(others, exps_in<T>(anchor, max), anchor, max, F64(0.0));
          const auto dominated = load_f64(high + r) < F64(one_dominates);
          store(high + r, xsimd::select(dominated, beside.high, load_f64(high + r)));
          store(low + r, xsimd::select(dominated, beside.low, load_f64(low + r)));
        });
  }
  for (std::size_t r = 0; r < n; r += width<double>) {
    const F64 sums = load(high + r);
    const F64 rounded = sizeof(T) == sizeof(float) ? as_float(sums) : sums;
    store_as(block.log_sum + r, sums);
    store_as(block.rest + r, (sums - rounded) + load(low + r));
  }
  return true;
}

// logsumexp of a block, to log_sum_high; of f32 not good enough where it is near 0, and NaN where a row has one. False
// as from log_scales_of_runs, whose arguments these are.
template <Accuracy accuracy, class SumOthers>
SIMDSOFTMAX_NOINLINE bool logsumexps_of_runs(std::size_t cols, std::size_t n, const Runs<float>& e, std::int64_t anchor,
                                             BlockState<float, accuracy>& block, const SumOthers&) {
  double* const results = block.log_sum_high;
  for (std::size_t i = 0; i < n; i += width<float>) {
    const RunTotals<float, accuracy> totals(block, e, cols, i);
    for (std::size_t k = 0; k < totals.high.count; ++k) {
      store(results + i + k * width<double>, logsumexps_of<float>({totals.high.part[k], totals.low.part[k]}, anchor));
    }
  }
  return true;
}
template <Accuracy accuracy, class SumOthers>
SIMDSOFTMAX_NOINLINE bool logsumexps_of_runs(std::size_t cols, std::size_t n, const Runs<double>& e,
                                             std::int64_t anchor, BlockState<double, accuracy>& block,
                                             const SumOthers& sum_others) {
  if (!log_scales_of_runs(cols, n, e, anchor, block, sum_others)) return false;
  for (std::size_t r = 0; r < n; r += width<double>) {
    SplitSums logs = {load(block.log_sum_high + r), load(block.log_sum_low + r)};
    accumulate(logs, load(block.max + r));
    store(block.log_sum_high + r, total(logs));
  }
  return true;
}

// Log-probabilities of a block from its logits. after: runs that are needed next.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void log_runs(const Runs<const In> x, const Runs<Out> y, std::size_t cols, std::size_t n,
                                   const Runs<const In> after, const BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  const RunsAhead<Out, const In> ahead = {y, cols, after};
  // What rows need stays in registers for all columns.
  const auto write = [&](std::size_t i, std::size_t m, const auto&... logs) __attribute__((always_inline)) {
    for (std::size_t c = 0; c < cols; ++c) {
      const In* const run = x[c];
      Out* const to = y[c];
      const char* const next = ahead[c + columns_ahead];
      std::size_t k = i;
      const auto one = [&](const auto& log) __attribute__((always_inline)) {
        __builtin_prefetch(next + k * sizeof(Out), 1);
        store_lanes(to + k, m, log(load_lanes(run + k, m)));
        k += width<T>;
      };
      (one(logs), ...);
    }
  };
  const auto log_of = [&](std::size_t i) __attribute__((always_inline)) {
    return LogNormalizer<T>(load(block.max + i), load(block.log_sum + i), load(block.rest + i));
  };
  constexpr std::size_t w = width<T>;
  std::size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) write(i, w, log_of(i), log_of(i + w), log_of(i + 2 * w), log_of(i + 3 * w));
  for (; i < n; i += w) write(i, n - i < w ? n - i : w, log_of(i));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
