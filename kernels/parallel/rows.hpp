// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "isa/kernel_table.hpp"
#include "plan/plan.hpp"

namespace simdsoftmax::detail {

// Runs the kernel over all units of its task, on the threads of the plan.
void run_rows(Kernel kernel, const void* task, std::size_t units, const Plan& plan);

// How many threads a region begun here gets when it asks for `wanted` (0: OpenMP's own choice): 1 inside another
// region, whose threads are at work already, and without OpenMP.
int granted_threads(int wanted);

bool has_openmp();

}  // namespace simdsoftmax::detail
