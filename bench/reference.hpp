// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_REFERENCE_HPP
#define SIMDSOFTMAX_BENCH_REFERENCE_HPP

#include <functional>

#include "element_type.hpp"

namespace bench {

// Takes an output of the shape below and gives its largest error, in units in the last place of the output type;
// infinity where a result is NaN and must not be, or the other way round.
using ErrorMeter = std::function<double(const void* output)>;

// Computes the softmax of dense rows in a wider type (f64; long double for f64 outputs) once, for many comparisons.
ErrorMeter make_error_meter(const ElementType& in, const void* logits, const ElementType& out, std::size_t rows,
                            std::size_t cols);

// Above this error a result is wrong and not worth a time.
double error_limit(const ElementType& out, simdsoftmax_accuracy accuracy = SIMDSOFTMAX_BALANCED);

}  // namespace bench

#endif
