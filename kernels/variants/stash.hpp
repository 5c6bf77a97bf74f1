// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Where exponentials of a row, or of a thread's parts of it, wait for the sum: those of columns [first, last) in
// `room`, those from column lent_first on in `lent`; all others are not kept.
//
// What is lent is the output itself, where its elements are half as large as exponentials: from the beginning of what
// this thread writes, for the second half of its columns. Exponential c then lies 2 (c - lent_first) elements behind
// the beginning and its result c - first, which is as far or further: results that are written from the last one down
// overwrite no exponential that is still needed.
template <class T>
struct Stash {
  static constexpr std::size_t none = ~std::size_t{0};

  T* room = nullptr;
  std::size_t first = 0;
  std::size_t last = 0;
  T* lent = nullptr;
  std::size_t lent_first = none;

  bool is_empty() const { return room == nullptr && lent == nullptr; }
  bool is_lent(std::size_t column) const { return column >= lent_first; }

  // Place of a column and those behind it that are in the same part; null if they are not kept.
  T* at(std::size_t column) const {
    if (is_lent(column)) return lent + (column - lent_first);
    return column < last ? room + (column - first) : nullptr;
  }
};

// Room for all columns from `first` on.
template <class T>
Stash<T> stash_in(T* room, std::size_t first) {
  if (room == nullptr) return {};
  return {room, first, Stash<T>::none, nullptr, Stash<T>::none};
}

// For columns [first, last), which begin and end parts of this length: room for `length` of them, and the output, if
// that may be lent.
template <class T, class Out>
Stash<T> stash_beside(T* room, std::size_t length, Out* output, bool may_be_lent, std::size_t first, std::size_t last,
                      std::size_t part_length) {
  if (last - first <= length) return stash_in(room, first);
  Stash<T> stash = {room, first, first + length / part_length * part_length, nullptr, Stash<T>::none};
  if constexpr (2 * sizeof(Out) == sizeof(T)) {
    const std::size_t parts = (last - first + part_length - 1) / part_length;
    if (may_be_lent) {
      stash.lent = reinterpret_cast<T*>(output + first);
      stash.lent_first = first + (parts + 1) / 2 * part_length;
    }
  }
  return stash;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
