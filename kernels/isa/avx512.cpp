// SPDX-License-Identifier: Apache-2.0
#define SIMDSOFTMAX_ISA avx512

#include "simd/avx512.hpp"

#include "simd/exp_table.hpp"

#include "isa/kernels.hpp"

namespace simdsoftmax::detail {

extern const KernelTable avx512_kernels;
constexpr KernelTable avx512_kernels = SIMDSOFTMAX_ISA::make_table("avx512");

}  // namespace simdsoftmax::detail
