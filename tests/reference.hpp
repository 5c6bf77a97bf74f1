// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_REFERENCE_HPP
#define SIMDSOFTMAX_TESTS_REFERENCE_HPP

#include <cstddef>
#include <string>
#include <vector>

#include "formats.hpp"

namespace softmax_test {

// 64 bits of significand on x86, 113 on AArch64.
using Wide = long double;

// Softmax of theta * logits with theta * logit and the difference to the maximum kept as unrounded pairs and a
// compensated sum: off by a few 2^-64 at any length and range. Logits are finite or -inf, at least one is finite.
std::vector<Wide> exact_softmax(const std::vector<double>& logits, double theta = 1.0);

// |got - exact| in units of the last place that `exact` has in the format, infinite for what no rounding explains: NaN,
// a negative zero, a subnormal where the format's results are flushed. A flushed result is as wrong as `exact` is above
// the threshold.
double error_in_ulp(const Format& format, Wide exact, double got);

// The error that a result may have: 4 ULP of f32 and f64; one rounding, but for the compute type's own error, of
// halves.
double bound_in_ulp(const Format& format);

// The error as a multiple of the bound of an accuracy: the one above; 0.501 ULP when exact, f64 excepted; 2^-12 of the
// value when fast, beside the rounding to a half.
double error_in_bounds(const Format& format, simdsoftmax_accuracy accuracy, Wide exact, double got);

struct Worst {
  double ulp = 0;     // the largest error
  double bounds = 0;  // the largest as a multiple of its bound
  std::string where;  // the latter
  void merge(const Worst& other, const std::string& other_where);
};

// The largest error of a row, with its index.
Worst worst_of(const Format& format, const std::vector<Wide>& exact, const std::vector<double>& got,
               simdsoftmax_accuracy accuracy = SIMDSOFTMAX_BALANCED);

}  // namespace softmax_test

#endif
