// SPDX-License-Identifier: Apache-2.0
#pragma once

// The logs of the sums of several rows at once, one to a lane: what log_scale_of and logsumexp_of are for one, with the
// same bits.

#include "passes/narrow_block.hpp"
#include "passes/row_state.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Below this ratio of the sum to its largest term there is one largest logit, and the sum of the others is what counts.
// (A little less than 2, so that two equal logits, with the error of their exponentials, are never taken for one.)
constexpr double one_dominates = 1.9;

// The largest logit of each row; repeated for the lanes behind the last one.
template <class In>
SIMDSOFTMAX_NOINLINE void row_max_pass(const EvenRows<const In>& rows, BlockShape block, Compute<In>* max) {
  using T = Compute<In>;
  using V = Vector<T>;
  const EvenRows<const In> x = rows;
  const BlockShape shape = block;
  const V lowest(-Limits<T>::infinity);
  std::size_t r = 0;
  for (; r < shape.rows; ++r) {
    const In* const row = x[r];
    V most = lowest;
    for_each_vector<T>(
        0, shape.cols, [&](std::size_t i) __attribute__((always_inline)) { most = max_or_second(load(row + i), most); },
        [&](std::size_t i, std::size_t n)
            __attribute__((always_inline)) { most = max_or_second(load_first(row + i, n, lowest), most); });
    max[r] = lane_max(most);
  }
  for (; r % width<double> != 0; ++r) max[r] = max[r - 1];
}

SIMDSOFTMAX_INLINE F64 load_f64(const float* p) { return low_half_f64(load_low_half(p)); }
SIMDSOFTMAX_INLINE F64 load_f64(const double* p) { return load(p); }

// Exponentials of ordinary numbers in the units of sums relative to the anchor: exp_in.
template <class T>
SIMDSOFTMAX_INLINE F64 exps_in(std::int64_t anchor, F64 x) {
  const F64 own = round_down(x * F64(log2_e));
  const F64 product = own * F64(ln_2);
  const F64 error = product_error(own, F64(ln_2), product) + own * F64(0x1.abc9e3b39803fp-56);
  const F64 distance = (x - product) - error;
  const F64 mantissa = ExpCore<double>(ExpRange<double>::headroom)(distance + F64(ExpCore<T>::log_factor));
  return mantissa * power_of_two(own - F64(static_cast<double>(anchor - ExpRange<T>::headroom)));
}

// log_sum of the LogScale of rows r, r + 1, ..., relative to their maxima; NaN for a row with NaN.
template <class In>
class LogSums {
  using T = Compute<In>;

 public:
  LogSums(const EvenRows<const In>& x, const StoredRows<T>& exponentials, std::int64_t anchor, const T* max)
      : x_(x), stored_(exponentials), anchor_(anchor), max_(max) {}

  SIMDSOFTMAX_INLINE F64 operator()(std::size_t r, const GroupTotals& totals) const {
    const F64 largest = exps_in<T>(anchor_, load_f64(max_ + r));
    const F64 sum = totals.high + totals.low;
    const F64 factor = F64(1.0) / largest;
    F64 result = log(totals.high * factor, totals.low * factor);
    if (any_above(F64(one_dominates) * largest, sum)) {
      result = xsimd::select(sum < F64(one_dominates) * largest, log_of_others(r, largest), result);
    }
    return xsimd::select(sum == sum, result, F64(Limits<double>::nan));
  }

 private:
  SIMDSOFTMAX_INLINE static F64 log(F64 high, F64 low) { return natural_log(high) + low / high; }

  // log(1 + others / largest), the others being the stored exponentials of all logits below the maximum.
  SIMDSOFTMAX_NOINLINE F64 log_of_others(std::size_t first, F64 largest) const {
    LaneSum<T> group[width<double>];
    const Vector<T> zero(T(0));
    for (std::size_t i = 0; i < width<double>; ++i) {
      const std::size_t r = first + i < stored_.rows ? first + i : stored_.rows - 1;
      const In* const x = x_[r];
      const T* const e = stored_.e + r * stored_.cols;
      const Vector<T> max(max_[r]);
      group[i] = lanes_of<T>(
          stored_.cols,
          [&](std::size_t k)
              __attribute__((always_inline)) { return xsimd::select(load(x + k) == max, zero, load(e + k)); },
          [&](std::size_t k, std::size_t n) __attribute__((always_inline)) {
            return keep_first(xsimd::select(load_first(x + k, n, max) == max, zero, load(e + k)), n);
          });
    }
    const GroupTotals others = totals_of(group);
    const F64 ratio = (others.high + others.low) / largest;
    const F64 sum = F64(1.0) + ratio;
    return log(sum, ratio - (sum - F64(1.0)));
  }

  EvenRows<const In> x_;
  StoredRows<T> stored_;
  std::int64_t anchor_;
  const T* max_;
};

// The logs of sums relative to the anchor; NaN for those that are.
template <class T>
SIMDSOFTMAX_INLINE F64 logsumexps_of(const GroupTotals& totals, std::int64_t anchor) {
  const Significand of = significand_from(totals.high, std::uint64_t{1023} << 52);
  const F64 relative = natural_log(of.value) - F64(ExpCore<T>::log_factor);
  const F64 power = of.exponent + F64(static_cast<double>(anchor - ExpRange<T>::headroom));
  const F64 result = power * F64(ln_2) + relative;
  return xsimd::select(totals.high == totals.high, result, F64(Limits<double>::nan));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
