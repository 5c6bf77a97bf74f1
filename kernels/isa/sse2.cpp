// SPDX-License-Identifier: Apache-2.0
#define SIMDSOFTMAX_ISA sse2

#include "simd/sse2.hpp"

#include "simd/exp_polynomial.hpp"

#include "isa/kernels.hpp"

namespace simdsoftmax::detail {

extern const KernelTable sse2_kernels;
constexpr KernelTable sse2_kernels = SIMDSOFTMAX_ISA::make_table("sse2");

}  // namespace simdsoftmax::detail
