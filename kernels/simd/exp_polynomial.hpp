// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp for floats by a polynomial alone, for ISAs without fma or without a permute of eight floats.

#include "simd/exp_range.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// 2^(headroom - anchor) * e^x for x in the range of the anchor.
//   n = x * log2(e) rounded,  t = x - n ln 2,  |t| <= ln(2) / 2 (1 + 2^-10),  e^x = 2^n * (1 + t + t^2 p(t))
// The upper part of ln 2 has 14 bits, so that its product with n is exact without fma.
// p: Remez fit to the relative error of e^t up to a constant factor, 1.1e-8 (0.18 of 2^-24); the factor cancels in the
// division by the sum. Maximum error, over every float below ExpRange::giant: 1.479 of 2^-24, relative, about a common
// factor; where a multiplication by theta leaves a low part 1.6. Needs rounding to nearest.
template <>
class ExpCore<float> {
 public:
  explicit ExpCore(std::int64_t anchor)
      : offset_(static_cast<std::int32_t>(static_cast<std::uint32_t>(127 + ExpRange<float>::headroom - anchor) << 23)) {
  }

  // log of what every exponential is multiplied by, beside the power of two: 1 - 1.1e-8, which the fit leaves.
  static constexpr double log_factor = -0x1.88db4b703467cp-27;

  template <class Logit>
  SIMDSOFTMAX_INLINE auto operator()(const Logit& x) const {
    return exp(
        x, [](const auto& power) __attribute__((always_inline)) { return power; });
  }
  // Lanes with anchors of their own: those of anchor_bits() beside the one of the constructor.
  template <class Logit>
  SIMDSOFTMAX_INLINE auto operator()(const Logit& x, F32 anchor_bits) const {
    return exp(
        x, [&](const auto& power) __attribute__((always_inline)) { return add_bits(power, anchor_bits); });
  }

 private:
  template <class Logit, class Anchored>
  SIMDSOFTMAX_INLINE auto exp(const Logit& x, const Anchored& anchored) const {
    const auto hi = high_part<float>(x);
    const auto shifted = mul_add(hi, F32(0x1.715476p+0f), F32(0x1.8p23f));
    const auto n = shifted - F32(0x1.8p23f);
    auto t = neg_mul_add(n, F32(0x1.62e4p-1f), hi);
    t = low_parts_added<float>(t, n, F32(0x1.7f7d1cp-20f), x);
    auto p = mul_add(t, F32(0x1.386eap-10f), F32(0x1.123da2p-7f));
    p = mul_add(p, t, F32(0x1.55a0ecp-5f));
    p = mul_add(p, t, F32(0x1.55547cp-3f));
    p = mul_add(p, t, F32(0x1.ffff92p-2f));
    const auto q = mul_add(t * t, p, t);
    const auto power = anchored(shift_add<23>(shifted, offset_));
    return mul_add(power, q, power);
  }

  std::int32_t offset_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
