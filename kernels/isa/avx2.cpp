// SPDX-License-Identifier: Apache-2.0
#define SIMDSOFTMAX_ISA avx2

#include "simd/avx2.hpp"

#include "simd/exp_table.hpp"

#include "isa/kernels.hpp"

namespace simdsoftmax::detail {

extern const KernelTable avx2_kernels;
constexpr KernelTable avx2_kernels = SIMDSOFTMAX_ISA::make_table("avx2");

}  // namespace simdsoftmax::detail
