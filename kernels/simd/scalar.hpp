// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp and log of single numbers, for what a row knows of itself. The standard library's differ between systems.

#include "simd/exp.hpp"
#include "simd/log.hpp"

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
SIMDSOFTMAX_NOINLINE double scalar_log(double v) { return total(split_log(F64(v), F64(0.0), F64(0.0))).get(0); }

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
