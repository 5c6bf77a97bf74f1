// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

// The ISAs the library knows, the lower ones of an architecture first.
struct Isa {
  const char* name;
  const KernelTable* kernels;  // null: not part of this build
  bool supported;              // by this CPU and operating system
};

constexpr std::size_t isa_count = 4;
Isa isa_at(std::size_t index);

// Kernels by the name of their ISA; null when they are not in this build or the CPU cannot run them.
const KernelTable* find_kernels(const char* isa);

enum class IsaError { none, unknown, not_compiled };

// The kernels that calls use: the best of those at hand that are not above the cap. On an error in the environment
// variable SIMDSOFTMAX_ISA there are none.
struct ActiveKernels {
  const KernelTable* kernels;
  IsaError error;
};
ActiveKernels active_kernels();

// Null takes the cap away and lets the environment count again.
IsaError cap_isa(const char* name);

}  // namespace simdsoftmax::detail
