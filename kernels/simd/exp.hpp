// SPDX-License-Identifier: Apache-2.0
#pragma once

// exp as the passes use it. The translation unit has chosen the f32 core (exp_table.hpp or exp_polynomial.hpp) before.

#include "simd/exp_exact.hpp"
#include "simd/exp_fast.hpp"
#include "simd/exp_range.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// 2^(headroom - anchor) * e^x for x in the range of the anchor.
//   n = x * log2(e) rounded,  t = x - n ln 2,  |t| <= ln(2) / 2 (1 + 2^-10),  e^x = 2^n * (1 + t + t^2 p(t))
// p: Remez fit of degree 9 to the relative error of e^t, 3.7e-18 (2^-57.9). Without fma the upper part of ln 2 has 32
// bits, so that its product with n is exact. Maximum error, of 10^8 doubles: 1.03 ULP with fma, 0.99 without; needs
// rounding to nearest.
template <>
class ExpCore<double> {
 public:
  explicit ExpCore(std::int64_t anchor)
      : offset_(
            static_cast<std::int64_t>(static_cast<std::uint64_t>(1023 + ExpRange<double>::headroom - anchor) << 52)) {}

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
  template <class Logit, class Anchored>
  SIMDSOFTMAX_INLINE auto exp(const Logit& x, const Anchored& anchored) const {
    const auto hi = high_part<double>(x);
    const auto shifted = mul_add(hi, F64(log2_e), F64(0x1.8p52));
    const auto n = shifted - F64(0x1.8p52);
    auto t = neg_mul_add(n, F64(has_fma ? 0x1.62e42fefa39efp-1 : 0x1.62e42feep-1), hi);
    t = low_parts_added<double>(t, n, F64(has_fma ? 0x1.abc9e3b39803fp-56 : 0x1.a39ef35793c76p-33), x);
    auto p = mul_add(t, F64(coefficients[0]), F64(coefficients[1]));
    repeat<8>([&](std::size_t i) __attribute__((always_inline)) { p = mul_add(p, t, F64(coefficients[i + 2])); });
    const auto q = mul_add(t * t, p, t);
    const auto power = anchored(shift_add<52>(shifted, offset_));
    return mul_add(power, q, power);
  }

  static constexpr double coefficients[10] = {
      0x1.ad7f05798eba3p-26, 0x1.28adcc0f2ca2ep-22, 0x1.71df262697c1dp-19, 0x1.a01999b043a9ap-16, 0x1.a01a0129b8a3cp-13,
      0x1.6c16c1844a254p-10, 0x1.1111111127e72p-7,  0x1.55555555507f4p-5,  0x1.55555555554f9p-3,  0x1.000000000000ap-1};

  std::int64_t offset_;
};

// exp relative to an anchor, with logits outside its range held at the end of the range. Passes take it by reference
// and copy it: clang 14 with AddressSanitizer misaligns arguments of its alignment.
template <class T, bool above = false, Accuracy accuracy = Accuracy::balanced>
class Exp {
 public:
  explicit Exp(std::int64_t anchor) : range_(anchor), core_(anchor) {}
  // near: a logit with this anchor_near().
  Exp(std::int64_t anchor, T near) : range_(LogitRange<T, above>::around(near)), core_(anchor) {}

  template <class Logit>
  SIMDSOFTMAX_INLINE auto operator()(const Logit& x) const {
    return core_(range_(x));
  }

  SIMDSOFTMAX_INLINE Vector<T> lowest() const { return range_.lowest(); }

 private:
  LogitRange<T, above> range_;
  ExpCore<T, accuracy> core_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
