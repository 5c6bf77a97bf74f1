// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_OPERATOR_REFERENCE_HPP
#define SIMDSOFTMAX_BENCH_OPERATOR_REFERENCE_HPP

#include <limits>
#include <vector>

#include "element_type.hpp"
#include "workload.hpp"

namespace bench {

constexpr long double no_sink = -std::numeric_limits<long double>::infinity();

// The softmax of one row: sums in long double, exp and log in f64, or in long double for f64 workloads.
class RowReference {
 public:
  explicit RowReference(const Workload& work) : extended_(work.in.dtype == SIMDSOFTMAX_F64) {}

  // The logits of the next row, which has finite ones; a sink is one more of them that is not written.
  std::vector<long double> z;
  void compute(long double sink = no_sink);

  long double p(std::size_t column) const { return exponentials_[column] / (1 + others_); }
  long double log_p(std::size_t column) const { return z[column] - max_ - log_sum_; }
  long double logsumexp() const { return max_ + log_sum_; }

  long double exp(long double x) const;
  long double tanh(long double x) const;

 private:
  bool extended_;
  std::vector<long double> exponentials_;  // relative to the maximum
  long double max_ = 0;
  long double others_ = 0;   // the sum of all exponentials but that of the maximum, so that small ones are not lost
  long double log_sum_ = 0;  // log(1 + others_)
};

// The logits of row r as they are.
void load_row(const Workload& work, std::size_t row, std::vector<long double>& z);

// The error of a value, in units in the last place that numbers as large as `scale` have in the type. Where the
// expected value is below the smallest normal number of the compute type, 0 is right too.
double ulp_error(const ElementType& type, double value, long double expected, long double scale);
inline double ulp_error(const ElementType& type, double value, long double expected) {
  return ulp_error(type, value, expected, expected);
}

}  // namespace bench

#endif
