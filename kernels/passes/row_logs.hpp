// SPDX-License-Identifier: Apache-2.0
#pragma once

// The logs of the sums of several rows at once, one to a lane: what log_scale_of and logsumexp_of are for one, with the
// same bits.

#include "passes/narrow_block.hpp"
#include "passes/row_state.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Where log_sum is below this there is one largest logit, and the sum of the others is what counts. (A little less than
// log 2, so that two equal logits, with the error of their exponentials, are never taken for one.)
constexpr double one_dominates = 0.64;

// The low parts of sums over the high ones; those of short rows of f32 have none.
template <class T>
SIMDSOFTMAX_INLINE F64 relative_low(const GroupTotals& totals) {
  if constexpr (sizeof(T) == sizeof(float)) return F64(0.0);
  return totals.low / totals.high;
}

// log_sum: the logs of the ratios of sums v (1 + low), relative to the anchor, to e^max.
template <class T>
SIMDSOFTMAX_INLINE SplitSums log_sums_of(F64 v, F64 low, std::int64_t anchor, F64 max) {
  SplitSums logs = logs_of<T>(v, low, anchor);
  accumulate(logs, -max);
  return joined(logs);
}

// log(1 + others / largest), which keeps its relative accuracy where the others are few; both relative to the anchor,
// the latter being e^(max + max_low) but for rounding.
template <class T>
SIMDSOFTMAX_INLINE SplitSums log_sums_beside(const SplitSums& others, F64 largest, std::int64_t anchor, F64 max,
                                             F64 max_low) {
  const F64 inverse = F64(1.0) / largest;
  const F64 ratio = total(others) * inverse;
  const F64 sum = F64(1.0) + ratio;
  F64 low = ratio - (sum - F64(1.0));
  if constexpr (sizeof(T) == sizeof(double)) {
    // What the quotient is off by, and what its divisor is, which its log tells.
    const F64 product = ratio * largest;
    const F64 left = ((others.high - product) - product_error(ratio, largest, product)) + others.low;
    SplitSums excess = log_sums_of<T>(largest, F64(0.0), anchor, max);
    accumulate(excess, -max_low);
    const F64 rest = left * inverse + ratio * total(excess);
    low = low + xsimd::select(rest - rest == F64(0.0), rest, F64(0.0));
  }
  return joined(split_log(sum, low / sum, F64(0.0)));
}

SIMDSOFTMAX_INLINE F64 load_f64(const double* p) { return load(p); }

// Exponentials of ordinary numbers in the units of sums relative to the anchor: exp_in.
template <class T>
SIMDSOFTMAX_INLINE F64 exps_in(std::int64_t anchor, F64 x) {
  const F64 own = round_down(x * F64(log2_e));
  const SplitSums power = times_ln_2(own);
  const F64 distance = (x - power.high) - power.low;
  const F64 mantissa = ExpCore<double>(ExpRange<double>::headroom)(distance + F64(ExpCore<T>::log_factor));
  return mantissa * power_of_two(own - F64(static_cast<double>(anchor - ExpRange<T>::headroom)));
}

// Rows of stored exponentials, with 0 for those of the largest logits.
template <class In>
struct RowWithoutLargest {
  using T = Compute<In>;
  const In* x;
  Vector<T> max;
  StoredRow<T> stored;

  SIMDSOFTMAX_INLINE Vector<T> whole(std::size_t i) const {
    return xsimd::select(load(x + i) == max, Vector<T>(T(0)), stored.whole(i));
  }
  SIMDSOFTMAX_INLINE Vector<T> first(std::size_t i, std::size_t n) const {
    return xsimd::select(load_first(x + i, n, max) == max, Vector<T>(T(0)), stored.first(i, n));
  }
};
template <class In>
struct RowsWithoutLargest : StoredRows<Compute<In>> {
  using Stored = StoredRows<Compute<In>>;
  EvenRows<const In> x;
  const Compute<In>* max;

  SIMDSOFTMAX_INLINE RowWithoutLargest<In> operator[](std::size_t r) const {
    return {x[r], Vector<Compute<In>>(max[r]), Stored::operator[](r)};
  }
};

// log_sum of the LogScale of rows r, r + 1, ..., relative to their maxima; NaN for a row with NaN. Without stored rows,
// below one_dominates, it is not as good as it has to be.
template <class In>
class LogSums {
  using T = Compute<In>;

 public:
  LogSums(const EvenRows<const In>& x, const StoredRows<T>& exponentials, std::int64_t anchor, const T* max)
      : x_(x), stored_(exponentials), anchor_(anchor), max_(max) {}

  SIMDSOFTMAX_INLINE SplitSums operator()(std::size_t r, const GroupTotals& totals) {
    SplitSums logs = log_sums_of<T>(totals.high, relative_low<T>(totals), anchor_, load_f64(max_ + r));
    if (stored_.rows > 0 && any_above(F64(one_dominates), logs.high)) {
      const auto dominated = logs.high < F64(one_dominates);
      const SplitSums beside = log_sums_of_others(r);
      logs = {xsimd::select(dominated, beside.high, logs.high), xsimd::select(dominated, beside.low, logs.low)};
    }
    return {xsimd::select(totals.high == totals.high, logs.high, F64(Limits<double>::nan)), logs.low};
  }

 private:
  SIMDSOFTMAX_NOINLINE SplitSums log_sums_of_others(std::size_t first) {
    if (!know_others_) {
      sum_rows(RowsWithoutLargest<In>{stored_, x_, max_}, {others_, others_low_});
      know_others_ = true;
    }
    const F64 max = load_f64(max_ + first);
    const F64 largest = exps_in<T>(anchor_, max);
    const SplitSums others = {load(others_ + first), load(others_low_ + first)};
    return log_sums_beside<T>(others, largest, anchor_, max, F64(0.0));
  }

  EvenRows<const In> x_;
  StoredRows<T> stored_;
  std::int64_t anchor_;
  const T* max_;
  bool know_others_ = false;
  // Of all rows, without the largest.
  alignas(64) double others_[most_narrow_rows];
  alignas(64) double others_low_[most_narrow_rows];
};

// Where logsumexp of f32 logits needs f64.
SIMDSOFTMAX_INLINE bool is_near_zero(double result) { return result < 4 && result > -4; }

// The logs of sums relative to the anchor; NaN for those that are.
template <class T>
SIMDSOFTMAX_INLINE F64 logsumexps_of(const GroupTotals& totals, std::int64_t anchor) {
  const F64 logs = total(logs_of<T>(totals.high, relative_low<T>(totals), anchor));
  return xsimd::select(totals.high == totals.high, logs, F64(Limits<double>::nan));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
