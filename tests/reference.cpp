// SPDX-License-Identifier: Apache-2.0
#include "reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace softmax_test {
namespace {

struct Pairwise {  // an unrounded value: high + low
  Wide high;
  Wide low;
};

Pairwise product(double theta, double logit) {
  const Wide high = static_cast<Wide>(theta) * static_cast<Wide>(logit);
  if (theta == 1.0 || !std::isfinite(high)) return {high, 0};
  return {high, std::fma(static_cast<Wide>(theta), static_cast<Wide>(logit), -high)};
}

Pairwise sum(Wide a, Wide b) {
  const Wide high = a + b;
  const Wide part = high - a;
  return {high, (a - (high - part)) + (b - part)};
}

Wide exp_of_difference(const Pairwise& value, const Pairwise& largest) {
  if (std::isinf(value.high)) return 0;
  const Pairwise difference = sum(value.high, -largest.high);
  if (difference.high < -20000) return 0;
  return std::exp(difference.high) * (1 + (difference.low + value.low - largest.low));
}

}  // namespace

std::vector<Wide> exact_softmax(const std::vector<double>& logits, double theta) {
  Pairwise largest = product(theta, logits.front());
  for (const double logit : logits) {
    const Pairwise value = product(theta, logit);
    if (value.high > largest.high || (value.high == largest.high && value.low > largest.low)) largest = value;
  }
  std::vector<Wide> result(logits.size());
  Wide total = 0;
  Wide lost = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    result[i] = exp_of_difference(product(theta, logits[i]), largest);
    const Pairwise next = sum(total, result[i]);
    total = next.high;
    lost += next.low;
  }
  for (Wide& value : result) value /= total + lost;
  return result;
}

double error_in_ulp(const Format& format, Wide exact, double got) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  const Wide threshold = min_normal(format);
  if (std::isnan(got) || std::signbit(got)) return infinite;
  if (!format.keeps_subnormals) {
    if (got == 0 && exact < threshold) return 0;
    if (got > 0 && got < threshold) return infinite;
  }
  const int exponent = exact > threshold ? std::ilogb(exact) : format.min_exponent;
  const Wide last_place = std::ldexp(static_cast<Wide>(1), exponent - (format.precision - 1));
  const bool flushed = got == 0 && !format.keeps_subnormals;
  const Wide nearest_allowed = flushed ? threshold : static_cast<Wide>(got);
  return static_cast<double>(std::fabs(nearest_allowed - exact) / last_place);
}

double bound_in_ulp(const Format& format) { return format.bytes == 2 ? 0.51 : 4.0; }

double error_in_bounds(const Format& format, simdsoftmax_accuracy accuracy, Wide exact, double got) {
  const double ulp = error_in_ulp(format, exact, got);
  const bool is_f64 = format.dtype == SIMDSOFTMAX_F64;
  if (is_f64 || accuracy == SIMDSOFTMAX_BALANCED) return ulp / bound_in_ulp(format);
  if (accuracy == SIMDSOFTMAX_EXACT) return ulp / 0.501;
  const double beyond_rounding = format.bytes == 2 ? std::max(0.0, ulp - 0.5) : ulp;
  if (beyond_rounding == 0 || std::isinf(ulp)) return beyond_rounding;
  const int exponent = std::max(std::ilogb(exact), format.min_exponent);
  const Wide last_place = std::ldexp(static_cast<Wide>(1), exponent - (format.precision - 1));
  return static_cast<double>(beyond_rounding * last_place / exact * 0x1p12L);
}

void Worst::merge(const Worst& other, const std::string& other_where) {
  ulp = std::max(ulp, other.ulp);
  if (other.bounds <= bounds) return;
  bounds = other.bounds;
  where = other_where;
}

Worst worst_of(const Format& format, const std::vector<Wide>& exact, const std::vector<double>& got,
               simdsoftmax_accuracy accuracy) {
  Worst worst;
  std::size_t worst_at = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double ulp = error_in_ulp(format, exact[i], got.at(i));
    if (ulp == 0) continue;
    const double bounds = error_in_bounds(format, accuracy, exact[i], got[i]);
    worst.ulp = std::max(worst.ulp, ulp);
    if (bounds > worst.bounds) worst.bounds = bounds, worst_at = i;
  }
  worst.where = "column " + std::to_string(worst_at) + " of " + std::to_string(exact.size());
  return worst;
}

}  // namespace softmax_test
