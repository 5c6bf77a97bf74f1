// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

// Questions about doubles, answered from their bits: in the floating-point environment of the caller a comparison would
// raise the flag of subnormal operands, and see zeros in their place with DAZ.

namespace simdsoftmax::detail {

inline std::uint64_t bits_of(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The order of magnitudes is that of their bits, infinity and NaN coming last.
inline bool is_at_most(double value, double magnitude) {
  return (bits_of(value) & ~(std::uint64_t{1} << 63)) <= bits_of(magnitude);
}
inline bool is_finite(double value) { return is_at_most(value, 0x1.fffffffffffffp1023); }

// Of numbers. The zeros are the same one.
inline bool are_equal(double a, double b) {
  return bits_of(a) == bits_of(b) || (is_at_most(a, 0.0) && is_at_most(b, 0.0));
}

// In [0, 1].
inline bool is_share(double value) {
  return is_at_most(value, 1.0) && (bits_of(value) >> 63 == 0 || is_at_most(value, 0.0));
}

}  // namespace simdsoftmax::detail
