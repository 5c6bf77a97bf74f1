// SPDX-License-Identifier: Apache-2.0
#include "inputs.hpp"

#include <cmath>
#include <limits>

#include "harness.hpp"

namespace softmax_test {
namespace {

// Longer than the first chunk of every dtype, from which the anchored variant takes its anchor.
constexpr std::size_t past_anchor = 129;

std::string number(double value) {
  const auto whole = static_cast<long>(value);
  return static_cast<double>(whole) == value ? std::to_string(whole) : std::to_string(value).substr(0, 3);
}

InputKind normal_kind(double scale, double shift) {
  return {"normal_" + number(scale) + "_at_" + number(shift),
          [=](const Format&, std::size_t, std::size_t, Random& random) { return shift + scale * normal(random); }};
}

InputKind ramp_kind(const std::string& name, double from, double to) {
  return {name, [=](const Format&, std::size_t i, std::size_t cols, Random&) {
            return from + (to - from) * static_cast<double>(i) / static_cast<double>(cols);
          }};
}

// About `low` up to the end of the first chunk (or up to the last column), then `climb` higher.
InputKind step_kind(double climb, double low = 0) {
  return {"step_up_" + number(climb) + "_from_" + number(low),
          [=](const Format&, std::size_t i, std::size_t cols, Random& random) {
            const std::size_t edge = cols > past_anchor ? past_anchor : cols - 1;
            return normal(random) + low + (i < edge ? 0.0 : climb);
          }};
}

std::vector<InputKind> make_kinds() {
  std::vector<InputKind> kinds;
  for (const double scale : {0.1, 1.0, 4.0, 30.0, 1000.0}) kinds.push_back(normal_kind(scale, 0));
  for (const double shift : {1e3, 1e5, 1e7}) {
    kinds.push_back(normal_kind(4, shift));
    kinds.push_back(normal_kind(4, -shift));
  }
  // Where the reduction of some ISA's exp ends: rows beyond are taken relative to their maximum.
  for (const double limit : {256.0, 2048.0, 65536.0, 1073741824.0, -65536.0})
    kinds.push_back(step_kind(40, limit - 20));
  kinds.push_back({"any_finite", [](const Format& format, std::size_t, std::size_t, Random& random) {
                     return (2 * uniform(random) - 1) * largest(format);
                   }});
  kinds.push_back({"largest_beside_its_neighbour", [](const Format& format, std::size_t i, std::size_t, Random&) {
                     return largest(format) * (i % 3 == 1 ? 1 : 1 - std::ldexp(1.0, 1 - format.precision));
                   }});
  kinds.push_back(
      {"lowest_everywhere", [](const Format& format, std::size_t, std::size_t, Random&) { return -largest(format); }});
  kinds.push_back({"one_giant", [](const Format&, std::size_t i, std::size_t cols, Random& random) {
                     return i == cols * 2 / 3 ? 1e4 : normal(random);
                   }});
  for (const double climb : {60.0, 100.0, 1000.0, 1e6}) {
    kinds.push_back(ramp_kind("ramp_up_" + number(climb), 0, climb));
    kinds.push_back(step_kind(climb));
  }
  kinds.push_back(ramp_kind("ramp_down_50", 25, -25));
  kinds.push_back(ramp_kind("ramp_down_1000", 1000, 0));
  // Results on both sides of the smallest normal value of f32 and of f64.
  kinds.push_back(ramp_kind("ramp_through_f32_min", -75, -95));
  kinds.push_back({"beside_f32_min", [](const Format&, std::size_t i, std::size_t, Random& random) {
                     return i == 0 ? 87.3365447505 : 1e-4 * normal(random);
                   }});
  kinds.push_back({"beside_f64_min", [](const Format&, std::size_t i, std::size_t, Random& random) {
                     return i == 0 ? 708.396418532264 : 1e-10 * normal(random);
                   }});
  kinds.push_back({"beside_f16_min", [](const Format&, std::size_t i, std::size_t, Random& random) {
                     return i == 0 ? 14.0 : 4 * normal(random);
                   }});
  kinds.push_back({"all_equal", [](const Format&, std::size_t, std::size_t, Random&) { return -3.25; }});
  kinds.push_back(
      {"two_values", [](const Format&, std::size_t i, std::size_t, Random&) { return i % 5 == 2 ? 1 : -2; }});
  kinds.push_back({"minus_infinity_first", [](const Format&, std::size_t i, std::size_t cols, Random& random) {
                     const bool masked = i + 1 < cols && i < past_anchor;
                     return masked ? -std::numeric_limits<double>::infinity() : 4 * normal(random);
                   }});
  kinds.push_back({"minus_infinity_here_and_there", [](const Format&, std::size_t i, std::size_t, Random& random) {
                     return i % 3 == 1 ? -std::numeric_limits<double>::infinity() : 4 * normal(random);
                   }});
  kinds.push_back({"subnormal", [](const Format& format, std::size_t, std::size_t, Random& random) {
                     return normal(random) * min_normal(format) / 16;
                   }});
  return kinds;
}

}  // namespace

double uniform(Random& random) { return static_cast<double>(random()) * 0x1p-32; }

double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += uniform(random);
  return sum;
}

std::vector<double> normal_logits(const Format& format, std::size_t count, double scale, unsigned seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (double& value : values) value = round_to(format, scale * normal(random));
  return values;
}

const std::vector<InputKind>& input_kinds() {
  static const std::vector<InputKind> kinds = make_kinds();
  return kinds;
}

std::vector<double> make_row(const InputKind& kind, const Format& format, std::size_t cols) {
  Random random(static_cast<unsigned>(cols));
  std::vector<double> row(cols);
  for (std::size_t i = 0; i < cols; ++i) row[i] = round_to(format, kind.logit(format, i, cols, random));
  return row;
}

std::vector<std::size_t> small_sizes() {
  std::vector<std::size_t> sizes;
  for (std::size_t size = 1; size <= 300; ++size) {
    const std::size_t in_chunk = size % 64;
    if (!slow_machine() || size <= 20 || in_chunk <= 1 || in_chunk == 63) sizes.push_back(size);
  }
  return sizes;
}

}  // namespace softmax_test
