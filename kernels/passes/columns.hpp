// SPDX-License-Identifier: Apache-2.0
#pragma once

// Passes over rows that lie side by side, one to a lane: element c of each of them is at tile[c * pitch]. They do what
// the passes along a row do, in the same order, and give the same bits.

#include "passes/lane_sum.hpp"
#include "passes/normalize.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// One number in f64 for each lane of a vector.
template <class T>
struct WideLanes {
  static constexpr std::size_t count = width<T> / width<double>;
  F64 part[count];
};
SIMDSOFTMAX_INLINE WideLanes<float> widen(F32 v) { return {{low_half_f64(v), high_half_f64(v)}}; }
SIMDSOFTMAX_INLINE WideLanes<double> widen(F64 v) { return {{v}}; }
SIMDSOFTMAX_INLINE F32 narrow(const WideLanes<float>& v) { return join_halves(v.part[0], v.part[1]); }
SIMDSOFTMAX_INLINE F64 narrow(const WideLanes<double>& v) { return v.part[0]; }

template <class T>
SIMDSOFTMAX_NOINLINE Vector<T> max_of_columns(const T* tile, std::size_t pitch, std::size_t cols) {
  Vector<T> m0(-Limits<T>::infinity), m1 = m0, m2 = m0, m3 = m0;
  std::size_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    m0 = max_or_second(load(tile + c * pitch), m0);
    m1 = max_or_second(load(tile + (c + 1) * pitch), m1);
    m2 = max_or_second(load(tile + (c + 2) * pitch), m2);
    m3 = max_or_second(load(tile + (c + 3) * pitch), m3);
  }
  for (; c < cols; ++c) m0 = max_or_second(load(tile + c * pitch), m0);
  return max_or_second(max_or_second(m0, m1), max_or_second(m2, m3));
}

// exp with an anchor for each lane, from the maxima of the lanes; those are ordinary.
template <class T>
class ColumnExp {
 public:
  explicit ColumnExp(Vector<T> max) : core_(ExpRange<T>::headroom) {
    WideLanes<T> anchor = widen(max);
    WideLanes<T> lowest;
    WideLanes<T> above;
    for (std::size_t i = 0; i < anchor.count; ++i) {
      // floor(max * log2(e)): to nearest, less 1 where that is above.
      const F64 exponent = anchor.part[i] * F64(log2_e);
      const F64 nearest = (exponent + F64(0x1.8p52)) - F64(0x1.8p52);
      anchor.part[i] = (nearest - F64(1.0)) + where_at_least(exponent, nearest, F64(1.0));
      lowest.part[i] = (anchor.part[i] - F64(static_cast<double>(ExpRange<T>::depth))) * F64(ln_2);
      above.part[i] = F64(static_cast<double>(ExpRange<T>::headroom)) - anchor.part[i];
    }
    lowest_ = narrow(lowest);
    bits_ = exponent_bits(narrow(above));
  }

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> x) const { return core_(max_or_second(lowest_, x), bits_); }

 private:
  // n << the place of the exponent; 1.5 * 2^(the last place) makes an integer of the low bits of a number.
  static F32 exponent_bits(F32 n) { return shift_left<23>(n + F32(0x1.8p23f)); }
  static F64 exponent_bits(F64 n) { return shift_add<52>(n + F64(0x1.8p52), 0); }

  ExpCore<T> core_;
  Vector<T> lowest_;
  Vector<T> bits_;
};

// Sums of lanes, each in the order of LaneSum.
template <class T>
class ColumnSum {
 public:
  ColumnSum() {
    for (auto& s : sums_) s = {};
    for (auto& s : low_) s = {};
  }

  SIMDSOFTMAX_INLINE void add(std::size_t lane, F32 v) {
    const WideLanes<float> wide = widen(v);
    for (std::size_t i = 0; i < wide.count; ++i) sums_[lane].part[i] = sums_[lane].part[i] + wide.part[i];
  }
  SIMDSOFTMAX_INLINE void add(std::size_t lane, F64 v) { accumulate(sums_[lane].part[0], low_[lane].part[0], v); }

  SIMDSOFTMAX_INLINE void total(WideLanes<T>& high, WideLanes<T>& low) {
    for (std::size_t i = 0; i < high.count; ++i) {
      if constexpr (sizeof(T) == 4) {
        high.part[i] = halved(sums_, i);
        low.part[i] = F64(0.0);
      } else {
        low.part[i] = halved(low_, i);
        high.part[i] = F64(0.0);
        for (const auto& sum : sums_) accumulate(high.part[i], low.part[i], sum.part[i]);
      }
    }
  }

 private:
  static constexpr std::size_t lanes = virtual_width<T>;

  SIMDSOFTMAX_INLINE static void accumulate(F64& high, F64& low, F64 v) {
    const F64 sum = high + v;
    const F64 added = sum - high;
    low = low + ((high - (sum - added)) + (v - added));
    high = sum;
  }

  SIMDSOFTMAX_INLINE static F64 halved(WideLanes<T> (&s)[lanes], std::size_t i) {
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) s[l].part[i] = s[l].part[i] + s[l + half].part[i];
    }
    return s[0].part[i];
  }

  WideLanes<T> sums_[lanes];
  WideLanes<T> low_[lanes];  // used for f64 only
};

// Exponentials in place, and their sums.
template <class T>
SIMDSOFTMAX_NOINLINE void exp_sum_of_columns(T* tile, std::size_t pitch, std::size_t cols, const ColumnExp<T>& exp_of,
                                             WideLanes<T>& high, WideLanes<T>& low) {
  constexpr std::size_t lanes = virtual_width<T>;
  const ColumnExp<T> exp = exp_of;
  ColumnSum<T> sum;
  const auto exponential = [&](std::size_t c) __attribute__((always_inline)) {
    const Vector<T> v = exp(load(tile + c * pitch));
    store(tile + c * pitch, v);
    return v;
  };
  std::size_t c = 0;
  for (; c + chunk_length<T> <= cols; c += chunk_length<T>) {
    for (std::size_t l = 0; l < lanes; ++l) sum.add(l, tree_sum<T, chunk_vectors<T>>(c + l, exponential));
  }
  for (std::size_t l = 0; l < lanes && c + l < cols; ++l) {
    sum.add(l, tree_sum<T, chunk_vectors<T>>(
                   c + l, [&](std::size_t at) __attribute__((always_inline)) {
                     return at < cols ? exponential(at) : Vector<T>(T(0));
                   }));
  }
  sum.total(high, low);
}

// Probabilities in place; NaN where the sum is.
template <class T>
SIMDSOFTMAX_NOINLINE void scale_columns(T* tile, std::size_t pitch, std::size_t cols, const WideLanes<T>& high,
                                        const WideLanes<T>& low) {
  WideLanes<T> factor, factor_low, smallest;
  for (std::size_t i = 0; i < high.count; ++i) {
    const NormalFactors<T, F64> factors(high.part[i], low.part[i]);
    factor.part[i] = factors.factor;
    factor_low.part[i] = factors.factor_low;
    smallest.part[i] = factors.smallest;
  }
  const Normalizer<T> normalize(narrow(factor), narrow(factor_low), narrow(smallest));
  for (std::size_t c = 0; c < cols; ++c) store(tile + c * pitch, normalize(load(tile + c * pitch)));
  const Vector<T> sum = narrow(high);
  if (xsimd::all(sum == sum)) return;
  const Vector<T> nan_or_zero = sum - sum;
  for (std::size_t c = 0; c < cols; ++c) store(tile + c * pitch, load(tile + c * pitch) + nan_or_zero);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
