// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/source.hpp"
#include "simd/split_sum.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// So many columns are staged at a time: 16 KiB, which divides a segment.
template <class T>
constexpr std::size_t tile_length = 16384 / sizeof(T);

// Room for a piece of a row, on the stack of the thread that walks it. Logits are hi + lo; results pass through hi.
template <class T>
struct Tile {
  alignas(64) T hi[tile_length<T>];
  alignas(64) T lo[tile_length<T>];
  bool has_lo;  // otherwise every lo is 0, and not written
  // The columns that are staged, and relative to what; none if begin == end.
  std::size_t begin = 0;
  std::size_t end = 0;
  SplitSum shift = {0.0, 0.0};

  void forget() { begin = end = 0; }

  void need_lo() {
    if (has_lo) return;
    for (T& value : lo) value = 0;
    has_lo = true;
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
