// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the logits of a block reach.

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The least and the largest of some logits. A NaN is passed over, or is both of them.
template <class T>
struct LogitSpan {
  T min;
  T max;
};

// The same while they are looked at.
template <class T>
struct Extremes {
  Vector<T> least;
  Vector<T> most;

  Extremes() : least(Limits<T>::infinity), most(-Limits<T>::infinity) {}
  explicit Extremes(T any_of_them) : least(any_of_them), most(any_of_them) {}

  SIMDSOFTMAX_INLINE void see(const Vector<T>& v) {
    least = min_or_second(v, least);
    most = max_or_second(v, most);
  }
  SIMDSOFTMAX_INLINE void see(const Wave<Vector<T>>& v) {
    repeat<wave_vectors>([&](std::size_t i) __attribute__((always_inline)) { see(v.of[i]); });
  }

  LogitSpan<T> span() const { return {-lane_max(-least), lane_max(most)}; }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
