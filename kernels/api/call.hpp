// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "plan/plan.hpp"

namespace simdsoftmax::detail {

// The status for the ISA in use; OK gives the kernels.
simdsoftmax_status current_kernels(const KernelTable*& kernels);

// The most threads a call with these options may have.
int thread_limit(const simdsoftmax_options& options);

// Whether the process asked for reports of its calls.
bool reports_calls();

// Prints what a call ran as, once for each distinct shape, if they were asked for.
void report_call(const char* function, const char* isa, const Shape& shape, const Plan& plan);

}  // namespace simdsoftmax::detail
