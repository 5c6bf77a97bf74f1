// SPDX-License-Identifier: Apache-2.0
#include "element_type.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

namespace bench {
namespace {

constexpr ElementType element_types[] = {
    {"f32", SIMDSOFTMAX_F32, 4, 23, -126},
    {"f64", SIMDSOFTMAX_F64, 8, 52, -1022},
    {"f16", SIMDSOFTMAX_F16, 2, 10, -14},
    {"bf16", SIMDSOFTMAX_BF16, 2, 7, -126},
};

template <class T>
T load_native(const void* values, std::size_t index) {
  T value;
  std::memcpy(&value, static_cast<const T*>(values) + index, sizeof value);
  return value;
}

template <class T>
void store_native(void* values, std::size_t index, T value) {
  std::memcpy(static_cast<T*>(values) + index, &value, sizeof value);
}

double decode(const ElementType& type, std::uint16_t bits) {
  const int magnitude = bits & 0x7fff;
  const int hidden = 1 << type.mantissa_bits;
  const int mantissa = magnitude & (hidden - 1);
  const int exponent = magnitude >> type.mantissa_bits;
  const int infinity = 0x7fff ^ (hidden - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (magnitude > infinity) return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == infinity) return sign * std::numeric_limits<double>::infinity();
  const int unit = type.min_exponent - type.mantissa_bits;
  if (exponent == 0) return sign * std::ldexp(mantissa, unit);
  return sign * std::ldexp(mantissa + hidden, unit + exponent - 1);
}

std::uint16_t encode(const ElementType& type, double value) {
  const int exponent = std::max(value == 0 ? type.min_exponent : std::ilogb(value), type.min_exponent);
  const double units = std::nearbyint(std::ldexp(std::fabs(value), type.mantissa_bits - exponent));
  // The hidden bit, and a carry out of the mantissa, count the exponent up by themselves.
  const int magnitude = ((exponent - type.min_exponent) << type.mantissa_bits) + static_cast<int>(units);
  return static_cast<std::uint16_t>(magnitude | (std::signbit(value) ? 0x8000 : 0));
}

}  // namespace

const ElementType* find_element_type(std::string_view name) {
  for (const ElementType& type : element_types) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

const ElementType& element_type(simdsoftmax_dtype dtype) {
  return *std::find_if(std::begin(element_types), std::end(element_types),
                       [dtype](const ElementType& type) { return type.dtype == dtype; });
}

double load(const ElementType& type, const void* values, std::size_t index) {
  switch (type.dtype) {
    case SIMDSOFTMAX_F32:
      return static_cast<double>(load_native<float>(values, index));
    case SIMDSOFTMAX_F64:
      return load_native<double>(values, index);
    default:
      return decode(type, load_native<std::uint16_t>(values, index));
  }
}

void store(const ElementType& type, void* values, std::size_t index, double value) {
  switch (type.dtype) {
    case SIMDSOFTMAX_F32:
      return store_native(values, index, static_cast<float>(value));
    case SIMDSOFTMAX_F64:
      return store_native(values, index, value);
    default:
      return store_native(values, index, encode(type, value));
  }
}

}  // namespace bench
