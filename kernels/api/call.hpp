// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "plan/plan.hpp"

namespace simdsoftmax::detail {

// Copies the caller's options, or the defaults for null, and checks what does not depend on dtypes.
simdsoftmax_status read_options(const simdsoftmax_options* given, simdsoftmax_options& options);

// Checks that the kernels offer this pair of dtypes and that theta is finite in the type the pair computes in.
simdsoftmax_status check_dtypes(simdsoftmax_dtype logits, simdsoftmax_dtype output, double theta);

// Whether dense rows of this shape fit the address space.
simdsoftmax_status check_size(const Shape& shape);

// The two buffers of a call on rows. Strides come in elements and leave in bytes.
struct RowsLayout {
  const void* logits;
  void* output;
  std::ptrdiff_t logits_stride;
  std::ptrdiff_t output_stride;
  bool in_place;
};
simdsoftmax_status check_layout(RowsLayout& layout, Dtype logits, Dtype output, std::size_t rows, std::size_t cols);

// The status for the ISA in use; OK gives the kernels.
simdsoftmax_status current_kernels(const KernelTable*& kernels);

Plan plan_call(const Shape& shape, const simdsoftmax_options& options);

// Prints what a call ran as, once for each distinct shape, if the process asked for it.
void report_call(const char* isa, const Shape& shape, const Plan& plan);

}  // namespace simdsoftmax::detail
