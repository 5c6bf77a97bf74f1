// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the vector layer of every ISA starts from. <isa>.hpp beside this file adds the operations that xsimd lacks in
// some of the versions we build with (8.1 to 14.3) or orders differently between them; simd/vector.hpp what can be
// written once.
//
// All kernel headers live in a namespace named after the ISA with an unnamed one inside: nothing in them may be shared
// with a translation unit that has other instructions at hand.

#include <cstddef>
#include <cstdint>

#include <xsimd/xsimd.hpp>

#include "isa/kernel_table.hpp"

#define SIMDSOFTMAX_INLINE [[maybe_unused]] __attribute__((always_inline)) inline
#define SIMDSOFTMAX_NOINLINE __attribute__((noinline))

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Accuracy;
using detail::Dtype;

// A 16-bit float in memory. Packed: the caller's arrays may lie at any address.
template <Dtype D>
struct __attribute__((packed)) Half {
  std::uint16_t bits;
};

// An element that is computed with in f64.
template <class In>
struct Wide {
  In element;
};

// A byte of a mask.
struct Flag {
  unsigned char byte;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
