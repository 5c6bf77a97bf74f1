// SPDX-License-Identifier: Apache-2.0
#pragma once

// The natural logarithm, lane by lane, and the parts of numbers that it is made of.

#include "simd/vector.hpp"

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

// v = 2^exponent * value for positive normal v, the value being at least w and below 2 w; `least`: the bits of w, above
// 1/2 and at most 1.
struct Significand {
  F64 exponent;
  F64 value;
};
SIMDSOFTMAX_INLINE Significand significand_from(F64 v, std::uint64_t least) {
  constexpr std::uint64_t one = 0x3FF0000000000000u;
  const F64 moved = add_bits(v, from_bits(one - least));
  // 2^52 + the biased exponent, made of bits.
  const F64 biased = shift_right<52>(moved) | F64(0x1p52);
  return {biased - F64(0x1p52 + 1023), add_bits(moved & from_bits(0x000FFFFFFFFFFFFFu), from_bits(least))};
}

// For positive normal numbers. Maximum error: 1 ULP.
//   v = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2),  s = f / (2 + f),
//   log(1 + f) = f - s (f - r),  r = 2 (s^2/3 + s^4/5 + ...)
// which follows from log(1 + f) = 2 atanh(s) and 2 s = f - s f, and keeps the leading term f exact.
SIMDSOFTMAX_INLINE F64 natural_log(F64 v) {
  const Significand of = significand_from(v, 0x3FE6A09E667F3BCDu);
  const F64 f = of.value - F64(1.0);
  const F64 s = f / (F64(2.0) + f);
  const F64 square = s * s;
  F64 r(0.0);  // square <= 0.0295, so that the term left out is below 2^-60
  for (int n = 23; n >= 3; n -= 2) r = (r + F64(1.0 / n)) * square;
  // ln 2 = 0x1.62e42feep-1 + 0x1.a39ef35793c76p-33
  const F64 log_1f = f - (s * (f - F64(2.0) * r) - of.exponent * F64(0x1.a39ef35793c76p-33));
  return of.exponent * F64(0x1.62e42feep-1) + log_1f;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
