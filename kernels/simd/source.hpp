// SPDX-License-Identifier: Apache-2.0
#pragma once

// A source gives vectors of logits in the type a row is computed in; a sink takes vectors of results. Passes know
// logits and results only through them, so a dtype or a pre-operation is written once. Passes take them by value:
// nothing a sink writes can then be mistaken for a part of either.

#include "simd/wave.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// A logit as the unevaluated sum hi + lo. `lo` is what a multiplication by theta, or the addition of a bias, rounded
// away: without it the rounding of a product alone would cost |theta x| / 2 ULP of the exponential.
template <class T>
struct SplitLogit {
  Vector<T> hi;
  Vector<T> lo;
};

template <class T>
SIMDSOFTMAX_INLINE Vector<T> high_part(Vector<T> x) {
  return x;
}
template <class T>
SIMDSOFTMAX_INLINE Vector<T> high_part(const SplitLogit<T>& x) {
  return x.hi;
}
template <class T, class Logit>
SIMDSOFTMAX_INLINE Wave<Vector<T>> high_part(const Wave<Logit>& x) {
  return map(
      [](const Logit& x_i) __attribute__((always_inline)) { return high_part<T>(x_i); }, x);
}
template <class T>
SIMDSOFTMAX_INLINE Vector<T> low_part(Vector<T>) {
  return Vector<T>(T(0));
}
template <class T>
SIMDSOFTMAX_INLINE Vector<T> low_part(const SplitLogit<T>& x) {
  return x.lo;
}

// How early what comes next is asked for, which is further than the hardware looks. A row of 128 MiB is exponentiated
// twice in 0.8 of the time on one thread and on two (512 bytes: 0.88; 8 KiB: as 2), one in L2 in 0.98.
constexpr std::size_t read_ahead_bytes = 2048;

// The logits as they are, from memory or from the caches near by.
template <class In, bool is_near = false>
struct PlainSource {
  using T = Compute<In>;
  const In* x;

  SIMDSOFTMAX_INLINE Vector<T> operator()(std::size_t i) const {
    if constexpr (!is_near) __builtin_prefetch(reinterpret_cast<const char*>(x + i) + read_ahead_bytes);
    return load(x + i);
  }
  SIMDSOFTMAX_INLINE Vector<T> first(std::size_t i, std::size_t n) const {
    return load_first(x + i, n, Vector<T>(T(0)));
  }
};

// A logit at any address.
SIMDSOFTMAX_INLINE float first_of(const float* x) {
  float v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
SIMDSOFTMAX_INLINE double first_of(const double* x) {
  double v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
template <class In>
SIMDSOFTMAX_INLINE Compute<In> first_of(const In* x) {
  return lane_max(load_first(x, 1, Vector<Compute<In>>(-Limits<Compute<In>>::infinity)));
}

// Logits that pre-operations have made.
template <class Type>
struct PairSource {
  using T = Type;
  const T* hi;
  const T* lo;

  SIMDSOFTMAX_INLINE SplitLogit<T> operator()(std::size_t i) const { return {load(hi + i), load(lo + i)}; }
  SIMDSOFTMAX_INLINE SplitLogit<T> first(std::size_t i, std::size_t n) const {
    return {load_first(hi + i, n, Vector<T>(T(0))), load_first(lo + i, n, Vector<T>(T(0)))};
  }
};

// Results, converted to the output's type.
template <class Out>
struct Sink {
  using T = Compute<Out>;
  Out* y;

  Sink from(std::size_t i) const { return {y + i}; }

  SIMDSOFTMAX_INLINE void operator()(std::size_t i, Vector<T> v) const { store(y + i, v); }
  SIMDSOFTMAX_INLINE void first(std::size_t i, std::size_t n, Vector<T> v) const { store_first(y + i, n, v); }
};

// Results past the caches; y is the beginning of a line. Others see them after stream_fence().
template <class Out>
struct StreamSink {
  using T = Compute<Out>;
  Out* y;

  SIMDSOFTMAX_INLINE void operator()(std::size_t i, Vector<T> v) const { stream(y + i, v); }
  SIMDSOFTMAX_INLINE void first(std::size_t i, std::size_t n, Vector<T> v) const { store_first(y + i, n, v); }
};

// Forgets exponentials, but has the lines come in where the results will go.
template <class Type>
struct ExpectingSink {
  using T = Type;
  const char* results;
  std::size_t result_bytes;  // of one

  ExpectingSink from(std::size_t i) const { return {results + i * result_bytes, result_bytes}; }

  SIMDSOFTMAX_INLINE void operator()(std::size_t i, Vector<T>) const {
    __builtin_prefetch(results + i * result_bytes, 1);
  }
  SIMDSOFTMAX_INLINE void first(std::size_t, std::size_t, Vector<T>) const {}
};

// Exponentials on their way to a stash, those lines coming in meanwhile.
template <class Type>
struct FetchingSink {
  using T = Type;
  T* e;
  ExpectingSink<T> expected;

  FetchingSink from(std::size_t i) const { return {e + i, expected.from(i)}; }

  SIMDSOFTMAX_INLINE void operator()(std::size_t i, Vector<T> v) const {
    store(e + i, v);
    expected(i, v);
  }
  SIMDSOFTMAX_INLINE void first(std::size_t i, std::size_t n, Vector<T> v) const { store_first(e + i, n, v); }
};

// Takes results and forgets them.
template <class Type>
struct NoSink {
  using T = Type;

  NoSink from(std::size_t) const { return {}; }

  SIMDSOFTMAX_INLINE void operator()(std::size_t, Vector<T>) const {}
  SIMDSOFTMAX_INLINE void first(std::size_t, std::size_t, Vector<T>) const {}
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
