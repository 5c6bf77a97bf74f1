// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

inline bool is_half(simdsoftmax_dtype dtype) { return dtype == SIMDSOFTMAX_F16 || dtype == SIMDSOFTMAX_BF16; }
inline bool is_index(simdsoftmax_dtype dtype) { return dtype == SIMDSOFTMAX_I32 || dtype == SIMDSOFTMAX_I64; }

// Those that logits may have.
inline bool is_real(simdsoftmax_dtype dtype) { return dtype >= 0 && dtype < dtype_count; }

// Which of the kernels for compute types: 0 for f32, 1 for f64, 2 for f64 with results that are rounded to less.
inline int compute_index(simdsoftmax_dtype logits) { return logits == SIMDSOFTMAX_F64 ? 1 : 0; }
inline int compute_index(simdsoftmax_dtype logits, simdsoftmax_accuracy accuracy) {
  return accuracy == SIMDSOFTMAX_EXACT && logits != SIMDSOFTMAX_F64 ? 2 : compute_index(logits);
}

// Whether outputs of the one dtype are offered for logits of the other, and theta is finite in the type that the pair
// is computed in.
simdsoftmax_status check_dtypes(simdsoftmax_dtype logits, simdsoftmax_dtype output, double theta);

// The same for logits without such an output.
simdsoftmax_status check_logits_dtype(simdsoftmax_dtype logits, double theta);

// A tensor that is computed with, in the compute type of the logits: f64 if they are f64, else any other real type.
simdsoftmax_status check_compute_dtype(simdsoftmax_dtype logits, simdsoftmax_dtype dtype);

// The element at `from`, of a real dtype.
double load_real(const char* from, Dtype dtype);

// Rounds to nearest, ties to even.
void store_real(double value, char* to, Dtype dtype);

}  // namespace simdsoftmax::detail
