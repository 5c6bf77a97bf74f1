// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_ELEMENT_TYPE_HPP
#define SIMDSOFTMAX_BENCH_ELEMENT_TYPE_HPP

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <string_view>

namespace bench {

// A binary floating-point format, as far as data and errors need it.
struct ElementType {
  const char* name;
  simdsoftmax_dtype dtype;
  std::size_t size;   // bytes
  int mantissa_bits;  // stored ones
  int min_exponent;   // of the smallest normal number
};

// Null for an unknown name.
const ElementType* find_element_type(std::string_view name);

// For the four floating-point formats.
const ElementType& element_type(simdsoftmax_dtype dtype);

// The names, for messages.
inline constexpr const char* element_type_names = "f32, f64, f16, bf16";

double load(const ElementType& type, const void* values, std::size_t index);

// Rounds to nearest; for finite values in the range of the type.
void store(const ElementType& type, void* values, std::size_t index, double value);

}  // namespace bench

#endif
