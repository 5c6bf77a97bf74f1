// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/exp.hpp"
#include "simd/split_sum.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What turns the exponentials of a row into probabilities: a multiplication, and exactly zero for what would come out
// below the smallest normal number (a subnormal would be slow in whatever reads it, and would depend on FTZ).
//
// The factor is the sum of two numbers: its rounding alone would cost up to 1 ULP. Products with the lower one could be
// subnormal, so the factor is kept 2^64 times as large and each result taken back, which is exact. Fast rows, and exact
// ones, whose results have less precision than what they are computed in, do with one number.
constexpr double normalizer_lift = 0x1p64;
template <Accuracy accuracy>
constexpr bool has_single_factor = accuracy != Accuracy::balanced;

SIMDSOFTMAX_INLINE double as_float(double v) { return static_cast<double>(static_cast<float>(v)); }
SIMDSOFTMAX_INLINE F64 as_float(F64 v) { return low_half_f64(join_halves(v, v)); }
SIMDSOFTMAX_INLINE double product_error(double a, double b, double product) {
  return product_error(F64(a), F64(b), F64(product)).get(0);
}

// From the sum of the exponentials of one row (Number is double), or of as many as F64 has lanes, in f64.
template <class T, class Number, Accuracy accuracy = Accuracy::balanced>
struct NormalFactors {
  Number factor;
  Number factor_low;
  Number smallest;  // exponential whose probability is surely a normal number

  // smallest_normal: of the type that results are rounded to.
  SIMDSOFTMAX_INLINE NormalFactors(Number high, Number low, double smallest_normal) {
    constexpr bool is_float = sizeof(T) == 4;
    constexpr double margin = 1 + (is_float ? 0x1p-22 : 0x1p-51);
    const Number all = high + low;
    smallest = Number(smallest_normal) * all * Number(margin);
    if constexpr (has_single_factor<accuracy>) {
      factor = Number(1.0) / (is_float ? as_float(all) : all);
      factor_low = Number(0.0);
      return;
    }
    const Number exact = Number(normalizer_lift) / all;
    if constexpr (is_float) {
      factor = as_float(exact);
      factor_low = exact - factor;
    } else {
      factor = exact;
      const Number product = factor * high;
      const Number remainder = (Number(normalizer_lift) - product) - product_error(factor, high, product);
      factor_low = (remainder - factor * low) * (exact * Number(1 / normalizer_lift));
    }
  }
};

// The probability of an exponential that has a normal one.
template <Accuracy accuracy, class V>
SIMDSOFTMAX_INLINE V normalized(V e, V factor, V factor_low) {
  if constexpr (has_single_factor<accuracy>) return e * factor;
  return mul_add(e, factor, e * factor_low) * V(static_cast<typename V::value_type>(1 / normalizer_lift));
}

// The same, but 0 for one below `smallest`.
template <Accuracy accuracy, class V>
SIMDSOFTMAX_INLINE V normalized_unless_below(V e, V smallest, V factor, V factor_low) {
  if constexpr (has_single_factor<accuracy>) return where_at_least(e, smallest, e) * factor;
  return scaled_unless_below(e, smallest, factor, factor_low) *
         V(static_cast<typename V::value_type>(1 / normalizer_lift));
}

// v * 2^-64 of a normal number that stays one. An integer does that beside the units for products, which have enough to
// do. (128x256 takes 0.95 of the time, 4x4096 0.94 to 0.96.)
SIMDSOFTMAX_INLINE F32 dropped(F32 v) { return add_bits(v, F32(-0x1p65f)); }
SIMDSOFTMAX_INLINE F64 dropped(F64 v) { return add_bits(v, F64(-0x1p961)); }

// The probability of an exponential that is neither 0 nor NaN.
template <Accuracy accuracy, class V>
SIMDSOFTMAX_INLINE V normalized_number(V e, V factor, V factor_low) {
  if constexpr (has_single_factor<accuracy>) return e * factor;
  return dropped(mul_add(e, factor, e * factor_low));
}

// For a row without NaN.
template <class T, Accuracy accuracy = Accuracy::balanced>
class Normalizer {
 public:
  Normalizer(const SplitSum& sum, double smallest_normal) {
    const NormalFactors<T, double, accuracy> factors(sum.high, sum.low, smallest_normal);
    factor_ = Vector<T>(static_cast<T>(factors.factor));
    factor_low_ = Vector<T>(static_cast<T>(factors.factor_low));
    smallest_ = Vector<T>(static_cast<T>(factors.smallest));
  }
  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> e) const {
    // Both factors are normal numbers: sums lie between 2^(headroom - 1) and climbed_sum.
    // Without masks, zeros would have to be made twice. (avx2 took 1.03 times as long with that.)
    if constexpr (has_masks && !has_single_factor<accuracy>) {
      return where_at_least(e, smallest_, dropped(scaled_unless_below(e, smallest_, factor_, factor_low_)));
    } else {
      return normalized_unless_below<accuracy>(e, smallest_, factor_, factor_low_);
    }
  }

 private:
  Vector<T> factor_;
  Vector<T> factor_low_;
  Vector<T> smallest_;
};

// Probabilities from stored exponentials, the last one first: those that were stored last are nearest. (From the first
// one on 256x16384 took 1.06 times as long, 64x32000 1.02.) The sink may write where the source reads.
template <class T, class Sink, class Normalizer>
SIMDSOFTMAX_NOINLINE void scale_pass(const T* exponentials, const Sink y, const Normalizer& normalizer, std::size_t n) {
  const T* const e = exponentials;
  const Normalizer normalize = normalizer;
  std::size_t i = n / width<T> * width<T>;
  if (i < n) y.first(i, n - i, normalize(load_first(e + i, n - i, Vector<T>(T(0)))));
  while (i > 0) {
    i -= width<T>;
    y(i, normalize(load(e + i)));
  }
}

// Probabilities from logits. The sink may write where the source reads.
template <class Source, class Sink, class Exp, class Normalizer>
SIMDSOFTMAX_NOINLINE void exp_scale_pass(const Source x, const Sink y, const Exp& exp_of, const Normalizer& normalizer,
                                         std::size_t n) {
  using T = typename Source::T;
  const Exp exp = exp_of;
  const Normalizer normalize = normalizer;
  for_each_wave<T>(
      0, n, [&](const auto& at) __attribute__((always_inline)) { put(y, at, map(normalize, exp(map(x, at)))); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { y.first(i, m, normalize(exp(x.first(i, m)))); });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
