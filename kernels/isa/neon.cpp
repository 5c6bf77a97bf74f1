// SPDX-License-Identifier: Apache-2.0
#define SIMDSOFTMAX_ISA neon

#include "simd/neon.hpp"

#include "simd/exp_table.hpp"

#include "isa/kernels.hpp"

namespace simdsoftmax::detail {

extern const KernelTable neon_kernels;
constexpr KernelTable neon_kernels = SIMDSOFTMAX_ISA::make_table("neon");

}  // namespace simdsoftmax::detail
