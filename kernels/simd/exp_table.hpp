// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp for floats with a table of eight in a register, for ISAs with fma and a permute of eight floats.

#include "simd/exp_range.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// C * 2^(headroom - anchor) * e^x for x in the range of the anchor.
//   n = x * log2(e) rounded to a multiple of 1/8,  t = x - n ln 2,  |t| <= ln(2) / 16 * 1.0102
//   C e^x = 2^floor(n) * C 2^(j/8) * (1 + t + b^2),  b = t (d + c t),  j = 8 (n - floor(n))
// The square has a term in t^4 for which a cubic would need another multiplication: with d^2 = 1/2 and 2 c d = 1/6 it
// is a third of the exact one, so that the error is two thirds of a cubic's. c, d: fitted to the least range of the
// relative error, rounding included, over all t and j; about its factor the formula itself is off by 0.22 of 2^-24. C
// is 1.0877149085915508581: with it the eight C 2^(j/8) lie within 0.0463 of 2^-24 of floats, where the 2^(j/8)
// themselves are rounded by up to 0.53. Every exponential has the factor, so it cancels in the division by their sum.
// Maximum error, over every float t with the largest error that its own rounding can have, and every j: 1.246 of 2^-24,
// relative, about a common factor; over every float x below ExpRange::giant 1.244.
// Needs rounding to nearest.
template <>
class ExpCore<float> {
 public:
  explicit ExpCore(std::int64_t anchor)
      : table_(table8(power_bits, static_cast<std::int32_t>(
                                      static_cast<std::uint32_t>(ExpRange<float>::headroom - anchor) << 23))) {}

  // log of what every exponential is multiplied by, beside the power of two: C, and 1 + 1.3e-8 that the fit leaves.
  static constexpr double log_factor = 0x1.586352109a069p-4;

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
    // Adding 1.5 * 2^23 leaves 8 n as an integer in the low bits.
    const auto shifted = mul_add(hi, F32(0x1.715476p+3f), F32(0x1.8p23f));
    const auto n8 = shifted - F32(0x1.8p23f);
    auto t = neg_mul_add(n8, F32(0x1.62e43p-4f), hi);
    t = low_parts_added<float>(t, n8, F32(-0x1.05c61p-32f), x);
    // The low three bits of 8 n are j, the others floor(n): shifted by 20 the latter meet the exponent, and the former
    // are taken back by the table.
    const auto power = anchored(lookup_scaled<20>(table_, shifted));
    const auto half_square = t * mul_add(t, F32(0x1.e2cc66p-4f), F32(0x1.6a0ed2p-1f));
    const auto q = mul_add(half_square, half_square, t);
    return mul_add(power, q, power);
  }

  // The bits of C 2^(j/8), less j << 20.
  static constexpr std::int32_t power_bits[8] = {0x3f8b3a3e,
                                                 0x3f97d424 - 0x100000,
                                                 0x3fa59202 - 0x200000,
                                                 0x3fb48e45 - 0x300000,
                                                 0x3fc4e5be - 0x400000,
                                                 0x3fd6b7da - 0x500000,
                                                 0x3fea26de - 0x600000,
                                                 0x3fff5829 - 0x700000};

  Table8 table_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
