// SPDX-License-Identifier: Apache-2.0
#pragma once

// What xsimd does not offer in all of its versions, for AVX2 with FMA and F16C.

#include <immintrin.h>

#include "simd/partial.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using Arch = xsimd::fma3<xsimd::avx2>;
using F32 = xsimd::batch<float, Arch>;
using F64 = xsimd::batch<double, Arch>;

constexpr bool has_fma = true;
constexpr bool has_masks = false;

SIMDSOFTMAX_INLINE F32 mul_add(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }
SIMDSOFTMAX_INLINE F64 mul_add(F64 a, F64 b, F64 c) { return _mm256_fmadd_pd(a, b, c); }
SIMDSOFTMAX_INLINE F32 neg_mul_add(F32 a, F32 b, F32 c) { return _mm256_fnmadd_ps(a, b, c); }
SIMDSOFTMAX_INLINE F64 neg_mul_add(F64 a, F64 b, F64 c) { return _mm256_fnmadd_pd(a, b, c); }

// a * b - product, for product = a * b rounded.
SIMDSOFTMAX_INLINE F32 product_error(F32 a, F32 b, F32 product) { return mul_add(a, b, -product); }
SIMDSOFTMAX_INLINE F64 product_error(F64 a, F64 b, F64 product) { return mul_add(a, b, -product); }

SIMDSOFTMAX_INLINE F32 max_or_second(F32 a, F32 b) { return _mm256_max_ps(a, b); }
SIMDSOFTMAX_INLINE F64 max_or_second(F64 a, F64 b) { return _mm256_max_pd(a, b); }
SIMDSOFTMAX_INLINE F32 min_or_second(F32 a, F32 b) { return _mm256_min_ps(a, b); }
SIMDSOFTMAX_INLINE F64 min_or_second(F64 a, F64 b) { return _mm256_min_pd(a, b); }

// v where a >= b, else 0.
SIMDSOFTMAX_INLINE F32 where_at_least(F32 a, F32 b, F32 v) { return _mm256_and_ps(v, _mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
SIMDSOFTMAX_INLINE F64 where_at_least(F64 a, F64 b, F64 v) { return _mm256_and_pd(v, _mm256_cmp_pd(a, b, _CMP_GE_OQ)); }

// Bit i: whether lane i of a is above that of b.
SIMDSOFTMAX_INLINE unsigned lanes_above(F32 a, F32 b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}
SIMDSOFTMAX_INLINE unsigned lanes_above(F64 a, F64 b) {
  return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ)));
}
SIMDSOFTMAX_INLINE bool any_above(F32 a, F32 b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
SIMDSOFTMAX_INLINE bool any_above(F64 a, F64 b) { return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ)) != 0; }

SIMDSOFTMAX_INLINE F64 low_half_f64(F32 v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
SIMDSOFTMAX_INLINE F64 high_half_f64(F32 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }

// Lanes 0, 2, ... and 1, 3, ... of numbers that are not negative, as doubles in units of addend_unit: the bits of a
// float, moved, are those of a double with the same significand and an exponent lower by 896. Two instructions and one,
// where conversions take five. Infinity and NaN become numbers from 2^128 on, in those units.
constexpr double addend_unit = 0x1p896;
SIMDSOFTMAX_INLINE F64 first_addends(F32 v) {
  return _mm256_castsi256_pd(_mm256_mul_epu32(_mm256_castps_si256(v), _mm256_set1_epi64x(1 << 29)));
}
SIMDSOFTMAX_INLINE F64 second_addends(F32 v) {
  return _mm256_castsi256_pd(
      _mm256_and_si256(_mm256_srli_epi64(_mm256_castps_si256(v), 3), _mm256_set1_epi64x(0x1FFFFFFFE0000000)));
}
// Lane 2 k and lane 2 k + 1 of what both were made of.
SIMDSOFTMAX_INLINE F64 add_neighbours(F64 first, F64 second) { return first + second; }

// Both converted to floats, `low` to the lower half.
SIMDSOFTMAX_INLINE F32 join_halves(F64 low, F64 high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}

// Converted to floats, in the lower half; the upper one is not specified.
SIMDSOFTMAX_INLINE F32 to_low_half(F64 v) { return _mm256_castps128_ps256(_mm256_cvtpd_ps(v)); }

// Lanes as integers.
SIMDSOFTMAX_INLINE F32 add_bits(F32 a, F32 b) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
SIMDSOFTMAX_INLINE F64 add_bits(F64 a, F64 b) {
  return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
}
template <int shift>
SIMDSOFTMAX_INLINE F32 shift_left(F32 v) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), shift));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_right(F64 v) {
  return _mm256_castsi256_pd(_mm256_srli_epi64(_mm256_castpd_si256(v), shift));
}

SIMDSOFTMAX_INLINE float lane_max(F32 v) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
SIMDSOFTMAX_INLINE double lane_max(F64 v) {
  const __m128d two = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}

// Upper half to lower half: lane i to lane i + 2, i + 1.
SIMDSOFTMAX_INLINE double lane_sum(F64 v) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Of each pair of lanes `distance` apart, the lower ones of both go to a and the upper ones to b.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void exchange(F64& a, F64& b) {
  const __m256d x = a, y = b;
  if constexpr (distance == 2) {
    a = _mm256_permute2f128_pd(x, y, 0x20);
    b = _mm256_permute2f128_pd(x, y, 0x31);
  } else {
    a = _mm256_unpacklo_pd(x, y);
    b = _mm256_unpackhi_pd(x, y);
  }
}

// Lane i: p[i / times]. Eight floats are read.
template <int times>
SIMDSOFTMAX_INLINE F32 spread(const float* p) {
  const __m256i index =
      _mm256_setr_epi32(0, 1 / times, 2 / times, 3 / times, 4 / times, 5 / times, 6 / times, 7 / times);
  return _mm256_permutevar8x32_ps(_mm256_loadu_ps(p), index);
}

// For exp: a table of eight floats as bits, and the entry that the low three bits of each lane of `index` name.
struct Table8 {
  __m256i bits;
};
SIMDSOFTMAX_INLINE Table8 table8(const std::int32_t* entries, std::int32_t offset) {
  return {_mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(entries)), _mm256_set1_epi32(offset))};
}
// table[index & 7] + (index << shift), as a float.
template <int shift>
SIMDSOFTMAX_INLINE F32 lookup_scaled(Table8 table, F32 index) {
  const __m256i i = _mm256_castps_si256(index);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_permutevar8x32_epi32(table.bits, i), _mm256_slli_epi32(i, shift)));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_add(F64 v, std::int64_t offset) {
  return _mm256_castsi256_pd(
      _mm256_add_epi64(_mm256_slli_epi64(_mm256_castpd_si256(v), shift), _mm256_set1_epi64x(offset)));
}

SIMDSOFTMAX_INLINE __m256i first_lanes8(std::size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SIMDSOFTMAX_INLINE __m256i first_lanes4(std::size_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)), _mm256_setr_epi64x(0, 1, 2, 3));
}

SIMDSOFTMAX_INLINE F32 load_first(const float* p, std::size_t n, F32 fill) {
  const __m256i mask = first_lanes8(n);
  return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
SIMDSOFTMAX_INLINE F64 load_first(const double* p, std::size_t n, F64 fill) {
  const __m256i mask = first_lanes4(n);
  return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask));
}
SIMDSOFTMAX_INLINE void store_first(float* p, std::size_t n, F32 v) { _mm256_maskstore_ps(p, first_lanes8(n), v); }
SIMDSOFTMAX_INLINE void store_first(double* p, std::size_t n, F64 v) { _mm256_maskstore_pd(p, first_lanes4(n), v); }
SIMDSOFTMAX_INLINE F32 keep_first(F32 v, std::size_t n) {
  return _mm256_and_ps(v, _mm256_castsi256_ps(first_lanes8(n)));
}
SIMDSOFTMAX_INLINE F64 keep_first(F64 v, std::size_t n) {
  return _mm256_and_pd(v, _mm256_castsi256_pd(first_lanes4(n)));
}

SIMDSOFTMAX_INLINE F32 widen(__m128i halves, Half<Dtype::f16>) { return _mm256_cvtph_ps(halves); }
SIMDSOFTMAX_INLINE F32 widen(__m128i halves, Half<Dtype::bf16>) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
SIMDSOFTMAX_INLINE __m128i narrow(F32 v, Half<Dtype::f16>) {
  return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// To nearest, ties to even: add half of the last place kept, less one when that place is even. The default NaN stays
// one.
SIMDSOFTMAX_INLINE __m128i narrow(F32 v, Half<Dtype::bf16>) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}

template <Dtype D>
SIMDSOFTMAX_INLINE F32 load(const Half<D>* p) {
  return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store(Half<D>* p, F32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(v, Half<D>{}));
}
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_first(const Half<D>* p, std::size_t n, F32 fill) {
  LaneBuffer<8, Half<D>> buffer;
  buffer.take(p, n);
  return _mm256_blendv_ps(fill, load(buffer.lane), _mm256_castsi256_ps(first_lanes8(n)));
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_first(Half<D>* p, std::size_t n, F32 v) {
  LaneBuffer<8, Half<D>> buffer;
  store(buffer.lane, v);
  buffer.give(p, n);
}

// As many elements as F64 has lanes.
SIMDSOFTMAX_INLINE F32 load_low_half(const float* p) { return _mm256_castps128_ps256(_mm_loadu_ps(p)); }
SIMDSOFTMAX_INLINE void store_low_half(float* p, F32 v) { _mm_storeu_ps(p, _mm256_castps256_ps128(v)); }
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_low_half(const Half<D>* p) {
  return widen(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_low_half(Half<D>* p, F32 v) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), narrow(v, Half<D>{}));
}

// A conversion of what lies in memory takes one step less than that of a register.
SIMDSOFTMAX_INLINE F64 load_f64(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }

// The 64 bytes of a line, past the caches; others see them after stream_fence().
SIMDSOFTMAX_INLINE void stream_line(const char* from, char* to) {
  for (int i = 0; i < 64; i += 32) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
  }
}
// The same of a vector, to where one may begin that is counted from a line on.
SIMDSOFTMAX_INLINE void stream(float* p, F32 v) { _mm256_stream_ps(p, v); }
SIMDSOFTMAX_INLINE void stream(double* p, F64 v) { _mm256_stream_pd(p, v); }
template <Dtype D>
SIMDSOFTMAX_INLINE void stream(Half<D>* p, F32 v) {
  void* const to = p;
  _mm_stream_si128(static_cast<__m128i*>(to), narrow(v, Half<D>{}));
}
SIMDSOFTMAX_INLINE void stream_fence() { _mm_sfence(); }

SIMDSOFTMAX_INLINE F32 load(const Flag* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
SIMDSOFTMAX_INLINE F32 load_first(const Flag* p, std::size_t n, F32) {
  LaneBuffer<8, Flag> buffer;
  buffer.take(p, n);
  return load(buffer.lane);
}

// Which of 64 halves, the first one lowest, have the bits `least` to `most`, all of them negative; and whether all that
// were looked at are among those, or zeros.
class HalfRange {
 public:
  HalfRange(std::uint16_t least, std::uint16_t most)
      : offset_(_mm256_set1_epi16(static_cast<short>(-least))),
        range_(_mm256_set1_epi16(static_cast<short>(most - least))),
        others_(_mm256_setzero_si256()) {}

  template <Dtype D>
  SIMDSOFTMAX_INLINE std::uint64_t find(const Half<D>* p) {
    const auto half = [&](const Half<D>* from) {
      const __m256i bytes = _mm256_packs_epi16(within(from), within(from + 16));
      return std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xD8)))};
    };
    const std::uint64_t low = half(p);
    return low | half(p + 32) << 32;
  }
  bool others_are_zeros() const { return _mm256_testz_si256(others_, others_) != 0; }

 private:
  SIMDSOFTMAX_INLINE __m256i within(const void* p) {
    const __m256i v = _mm256_loadu_si256(static_cast<const __m256i*>(p));
    const __m256i beyond = _mm256_subs_epu16(_mm256_add_epi16(v, offset_), range_);
    const __m256i is_within = _mm256_cmpeq_epi16(beyond, _mm256_setzero_si256());
    others_ = _mm256_or_si256(others_, _mm256_andnot_si256(is_within, _mm256_add_epi16(v, v)));
    return is_within;
  }

  __m256i offset_;
  __m256i range_;
  __m256i others_;
};

// Bits of 64 flags, the first one lowest: those that are not 0.
SIMDSOFTMAX_INLINE std::uint64_t nonzero_bits(const Flag* p) {
  const auto zeros = [p](int i) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i));
    const __m256i is_zero = _mm256_cmpeq_epi8(v, _mm256_setzero_si256());
    return std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(is_zero))};
  };
  return ~(zeros(0) | zeros(32) << 32);
}

// 0 in the lanes whose bits from bit i on are set, which a NaN survives; i is a multiple of the lanes.
SIMDSOFTMAX_INLINE F32 zero_where(const unsigned char* bits, std::size_t i, F32 v) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i all = _mm256_set1_epi8(static_cast<char>(bits[i / 8]));
  const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(all, lane), lane);
  return _mm256_blendv_ps(v, _mm256_sub_ps(v, v), _mm256_castsi256_ps(set));
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
