// SPDX-License-Identifier: Apache-2.0
#pragma once

// The part of the vector layer that is written once. The <isa>.hpp of the translation unit comes before it.

#include "simd/batch.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The type a row is computed in, and its vector.
template <class In>
struct ComputeOf {
  using type = float;
};
template <>
struct ComputeOf<double> {
  using type = double;
};
template <class In>
struct ComputeOf<Wide<In>> {
  using type = double;
};
template <class In>
using Compute = typename ComputeOf<In>::type;

template <class T>
using Vector = xsimd::batch<T, Arch>;

template <class T>
constexpr std::size_t width = Vector<T>::size;

SIMDSOFTMAX_INLINE F32 load(const float* p) { return F32::load_unaligned(p); }
SIMDSOFTMAX_INLINE F64 load(const double* p) { return F64::load_unaligned(p); }
SIMDSOFTMAX_INLINE void store(float* p, F32 v) { v.store_unaligned(p); }
SIMDSOFTMAX_INLINE void store(double* p, F64 v) { v.store_unaligned(p); }
SIMDSOFTMAX_INLINE void store_as(double* p, F64 v) { store(p, v); }
SIMDSOFTMAX_INLINE void store_as(float* p, F64 v) { store_low_half(p, to_low_half(v)); }

// Past the caches, where an ISA has no store of its own for that.
template <class Element, class V>
SIMDSOFTMAX_INLINE void stream(Element* p, V v) {
  store(p, v);
}

// Of floats; neon has its own.
template <class V>
SIMDSOFTMAX_INLINE V reciprocal_of(V v) {
  return V(1.0f) / v;
}

// v * (high + low), but 0 where v < least; NaN where anything is NaN. Zeros first, because a subnormal product, though
// it were dropped, takes over a hundred cycles on some CPUs. (avx512 has its own: nothing becomes of what a mask leaves
// out.)
template <class V>
SIMDSOFTMAX_INLINE V scaled_unless_below(V v, V least, V high, V low) {
  const V kept = where_at_least(v, least, v);
  return mul_add(kept, high, kept * low);
}

// What lies below the smallest normal number of f32 is flushed for the halves too.
template <class Out>
constexpr double smallest_result = sizeof(Out) == sizeof(double) ? 0x1p-1022 : 0x1p-126;

// Results that go to a half are cut to the precision of a float, with the last bit set if that was not exact (Boldo and
// Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC 57, 2008): so the float rounds as they would.
template <class Out>
struct Cut {
  SIMDSOFTMAX_INLINE static F64 of(F64 v) {
    const F64 rest(0x1FFFFFFFp-1074);  // its bits are those that a float lacks
    const F64 odd = v | add_bits(v & rest, rest);
    return odd ^ (odd & rest);
  }
};
template <>
struct Cut<float> {
  SIMDSOFTMAX_INLINE static F64 of(F64 v) { return v; }
};

// As many elements as F64 has lanes; avx2 and avx512 have their own for floats, which gcc would not make of this.
template <class In>
SIMDSOFTMAX_INLINE F64 load_f64(const In* p) {
  return low_half_f64(load_low_half(p));
}

template <class In>
SIMDSOFTMAX_INLINE F64 load(const Wide<In>* p) {
  return load_f64(reinterpret_cast<const In*>(p));
}
template <class In>
SIMDSOFTMAX_INLINE F64 load_first(const Wide<In>* p, std::size_t n, F64 fill) {
  return low_half_f64(load_first(reinterpret_cast<const In*>(p), n, to_low_half(fill)));
}
template <class Out>
SIMDSOFTMAX_INLINE void store(Wide<Out>* p, F64 v) {
  store_low_half(reinterpret_cast<Out*>(p), to_low_half(Cut<Out>::of(v)));
}
template <class Out>
SIMDSOFTMAX_INLINE void store_first(Wide<Out>* p, std::size_t n, F64 v) {
  store_first(reinterpret_cast<Out*>(p), n, to_low_half(Cut<Out>::of(v)));
}

// work(0), work(1), ... work(count - 1), one behind the other: gcc 12 unrolls no loop at -O2 that it is not told to,
// and arrays of vectors would be in memory (rows of 128 columns took twice the time on avx2).
template <std::size_t count, class Work>
SIMDSOFTMAX_INLINE void repeat(const Work& work) {
  static_assert(count <= 64);
#pragma GCC unroll 64
  for (std::size_t i = 0; i < count; ++i) work(i);
}

struct Nothing {
  SIMDSOFTMAX_INLINE void operator()(std::size_t) const {}
};

// What the public limits are made of; std:: is not used here, because its inline functions are shared with the world.
template <class T>
struct Limits;
template <>
struct Limits<float> {
  static constexpr float infinity = __builtin_huge_valf();
  static constexpr float nan = __builtin_nanf("");
  static constexpr float smallest_normal = 0x1p-126f;
};
template <>
struct Limits<double> {
  static constexpr double infinity = __builtin_huge_val();
  static constexpr double nan = __builtin_nan("");
  static constexpr double smallest_normal = 0x1p-1022;
};

SIMDSOFTMAX_INLINE bool is_nan(double v) { return v != v; }
SIMDSOFTMAX_INLINE bool is_finite(double v) { return v - v == 0; }

// 2^n as a double; 0 below the normal range, infinity above it.
SIMDSOFTMAX_INLINE double power_of_two(std::int64_t n) {
  if (n < -1022) return 0;
  if (n > 1023) return Limits<double>::infinity;
  const std::int64_t bits = (n + 1023) << 52;
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
