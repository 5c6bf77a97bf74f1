// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp for doubles in fewer instructions, for results that become floats or halves.

#include "simd/exp_range.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// 2^(headroom - anchor) * e^x for x in the range of the anchor.
//   n = x * log2(e) rounded,  f = x * log2(e) - n,  |f| <= 1/2,  e^x = 2^n * w(f)^2
// w: Remez fit of degree 7 to the relative error of 2^(f/2), 1.6e-13; its square is off by 3.15e-13 (2^-41.5), which is
// 5e-6 of an ULP of f32 at most. A fit of degree 8 to 2^f itself takes as many instructions and has 2.5 times the
// error. Needs rounding to nearest.
template <>
class ExpCore<double, Accuracy::exact> {
 public:
  explicit ExpCore(std::int64_t anchor)
      : shift_(0x1.8p52 + (has_fma ? exponent(anchor) : 0)),
        bits_(shift_add<52>(F64(0x1.8p52 + exponent(anchor)), 0)) {}

  static constexpr double log_factor = 0;

  template <class Logit>
  SIMDSOFTMAX_INLINE auto operator()(const Logit& x) const {
    return exp(
        x, [](const auto& power) __attribute__((always_inline)) { return power; });
  }
  template <class Logit>
  SIMDSOFTMAX_INLINE auto operator()(const Logit& x, F64 anchor_bits) const {
    return exp(
        x, [&](const auto& power) __attribute__((always_inline)) { return add_bits(power, anchor_bits); });
  }

 private:
  static double exponent(std::int64_t anchor) {
    return static_cast<double>(1023 + ExpRange<double>::headroom - anchor);
  }

  template <class Logit, class Anchored>
  SIMDSOFTMAX_INLINE auto exp(const Logit& x, const Anchored& anchored) const {
    // n is an integer in the low bits, with all of the exponent added to it. Not so without fma: where a
    // product ends in a half, n would depend on whether that is odd.
    const auto hi = high_part<double>(x);
    const auto shifted = mul_add(hi, F64(log2_e), shift_);
    const auto f = added_low_part(fraction(hi, shifted), x);
    auto w = mul_add(f, F64(coefficients[0]), F64(coefficients[1]));
    repeat<6>([&](std::size_t i) __attribute__((always_inline)) { w = mul_add(w, f, F64(coefficients[i + 2])); });
    auto power = shift_add<52>(shifted, 0);
    if constexpr (!has_fma) power = add_bits(power, bits_);
    return anchored(power) * w * w;
  }

  template <class V>
  SIMDSOFTMAX_INLINE V fraction(const V& x, const V& shifted) const {
    if constexpr (has_fma) return mul_add(x, F64(0x1.777d0ffda0d24p-56), mul_add(x, F64(log2_e), shift_ - shifted));
    // The product of n with the upper part of ln 2, of 32 bits, is exact.
    const V n = shifted - shift_;
    return ((x - n * F64(0x1.62e42feep-1)) - n * F64(0x1.a39ef35793c76p-33)) * F64(log2_e);
  }

  SIMDSOFTMAX_INLINE static F64 added_low_part(F64 f, F64) { return f; }
  SIMDSOFTMAX_INLINE static F64 added_low_part(F64 f, const SplitLogit<double>& x) {
    return mul_add(x.lo, F64(log2_e), f);
  }
  template <class Logit>
  SIMDSOFTMAX_INLINE static Wave<F64> added_low_part(const Wave<F64>& f, const Wave<Logit>& x) {
    return each(
        [](const F64& f_i, const Logit& x_i) __attribute__((always_inline)) { return added_low_part(f_i, x_i); }, f, x);
  }

  static constexpr double coefficients[8] = {0x1.ff5ebdf148d85p-24, 0x1.4361a7c40e70ep-19, 0x1.5d8825b5a1648p-15,
                                             0x1.3b2aa92c1fb64p-11, 0x1.c6b08d6535ddep-8,  0x1.ebfbdffaed064p-5,
                                             0x1.62e42fefa5155p-2,  0x1.ffffffffffa87p-1};

  F64 shift_;
  F64 bits_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
