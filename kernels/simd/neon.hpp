// SPDX-License-Identifier: Apache-2.0
#pragma once

// What xsimd does not offer in all of its versions, for AArch64.

#include <arm_neon.h>

#include "simd/partial.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using Arch = xsimd::neon64;
using F32 = xsimd::batch<float, Arch>;
using F64 = xsimd::batch<double, Arch>;

constexpr bool has_fma = true;
constexpr bool has_masks = false;

SIMDSOFTMAX_INLINE F32 mul_add(F32 a, F32 b, F32 c) { return vfmaq_f32(c, a, b); }
SIMDSOFTMAX_INLINE F64 mul_add(F64 a, F64 b, F64 c) { return vfmaq_f64(c, a, b); }
SIMDSOFTMAX_INLINE F32 neg_mul_add(F32 a, F32 b, F32 c) { return vfmsq_f32(c, a, b); }
SIMDSOFTMAX_INLINE F64 neg_mul_add(F64 a, F64 b, F64 c) { return vfmsq_f64(c, a, b); }

// a * b - product, for product = a * b rounded.
SIMDSOFTMAX_INLINE F32 product_error(F32 a, F32 b, F32 product) { return mul_add(a, b, -product); }
SIMDSOFTMAX_INLINE F64 product_error(F64 a, F64 b, F64 product) { return mul_add(a, b, -product); }

// Rounded once; xsimd divides floats by way of an estimate here.
SIMDSOFTMAX_INLINE F32 reciprocal_of(F32 v) { return vdivq_f32(vdupq_n_f32(1), v); }

// A NaN in either operand gives NaN here: more than the name promises.
SIMDSOFTMAX_INLINE F32 max_or_second(F32 a, F32 b) { return vmaxq_f32(a, b); }
SIMDSOFTMAX_INLINE F64 max_or_second(F64 a, F64 b) { return vmaxq_f64(a, b); }
SIMDSOFTMAX_INLINE F32 min_or_second(F32 a, F32 b) { return vminq_f32(a, b); }
SIMDSOFTMAX_INLINE F64 min_or_second(F64 a, F64 b) { return vminq_f64(a, b); }

// v where a >= b, else 0.
SIMDSOFTMAX_INLINE F32 where_at_least(F32 a, F32 b, F32 v) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vcgeq_f32(a, b)));
}
SIMDSOFTMAX_INLINE F64 where_at_least(F64 a, F64 b, F64 v) {
  return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(v), vcgeq_f64(a, b)));
}

// Bit i: whether lane i of a is above that of b.
SIMDSOFTMAX_INLINE unsigned lanes_above(F32 a, F32 b) {
  constexpr std::uint32_t bits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vcgtq_f32(a, b), vld1q_u32(bits)));
}
SIMDSOFTMAX_INLINE unsigned lanes_above(F64 a, F64 b) {
  constexpr std::uint64_t bits[2] = {1, 2};
  return static_cast<unsigned>(vaddvq_u64(vandq_u64(vcgtq_f64(a, b), vld1q_u64(bits))));
}
SIMDSOFTMAX_INLINE bool any_above(F32 a, F32 b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }
SIMDSOFTMAX_INLINE bool any_above(F64 a, F64 b) { return vmaxvq_u32(vreinterpretq_u32_u64(vcgtq_f64(a, b))) != 0; }

SIMDSOFTMAX_INLINE F64 low_half_f64(F32 v) { return vcvt_f64_f32(vget_low_f32(v)); }
SIMDSOFTMAX_INLINE F64 high_half_f64(F32 v) { return vcvt_high_f64_f32(v); }

// All lanes as doubles, in units of addend_unit.
constexpr double addend_unit = 1;
SIMDSOFTMAX_INLINE F64 first_addends(F32 v) { return low_half_f64(v); }
SIMDSOFTMAX_INLINE F64 second_addends(F32 v) { return high_half_f64(v); }
// Lane 2 k and lane 2 k + 1 of what both were made of.
SIMDSOFTMAX_INLINE F64 add_neighbours(F64 first, F64 second) { return vpaddq_f64(first, second); }

// Both converted to floats, `low` to the lower half.
SIMDSOFTMAX_INLINE F32 join_halves(F64 low, F64 high) { return vcvt_high_f32_f64(vcvt_f32_f64(low), high); }

// Converted to floats, in the lower half; the upper one is not specified.
SIMDSOFTMAX_INLINE F32 to_low_half(F64 v) {
  const float32x2_t low = vcvt_f32_f64(v);
  return vcombine_f32(low, low);
}

// Lanes as integers.
SIMDSOFTMAX_INLINE F32 add_bits(F32 a, F32 b) {
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
SIMDSOFTMAX_INLINE F64 add_bits(F64 a, F64 b) {
  return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
}
template <int shift>
SIMDSOFTMAX_INLINE F32 shift_left(F32 v) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(v), shift));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_right(F64 v) {
  return vreinterpretq_f64_u64(vshrq_n_u64(vreinterpretq_u64_f64(v), shift));
}

SIMDSOFTMAX_INLINE float lane_max(F32 v) { return vmaxvq_f32(v); }
SIMDSOFTMAX_INLINE double lane_max(F64 v) { return vmaxvq_f64(v); }

SIMDSOFTMAX_INLINE double lane_sum(F64 v) { return vaddvq_f64(v); }

// Of each pair of lanes `distance` apart, the lower ones of both go to a and the upper ones to b.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void exchange(F64& a, F64& b) {
  static_assert(distance == 1);
  const float64x2_t x = a, y = b;
  a = vzip1q_f64(x, y);
  b = vzip2q_f64(x, y);
}

// Lane i: p[i / times], times being 2 or a multiple of 4.
template <int times>
SIMDSOFTMAX_INLINE F32 spread(const float* p) {
  if constexpr (times > 2) return F32(*p);
  const float32x2_t two = vld1_f32(p);
  return vcombine_f32(vdup_lane_f32(two, 0), vdup_lane_f32(two, 1));
}

// For exp: a table of eight floats as bits, and the entry that the low three bits of each lane of `index` name.
struct Table8 {
  uint8x16x2_t bytes;
};
SIMDSOFTMAX_INLINE Table8 table8(const std::int32_t* entries, std::int32_t offset) {
  const int32x4_t add = vdupq_n_s32(offset);
  return {{{vreinterpretq_u8_s32(vaddq_s32(vld1q_s32(entries), add)),
            vreinterpretq_u8_s32(vaddq_s32(vld1q_s32(entries + 4), add))}}};
}
// table[index & 7] + (index << shift), as a float. Byte b of entry i is byte 4 i + b of the table.
template <int shift>
SIMDSOFTMAX_INLINE F32 lookup_scaled(Table8 table, F32 index) {
  const uint32x4_t i = vreinterpretq_u32_f32(index);
  const uint32x4_t bytes = vmlaq_u32(vdupq_n_u32(0x03020100u), vandq_u32(i, vdupq_n_u32(7)), vdupq_n_u32(0x04040404u));
  const uint8x16_t entry = vqtbl2q_u8(table.bytes, vreinterpretq_u8_u32(bytes));
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_u8(entry), vshlq_n_u32(i, shift)));
}
template <int shift>
SIMDSOFTMAX_INLINE F64 shift_add(F64 v, std::int64_t offset) {
  return vreinterpretq_f64_s64(vaddq_s64(vshlq_n_s64(vreinterpretq_s64_f64(v), shift), vdupq_n_s64(offset)));
}

SIMDSOFTMAX_INLINE F32 load_first(const float* p, std::size_t n, F32 fill) { return load_first_by_lanes(p, n, fill); }
SIMDSOFTMAX_INLINE F64 load_first(const double* p, std::size_t n, F64 fill) { return load_first_by_lanes(p, n, fill); }
SIMDSOFTMAX_INLINE void store_first(float* p, std::size_t n, F32 v) { store_first_by_lanes(p, n, v); }
SIMDSOFTMAX_INLINE void store_first(double* p, std::size_t n, F64 v) { store_first_by_lanes(p, n, v); }
SIMDSOFTMAX_INLINE F32 keep_first(F32 v, std::size_t n) {
  const uint32x4_t lane = vmovl_u16(vcreate_u16(0x0003000200010000u));
  const uint32x4_t kept = vcltq_u32(lane, vdupq_n_u32(static_cast<std::uint32_t>(n)));
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), kept));
}
SIMDSOFTMAX_INLINE F64 keep_first(F64 v, std::size_t n) {
  const uint64x2_t lane = vmovl_u32(vcreate_u32(0x0000000100000000u));
  const uint64x2_t kept = vcltq_u64(lane, vdupq_n_u64(n));
  return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(v), kept));
}

SIMDSOFTMAX_INLINE F32 widen(uint16x4_t halves, Half<Dtype::f16>) { return vcvt_f32_f16(vreinterpret_f16_u16(halves)); }
SIMDSOFTMAX_INLINE F32 widen(uint16x4_t halves, Half<Dtype::bf16>) {
  return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}
SIMDSOFTMAX_INLINE uint16x4_t narrow(F32 v, Half<Dtype::f16>) { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }
// To nearest, ties to even: add half of the last place kept, less one when that place is even. The default NaN stays
// one.
SIMDSOFTMAX_INLINE uint16x4_t narrow(F32 v, Half<Dtype::bf16>) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF))), 16);
}

template <Dtype D>
SIMDSOFTMAX_INLINE F32 load(const Half<D>* p) {
  uint16x4_t halves;
  __builtin_memcpy(&halves, p, sizeof halves);
  return widen(halves, Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store(Half<D>* p, F32 v) {
  const uint16x4_t halves = narrow(v, Half<D>{});
  __builtin_memcpy(p, &halves, sizeof halves);
}
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_first(const Half<D>* p, std::size_t n, F32 fill) {
  LaneBuffer<4, Half<D>> halves;
  halves.take(p, n);
  LaneBuffer<4, float> floats;
  load(halves.lane).store_aligned(floats.lane);
  return load_first(floats.lane, n, fill);
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_first(Half<D>* p, std::size_t n, F32 v) {
  LaneBuffer<4, Half<D>> buffer;
  store(buffer.lane, v);
  buffer.give(p, n);
}

// As many elements as F64 has lanes.
SIMDSOFTMAX_INLINE F32 load_low_half(const float* p) {
  const float32x2_t low = vld1_f32(p);
  return vcombine_f32(low, low);
}
SIMDSOFTMAX_INLINE void store_low_half(float* p, F32 v) { vst1_f32(p, vget_low_f32(v)); }
template <Dtype D>
SIMDSOFTMAX_INLINE F32 load_low_half(const Half<D>* p) {
  std::uint32_t halves;
  __builtin_memcpy(&halves, p, sizeof halves);
  return widen(vcreate_u16(halves), Half<D>{});
}
template <Dtype D>
SIMDSOFTMAX_INLINE void store_low_half(Half<D>* p, F32 v) {
  const uint16x4_t halves = narrow(v, Half<D>{});
  __builtin_memcpy(p, &halves, 2 * sizeof(Half<D>));
}

// The 64 bytes of a line. Elsewhere past the caches; here there is no such store for single registers.
SIMDSOFTMAX_INLINE void stream_line(const char* from, char* to) { __builtin_memcpy(to, from, 64); }
SIMDSOFTMAX_INLINE void stream_fence() {}

SIMDSOFTMAX_INLINE F32 load(const Flag* p) {
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes)))));
}
SIMDSOFTMAX_INLINE F32 load_first(const Flag* p, std::size_t n, F32) {
  LaneBuffer<4, Flag> buffer;
  buffer.take(p, n);
  return load(buffer.lane);
}

// Bit i: byte i, all of whose bits are the same.
SIMDSOFTMAX_INLINE std::uint64_t byte_bits(uint8x16_t bytes) {
  constexpr std::uint8_t powers[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t v = vandq_u8(bytes, vld1q_u8(powers));
  const uint8x16_t pairs = vpaddq_u8(v, v);
  const uint8x16_t fours = vpaddq_u8(pairs, pairs);
  return vgetq_lane_u16(vreinterpretq_u16_u8(vpaddq_u8(fours, fours)), 0);
}

// Which of 64 halves, the first one lowest, have the bits `least` to `most`, all of them negative; and whether all that
// were looked at are among those, or zeros.
class HalfRange {
 public:
  HalfRange(std::uint16_t least, std::uint16_t most)
      : least_(vdupq_n_u16(least)), most_(vdupq_n_u16(most)), others_(vdupq_n_u16(0)) {}

  template <Dtype D>
  SIMDSOFTMAX_INLINE std::uint64_t find(const Half<D>* p) {
    std::uint64_t found = 0;
    for (int i = 0; i < 64; i += 16) {
      const uint8x8_t low = vmovn_u16(within(p + i));
      found |= byte_bits(vcombine_u8(low, vmovn_u16(within(p + i + 8)))) << i;
    }
    return found;
  }
  bool others_are_zeros() const { return vmaxvq_u16(others_) == 0; }

 private:
  SIMDSOFTMAX_INLINE uint16x8_t within(const void* p) {
    const uint16x8_t v = vreinterpretq_u16_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)));
    const uint16x8_t is_within = vandq_u16(vcgeq_u16(v, least_), vcleq_u16(v, most_));
    others_ = vorrq_u16(others_, vbicq_u16(vshlq_n_u16(v, 1), is_within));
    return is_within;
  }

  uint16x8_t least_;
  uint16x8_t most_;
  uint16x8_t others_;
};

// Bits of 64 flags, the first one lowest: those that are not 0.
SIMDSOFTMAX_INLINE std::uint64_t nonzero_bits(const Flag* p) {
  std::uint64_t bits = 0;
  for (int i = 0; i < 64; i += 16) {
    const uint8x16_t v = vld1q_u8(reinterpret_cast<const std::uint8_t*>(p + i));
    bits |= byte_bits(vtstq_u8(v, v)) << i;
  }
  return bits;
}

// 0 in the lanes whose bits from bit i on are set, which a NaN survives; i is a multiple of the lanes.
SIMDSOFTMAX_INLINE F32 zero_where(const unsigned char* bits, std::size_t i, F32 v) {
  constexpr std::uint32_t lanes[4] = {1, 2, 4, 8};
  const uint32x4_t set = vtstq_u32(vdupq_n_u32(static_cast<std::uint32_t>(bits[i / 8] >> i % 8)), vld1q_u32(lanes));
  return vbslq_f32(set, vsubq_f32(v, v), v);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
