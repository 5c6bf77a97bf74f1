// SPDX-License-Identifier: Apache-2.0
// Pre-operations in pairs: every setting of one beside every setting of another.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "pre_ops_case.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

enum Setting : std::size_t {
  shape_setting,
  scale_setting,
  theta_setting,
  softcap_setting,
  bias_setting,
  mask_setting,
  position_setting,
  lengths_setting,
  sinks_setting,
  logsumexp_setting,
  empty_row_setting,
  layout_setting,
  logits_setting,
  setting_count
};
using Settings = std::array<std::size_t, setting_count>;
constexpr Settings levels = {9, 3, 2, 3, 8, 5, 7, 4, 3, 3, 2, 4, 4};

// Few settings that hold every pair of levels of two settings: of some random ones the one with the most new pairs.
std::vector<Settings> pairwise_settings() {
  std::set<std::array<std::size_t, 4>> missing;
  for (std::size_t a = 0; a < setting_count; ++a) {
    for (std::size_t b = a + 1; b < setting_count; ++b) {
      for (std::size_t i = 0; i < levels[a]; ++i) {
        for (std::size_t j = 0; j < levels[b]; ++j) missing.insert({a, i, b, j});
      }
    }
  }
  const auto pairs_of = [](const Settings& settings) {
    std::vector<std::array<std::size_t, 4>> all;
    for (std::size_t a = 0; a < setting_count; ++a) {
      for (std::size_t b = a + 1; b < setting_count; ++b) all.push_back({a, settings[a], b, settings[b]});
    }
    return all;
  };
  Random random(91);
  std::vector<Settings> chosen;
  while (!missing.empty()) {
    Settings best{};
    std::size_t best_new = 0;
    for (int attempt = 0; attempt < 40; ++attempt) {
      Settings settings{};
      for (std::size_t s = 0; s < setting_count; ++s) settings[s] = random() % levels[s];
      const std::array<std::size_t, 4>& wanted = *missing.begin();
      settings[wanted[0]] = wanted[1];
      settings[wanted[2]] = wanted[3];
      std::size_t fresh = 0;
      for (const auto& pair : pairs_of(settings)) fresh += missing.count(pair);
      if (fresh > best_new) {
        best = settings;
        best_new = fresh;
      }
    }
    for (const auto& pair : pairs_of(best)) missing.erase(pair);
    chosen.push_back(best);
  }
  return chosen;
}

std::string text_of(const Settings& settings) {
  std::string text = "settings";
  for (const std::size_t level : settings) text += " " + std::to_string(level);
  return text;
}

// The last `rank` dimensions of a shape, those not in `kept` (counted from the end) being 1.
Sizes part_of(const Sizes& shape, std::size_t rank, const std::set<std::size_t>& kept) {
  Sizes part(std::min(rank, shape.size()), 1);
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (kept.count(i) != 0) part[part.size() - 1 - i] = shape[shape.size() - 1 - i];
  }
  return part;
}

// Broadcast along a dimension by a stride of 0 where the shape repeats anyway would be the same: a bias of the shape
// of the logits that repeats by its strides.
void set_bias(PreOpsCase& one, std::size_t level, const Pair& pair, const Sizes& shape) {
  const bool f64 = pair.in == SIMDSOFTMAX_F64;
  const bool alibi = shape.size() >= 3;
  if (level == 1) one.bias = random_bias(f64 ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F32, shape, 2);
  if (level == 2) {  // 0 and -inf, as masks are passed in f16
    const Sizes part = part_of(shape, 2, {0, 1});
    std::vector<double> values(count_of(part), 0);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 1 ? -infinity : 0;
    one.bias = Tensor(SIMDSOFTMAX_F16, part, values);
  }
  if (level == 3) one.bias = random_bias(SIMDSOFTMAX_BF16, part_of(shape, 1, {0}), 2);
  if (level == 4) one.bias = random_bias(SIMDSOFTMAX_F16, part_of(shape, 3, {0, 2}), 1);
  if (level == 5) one.bias = random_bias(SIMDSOFTMAX_F32, part_of(shape, 4, {1}), 1);
  if (level >= 6) {  // the distance to a key, with slopes that are powers of two or are not
    const Sizes part = part_of(shape, 2, {0, 1});
    std::vector<double> values(count_of(part));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = -static_cast<double>(i % shape.back() % 5) / 4;
    one.bias = Tensor(level == 6 ? SIMDSOFTMAX_F32 : SIMDSOFTMAX_F16, part, values);
    one.max_bias = alibi ? (level == 6 ? 8 : 3) : 0;
  }
}

void set_position(PreOpsCase& one, std::size_t level, const Sizes& shape) {
  if (shape.size() < 2) return;
  const auto queries = static_cast<std::int64_t>(shape[shape.size() - 2]);
  const auto keys = static_cast<std::int64_t>(shape.back());
  one.causal = level == 1 || level == 2 || level == 3 || level == 6;
  if (level == 2) one.query_offset = -2;
  if (level == 3) one.query_offset = keys - queries;
  if (level >= 4) one.window = level == 6 ? 2 : 3;
  if (level == 5) one.query_offset = keys / 2;
  if (level == 6) one.query_offset = keys / 3;
}

void set_lengths(PreOpsCase& one, std::size_t level, const Sizes& shape) {
  if (level == 0) return;
  const auto keys = static_cast<double>(shape.back());
  Sizes part = with_axis(shape, shape.size() - 1, 1);
  if (level == 3) part = part_of(shape, 4, {3});
  std::vector<double> values(count_of(part));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::array<double, 6> choices = {keys, keys / 2, 0, -5, keys + 1000, 1};
    values[i] = std::floor(choices[i % choices.size()]);
  }
  one.lengths = Tensor(level == 1 ? SIMDSOFTMAX_I32 : SIMDSOFTMAX_I64, part, padded_strides(part, 2), values);
}

void set_sinks(PreOpsCase& one, std::size_t level, const Sizes& shape) {
  if (level == 0) return;
  const Sizes part = level == 1 ? part_of(shape, 3, {2}) : with_axis(shape, shape.size() - 1, 1);
  const simdsoftmax_dtype dtype = level == 1 ? SIMDSOFTMAX_F32 : SIMDSOFTMAX_F64;
  std::vector<double> values = normal_logits(format_of(dtype), count_of(part), 3, 94);
  if (level == 2) values[values.size() / 2] = -infinity;
  one.sinks = Tensor(dtype, part, values);
}

PreOpsCase make_case(const Settings& settings, const Pair& pair) {
  const std::array<Sizes, levels[shape_setting]> shapes = {
      Sizes{2, 3, 5, 17}, Sizes{1, 1, 1, 1}, Sizes{1, 2, 3, 129},  Sizes{2, 2, 4, 64}, Sizes{3, 10},
      Sizes{1, 6, 7, 65}, Sizes{5, 2, 33},   Sizes{1, 1, 3, 1000}, Sizes{50}};
  const Sizes& shape = shapes[settings[shape_setting]];
  PreOpsCase one(pair, shape, shape.size() - 1, 95);
  one.scale = std::array<double, 3>{1, 0.125, 0.08838834764831845}[settings[scale_setting]];
  one.theta = settings[theta_setting] == 0 ? 1 : 1.5;
  one.softcap = std::array<double, 3>{0, 5, 50}[settings[softcap_setting]];
  set_bias(one, settings[bias_setting], pair, shape);
  if (settings[mask_setting] == 1) one.mask = random_mask(shape, 0.7);
  if (settings[mask_setting] == 2) one.mask = random_mask(part_of(shape, 2, {0, 1}), 0.4);
  if (settings[mask_setting] == 3) one.mask = random_mask(part_of(shape, 4, {0, 3}), 0.5);
  if (settings[mask_setting] == 4) one.mask = random_mask(part_of(shape, 4, {1, 3}), 0.5);
  one.mask_drops = settings[mask_setting] % 2 == 0;
  set_position(one, settings[position_setting], shape);
  set_lengths(one, settings[lengths_setting], shape);
  set_sinks(one, settings[sinks_setting], shape);
  if (settings[logsumexp_setting] == 1) one.logsumexp_dtype = SIMDSOFTMAX_F32;
  if (settings[logsumexp_setting] == 2) one.logsumexp_dtype = SIMDSOFTMAX_F64;
  one.empty_row_zeros = settings[empty_row_setting] == 1;
  if (settings[logits_setting] == 1) one.poison_what_is_dropped();
  for (std::size_t i = 0; i < one.logits.size(); ++i) {
    if (settings[logits_setting] == 2 && i % 7 == 3) one.logits[i] = -infinity;
  }
  if (settings[logits_setting] == 3) one.logits[one.logits.size() / 2] = nan_value;
  std::vector<std::size_t> reversed;
  for (std::size_t d = shape.size(); d-- > 0;) reversed.push_back(d);
  if (settings[layout_setting] == 1) one.logits_strides = padded_strides(shape, 3);
  if (settings[layout_setting] == 2) one.output_strides = padded_strides(shape, 5);
  if (settings[layout_setting] == 3) {
    one.logits_strides = permuted_strides(shape, reversed, 0);
    one.output_strides = permuted_strides(shape, reversed, 1);
  }
  return one;
}

TEST_P(PreOpsTest, EveryPairOfSettings) {
  static const std::vector<Settings> all = pairwise_settings();
  std::size_t index = 0;
  for (const Settings& settings : all) {
    if (slow_machine() && index++ % 8 != 0) continue;
    ASSERT_NO_FATAL_FAILURE(make_case(settings, pair()).check(text_of(settings)));
  }
}

}  // namespace
}  // namespace softmax_test
