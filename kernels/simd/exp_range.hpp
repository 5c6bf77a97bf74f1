// SPDX-License-Identifier: Apache-2.0
#pragma once

// The exponentials of a row are kept as 2^(headroom - anchor) * e^x, the anchor M being an integer near the base-2
// exponent of the row's largest exponential. The factor is a power of two, so it rounds nothing and cancels in
// e^x / sum. The headroom keeps every exponential that can become a normal probability, and every one that can change
// the sum, well above the subnormals; the climb is how far above the anchor the exponential of a logit may lie before
// sums overflow. The depth is how far below an exponential is still told from zero: enough for every normal
// probability, and no more, so that products of what is held there stay normal too.

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// exp in T for rows of an accuracy; the exact ones are computed in f64, to be rounded.
template <class T, Accuracy accuracy = Accuracy::balanced>
class ExpCore;

template <class T>
struct ExpRange;

template <>
struct ExpRange<float> {
  static constexpr int headroom = 32;
  static constexpr int climb = 80;
  static constexpr int depth = headroom + 97;
  // From here on (in magnitude) a row's logits are taken relative to its maximum instead, which is exact near it:
  // beyond, the multiple of ln 2 that the reduction subtracts is no longer exact or no longer well rounded.
  static constexpr float giant = has_fma ? 0x1p15f : 0x1p8f;
};

template <>
struct ExpRange<double> {
  static constexpr int headroom = 64;
  static constexpr int climb = 880;
  static constexpr int depth = headroom + 961;
  static constexpr double giant = has_fma ? 0x1p30 : 0x1p11;
};

constexpr double log2_e = 0x1.71547652b82fep+0;
constexpr double ln_2 = 0x1.62e42fefa39efp-1;

// The anchor for a row, or a part of one, with this largest logit.
template <class T>
SIMDSOFTMAX_INLINE std::int64_t anchor_of(T max) {
  const double exponent = static_cast<double>(max) * log2_e;
  const auto truncated = static_cast<std::int64_t>(exponent);
  return truncated - (exponent < static_cast<double>(truncated));
}

// The same to within 1, sooner. For ordinary logits.
SIMDSOFTMAX_INLINE std::int64_t anchor_near(float x) {
  const float shifted = x * static_cast<float>(log2_e) + 0x1.8p23f;
  std::int32_t bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4B400000;
}
SIMDSOFTMAX_INLINE std::int64_t anchor_near(double x) {
  const double shifted = x * log2_e + 0x1.8p52;
  std::int64_t bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4338000000000000;
}

// A sum this large may hold an exponential beyond the climb.
template <class T>
constexpr double climbed_sum = sizeof(T) == 4 ? 0x1p110 : 0x1p942;

// Logits held within what an anchor allows: from below always, so that -inf and the like become a negligible power of
// two, and from above when `above` says that the anchor may be lower than the row's maximum.
template <class T, bool above>
class LogitRange {
 public:
  explicit LogitRange(std::int64_t anchor)
      : lowest_(static_cast<T>(static_cast<double>(anchor - ExpRange<T>::depth) * ln_2)),
        highest_(static_cast<T>(static_cast<double>(anchor + ExpRange<T>::climb) * ln_2)) {}
  // For anchor_near(near).
  static LogitRange around(T near) {
    return {near - static_cast<T>(ExpRange<T>::depth * ln_2), near + static_cast<T>(ExpRange<T>::climb * ln_2)};
  }

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> x) const {
    if constexpr (above) x = min_or_second(highest_, x);
    return max_or_second(lowest_, x);
  }
  // Outside the range `lo` would be as large as the logit itself, or NaN.
  SIMDSOFTMAX_INLINE SplitLogit<T> operator()(const SplitLogit<T>& x) const {
    const Vector<T> hi = (*this)(x.hi);
    return {hi, xsimd::select(hi == x.hi, x.lo, Vector<T>(T(0)))};
  }

  template <class Logit>
  SIMDSOFTMAX_INLINE Wave<Logit> operator()(const Wave<Logit>& x) const {
    return map(*this, x);
  }

  SIMDSOFTMAX_INLINE Vector<T> lowest() const { return lowest_; }

 private:
  LogitRange(T lowest, T highest) : lowest_(lowest), highest_(highest) {}

  Vector<T> lowest_;
  Vector<T> highest_;
};

// t - n * c, and the lo of a logit, rounded once (c being small).
template <class T>
SIMDSOFTMAX_INLINE Vector<T> low_parts_added(Vector<T> t, Vector<T> n, Vector<T> c, Vector<T>) {
  return neg_mul_add(n, c, t);
}
template <class T>
SIMDSOFTMAX_INLINE Vector<T> low_parts_added(Vector<T> t, Vector<T> n, Vector<T> c, const SplitLogit<T>& x) {
  return t + neg_mul_add(n, c, x.lo);
}
template <class T, class Logit>
SIMDSOFTMAX_INLINE Wave<Vector<T>> low_parts_added(const Wave<Vector<T>>& t, const Wave<Vector<T>>& n,
                                                   const Vector<T>& c, const Wave<Logit>& x) {
  return each(
      [&](const Vector<T>& t_i, const Vector<T>& n_i, const Logit& x_i)
          __attribute__((always_inline)) { return low_parts_added<T>(t_i, n_i, c, x_i); },
      t, n, x);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
