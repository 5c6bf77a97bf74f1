// SPDX-License-Identifier: Apache-2.0
#pragma once

// Four vectors as one: each operation goes through all of them before the next one does. An exponential is a chain of
// ten operations, each of which takes three or four cycles: vector by vector, the window of instructions is full of
// those that wait.

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// With waves softmax takes 0.93 to 0.98 of the time on avx512, 0.83 to 0.87 on avx2 for single rows of f32 and 0.69 to
// 0.93 for rows of f64, on a Zen 4; 1.02 to 1.04 for short rows of f32 on avx2, where waves of two would take 0.98, but
// 1.07 for single rows and up to 1.24 for f64.
constexpr std::size_t wave_vectors = 4;
template <class T>
constexpr std::size_t wave_length = wave_vectors* width<T>;

// Of vectors, of SplitLogits, or of the indices where they are.
template <class Element>
struct Wave {
  Element of[wave_vectors];
};
using Indices = Wave<std::size_t>;

// Those of vectors one behind the other.
template <class T>
constexpr Indices consecutive = {{0, width<T>, 2 * width<T>, 3 * width<T>}};

// The i-th operand of an operation: of a wave, or the one there is for all.
template <class Operand>
SIMDSOFTMAX_INLINE const Operand& operand(const Operand& one, std::size_t) {
  return one;
}
template <class Element>
SIMDSOFTMAX_INLINE const Element& operand(const Wave<Element>& all, std::size_t i) {
  return all.of[i];
}

// operation(a[0], b[0], ...), operation(a[1], b[1], ...), ...
template <class Operation, class... Operands>
SIMDSOFTMAX_INLINE auto each(const Operation& operation, const Operands&... operands) {
  Wave<decltype(operation(operand(operands, 0)...))> results;
  repeat<wave_vectors>([&](std::size_t i)
                           __attribute__((always_inline)) { results.of[i] = operation(operand(operands, i)...); });
  return results;
}

// f of one, or of each of a wave: what a source has at an index, or at several.
template <class F, class One>
SIMDSOFTMAX_INLINE auto map(const F& f, const One& one) {
  return f(one);
}
template <class F, class Element>
SIMDSOFTMAX_INLINE auto map(const F& f, const Wave<Element>& all) {
  return each(f, all);
}
// What a sink gets there.
template <class Sink, class V>
SIMDSOFTMAX_INLINE void put(const Sink& y, std::size_t i, const V& v) {
  y(i, v);
}
template <class Sink, class V>
SIMDSOFTMAX_INLINE void put(const Sink& y, const Indices& at, const Wave<V>& v) {
  repeat<wave_vectors>([&](std::size_t i) __attribute__((always_inline)) { y(at.of[i], v.of[i]); });
}
// work(i) for an index, or for several.
template <class Work>
SIMDSOFTMAX_INLINE void visit(const Work& work, std::size_t i) {
  work(i);
}
template <class Work>
SIMDSOFTMAX_INLINE void visit(const Work& work, const Indices& at) {
  repeat<wave_vectors>([&](std::size_t i) __attribute__((always_inline)) { work(at.of[i]); });
}

// Calls full(at) for all waves of [begin, end) and for the whole vectors behind them, last(i, n) for the n elements
// that remain, and before(i) before each wave and before what is none.
template <class T, class Full, class Last, class Before = Nothing>
SIMDSOFTMAX_INLINE void for_each_wave(std::size_t begin, std::size_t end, const Full& full, const Last& last,
                                      const Before& before = {}) {
  std::size_t i = begin;
  for (; i + wave_length<T> <= end; i += wave_length<T>) {
    before(i);
    full(i + consecutive<T>);
  }
  if (i < end) before(i);
  for (; i + width<T> <= end; i += width<T>) full(i);
  if (i < end) last(i, end - i);
}

// The same for full(i) of one index.
template <class T, class Full, class Last, class Before = Nothing>
SIMDSOFTMAX_INLINE void for_each_vector(std::size_t begin, std::size_t end, const Full& full, const Last& last,
                                        const Before& before = {}) {
  for_each_wave<T>(
      begin, end, [&](const auto& at) __attribute__((always_inline)) { visit(full, at); }, last, before);
}

SIMDSOFTMAX_INLINE Indices operator+(std::size_t begin, const Indices& offsets) {
  return map(
      [&](std::size_t offset) __attribute__((always_inline)) { return begin + offset; }, offsets);
}
template <class V, class B>
SIMDSOFTMAX_INLINE Wave<V> operator-(const Wave<V>& a, const B& b) {
  return each(
      [](const V& x, const V& y) __attribute__((always_inline)) { return x - y; }, a, b);
}
template <class V>
SIMDSOFTMAX_INLINE Wave<V> operator-(const V& a, const Wave<V>& b) {
  return each(
      [](const V& x, const V& y) __attribute__((always_inline)) { return x - y; }, a, b);
}
template <class V, class B>
SIMDSOFTMAX_INLINE Wave<V> operator*(const Wave<V>& a, const B& b) {
  return each(
      [](const V& x, const V& y) __attribute__((always_inline)) { return x * y; }, a, b);
}
template <class V, class B, class C>
SIMDSOFTMAX_INLINE Wave<V> mul_add(const Wave<V>& a, const B& b, const C& c) {
  return each(
      [](const V& x, const V& y, const V& z) __attribute__((always_inline)) { return mul_add(x, y, z); }, a, b, c);
}
template <class V, class B, class C>
SIMDSOFTMAX_INLINE Wave<V> neg_mul_add(const Wave<V>& a, const B& b, const C& c) {
  return each(
      [](const V& x, const V& y, const V& z) __attribute__((always_inline)) { return neg_mul_add(x, y, z); }, a, b, c);
}
template <class V, class B>
SIMDSOFTMAX_INLINE Wave<V> add_bits(const Wave<V>& a, const B& b) {
  return each(
      [](const V& x, const V& y) __attribute__((always_inline)) { return add_bits(x, y); }, a, b);
}
template <int shift, class V>
SIMDSOFTMAX_INLINE Wave<V> shift_left(const Wave<V>& a) {
  return map(
      [](const V& x) __attribute__((always_inline)) { return shift_left<shift>(x); }, a);
}
template <int shift, class V, class Offset>
SIMDSOFTMAX_INLINE Wave<V> shift_add(const Wave<V>& a, Offset offset) {
  return map(
      [&](const V& x) __attribute__((always_inline)) { return shift_add<shift>(x, offset); }, a);
}
template <int shift, class Table, class V>
SIMDSOFTMAX_INLINE Wave<V> lookup_scaled(const Table& table, const Wave<V>& index) {
  return map(
      [&](const V& i) __attribute__((always_inline)) { return lookup_scaled<shift>(table, i); }, index);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
