// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The first n logits from i on, and -inf in the lanes after them.
template <class Source>
SIMDSOFTMAX_INLINE Vector<typename Source::T> first_high_parts(const Source& x, std::size_t i, std::size_t n) {
  using T = typename Source::T;
  const Vector<T> present = keep_first(Vector<T>(T(1)), n);
  return xsimd::select(present > Vector<T>(T(0)), high_part<T>(x.first(i, n)), Vector<T>(-Limits<T>::infinity));
}

// The largest of n logits. A NaN is passed over or returned, as the ISA has it; the sum finds it in any case.
template <class Source>
SIMDSOFTMAX_NOINLINE typename Source::T max_pass(const Source x, std::size_t n) {
  using T = typename Source::T;
  using V = Vector<T>;
  constexpr std::size_t w = width<T>;
  const auto logit = [&](std::size_t i) __attribute__((always_inline)) { return high_part<T>(x(i)); };

  V m0(-Limits<T>::infinity), m1 = m0, m2 = m0, m3 = m0;
  std::size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    m0 = max_or_second(logit(i), m0);
    m1 = max_or_second(logit(i + w), m1);
    m2 = max_or_second(logit(i + 2 * w), m2);
    m3 = max_or_second(logit(i + 3 * w), m3);
  }
  for (; i + w <= n; i += w) m0 = max_or_second(logit(i), m0);
  if (i < n) m1 = max_or_second(first_high_parts(x, i, n - i), m1);
  return lane_max(max_or_second(max_or_second(m0, m1), max_or_second(m2, m3)));
}

// Widening does not change the order, and half as many vectors are compared before it.
template <class In>
SIMDSOFTMAX_INLINE double max_pass(const PlainSource<Wide<In>> x, std::size_t n) {
  return static_cast<double>(max_pass(PlainSource<In>{reinterpret_cast<const In*>(x.x)}, n));
}

// The largest lo among the logits whose hi is the maximum; -inf if there is none.
template <class Source>
SIMDSOFTMAX_NOINLINE typename Source::T low_of_max_pass(const Source x, typename Source::T max, std::size_t n) {
  using T = typename Source::T;
  Vector<T> low(-Limits<T>::infinity);
  const auto look = [&](const auto& z) {
    low = xsimd::select(high_part<T>(z) == Vector<T>(max), max_or_second(low_part<T>(z), low), low);
  };
  // Lanes behind the end are 0: a maximum of 0 would see them.
  std::size_t i = 0;
  for (; i + width<T> <= n; i += width<T>) look(x(i));
  T result = lane_max(low);
  alignas(64) T hi[width<T>];
  alignas(64) T lo[width<T>];
  if (i < n) {
    store(hi, high_part<T>(x.first(i, n - i)));
    store(lo, low_part<T>(x.first(i, n - i)));
    for (std::size_t k = 0; k < n - i; ++k) {
      if (hi[k] == max && lo[k] > result) result = lo[k];
    }
  }
  return result;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
