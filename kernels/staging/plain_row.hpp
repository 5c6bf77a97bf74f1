// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// A dense row without pre-operations, as it lies in memory: what StagedSource and StagedOutput are for any other.
template <class In>
struct PlainRow {
  using T = Compute<In>;
  static constexpr bool is_wide = sizeof(In) < sizeof(double) && sizeof(T) == sizeof(double);
  const In* x;
  std::size_t cols;

  static constexpr std::size_t first() { return 0; }
  std::size_t last() const { return cols; }
  static constexpr bool is_exact() { return true; }
  static constexpr bool has_sink() { return false; }
  static constexpr double sink() { return 0; }
  static void forget_tile() {}

  template <class Body>
  SIMDSOFTMAX_INLINE void each_tile(std::size_t begin, std::size_t end, const Body& body) const {
    body(PlainSource<In>{x + begin}, begin, end - begin);
  }
};

template <class Out>
struct PlainOutput {
  using Element = Out;
  using T = Compute<Out>;
  Out* y;

  Sink<Out> sink(std::size_t at) const { return {y + at}; }
  static void flush(std::size_t, std::size_t) {}
  static constexpr double smallest_normal() { return smallest_result<Out>; }

  SIMDSOFTMAX_NOINLINE void fill(std::size_t begin, std::size_t end, T value) const {
    const Sink<Out> to{y};
    for_each_vector<T>(
        begin, end, [&](std::size_t i) { to(i, Vector<T>(value)); },
        [&](std::size_t i, std::size_t n) { to.first(i, n, Vector<T>(value)); });
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
