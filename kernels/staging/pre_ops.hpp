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

// cap * tanh((hi + lo) / cap) in f64, split again.
struct SoftCap {
  F64 cap;
  F64 inverse;
  ExpCore<double> exp{ExpRange<double>::headroom};

  // Finite for the smallest of caps too: 0 stays 0.
  explicit SoftCap(double given) : cap(given), inverse(1 / (given > 0x1p-1022 ? given : 0x1p-1022)) {}

  SIMDSOFTMAX_INLINE F64 operator()(F64 x) const { return cap * tanh(x * inverse, exp); }
  SIMDSOFTMAX_INLINE SplitLogit<float> operator()(F32 hi, F32 lo) const {
    const F64 low = (*this)(low_half_f64(hi) + low_half_f64(lo));
    const F64 high = (*this)(high_half_f64(hi) + high_half_f64(lo));
    const F32 z = join_halves(low, high);
    return {z, join_halves(low - low_half_f64(z), high - high_half_f64(z))};
  }
  SIMDSOFTMAX_INLINE SplitLogit<double> operator()(F64 hi, F64 lo) const { return {(*this)(hi + lo), F64(0.0)}; }
};

// z = cap * tanh(x / cap).
template <class T>
SIMDSOFTMAX_NOINLINE void soft_cap_tile(const T* from, Tile<T>& tile, std::size_t n, double cap) {
  const SoftCap soft_cap(cap);
  each_vector(
      from, n, [&](std::size_t i, Vector<T> x) __attribute__((always_inline)) {
        const Vector<T> zero(T(0));
        const Vector<T> lo = tile.has_lo ? load(tile.lo + i) : zero;
        // The lo of an infinite x may be NaN or infinite.
        const SplitLogit<T> z = soft_cap(x, xsimd::select(lo - lo == zero, lo, zero));
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

// z = x + slope * bias, nothing rounded away; is_sloped: the slope is not 1; has_lo: x has more than its hi.
template <bool is_sloped, bool has_lo, class T, class Bias>
SIMDSOFTMAX_NOINLINE void add_numbers(const T* from, T* hi, T* lo, std::size_t n, const Bias* bias, double slope) {
  const Vector<T> high(static_cast<T>(slope));
  const Vector<T> low(static_cast<T>(slope - static_cast<double>(static_cast<T>(slope))));
  const auto add = [&](std::size_t i, Vector<T> x, Vector<T> b) __attribute__((always_inline)) {
    const Vector<T> product = is_sloped ? b * high : b;
    const SplitLogit<T> sum = two_sum<T>(x, product);
    Vector<T> rest = sum.lo;
    if constexpr (is_sloped) rest = rest + mul_add(b, low, product_error(b, high, product));
    if constexpr (has_lo) rest = load(lo + i) + rest;
    store(hi + i, sum.hi);
    store(lo + i, rest);
  };
  const Vector<T> zero(T(0));
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { add(i, load(from + i), load(bias + i)); },
      [&](std::size_t i, std::size_t m) { add(i, load_first(from + i, m, zero), load_first(bias + i, m, zero)); });
}

// z = x + slope * bias for n columns of the tile from `at` on; is_all: there are no others. Most biases are masks, 0 or
// -inf, which round nothing: those are the numbers that are their own double.
template <class T, class Bias>
SIMDSOFTMAX_NOINLINE void add_bias(const T* from, Tile<T>& tile, std::size_t at, std::size_t n, bool is_all,
                                   const Bias* bias, double slope) {
  T* const hi = tile.hi + at;
  T* const lo = tile.lo + at;
  if (from != hi && add_masks(from, hi, n, bias)) return;
  const bool adds_lo = tile.has_lo || !is_all;
  if (adds_lo) tile.need_lo();
  tile.has_lo = true;
  if (slope == 1) {
    return adds_lo ? add_numbers<false, true>(from, hi, lo, n, bias, slope)
                   : add_numbers<false, false>(from, hi, lo, n, bias, slope);
  }
  adds_lo ? add_numbers<true, true>(from, hi, lo, n, bias, slope)
          : add_numbers<true, false>(from, hi, lo, n, bias, slope);
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
