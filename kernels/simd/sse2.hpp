// SPDX-License-Identifier: Apache-2.0
#pragma once

// What xsimd does not offer in all of its versions, for the x86-64 baseline. There is no fma, so this ISA alone does
// not give the bits of the others; half conversions go lane by lane.

#include <emmintrin.h>

#include "simd/partial.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using Arch = xsimd::sse2;
using F32 = xsimd::batch<float, Arch>;
using F64 = xsimd::batch<double, Arch>;

constexpr bool has_fma = false;
constexpr bool has_masks = false;

SIMDSOFTMAX_INLINE F32 mul_add(F32 a, F32 b, F32 c) { return a * b + c; }
SIMDSOFTMAX_INLINE F64 mul_add(F64 a, F64 b, F64 c) { return a * b + c; }
SIMDSOFTMAX_INLINE F32 neg_mul_add(F32 a, F32 b, F32 c) { return c - a * b; }
SIMDSOFTMAX_INLINE F64 neg_mul_add(F64 a, F64 b, F64 c) { return c - a * b; }

SIMDSOFTMAX_INLINE F32 max_or_second(F32 a, F32 b) { return _mm_max_ps(a, b); }
SIMDSOFTMAX_INLINE F64 max_or_second(F64 a, F64 b) { return _mm_max_pd(a, b); }
SIMDSOFTMAX_INLINE F32 min_or_second(F32 a, F32 b) { return _mm_min_ps(a, b); }
SIMDSOFTMAX_INLINE F64 min_or_second(F64 a, F64 b) { return _mm_min_pd(a, b); }

// v where a >= b, else 0.
SIMDSOFTMAX_INLINE F32 where_at_least(F32 a, F32 b, F32 v) { return _mm_and_ps(v, _mm_cmpge_ps(a, b)); }
SIMDSOFTMAX_INLINE F64 where_at_least(F64 a, F64 b, F64 v) { return _mm_and_pd(v, _mm_cmpge_pd(a, b)); }

// Bit i: whether lane i of a is above that of b.
SIMDSOFTMAX_INLINE unsigned lanes_above(F32 a, F32 b) {
  return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpgt_ps(a, b)));
}
SIMDSOFTMAX_INLINE unsigned lanes_above(F64 a, F64 b) {
  return static_cast<unsigned>(_mm_movemask_pd(_mm_cmpgt_pd(a, b)));
}
SIMDSOFTMAX_INLINE bool any_above(F32 a, F32 b) { return _mm_movemask_ps(_mm_cmpgt_ps(a, b)) != 0; }
SIMDSOFTMAX_INLINE bool any_above(F64 a, F64 b) { return _mm_movemask_pd(_mm_cmpgt_pd(a, b)) != 0; }

SIMDSOFTMAX_INLINE F64 low_half_f64(F32 v) { return _mm_cvtps_pd(v); }
SIMDSOFTMAX_INLINE F64 high_half_f64(F32 v) { return _mm_cvtps_pd(_mm_movehl_ps(v, v)); }

// Lanes 0, 2, ... and 1, 3, ... of numbers that are not negative, as doubles in units of addend_unit: the bits of a
// float, moved, are those of a double with the same significand and an exponent lower by 896. Two instructions and one,
// where conversions take five. Infinity and NaN become numbers from 2^128 on, in those units.
constexpr double addend_unit = 0x1p896;
SIMDSOFTMAX_INLINE F64 first_addends(F32 v) {
  return _mm_castsi128_pd(_mm_mul_epu32(_mm_castps_si128(v), _mm_set1_epi64x(1 << 29)));
}
SIMDSOFTMAX_INLINE F64 second_addends(F32 v) {
  return _mm_castsi128_pd(_mm_and_si128(_mm_srli_epi64(_mm_castps_si128(v), 3), _mm_set1_epi64x(0x1FFFFFFFE0000000)));
}
// Lane 2 k and lane 2 k + 1 of what both were made of.
SIMDSOFTMAX_INLINE F64 add_neighbours(F64 first, F64 second) { return first + second; }

// Both converted to floats, `low` to the lower half.
SIMDSOFTMAX_INLINE F32 join_halves(F64 low, F64 high) { return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high)); }

// Converted to floats, in the lower half; the upper one is not specified.
SIMDSOFTMAX_INLINE F32 to_low_half(F64 v) { return _mm_cvtpd_ps(v); }

// Lanes as integers.
SIMDSOFTMAX_INLINE F32 add_bits(F32 a, F32 b) {
  return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(a), _mm_castps_si128(b)));
}
SIMDSOFTMAX_INLINE F64 add_bits(F64 a, F64 b) {
  return _mm_castsi128_pd(_mm_add_epi64(_mm_castpd_si128(a), _mm_castpd_si128(b)));
}
template <int shift>
SIMDSOFTMAX_INLINE F32 shift_left(F32 v) {
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(v), shift));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_right(F64 v) {
  return _mm_castsi128_pd(_mm_srli_epi64(_mm_castpd_si128(v), shift));
}

SIMDSOFTMAX_INLINE float lane_max(F32 v) {
  const __m128 two = _mm_max_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
SIMDSOFTMAX_INLINE double lane_max(F64 v) { return _mm_cvtsd_f64(_mm_max_sd(v, _mm_unpackhi_pd(v, v))); }

SIMDSOFTMAX_INLINE double lane_sum(F64 v) { return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v))); }

// Of each pair of lanes `distance` apart, the lower ones of both go to a and the upper ones to b.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void exchange(F64& a, F64& b) {
  static_assert(distance == 1);
  const __m128d x = a, y = b;
  a = _mm_unpacklo_pd(x, y);
  b = _mm_unpackhi_pd(x, y);
}

// Lane i: p[i / times], times being 2 or a multiple of 4.
template <int times>
SIMDSOFTMAX_INLINE F32 spread(const float* p) {
  if constexpr (times > 2) return F32(*p);
  return _mm_setr_ps(p[0], p[0], p[1], p[1]);
}

// a * b - product, for product = a * b rounded, without fma: in f64 for floats; for doubles by Dekker's product
// (Numerische Mathematik 18, 1971), and 0 where its splitting overflows (beyond 2^996).
SIMDSOFTMAX_INLINE F32 product_error(F32 a, F32 b, F32 product) {
  const F64 low = low_half_f64(a) * low_half_f64(b) - low_half_f64(product);
  const F64 high = high_half_f64(a) * high_half_f64(b) - high_half_f64(product);
  return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
SIMDSOFTMAX_INLINE F64 product_error(F64 a, F64 b, F64 product) {
  const F64 splitter(0x1p27 + 1);
  // By its bits, because logits may be so large that the splitter makes them infinite.
  const F64 a_high = _mm_and_pd(a, _mm_castsi128_pd(_mm_set1_epi64x(-(std::int64_t{1} << 27))));
  const F64 b_high = b * splitter - (b * splitter - b);
  const F64 a_low = a - a_high;
  const F64 b_low = b - b_high;
  const F64 error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low);
  return _mm_and_pd(error, _mm_cmpord_pd(error, error));
}

template <int shift>
SIMDSOFTMAX_INLINE F32 shift_add(F32 v, std::int32_t offset) {
  return _mm_castsi128_ps(_mm_add_epi32(_mm_slli_epi32(_mm_castps_si128(v), shift), _mm_set1_epi32(offset)));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_add(F64 v, std::int64_t offset) {
  return _mm_castsi128_pd(_mm_add_epi64(_mm_slli_epi64(_mm_castpd_si128(v), shift), _mm_set1_epi64x(offset)));
}

SIMDSOFTMAX_INLINE F32 load_first(const float* p, std::size_t n, F32 fill) { return load_first_by_lanes(p, n, fill); }
SIMDSOFTMAX_INLINE F64 load_first(const double* p, std::size_t n, F64 fill) { return load_first_by_lanes(p, n, fill); }
SIMDSOFTMAX_INLINE void store_first(float* p, std::size_t n, F32 v) { store_first_by_lanes(p, n, v); }
SIMDSOFTMAX_INLINE void store_first(double* p, std::size_t n, F64 v) { store_first_by_lanes(p, n, v); }
SIMDSOFTMAX_INLINE F32 keep_first(F32 v, std::size_t n) {
  const __m128i kept = _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(n)), _mm_setr_epi32(0, 1, 2, 3));
  return _mm_and_ps(v, _mm_castsi128_ps(kept));
}
SIMDSOFTMAX_INLINE F64 keep_first(F64 v, std::size_t n) {
  const __m128i kept = _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(n)), _mm_setr_epi32(0, 0, 1, 1));
  return _mm_and_pd(v, _mm_castsi128_pd(kept));
}

// binary16 by its fields: a subnormal is its significand times 2^-24.
SIMDSOFTMAX_INLINE float widen(Half<Dtype::f16> half) {
  const std::uint32_t sign = (half.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (half.bits >> 10) & 31u;
  const std::uint32_t significand = half.bits & 0x3FFu;
  float magnitude = static_cast<float>(significand) * 0x1p-24f;
  std::uint32_t bits;
  if (exponent != 0) {
    bits = ((exponent == 31 ? 255 : exponent + 112) << 23) | (significand << 13);
  } else {
    __builtin_memcpy(&bits, &magnitude, 4);
  }
  bits |= sign;
  __builtin_memcpy(&magnitude, &bits, 4);
  return magnitude;
}
SIMDSOFTMAX_INLINE float widen(Half<Dtype::bf16> half) {
  const std::uint32_t bits = static_cast<std::uint32_t>(half.bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
// To nearest, ties to even. Adding 0.5 aligns a result below 2^-14 to the subnormals' last place, 2^-24, and rounds it
// there; from 65520 on the nearest value is infinite.
SIMDSOFTMAX_INLINE Half<Dtype::f16> narrow(float value, Half<Dtype::f16>) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7FFFFFFFu;
  float magnitude;
  __builtin_memcpy(&magnitude, &bits, 4);
  std::uint32_t half;
  if (magnitude < 0x1p-14f) {
    magnitude += 0.5f;
    __builtin_memcpy(&bits, &magnitude, 4);
    half = bits - 0x3F000000u;
  } else if (magnitude < 65520.0f) {
    half = (bits + 0xFFFu + ((bits >> 13) & 1u) - (112u << 23)) >> 13;
  } else {
    half = magnitude == magnitude ? 0x7C00u : 0x7E00u;
  }
  return {static_cast<std::uint16_t>(sign | half)};
}
SIMDSOFTMAX_INLINE Half<Dtype::bf16> narrow(float value, Half<Dtype::bf16>) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return {static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

// Not inlined: lane by lane in every pass they were a third of all code, and took minutes to compile.
template <Dtype D>
SIMDSOFTMAX_NOINLINE F32 load_first(const Half<D>* p, std::size_t n, F32 fill) {
  LaneBuffer<4, float> buffer;
  fill.store_aligned(buffer.lane);
  for (std::size_t i = 0; i < n; ++i) buffer.lane[i] = widen(p[i]);
  return F32::load_aligned(buffer.lane);
}
template <Dtype D>
SIMDSOFTMAX_NOINLINE void store_first(Half<D>* p, std::size_t n, F32 v) {
  LaneBuffer<4, float> buffer;
  v.store_aligned(buffer.lane);
  for (std::size_t i = 0; i < n; ++i) p[i] = narrow(buffer.lane[i], Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_NOINLINE F32 load(const Half<D>* p) {
  return load_first(p, 4, F32(0.0f));
}
template <Dtype D>
SIMDSOFTMAX_NOINLINE void store(Half<D>* p, F32 v) {
  store_first(p, 4, v);
}

// As many elements as F64 has lanes.
SIMDSOFTMAX_INLINE F32 load_low_half(const float* p) {
  return _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(p)));
}
SIMDSOFTMAX_INLINE void store_low_half(float* p, F32 v) {
  _mm_store_sd(reinterpret_cast<double*>(p), _mm_castps_pd(v));
}
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_low_half(const Half<D>* p) {
  return load_first(p, 2, F32(0.0f));
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_low_half(Half<D>* p, F32 v) {
  store_first(p, 2, v);
}

// The 64 bytes of a line, past the caches; others see them after stream_fence().
SIMDSOFTMAX_INLINE void stream_line(const char* from, char* to) {
  for (int i = 0; i < 64; i += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
  }
}
// The same of a vector, to where one may begin that is counted from a line on.
SIMDSOFTMAX_INLINE void stream(float* p, F32 v) { _mm_stream_ps(p, v); }
SIMDSOFTMAX_INLINE void stream(double* p, F64 v) { _mm_stream_pd(p, v); }
SIMDSOFTMAX_INLINE void stream_fence() { _mm_sfence(); }

SIMDSOFTMAX_INLINE F32 load(const Flag* p) {
  std::int32_t bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  const __m128i zero = _mm_setzero_si128();
  return _mm_cvtepi32_ps(_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero), zero));
}
SIMDSOFTMAX_INLINE F32 load_first(const Flag* p, std::size_t n, F32) {
  LaneBuffer<4, Flag> buffer;
  buffer.take(p, n);
  return load(buffer.lane);
}

// Which of 64 halves, the first one lowest, have the bits `least` to `most`, all of them negative; and whether all that
// were looked at are among those, or zeros.
class HalfRange {
 public:
  HalfRange(std::uint16_t least, std::uint16_t most)
      : offset_(_mm_set1_epi16(static_cast<short>(-least))),
        range_(_mm_set1_epi16(static_cast<short>(most - least))),
        others_(_mm_setzero_si128()) {}

  template <Dtype D>
  SIMDSOFTMAX_INLINE std::uint64_t find(const Half<D>* p) {
    std::uint64_t found = 0;
    for (int i = 0; i < 64; i += 16) {
      const __m128i low = within(p + i);
      found |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_packs_epi16(low, within(p + i + 8)))) << i;
    }
    return found;
  }
  bool others_are_zeros() const { return _mm_movemask_epi8(_mm_cmpeq_epi8(others_, _mm_setzero_si128())) == 0xFFFF; }

 private:
  SIMDSOFTMAX_INLINE __m128i within(const void* p) {
    const __m128i v = _mm_loadu_si128(static_cast<const __m128i*>(p));
    const __m128i beyond = _mm_subs_epu16(_mm_add_epi16(v, offset_), range_);
    const __m128i is_within = _mm_cmpeq_epi16(beyond, _mm_setzero_si128());
    others_ = _mm_or_si128(others_, _mm_andnot_si128(is_within, _mm_add_epi16(v, v)));
    return is_within;
  }

  __m128i offset_;
  __m128i range_;
  __m128i others_;
};

// Bits of 64 flags, the first one lowest: those that are not 0.
SIMDSOFTMAX_INLINE std::uint64_t nonzero_bits(const Flag* p) {
  std::uint64_t zeros = 0;
  for (int i = 0; i < 64; i += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i));
    zeros |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()))) << i;
  }
  return ~zeros;
}

// 0 in the lanes whose bits from bit i on are set, which a NaN survives; i is a multiple of the lanes.
SIMDSOFTMAX_INLINE F32 zero_where(const unsigned char* bits, std::size_t i, F32 v) {
  const __m128i lane = _mm_setr_epi32(1, 2, 4, 8);
  const __m128i all = _mm_set1_epi32(bits[i / 8] >> i % 8);
  const __m128 set = _mm_castsi128_ps(_mm_cmpeq_epi32(_mm_and_si128(all, lane), lane));
  return _mm_or_ps(_mm_andnot_ps(set, v), _mm_and_ps(set, _mm_sub_ps(v, v)));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
