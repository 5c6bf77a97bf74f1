// SPDX-License-Identifier: Apache-2.0
#pragma once

// Loads and stores of the first n lanes for ISAs without masked memory access: through a vector's worth of stack.

#include "simd/batch.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

template <std::size_t lanes, class T>
struct LaneBuffer {
  alignas(64) T lane[lanes] = {};

  SIMDSOFTMAX_INLINE void take(const T* p, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) __builtin_memcpy(&lane[i], p + i, sizeof(T));
  }
  SIMDSOFTMAX_INLINE void give(T* p, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) __builtin_memcpy(p + i, &lane[i], sizeof(T));
  }
};

template <class T, class V>
SIMDSOFTMAX_INLINE V load_first_by_lanes(const T* p, std::size_t n, V fill) {
  LaneBuffer<V::size, T> buffer;
  fill.store_aligned(buffer.lane);
  buffer.take(p, n);
  return V::load_aligned(buffer.lane);
}

template <class T, class V>
SIMDSOFTMAX_INLINE void store_first_by_lanes(T* p, std::size_t n, V v) {
  LaneBuffer<V::size, T> buffer;
  v.store_aligned(buffer.lane);
  buffer.give(p, n);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
