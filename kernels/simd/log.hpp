// SPDX-License-Identifier: Apache-2.0
#pragma once

// The natural logarithm, lane by lane, and the parts of numbers that it is made of.

#include "simd/exp_range.hpp"
#include "simd/split_sum.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

SIMDSOFTMAX_INLINE F64 from_bits(std::uint64_t bits) {
  double v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return F64(v);
}

// 2^n for whole n.
SIMDSOFTMAX_INLINE F64 power_of_two(F64 n) { return shift_add<52>(n + F64(0x1.8p52), std::int64_t{1023} << 52); }

SIMDSOFTMAX_INLINE F64 round_down(F64 v) {
  const F64 nearest = (v + F64(0x1.8p52)) - F64(0x1.8p52);
  return xsimd::select(nearest > v, nearest - F64(1.0), nearest);
}

// v = 2^exponent * value for positive normal v, sqrt(1/2) <= value < sqrt(2).
struct Significand {
  F64 exponent;
  F64 value;
};
SIMDSOFTMAX_INLINE Significand significand_of(F64 v) {
  constexpr std::uint64_t one = 0x3FF0000000000000u;
  constexpr std::uint64_t least = 0x3FE6A09E667F3BCDu;
  const F64 moved = add_bits(v, from_bits(one - least));
  // 2^52 + the biased exponent, made of bits.
  const F64 biased = shift_right<52>(moved) | F64(0x1p52);
  return {biased - F64(0x1p52 + 1023), add_bits(moved & from_bits(0x000FFFFFFFFFFFFFu), from_bits(least))};
}

// n * ln 2 for whole n below 2^53.
SIMDSOFTMAX_INLINE SplitSums times_ln_2(F64 n) {
  const F64 product = n * F64(ln_2);
  return {product, product_error(n, F64(ln_2), product) + n * F64(0x1.abc9e3b39803fp-56)};
}

// log(2^n v (1 + low)) for positive normal v, whole n, and what rounding has left as low. Off by 2^-55 at most, and by
// a relative 2^-54 near 1.
//   v = 2^k (1 + f),  s = f / (2 + f),
//   log(1 + f) = f - f^2/2 + s (f^2/2 + r),  r = 2 (s^2/3 + s^4/5 + ...)
// which follows from log(1 + f) = 2 atanh(s) and 2 s = f - f^2/2 + s f^2/2: f is exact, f^2/2 the sum of two numbers,
// and what is rounded below 0.017.
SIMDSOFTMAX_INLINE SplitSums split_log(F64 v, F64 low, F64 n) {
  const Significand of = significand_of(v);
  const F64 f = of.value - F64(1.0);
  const F64 s = f / (F64(2.0) + f);
  const F64 square = s * s;
  // r / 2, by two chains; square <= 0.0295, so that the term left out is below 2^-60.
  const F64 fourth = square * square;
  F64 even(1.0 / 23);
  even = mul_add(even, fourth, F64(1.0 / 19));
  even = mul_add(even, fourth, F64(1.0 / 15));
  even = mul_add(even, fourth, F64(1.0 / 11));
  even = mul_add(even, fourth, F64(1.0 / 7));
  even = mul_add(even, fourth, F64(1.0 / 3));
  F64 odd(1.0 / 21);
  odd = mul_add(odd, fourth, F64(1.0 / 17));
  odd = mul_add(odd, fourth, F64(1.0 / 13));
  odd = mul_add(odd, fourth, F64(1.0 / 9));
  odd = mul_add(odd, fourth, F64(1.0 / 5));
  const F64 r = mul_add(odd, square, even) * square;
  const F64 half = F64(0.5) * f;
  const F64 half_square = half * f;
  const F64 rest = s * (half_square + F64(2.0) * r) - product_error(half, f, half_square);
  SplitSums log = times_ln_2(of.exponent + n);
  accumulate(log, f);
  log.low = log.low + (low + (rest - half_square));
  return log;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
