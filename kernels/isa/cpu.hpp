// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace simdsoftmax::detail {

// Whether the CPU has the instructions that the kernels of an ISA are compiled with, and the operating system keeps the
// registers they use. False on other architectures.
bool cpu_has_sse2();
bool cpu_has_avx2();
bool cpu_has_avx512();
bool cpu_has_neon();

}  // namespace simdsoftmax::detail
