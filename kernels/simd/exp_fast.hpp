// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp for floats in few instructions, for rows that ask for it.

#include "simd/exp_range.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// C * 2^(headroom - anchor) * e^x for x in the range of the anchor.
//   n = x * log2(e) rounded,  f = x * log2(e) - n,  |f| <= 1/2 (1 + 2^-10),  C e^x = 2^n * p(f)
// p: Remez fit of degree 3 to the relative error of 2^f, 7.6e-5 (2^-13.7). That of log2(e) as a float, 1.3e-8,
// acts as a theta so much off 1: beside the factor that cancels in the division by the sum, an exponential that is not
// flushed has at most 87 times of it. Needs fma (by products that are rounded n would depend on the anchor where one
// ends in a half) and rounding to nearest.
template <>
class ExpCore<float, Accuracy::fast> {
 public:
  explicit ExpCore(std::int64_t anchor)
      : shift_(static_cast<float>(0xc00000 + float_bias + ExpRange<float>::headroom - anchor)) {}

  template <class V>
  SIMDSOFTMAX_INLINE V operator()(const V& x) const {
    // n is an integer in the low bits, with all of the exponent added to it.
    const F32 log2_of_e(0x1.715476p+0f);
    const V shifted = mul_add(x, log2_of_e, shift_);
    const V f = mul_add(x, log2_of_e, shift_ - shifted);
    V p = mul_add(f, F32(0x1.c3f604p-5f), F32(0x1.f0e086p-3f));
    p = mul_add(p, f, F32(0x1.62f32ap-1f));
    p = mul_add(p, f, F32(0x1.fff68ap-1f));
    const V power = shift_left<23>(shifted);
    return p * power;  // NaN with NaN, whatever became of its bits
  }

 private:
  static constexpr int float_bias = 127;

  F32 shift_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
