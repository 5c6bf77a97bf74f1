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

// z = factor * z, the factor as the sum of two numbers of the compute type. The first step: there is no lo yet.
template <class T>
SIMDSOFTMAX_NOINLINE void scale_tile(Tile<T>& tile, std::size_t n, double factor) {
  const auto high = static_cast<T>(factor);
  const auto low = static_cast<T>(factor - static_cast<double>(high));
  for (std::size_t i = 0; i < n; i += width<T>) {
    const Vector<T> x = load(tile.hi + i);
    const Vector<T> product = x * Vector<T>(high);
    store(tile.hi + i, product);
    store(tile.lo + i, mul_add(x, Vector<T>(low), product_error(x, Vector<T>(high), product)));
  }
  tile.has_lo = true;
}

// tanh(y) = (e^2y - 1) / (e^2y + 1). Maximum error: 2^-51, absolute.
SIMDSOFTMAX_INLINE F64 tanh(F64 y, const ExpCore<double>& exp) {
  const F64 e = exp(max_or_second(F64(-40.0), min_or_second(F64(40.0), y + y)));
  return (e - F64(1.0)) / (e + F64(1.0));
}

SIMDSOFTMAX_INLINE void cap_vector(float* hi, float* lo, bool has_lo, F64 cap, const ExpCore<double>& exp) {
  const F32 x = load(hi);
  const F32 rest = has_lo ? load(lo) : F32(0.0f);
  const F64 low = cap * tanh((low_half_f64(x) + low_half_f64(rest)) / cap, exp);
  const F64 high = cap * tanh((high_half_f64(x) + high_half_f64(rest)) / cap, exp);
  const F32 z = join_halves(low, high);
  store(hi, z);
  store(lo, join_halves(low - low_half_f64(z), high - high_half_f64(z)));
}
SIMDSOFTMAX_INLINE void cap_vector(double* hi, double* lo, bool has_lo, F64 cap, const ExpCore<double>& exp) {
  const F64 x = load(hi);
  store(hi, cap * tanh((has_lo ? x + load(lo) : x) / cap, exp));
  store(lo, F64(0.0));
}

// z = cap * tanh(z / cap), in f64.
template <class T>
SIMDSOFTMAX_NOINLINE void soft_cap_tile(Tile<T>& tile, std::size_t n, double cap) {
  const ExpCore<double> exp(ExpRange<double>::headroom);
  for (std::size_t i = 0; i < n; i += width<T>) cap_vector(tile.hi + i, tile.lo + i, tile.has_lo, F64(cap), exp);
  tile.has_lo = true;
}

// z = z + slope * bias for n columns of the tile from `at` on, nothing rounded away. Most biases are masks, 0 or -inf,
// which round nothing.
template <class T>
SIMDSOFTMAX_NOINLINE void add_bias(Tile<T>& tile, std::size_t at, std::size_t n, const T* bias, double slope) {
  const Vector<T> zero(T(0));
  const Vector<T> minus_infinity(-Limits<T>::infinity);
  const Vector<T> high(static_cast<T>(slope));
  const Vector<T> low(static_cast<T>(slope - static_cast<double>(static_cast<T>(slope))));
  for (std::size_t i = 0; i < n; i += width<T>) {
    const Vector<T> b = load(bias + i);
    T* const hi = tile.hi + at + i;
    if (__builtin_expect(xsimd::all((b == zero) | (b == minus_infinity)), 1)) {
      store(hi, load(hi) + b);
      continue;
    }
    tile.need_lo();
    T* const lo = tile.lo + at + i;
    const Vector<T> product = b * high;
    const Vector<T> error = mul_add(b, low, product_error(b, high, product));
    const SplitLogit<T> sum = two_sum<T>(load(hi), product);
    store(hi, sum.hi);
    store(lo, load(lo) + (sum.lo + error));
  }
}

// z = -inf in n columns of the tile from `at` on where `flags`, as numbers, are zero, or are not.
template <class T>
SIMDSOFTMAX_NOINLINE void apply_mask(Tile<T>& tile, std::size_t at, std::size_t n, const T* flags, bool drops) {
  const Vector<T> zero(T(0));
  const Vector<T> minus_infinity(-Limits<T>::infinity);
  for (std::size_t i = 0; i < n; i += width<T>) {
    T* const hi = tile.hi + at + i;
    const auto is_zero = load(flags + i) == zero;
    const Vector<T> z = load(hi);
    store(hi, drops ? xsimd::select(is_zero, z, minus_infinity) : xsimd::select(is_zero, minus_infinity, z));
  }
}

// z = z - shift, exact near the shift.
template <class T>
SIMDSOFTMAX_NOINLINE void shift_tile(Tile<T>& tile, std::size_t n, T shift) {
  for (std::size_t i = 0; i < n; i += width<T>) store(tile.hi + i, load(tile.hi + i) - Vector<T>(shift));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
