// SPDX-License-Identifier: Apache-2.0
#include "operators_reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Wide wide_infinity = std::numeric_limits<Wide>::infinity();

Exact exact_sum(Wide a, Wide b) {
  const Wide high = a + b;
  if (!std::isfinite(high)) return {high, 0};
  const Wide part = high - a;
  return {high, (a - (high - part)) + (b - part)};
}

Exact add(const Exact& a, const Exact& b) {
  const Exact high = exact_sum(a.high, b.high);
  if (!std::isfinite(high.high)) return high;
  return exact_sum(high.high, high.low + (a.low + b.low));
}

Exact multiply(const Exact& a, Wide factor) {
  const Wide high = a.high * factor;
  if (factor == 1 || !std::isfinite(high)) return {high, factor == 1 ? a.low : 0};
  return exact_sum(high, std::fma(a.high, factor, -high) + a.low * factor);
}

Exact value_before_exp(double logit, std::size_t column, const RowOps& ops) {
  Exact value = multiply(multiply({static_cast<Wide>(logit), 0}, ops.theta), ops.scale);
  if (ops.softcap != 0) {
    const auto cap = static_cast<Wide>(ops.softcap);
    value = {cap * std::tanh(value.high / cap + value.low / cap), 0};
  }
  if (ops.bias.empty()) return value;
  return add(value, multiply({static_cast<Wide>(ops.bias.at(column)), 0}, ops.slope));
}

bool forbidden(const Exact& value) { return std::isnan(value.high) || value.high == wide_infinity; }

// a - b, neither being infinite.
Exact difference(const Exact& a, const Exact& b) { return add(a, {-b.high, -b.low}); }

Wide exp_of(const Exact& value) { return value.high < -20000 ? 0 : std::exp(value.high) * (1 + value.low); }

bool all_nan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
}

}  // namespace

bool less(const Exact& a, const Exact& b) { return a.high < b.high || (a.high == b.high && a.low < b.low); }

ExactRow exact_row(const std::vector<double>& logits, const RowOps& ops) {
  ExactRow row;
  row.plain = ops.theta == 1 && ops.scale == 1 && ops.softcap == 0 && ops.bias.empty();
  row.max = {-wide_infinity, 0};
  row.values.reserve(logits.size());
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const bool dropped = !ops.dropped.empty() && ops.dropped.at(c);
    const Exact value = dropped ? Exact{-wide_infinity, 0} : value_before_exp(logits[c], c, ops);
    row.nan = row.nan || forbidden(value);
    if (less(row.max, value)) row.max = value;
    row.values.push_back(value);
  }
  std::size_t top = logits.size();  // the sink, unless a column has the maximum
  for (std::size_t c = logits.size(); c-- > 0;) {
    if (!less(row.values[c], row.max)) top = c;
  }
  if (ops.sink.has_value()) {
    const Exact sink{static_cast<Wide>(*ops.sink), 0};
    row.nan = row.nan || forbidden(sink);
    if (less(row.max, sink)) {
      row.max = sink;
      top = logits.size();
    }
  }
  row.empty = !row.nan && row.max.high == -wide_infinity;
  row.logsumexp = row.nan ? std::numeric_limits<Wide>::quiet_NaN() : -wide_infinity;
  row.probabilities.assign(logits.size(), 0);
  row.log_probabilities.assign(logits.size(), -wide_infinity);
  if (row.nan || row.empty) return row;

  // Everything but one of the largest, whose exponential is 1: log1p keeps what is small.
  Wide rest = 0;
  Wide lost = 0;
  const auto take = [&](Wide term) {
    const Exact next = exact_sum(rest, term);
    rest = next.high;
    lost += next.low;
  };
  std::vector<Exact> below(logits.size(), Exact{-wide_infinity, 0});
  for (std::size_t c = 0; c < logits.size(); ++c) {
    if (std::isinf(row.values[c].high)) continue;
    below[c] = difference(row.values[c], row.max);
    row.probabilities[c] = exp_of(below[c]);
    if (c != top) take(row.probabilities[c]);
  }
  if (ops.sink.has_value() && top != logits.size() && !std::isinf(*ops.sink)) {
    take(exp_of(difference({static_cast<Wide>(*ops.sink), 0}, row.max)));
  }
  rest += lost;
  const Wide log_sum = std::log1p(rest);
  for (std::size_t c = 0; c < logits.size(); ++c) {
    row.probabilities[c] /= 1 + rest;
    row.log_probabilities[c] = below[c].high + (below[c].low - log_sum);
    if (below[c].high == 0 && below[c].low == 0) row.log_probabilities[c] = -log_sum;
  }
  const Exact total = exact_sum(row.max.high, log_sum);
  row.logsumexp = total.high + (total.low + row.max.low);
  return row;
}

std::vector<std::size_t> exact_order(const ExactRow& row, std::size_t count) {
  std::vector<std::size_t> order(row.values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(count);
  if (!row.nan && !row.empty) {
    std::partial_sort(order.begin(), end, order.end(), [&](std::size_t a, std::size_t b) {
      const bool above = less(row.values[b], row.values[a]);
      return above || (a < b && !less(row.values[a], row.values[b]));
    });
  }
  order.erase(end, order.end());
  return order;
}

Wide alibi_slope(double max_bias, std::size_t heads, std::size_t head) {
  if (max_bias == 0) return 1;
  std::size_t n = 1;
  while (n * 2 <= heads) n *= 2;
  const auto wide_n = static_cast<Wide>(n);
  const auto h = static_cast<Wide>(head);
  const Wide steps = head < n ? (h + 1) / wide_n : (2 * (h - wide_n) + 1) / (2 * wide_n);
  return std::exp2(-static_cast<Wide>(max_bias) * steps);
}

Wide last_place(const Format& format, Wide value) {
  const Wide threshold = min_normal(format);
  const int exponent = std::fabs(value) > threshold ? std::ilogb(value) : format.min_exponent;
  return std::ldexp(static_cast<Wide>(1), exponent - (format.precision - 1));
}

const Format& compute_format(const Format& logits) {
  return format_of(logits.dtype == SIMDSOFTMAX_F64 ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F32);
}

double rounded_error(const Format& compute, const Format& out, Wide exact, Wide unit, double units, double got) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : infinity;
  if (std::isinf(exact)) return static_cast<Wide>(got) == exact ? 0 : infinity;
  const bool rounds_again = out.precision < compute.precision;
  const Wide limit = static_cast<Wide>(largest(out));
  const Wide allowed = static_cast<Wide>(units) * std::max(unit, last_place(compute, 0)) +
                       (rounds_again ? last_place(out, exact) / 2 : 0);
  if (std::isinf(got)) {
    const bool overflows = std::fabs(exact) + allowed >= limit + last_place(out, limit) / 2;
    return overflows && std::signbit(got) == std::signbit(exact) ? 0 : infinity;
  }
  const Wide error = std::fabs(static_cast<Wide>(got) - exact);
  if (got == 0 && std::fabs(exact) < static_cast<Wide>(min_normal(out)) && !out.keeps_subnormals) return 0;
  return static_cast<double>(error / allowed);
}

double softmax_error(const Format& out, const ExactRow& exact, bool empty_row_zeros, double softcap,
                     const std::vector<double>& got) {
  if (exact.nan || (exact.empty && !empty_row_zeros)) return all_nan(got) ? 0 : infinity;
  double worst = 0;
  for (std::size_t c = 0; c < got.size(); ++c) {
    const Wide p = exact.probabilities.at(c);
    double ulp = error_in_ulp(out, p, got[c]);
    if (std::isinf(exact.values.at(c).high) && got[c] != 0) ulp = infinity;  // exactly 0
    const Wide cap_error = std::ldexp(static_cast<Wide>(softcap), -50) * p / last_place(out, p);
    worst = std::max(worst, ulp / (bound_in_ulp(out) + static_cast<double>(cap_error)));
  }
  return worst;
}

double log_softmax_error(const Format& in, const Format& out, const ExactRow& exact, bool empty_row_zeros,
                         double softcap, const std::vector<double>& got) {
  if (exact.nan || (exact.empty && !empty_row_zeros)) return all_nan(got) ? 0 : infinity;
  const Format& compute = compute_format(in);
  const Wide cap_error = std::ldexp(static_cast<Wide>(softcap), -50);
  double worst = 0;
  for (std::size_t c = 0; c < got.size(); ++c) {
    const Wide value = exact.log_probabilities.at(c);
    if (got[c] > 0) return infinity;
    const Wide max_place = exact.plain ? 0 : last_place(compute, exact.max.high);
    const Wide unit = std::isinf(value) ? 1 : std::max(last_place(compute, value), max_place);
    worst = std::max(worst, rounded_error(compute, out, value, unit + cap_error / 4, 4, got[c]));
  }
  return worst;
}

double logsumexp_error(const Format& in, const Format& out, const ExactRow& exact, double softcap, double got) {
  const Format& compute = compute_format(in);
  if (exact.nan || exact.empty) return rounded_error(compute, out, exact.logsumexp, 1, 1, got);
  const bool f64 = compute.dtype == SIMDSOFTMAX_F64;
  const Wide result_place = last_place(compute, exact.logsumexp);
  const Wide unit = f64 ? std::max(result_place, last_place(compute, exact.max.high)) : result_place;
  const double units = f64 ? 4 : 1;
  const Wide cap_error = std::ldexp(static_cast<Wide>(softcap), -50) / static_cast<Wide>(units);
  return rounded_error(compute, out, exact.logsumexp, unit + cap_error, units, got);
}

}  // namespace softmax_test
