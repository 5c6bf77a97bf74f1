// SPDX-License-Identifier: Apache-2.0
#pragma once

// What can be done to the n staged logits of a tile, each step one sweep over memory in L1. Lanes behind the n-th are
// computed too, and never looked at.

#include "simd/exp.hpp"
#include "staging/convert.hpp"
#include "staging/tile.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

template <class T>
SIMDSOFTMAX_INLINE SplitLogit<T> two_sum(Vector<T> a, Vector<T> b) {
  const Vector<T> sum = a + b;
  const Vector<T> added = sum - a;
  return {sum, (a - (sum - added)) + (b - added)};
}

// The n numbers from `from` on, vector by vector: work(i, vector). Lanes behind the n-th are 0.
template <class T, class Work>
SIMDSOFTMAX_INLINE void each_vector(const T* from, std::size_t n, const Work& work) {
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { work(i, load(from + i)); },
      [&](std::size_t i, std::size_t m) { work(i, load_first(from + i, m, Vector<T>(T(0)))); });
}

// z = (factor + factor_low) * x, the factor as the sum of two numbers of the compute type.
template <class T>
SIMDSOFTMAX_NOINLINE void scale_tile(const T* from, Tile<T>& tile, std::size_t n, double factor, double factor_low) {
  const auto high = static_cast<T>(factor);
  const auto low = static_cast<T>(factor - static_cast<double>(high) + factor_low);
  each_vector(
      from, n, [&](std::size_t i, Vector<T> x) __attribute__((always_inline)) {
        const Vector<T> product = x * Vector<T>(high);
        store(tile.hi + i, product);
        store(tile.lo + i, mul_add(x, Vector<T>(low), product_error(x, Vector<T>(high), product)));
      });
  tile.has_lo = true;
}

// tanh(y) = (e^2y - 1) / (e^2y + 1). Maximum error: 2^-51, absolute.
SIMDSOFTMAX_INLINE F64 tanh(F64 y, const ExpCore<double>& exp) {
  const F64 e = exp(max_or_second(F64(-40.0), min_or_second(F64(40.0), y + y)));
  return (e - F64(1.0)) / (e + F64(1.0));
}

// hi + lo in f64, capped, and split again.
SIMDSOFTMAX_INLINE SplitLogit<float> soft_cap(F32 hi, F32 lo, F64 cap, const ExpCore<double>& exp) {
  const F64 low = cap * tanh((low_half_f64(hi) + low_half_f64(lo)) / cap, exp);
  const F64 high = cap * tanh((high_half_f64(hi) + high_half_f64(lo)) / cap, exp);
  const F32 z = join_halves(low, high);
  return {z, join_halves(low - low_half_f64(z), high - high_half_f64(z))};
}
SIMDSOFTMAX_INLINE SplitLogit<double> soft_cap(F64 hi, F64 lo, F64 cap, const ExpCore<double>& exp) {
  return {cap * tanh((hi + lo) / cap, exp), F64(0.0)};
}

// z = cap * tanh(x / cap), in f64.
template <class T>
SIMDSOFTMAX_NOINLINE void soft_cap_tile(const T* from, Tile<T>& tile, std::size_t n, double cap) {
  const ExpCore<double> exp(ExpRange<double>::headroom);
  each_vector(
      from, n, [&](std::size_t i, Vector<T> x) __attribute__((always_inline)) {
        const Vector<T> zero(T(0));
        const Vector<T> lo = tile.has_lo ? load(tile.lo + i) : zero;
        // The lo of an infinite x may be NaN or infinite.
        const SplitLogit<T> z = soft_cap(x, xsimd::select(lo - lo == zero, lo, zero), F64(cap), exp);
        store(tile.hi + i, z.hi);
        store(tile.lo + i, z.lo);
      });
  tile.has_lo = true;
}

// z = x + bias, if all of the bias are masks: numbers that are their own double. Otherwise false, and what is in the
// tile is of no use.
template <class T, class Bias>
SIMDSOFTMAX_NOINLINE bool add_masks(const T* from, T* hi, std::size_t n, const Bias* bias) {
  Vector<T> differences(T(0));
  const auto add = [&](std::size_t i, Vector<T> x, Vector<T> b) __attribute__((always_inline)) {
    differences = differences | ((b + b) ^ b);
    store(hi + i, x + b);
  };
  const Vector<T> zero(T(0));
  constexpr std::size_t piece = 256;
  for (std::size_t begin = 0; begin < n; begin += piece) {
    for_each_vector<T>(
        begin, n - begin < piece ? n : begin + piece,
        [&](std::size_t i) __attribute__((always_inline)) { add(i, load(from + i), load(bias + i)); },
        [&](std::size_t i, std::size_t m) { add(i, load_first(from + i, m, zero), load_first(bias + i, m, zero)); });
    if (!xsimd::all(differences == zero)) return false;
  }
  return true;
}

// z = x + slope * bias for n columns of the tile from `at` on, nothing rounded away. Most biases are masks, 0 or -inf,
// which round nothing: those are the numbers that are their own double.
template <class T, class Bias>
SIMDSOFTMAX_NOINLINE void add_bias(const T* from, Tile<T>& tile, std::size_t at, std::size_t n, const Bias* bias,
                                   double slope) {
  const Vector<T> high(static_cast<T>(slope));
  const Vector<T> low(static_cast<T>(slope - static_cast<double>(static_cast<T>(slope))));
  T* const hi = tile.hi + at;
  T* const lo = tile.lo + at;
  if (from != hi && add_masks(from, hi, n, bias)) return;
  const auto add = [&](std::size_t i, Vector<T> x, Vector<T> b) __attribute__((always_inline)) {
    if (xsimd::all(b + b == b)) return store(hi + i, x + b);
    tile.need_lo();
    const Vector<T> product = b * high;
    const Vector<T> error = mul_add(b, low, product_error(b, high, product));
    const SplitLogit<T> sum = two_sum<T>(x, product);
    store(hi + i, sum.hi);
    store(lo + i, load(lo + i) + (sum.lo + error));
  };
  constexpr std::size_t w = width<T>;
  std::size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    Vector<T> b[4];
    for (std::size_t k = 0; k < 4; ++k) b[k] = load(bias + i + k * w);
    const auto masks = (b[0] + b[0] == b[0]) & (b[1] + b[1] == b[1]) & (b[2] + b[2] == b[2]) & (b[3] + b[3] == b[3]);
    if (__builtin_expect(xsimd::all(masks), 1)) {
      for (std::size_t k = 0; k < 4; ++k) store(hi + i + k * w, load(from + i + k * w) + b[k]);
    } else {
      for (std::size_t k = 0; k < 4; ++k) add(i + k * w, load(from + i + k * w), b[k]);
    }
  }
  const Vector<T> zero(T(0));
  for (; i < n; i += w) {
    const std::size_t m = n - i < w ? n - i : w;
    add(i, load_first(from + i, m, zero), load_first(bias + i, m, zero));
  }
}

// z = -inf in n columns of the tile from `at` on where the flags, as numbers, are zero, or are not; else x.
template <class T, class Flags>
SIMDSOFTMAX_NOINLINE void apply_mask(const T* from, Tile<T>& tile, std::size_t at, std::size_t n, const Flags* flags,
                                     bool drops) {
  const Vector<T> zero(T(0));
  const Vector<T> minus_infinity(-Limits<T>::infinity);
  T* const hi = tile.hi + at;
  const auto mask = [&](std::size_t i, Vector<T> x, Vector<T> flag) __attribute__((always_inline)) {
    store(hi + i,
          drops ? xsimd::select(flag == zero, x, minus_infinity) : xsimd::select(flag == zero, minus_infinity, x));
  };
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { mask(i, load(from + i), load(flags + i)); },
      [&](std::size_t i, std::size_t m) { mask(i, load_first(from + i, m, zero), load_first(flags + i, m, zero)); });
}

// z = x - shift, exact near the shift. What is left of hi may then be no larger than lo: all is added and split again.
template <class T>
SIMDSOFTMAX_NOINLINE void shift_tile(const T* from, Tile<T>& tile, std::size_t n, const SplitSum& shift) {
  const Vector<T> shift_hi(static_cast<T>(shift.high));
  const Vector<T> shift_lo(static_cast<T>(shift.low));
  if (shift.low != 0) tile.need_lo();
  each_vector(
      from, n, [&](std::size_t i, Vector<T> x) __attribute__((always_inline)) {
        const Vector<T> hi = x - shift_hi;
        if (!tile.has_lo) return store(tile.hi + i, hi);
        const Vector<T> lo = load(tile.lo + i);
        // The lo of an infinite hi may be NaN or infinite.
        const Vector<T> finite_lo = xsimd::select(lo - lo == Vector<T>(T(0)), lo, Vector<T>(T(0)));
        const SplitLogit<T> low = two_sum<T>(finite_lo, -shift_lo);
        const SplitLogit<T> z = two_sum<T>(hi, low.hi);
        store(tile.hi + i, z.hi);
        store(tile.lo + i, z.lo + low.lo);
      });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
