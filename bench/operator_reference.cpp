// SPDX-License-Identifier: Apache-2.0
#include "operator_reference.hpp"

#include <algorithm>
#include <cmath>

namespace bench {

long double RowReference::exp(long double x) const {
  return extended_ ? std::exp(x) : std::exp(static_cast<double>(x));
}

long double RowReference::tanh(long double x) const {
  return extended_ ? std::tanh(x) : std::tanh(static_cast<double>(x));
}

void RowReference::compute(long double sink) {
  const auto largest = static_cast<std::size_t>(std::max_element(z.begin(), z.end()) - z.begin());
  max_ = std::max(z[largest], sink);
  exponentials_.resize(z.size());
  others_ = sink < max_ ? exp(sink - max_) : 0;
  for (std::size_t c = 0; c < z.size(); ++c) {
    exponentials_[c] = exp(z[c] - max_);
    if (c != largest || max_ > z[largest]) others_ += exponentials_[c];
  }
  log_sum_ = std::log1p(others_);
}

void load_row(const Workload& work, std::size_t row, std::vector<long double>& z) {
  z.resize(work.shape.cols);
  for (std::size_t c = 0; c < z.size(); ++c) z[c] = load(work.in, work.logits.get(), row * z.size() + c);
}

double ulp_error(const ElementType& type, double value, long double expected, long double scale) {
  if (std::isnan(value) && std::isnan(expected)) return 0;
  if (static_cast<long double>(value) == expected) return 0;
  if (!std::isfinite(value) || !std::isfinite(expected)) return std::numeric_limits<double>::infinity();
  const double flushed_below = type.dtype == SIMDSOFTMAX_F64 ? std::numeric_limits<double>::min()
                                                             : static_cast<double>(std::numeric_limits<float>::min());
  if (value == 0 && std::fabs(expected) < flushed_below * 1.01L) return 0;
  const int exponent = scale == 0 ? type.min_exponent : std::max(std::ilogb(scale), type.min_exponent);
  return static_cast<double>(std::ldexp(std::fabs(value - expected), type.mantissa_bits - exponent));
}

}  // namespace bench
