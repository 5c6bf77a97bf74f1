// SPDX-License-Identifier: Apache-2.0
#pragma once

// Masks as bits: whatever dtype and stride a mask has, bit c of a row says that column c is hidden.

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Additive masks are 0, or so far down that nothing is left of a logit near the others: -inf, or the lowest number of a
// type.
constexpr float mask_lowest = -1024;

// Bits of 64 elements of a mask at a time, the first one lowest: those that hide. What they come from is a mask if all
// others are zeros.
template <class Element>
class HiddenBits;

template <>
class HiddenBits<float> {
 public:
  SIMDSOFTMAX_INLINE std::uint64_t find(const float* bias) {
    const F32 zero(0.0f);
    const F32 lowest(mask_lowest);
    auto known = zero == zero;
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < 64; i += width<float>) {
      const F32 b = load(bias + i);
      found |= std::uint64_t{lanes_above(lowest, b)} << i;
      known = known & ((b == zero) | (b < lowest));
    }
    is_mask_ = is_mask_ && xsimd::all(known);
    return found;
  }
  bool is_mask() const { return is_mask_; }

 private:
  bool is_mask_ = true;
};

// The bits of halves from mask_lowest down to -inf lie in a row.
template <Dtype D>
class HiddenBits<Half<D>> {
 public:
  SIMDSOFTMAX_INLINE std::uint64_t find(const Half<D>* bias) { return range_.find(bias); }
  bool is_mask() const { return range_.others_are_zeros(); }

 private:
  HalfRange range_ = D == Dtype::f16 ? HalfRange(0xE400, 0xFC00) : HalfRange(0xC480, 0xFF80);
};

template <>
class HiddenBits<Flag> {
 public:
  SIMDSOFTMAX_INLINE static std::uint64_t find(const Flag* flags) { return nonzero_bits(flags); }
  static constexpr bool is_mask() { return true; }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
