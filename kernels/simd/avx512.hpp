// SPDX-License-Identifier: Apache-2.0
#pragma once

// What xsimd does not offer in all of its versions, for AVX-512 (F, CD, BW, DQ, VL).

#include <immintrin.h>

#include "simd/batch.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using Arch = xsimd::avx512bw;
using F32 = xsimd::batch<float, Arch>;
using F64 = xsimd::batch<double, Arch>;

constexpr bool has_fma = true;
constexpr bool has_masks = true;  // for the lanes of any operation

// xsimd 8.1 makes a multiplication and an addition of fma here.
SIMDSOFTMAX_INLINE F32 mul_add(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
SIMDSOFTMAX_INLINE F64 mul_add(F64 a, F64 b, F64 c) { return _mm512_fmadd_pd(a, b, c); }
SIMDSOFTMAX_INLINE F32 neg_mul_add(F32 a, F32 b, F32 c) { return _mm512_fnmadd_ps(a, b, c); }
SIMDSOFTMAX_INLINE F64 neg_mul_add(F64 a, F64 b, F64 c) { return _mm512_fnmadd_pd(a, b, c); }

// a * b - product, for product = a * b rounded.
SIMDSOFTMAX_INLINE F32 product_error(F32 a, F32 b, F32 product) { return mul_add(a, b, -product); }
SIMDSOFTMAX_INLINE F64 product_error(F64 a, F64 b, F64 product) { return mul_add(a, b, -product); }

SIMDSOFTMAX_INLINE F32 max_or_second(F32 a, F32 b) { return _mm512_max_ps(a, b); }
SIMDSOFTMAX_INLINE F64 max_or_second(F64 a, F64 b) { return _mm512_max_pd(a, b); }
SIMDSOFTMAX_INLINE F32 min_or_second(F32 a, F32 b) { return _mm512_min_ps(a, b); }
SIMDSOFTMAX_INLINE F64 min_or_second(F64 a, F64 b) { return _mm512_min_pd(a, b); }

// 0 where a < b, else v.
SIMDSOFTMAX_INLINE F32 where_at_least(F32 a, F32 b, F32 v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
}
SIMDSOFTMAX_INLINE F64 where_at_least(F64 a, F64 b, F64 v) {
  return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ), v);
}

// v * (high + low), but 0 where v < least.
SIMDSOFTMAX_INLINE F32 scaled_unless_below(F32 v, F32 least, F32 high, F32 low) {
  const __mmask16 kept = _mm512_cmp_ps_mask(v, least, _CMP_NLT_UQ);
  return _mm512_maskz_fmadd_ps(kept, v, high, _mm512_maskz_mul_ps(kept, v, low));
}
SIMDSOFTMAX_INLINE F64 scaled_unless_below(F64 v, F64 least, F64 high, F64 low) {
  const __mmask8 kept = _mm512_cmp_pd_mask(v, least, _CMP_NLT_UQ);
  return _mm512_maskz_fmadd_pd(kept, v, high, _mm512_maskz_mul_pd(kept, v, low));
}

// Bit i: whether lane i of a is above that of b.
SIMDSOFTMAX_INLINE unsigned lanes_above(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
SIMDSOFTMAX_INLINE unsigned lanes_above(F64 a, F64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
SIMDSOFTMAX_INLINE bool any_above(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
SIMDSOFTMAX_INLINE bool any_above(F64 a, F64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ) != 0; }

SIMDSOFTMAX_INLINE F64 low_half_f64(F32 v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
SIMDSOFTMAX_INLINE F64 high_half_f64(F32 v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }

// Lanes 0, 2, ... and 1, 3, ... of numbers that are not negative, as doubles in units of addend_unit: the bits of a
// float, moved, are those of a double with the same significand and an exponent lower by 896. Two instructions and one,
// where conversions take five. Infinity and NaN become numbers from 2^128 on, in those units.
constexpr double addend_unit = 0x1p896;
SIMDSOFTMAX_INLINE F64 first_addends(F32 v) {
  return _mm512_castsi512_pd(_mm512_mul_epu32(_mm512_castps_si512(v), _mm512_set1_epi64(1 << 29)));
}
SIMDSOFTMAX_INLINE F64 second_addends(F32 v) {
  return _mm512_castsi512_pd(
      _mm512_and_si512(_mm512_srli_epi64(_mm512_castps_si512(v), 3), _mm512_set1_epi64(0x1FFFFFFFE0000000)));
}
// Lane 2 k and lane 2 k + 1 of what both were made of.
SIMDSOFTMAX_INLINE F64 add_neighbours(F64 first, F64 second) { return first + second; }

// Lower half plus upper half, and zeros behind it; the same of two vectors, one behind the other.
SIMDSOFTMAX_INLINE F32 folded(F32 v) {
  return _mm512_zextps256_ps512(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
SIMDSOFTMAX_INLINE F32 folded(F32 a, F32 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
// The lower halves of both.
SIMDSOFTMAX_INLINE F32 join_low_halves(F32 a, F32 b) { return _mm512_insertf32x8(a, _mm512_castps512_ps256(b), 1); }

// Both converted to floats, `low` to the lower half.
SIMDSOFTMAX_INLINE F32 join_halves(F64 low, F64 high) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

// Converted to floats, in the lower half; the upper one is not specified.
SIMDSOFTMAX_INLINE F32 to_low_half(F64 v) { return _mm512_castps256_ps512(_mm512_cvtpd_ps(v)); }

// Lanes as integers.
SIMDSOFTMAX_INLINE F32 add_bits(F32 a, F32 b) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
SIMDSOFTMAX_INLINE F64 add_bits(F64 a, F64 b) {
  return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
}
template <int shift>
SIMDSOFTMAX_INLINE F32 shift_left(F32 v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(v), shift));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_right(F64 v) {
  return _mm512_castsi512_pd(_mm512_srli_epi64(_mm512_castpd_si512(v), shift));
}

SIMDSOFTMAX_INLINE float lane_max(F32 v) { return _mm512_reduce_max_ps(v); }
SIMDSOFTMAX_INLINE double lane_max(F64 v) { return _mm512_reduce_max_pd(v); }

// Upper half to lower half, and so on: lane i to lane i + 4, i + 2, i + 1.
SIMDSOFTMAX_INLINE double lane_sum(F64 v) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Of each pair of lanes `distance` apart, the lower ones of both go to a and the upper ones to b.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void exchange(F64& a, F64& b) {
  const __m512d x = a, y = b;
  if constexpr (distance == 4) {
    a = _mm512_shuffle_f64x2(x, y, 0x44);
    b = _mm512_shuffle_f64x2(x, y, 0xEE);
  } else if constexpr (distance == 2) {
    a = _mm512_permutex2var_pd(x, _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), y);
    b = _mm512_permutex2var_pd(x, _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), y);
  } else {
    a = _mm512_unpacklo_pd(x, y);
    b = _mm512_unpackhi_pd(x, y);
  }
}

// Lane i: p[i / times]. Eight floats are read.
template <int times>
SIMDSOFTMAX_INLINE F32 spread(const float* p) {
  const __m512i index =
      _mm512_setr_epi32(0, 1 / times, 2 / times, 3 / times, 4 / times, 5 / times, 6 / times, 7 / times, 8 / times,
                        9 / times, 10 / times, 11 / times, 12 / times, 13 / times, 14 / times, 15 / times);
  return _mm512_permutexvar_ps(index, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}

// For exp: a table of eight floats as bits, and the entry that the low three bits of each lane of `index` name.
struct Table8 {
  __m512i bits;
};
SIMDSOFTMAX_INLINE Table8 table8(const std::int32_t* entries, std::int32_t offset) {
  const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(entries)));
  return {_mm512_add_epi32(both, _mm512_set1_epi32(offset))};
}
// table[index & 7] + (index << shift), as a float.
template <int shift>
SIMDSOFTMAX_INLINE F32 lookup_scaled(Table8 table, F32 index) {
  const __m512i i = _mm512_castps_si512(index);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_permutexvar_epi32(i, table.bits), _mm512_slli_epi32(i, shift)));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_add(F64 v, std::int64_t offset) {
  return _mm512_castsi512_pd(
      _mm512_add_epi64(_mm512_slli_epi64(_mm512_castpd_si512(v), shift), _mm512_set1_epi64(offset)));
}

SIMDSOFTMAX_INLINE __mmask16 first_lanes16(std::size_t n) { return _cvtu32_mask16((1u << n) - 1u); }
SIMDSOFTMAX_INLINE __mmask8 first_lanes8(std::size_t n) { return _cvtu32_mask8((1u << n) - 1u); }

SIMDSOFTMAX_INLINE F32 load_first(const float* p, std::size_t n, F32 fill) {
  return _mm512_mask_loadu_ps(fill, first_lanes16(n), p);
}
SIMDSOFTMAX_INLINE F64 load_first(const double* p, std::size_t n, F64 fill) {
  return _mm512_mask_loadu_pd(fill, first_lanes8(n), p);
}
SIMDSOFTMAX_INLINE void store_first(float* p, std::size_t n, F32 v) { _mm512_mask_storeu_ps(p, first_lanes16(n), v); }
SIMDSOFTMAX_INLINE void store_first(double* p, std::size_t n, F64 v) { _mm512_mask_storeu_pd(p, first_lanes8(n), v); }
SIMDSOFTMAX_INLINE F32 keep_first(F32 v, std::size_t n) { return _mm512_maskz_mov_ps(first_lanes16(n), v); }
SIMDSOFTMAX_INLINE F64 keep_first(F64 v, std::size_t n) { return _mm512_maskz_mov_pd(first_lanes8(n), v); }

SIMDSOFTMAX_INLINE F32 widen(__m256i halves, Half<Dtype::f16>) { return _mm512_cvtph_ps(halves); }
SIMDSOFTMAX_INLINE F32 widen(__m256i halves, Half<Dtype::bf16>) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
SIMDSOFTMAX_INLINE __m256i narrow(F32 v, Half<Dtype::f16>) {
  return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// To nearest, ties to even: add half of the last place kept, less one when that place is even. The default NaN stays
// one.
SIMDSOFTMAX_INLINE __m256i narrow(F32 v, Half<Dtype::bf16>) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

template <Dtype D>
SIMDSOFTMAX_INLINE F32 load(const Half<D>* p) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_first(const Half<D>* p, std::size_t n, F32 fill) {
  return _mm512_mask_mov_ps(fill, first_lanes16(n), widen(_mm256_maskz_loadu_epi16(first_lanes16(n), p), Half<D>{}));
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store(Half<D>* p, F32 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(v, Half<D>{}));
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_first(Half<D>* p, std::size_t n, F32 v) {
  _mm256_mask_storeu_epi16(p, first_lanes16(n), narrow(v, Half<D>{}));
}

// As many elements as F64 has lanes.
SIMDSOFTMAX_INLINE F32 load_low_half(const float* p) { return _mm512_castps256_ps512(_mm256_loadu_ps(p)); }
SIMDSOFTMAX_INLINE void store_low_half(float* p, F32 v) { _mm256_storeu_ps(p, _mm512_castps512_ps256(v)); }
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_low_half(const Half<D>* p) {
  return widen(_mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_low_half(Half<D>* p, F32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(narrow(v, Half<D>{})));
}

// A conversion of what lies in memory takes one step less than that of a register.
SIMDSOFTMAX_INLINE F64 load_f64(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

// The 64 bytes of a line, past the caches; others see them after stream_fence().
SIMDSOFTMAX_INLINE void stream_line(const char* from, char* to) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
}
// The same of a vector, to where one may begin that is counted from a line on.
SIMDSOFTMAX_INLINE void stream(float* p, F32 v) { _mm512_stream_ps(p, v); }
SIMDSOFTMAX_INLINE void stream(double* p, F64 v) { _mm512_stream_pd(p, v); }
template <Dtype D>
SIMDSOFTMAX_INLINE void stream(Half<D>* p, F32 v) {
  void* const to = p;
  _mm256_stream_si256(static_cast<__m256i*>(to), narrow(v, Half<D>{}));
}
SIMDSOFTMAX_INLINE void stream_fence() { _mm_sfence(); }

SIMDSOFTMAX_INLINE F32 load(const Flag* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
SIMDSOFTMAX_INLINE F32 load_first(const Flag* p, std::size_t n, F32) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes16(n), p)));
}

// Which of 64 halves, the first one lowest, have the bits `least` to `most`, all of them negative; and whether all that
// were looked at are among those, or zeros.
class HalfRange {
 public:
  HalfRange(std::uint16_t least, std::uint16_t most)
      : offset_(_mm512_set1_epi16(static_cast<short>(-least))),
        range_(_mm512_set1_epi16(static_cast<short>(most - least))) {}

  template <Dtype D>
  SIMDSOFTMAX_INLINE std::uint64_t find(const Half<D>* p) {
    const __mmask32 low = nonzeros(_mm512_loadu_si512(p));
    const __mmask32 high = nonzeros(_mm512_loadu_si512(p + 32));
    return _cvtmask64_u64(_mm512_kunpackd(high, low));
  }
  bool others_are_zeros() const { return _cvtmask32_u32(_mm512_cmpgt_epu16_mask(farthest_, range_)) == 0; }

 private:
  SIMDSOFTMAX_INLINE __mmask32 nonzeros(__m512i v) {
    const __mmask32 nonzero = _mm512_test_epi16_mask(v, _mm512_set1_epi16(0x7FFF));
    farthest_ = _mm512_mask_max_epu16(farthest_, nonzero, farthest_, _mm512_add_epi16(v, offset_));
    return nonzero;
  }

  __m512i offset_;
  __m512i range_;
  __m512i farthest_ = _mm512_setzero_si512();  // of those that are not zeros, from the least
};

// Bits of 64 flags, the first one lowest: those that are not 0.
SIMDSOFTMAX_INLINE std::uint64_t nonzero_bits(const Flag* p) {
  const __m512i v = _mm512_loadu_si512(p);
  return _cvtmask64_u64(_mm512_test_epi8_mask(v, v));
}

// 0 in the lanes whose bits from bit i on are set, which a NaN survives; i is a multiple of the lanes.
SIMDSOFTMAX_INLINE F32 zero_where(const unsigned char* bits, std::size_t i, F32 v) {
  std::uint16_t lanes;
  __builtin_memcpy(&lanes, bits + i / 8, sizeof lanes);
  return _mm512_mask_sub_ps(v, _cvtu32_mask16(lanes), v, v);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
