// SPDX-License-Identifier: Apache-2.0
#pragma once

// Passes over rows that lie side by side, one to a lane: element c of each of them is at tile[c * pitch], and so many
// rows of 64 bytes lie together. The passes do what those along a row do, in the same order, and give the same bits.

#include "passes/lane_sum.hpp"
#include "passes/normalize.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

template <class T>
constexpr std::size_t pitch = virtual_width<T>;

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
SIMDSOFTMAX_NOINLINE Vector<T> max_of_columns(const T* tile, std::size_t cols) {
  Vector<T> m0(-Limits<T>::infinity), m1 = m0, m2 = m0, m3 = m0;
  std::size_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    m0 = max_or_second(load(tile + c * pitch<T>), m0);
    m1 = max_or_second(load(tile + (c + 1) * pitch<T>), m1);
    m2 = max_or_second(load(tile + (c + 2) * pitch<T>), m2);
    m3 = max_or_second(load(tile + (c + 3) * pitch<T>), m3);
  }
  for (; c < cols; ++c) m0 = max_or_second(load(tile + c * pitch<T>), m0);
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
  // The first value of one of the virtual lanes, and those that follow.
  SIMDSOFTMAX_INLINE void begin(std::size_t lane, Vector<T> v) {
    sums_[lane] = widen(v);
    if constexpr (compensated) low_[lane] = F64(0.0);
  }
  SIMDSOFTMAX_INLINE void add(std::size_t lane, Vector<T> v) {
    const WideLanes<T> wide = widen(v);
    if constexpr (compensated) {
      accumulate(sums_[lane].part[0], low_[lane], wide.part[0]);
    } else {
      for (std::size_t i = 0; i < wide.count; ++i) sums_[lane].part[i] = sums_[lane].part[i] + wide.part[i];
    }
  }

  // Of the first `used` virtual lanes; the others are zero.
  SIMDSOFTMAX_INLINE void total(std::size_t used, WideLanes<T>& high, WideLanes<T>& low) {
    if constexpr (compensated) {
      halve(used, [&](std::size_t l, std::size_t other) { low_[l] = low_[l] + low_[other]; });
      low.part[0] = low_[0];
      high.part[0] = F64(0.0);
      for (std::size_t l = 0; l < used; ++l) accumulate(high.part[0], low.part[0], sums_[l].part[0]);
    } else {
      halve(
          used, [&](std::size_t l, std::size_t other) __attribute__((always_inline)) {
            for (std::size_t i = 0; i < high.count; ++i) sums_[l].part[i] = sums_[l].part[i] + sums_[other].part[i];
          });
      for (std::size_t i = 0; i < high.count; ++i) {
        high.part[i] = sums_[0].part[i];
        low.part[i] = F64(0.0);
      }
    }
  }

 private:
  static constexpr std::size_t lanes = virtual_width<T>;
  static constexpr bool compensated = sizeof(T) == sizeof(double);

  template <class Add>
  SIMDSOFTMAX_INLINE static void halve(std::size_t used, const Add& add) {
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half && l + half < used; ++l) add(l, l + half);
      used = used < half ? used : half;
    }
  }

  SIMDSOFTMAX_INLINE static void accumulate(F64& high, F64& low, F64 v) {
    const F64 sum = high + v;
    const F64 added = sum - high;
    low = low + ((high - (sum - added)) + (v - added));
    high = sum;
  }

  WideLanes<T> sums_[lanes];
  F64 low_[compensated ? lanes : 1];
};

// Exponentials in place, and their sums.
template <class T>
SIMDSOFTMAX_NOINLINE void exp_sum_of_columns(T* tile, std::size_t cols, const ColumnExp<T>& exp_of, WideLanes<T>& high,
                                             WideLanes<T>& low) {
  constexpr std::size_t lanes = virtual_width<T>;
  const ColumnExp<T> exp = exp_of;
  ColumnSum<T> sum;
  const auto exponential = [&](std::size_t c) __attribute__((always_inline)) {
    const Vector<T> v = exp(load(tile + c * pitch<T>));
    store(tile + c * pitch<T>, v);
    return v;
  };
  const auto exponential_or_zero = [&](std::size_t c) __attribute__((always_inline)) {
    return c < cols ? exponential(c) : Vector<T>(T(0));
  };
  for (std::size_t c = 0; c < cols; c += chunk_length<T>) {
    const bool whole = c + chunk_length<T> <= cols;
    for (std::size_t l = 0; l < lanes && c + l < cols; ++l) {
      const Vector<T> v = whole ? tree_sum<T, chunk_vectors<T>>(c + l, exponential)
                                : tree_sum<T, chunk_vectors<T>>(c + l, exponential_or_zero);
      c == 0 ? sum.begin(l, v) : sum.add(l, v);
    }
  }
  sum.total(cols < lanes ? cols : lanes, high, low);
}

// Probabilities in place; NaN where the sum is.
template <class T>
SIMDSOFTMAX_NOINLINE void scale_columns(T* tile, std::size_t cols, const WideLanes<T>& high, const WideLanes<T>& low) {
  WideLanes<T> factor, factor_low, smallest;
  for (std::size_t i = 0; i < high.count; ++i) {
    const NormalFactors<T, F64> factors(high.part[i], low.part[i]);
    factor.part[i] = factors.factor;
    factor_low.part[i] = factors.factor_low;
    smallest.part[i] = factors.smallest;
  }
  const Normalizer<T> normalize(narrow(factor), narrow(factor_low), narrow(smallest));
  for (std::size_t c = 0; c < cols; ++c) store(tile + c * pitch<T>, normalize(load(tile + c * pitch<T>)));
  const Vector<T> sum = narrow(high);
  if (xsimd::all(sum == sum)) return;
  for (std::size_t c = 0; c < cols; ++c) {
    T* const y = tile + c * pitch<T>;
    store(y, xsimd::select(sum == sum, load(y), Vector<T>(Limits<T>::nan)));
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
