// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp and log of single numbers, for what a row knows of itself. The standard library's differ between systems.

#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// e^x; 0 below -708, infinity above 709. Maximum error: 1.1 ULP.
SIMDSOFTMAX_NOINLINE double scalar_exp(double x) {
  if (x < -708) return 0;
  if (x > 709) return Limits<double>::infinity;
  if (is_nan(x)) return x;
  // Relative to this anchor the headroom cancels.
  return ExpCore<double>(ExpRange<double>::headroom)(F64(x)).get(0);
}

// Natural logarithm of a positive finite normal number. Maximum error: 1 ULP.
//   v = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2),  s = f / (2 + f),
//   log(1 + f) = f - s (f - r),  r = 2 (s^2/3 + s^4/5 + ...)
// which follows from log(1 + f) = 2 atanh(s) and 2 s = f - s f, and keeps the leading term f exact.
SIMDSOFTMAX_NOINLINE double scalar_log(double v) {
  std::uint64_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  // Significands above sqrt(2) go to the next power of two.
  const std::uint64_t moved = bits - 0x3FE6A09E667F3BCDu;
  const auto k = static_cast<double>(static_cast<std::int64_t>(moved) >> 52);
  bits = (moved & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu;
  __builtin_memcpy(&v, &bits, sizeof v);
  const double f = v - 1;
  const double s = f / (2 + f);
  const double square = s * s;
  double r = 0;  // square <= 0.0295, so that the term left out is below 2^-60
  for (int n = 23; n >= 3; n -= 2) r = (r + 1.0 / n) * square;
  const double log_1f = f - (s * (f - 2 * r) - k * 0x1.a39ef35793c76p-33);  // ln 2 = 0x1.62e42feep-1 + that
  return k * 0x1.62e42feep-1 + log_1f;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
