// SPDX-License-Identifier: Apache-2.0
// Pre-operations: all of them in pairs, then what each one promises, then the recipes of those who call it.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "pre_ops_case.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

// ---- Every pair of settings ---------------------------------------------------------------------------------------

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

Tensor random_bias(simdsoftmax_dtype dtype, const Sizes& shape, double spread) {
  return {dtype, shape, padded_strides(shape, 1), normal_logits(format_of(dtype), count_of(shape), spread, 92)};
}

Tensor random_mask(const Sizes& shape, double share) {
  Random random(93);
  std::vector<double> values(count_of(shape));
  for (double& value : values) value = uniform(random) < share ? 1.0 + static_cast<double>(random() % 255) : 0.0;
  return {SIMDSOFTMAX_BOOL, shape, padded_strides(shape, 1), values};
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

class PreOpsTest : public ConfigTest {};

TEST_P(PreOpsTest, EveryPairOfSettings) {
  static const std::vector<Settings> all = pairwise_settings();
  std::size_t index = 0;
  for (const Settings& settings : all) {
    if (slow_machine() && index++ % 8 != 0) continue;
    ASSERT_NO_FATAL_FAILURE(make_case(settings, pair()).check(text_of(settings)));
  }
}

// ---- Long rows ------------------------------------------------------------------------------------------------------

TEST_P(PreOpsTest, LongRows) {
  if (pair().in != pair().out) return;
  const std::vector<std::size_t> sizes =
      slow_machine() ? std::vector<std::size_t>{4097} : std::vector<std::size_t>{4095, 4097, 8193, 20001};
  for (const std::size_t cols : sizes) {
    const Sizes shape = {2, 1, cols};
    const std::string name = std::to_string(cols) + " columns, ";
    const auto half = static_cast<std::int64_t>(cols / 2);

    if (slow_machine() && pair().in != SIMDSOFTMAX_F32) continue;
    PreOpsCase biased(pair(), shape, 2, 101);
    biased.scale = 0.3;
    biased.bias = random_bias(SIMDSOFTMAX_F32, {2, 1, cols}, 2);
    biased.logsumexp_dtype = SIMDSOFTMAX_F32;
    ASSERT_NO_FATAL_FAILURE(biased.check(name + "bias"));
    ASSERT_NO_FATAL_FAILURE(biased.check_threads(name + "bias"));

    PreOpsCase causal(pair(), shape, 2, 102);
    causal.causal = true;
    causal.query_offset = half;
    causal.window = half + 10 > 5000 ? 5000 : 0;
    causal.mask = random_mask({1, cols}, 0.8);
    causal.poison_what_is_dropped();
    ASSERT_NO_FATAL_FAILURE(causal.check(name + "causal"));
    ASSERT_NO_FATAL_FAILURE(causal.check_threads(name + "causal"));

    if (slow_machine()) continue;
    PreOpsCase capped(pair(), shape, 2, 103);
    capped.softcap = 20;
    capped.lengths = Tensor(SIMDSOFTMAX_I32, {2, 1, 1}, {static_cast<double>(cols - 1), 4096});
    capped.sinks = Tensor(SIMDSOFTMAX_F32, {2, 1, 1}, {3, -2});
    capped.logsumexp_dtype = SIMDSOFTMAX_F64;
    capped.poison_what_is_dropped();
    ASSERT_NO_FATAL_FAILURE(capped.check(name + "softcap"));
    ASSERT_NO_FATAL_FAILURE(capped.check_threads(name + "softcap"));
  }
}

// What is left of a long row lies in one tile: everything before or after it is masked.
TEST_P(PreOpsTest, LongRowsOfWhichLittleIsLeft) {
  if (pair().in != pair().out) return;
  const std::size_t cols = slow_machine() ? 4097 : 9001;
  for (const std::size_t at : {std::size_t{0}, std::size_t{4095}, std::size_t{4096}, cols / 2, cols - 1}) {
    if (slow_machine() && at != 0 && at != 4096) continue;
    PreOpsCase one(pair(), {2, cols}, 1, 104);
    std::vector<double> mask(cols, 0);
    mask[at] = 1;
    one.mask = Tensor(SIMDSOFTMAX_BOOL, {cols}, mask);
    one.poison_what_is_dropped();
    ASSERT_NO_FATAL_FAILURE(one.check("one column of many: " + std::to_string(at)));
  }
  for (const double climb : {100.0, 1000.0}) {
    if (slow_machine() && climb > 100) continue;  // an anchor from the first columns does not do
    PreOpsCase one(pair(), {2, cols}, 1, 105);
    std::vector<double> bias(cols, 0);
    for (std::size_t c = cols / 2; c < cols; ++c) bias[c] = climb;
    one.bias = Tensor(SIMDSOFTMAX_F32, {cols}, bias);
    one.logsumexp_dtype = SIMDSOFTMAX_F32;
    ASSERT_NO_FATAL_FAILURE(one.check("bias that climbs"));
    ASSERT_NO_FATAL_FAILURE(one.check_threads("bias that climbs"));
  }
}

TEST_P(PreOpsTest, RowsSharedByThreads) {
  if (slow_machine() || pair().in != pair().out) return;
  PreOpsCase one(pair(), {1, 150001}, 1, 106);
  one.scale = 0.7;
  one.bias = random_bias(SIMDSOFTMAX_F16, {150001}, 1);
  one.mask = random_mask({150001}, 0.9);
  one.sinks = Tensor(SIMDSOFTMAX_F32, {1}, {2});
  one.logsumexp_dtype = SIMDSOFTMAX_F32;
  ASSERT_NO_FATAL_FAILURE(one.check("a row for all threads"));
  ASSERT_NO_FATAL_FAILURE(one.check_threads("a row for all threads"));
}

TEST_P(PreOpsTest, ManyRowsAndThreads) {
  PreOpsCase one(pair(), {slow_machine() ? 1U : 4U, 8, slow_machine() ? 2U : 16U, 200}, 3, 107);
  one.causal = true;
  one.query_offset = 100;
  one.max_bias = 8;
  one.bias = random_bias(SIMDSOFTMAX_F16, {slow_machine() ? 2U : 16U, 200}, 1);
  one.logsumexp_dtype = SIMDSOFTMAX_F32;
  ASSERT_NO_FATAL_FAILURE(one.check_threads("many rows"));
}

// ---- Promises -------------------------------------------------------------------------------------------------------

TEST_P(PreOpsTest, AxisThatIsNotTheLast) {
  for (const Sizes& shape : {Sizes{3, 17, 5}, Sizes{2, 65, 33}, Sizes{2, 300, 3}}) {
    if (slow_machine() && count_of(shape) > 500) continue;
    for (std::size_t axis = 0; axis < 2; ++axis) {
      PreOpsCase one(pair(), shape, axis, 111);
      one.scale = 0.6;
      one.softcap = 6;
      one.bias = random_bias(SIMDSOFTMAX_F32, with_axis(shape, 2, 1), 2);
      one.mask = random_mask(with_axis(shape, 0, 1), 0.8);
      const Sizes each = with_axis(shape, axis, 1);
      std::vector<double> lengths(count_of(each));
      for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = static_cast<double>(i % (shape[axis] + 3));
      one.lengths = Tensor(SIMDSOFTMAX_I64, each, lengths);
      one.sinks = Tensor(SIMDSOFTMAX_F64, with_axis(with_axis(shape, axis, 1), 2, 1),
                         normal_logits(format_of(SIMDSOFTMAX_F64), count_of(each) / shape[2], 2, 112));
      one.logsumexp_dtype = SIMDSOFTMAX_F64;
      one.logits_strides = padded_strides(shape, 2);
      one.poison_what_is_dropped();
      ASSERT_NO_FATAL_FAILURE(one.check("axis " + std::to_string(axis)));
    }
  }
}

// Nothing of scale * theta * x + slope * bias is rounded away: logits and biases that nearly cancel, and products with
// more digits than the compute type has.
TEST_P(PreOpsTest, ProductsAndSumsAreNotRounded) {
  for (const std::size_t cols : {1U, 17U, 129U, 1000U}) {
    if (slow_machine() && cols == 1000) continue;
    for (const double scale : {1.0 / 3, 0.1, 7.7}) {
      for (const double theta : {1.0, -0.3}) {
        PreOpsCase product(pair(), {3, cols}, 1, 113, 60);
        product.scale = scale;
        product.theta = theta;
        ASSERT_NO_FATAL_FAILURE(product.check("scale " + std::to_string(scale) + ", theta " + std::to_string(theta)));
      }
    }
    const simdsoftmax_dtype bias_dtype = pair().in == SIMDSOFTMAX_F64 ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F32;
    PreOpsCase sum(pair(), {3, cols}, 1, 114, 1000);
    std::vector<double> bias = normal_logits(format_of(bias_dtype), sum.logits.size(), 3, 115);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] -= 0.8 * sum.logits[i];
    sum.scale = 0.8;
    sum.bias = Tensor(bias_dtype, {3, cols}, bias);
    ASSERT_NO_FATAL_FAILURE(sum.check("logits and biases that cancel"));
  }
}

TEST_P(PreOpsTest, HugeValues) {
  for (const double huge : {1e4, 60000.0, 1e6, 1e30}) {
    if (huge > largest(in())) continue;
    for (const std::size_t cols : {2U, 50U, 300U}) {
      if (slow_machine() && cols == 300) continue;
      PreOpsCase one(pair(), {2, cols}, 1, 116);
      for (double& x : one.logits) x = round_to(in(), x + huge);
      one.scale = 0.5;
      ASSERT_NO_FATAL_FAILURE(one.check("huge logits"));
      PreOpsCase other(pair(), {2, cols}, 1, 117);
      std::vector<double> bias(cols, -huge);
      bias[cols / 2] = -huge * 1.5;
      other.bias = Tensor(SIMDSOFTMAX_F32, {cols}, bias);
      ASSERT_NO_FATAL_FAILURE(other.check("huge biases"));
    }
  }
}

// The lowest finite value as a mask, as many pass it: those columns get 0, or all the same if nothing else is there.
TEST_P(PreOpsTest, LowestFiniteValueAsMask) {
  const double lowest = -largest(format_of(SIMDSOFTMAX_F32));
  for (const std::size_t cols : {3U, 64U, 1000U}) {
    if (slow_machine() && cols == 1000) continue;
    PreOpsCase one(pair(), {2, cols}, 1, 118);
    std::vector<double> bias(2 * cols, 0);
    for (std::size_t c = 0; c < cols; ++c) bias[c] = c % 2 == 0 ? lowest : 0;
    one.bias = Tensor(SIMDSOFTMAX_F32, {2, cols}, bias);
    ASSERT_NO_FATAL_FAILURE(one.check("the lowest value beside others"));
  }
}

// A row all of which is masked in that way: what the logits are beside the mask still decides.
TEST_P(PreOpsTest, NothingButMasksOfFiniteValue) {
  for (const double low : {-1e4, -1e9, -1e30, -largest(format_of(SIMDSOFTMAX_F32)) / 2}) {
    for (const std::size_t cols : {3U, 64U, 300U}) {
      PreOpsCase one(pair(), {2, cols}, 1, 118);
      one.bias = Tensor(SIMDSOFTMAX_F32, {cols}, std::vector<double>(cols, low));
      ASSERT_NO_FATAL_FAILURE(one.check("the same low value everywhere: " + std::to_string(low)));
    }
  }
}

// Far above the first columns, in f32 beyond what an exponential holds.
TEST_P(PreOpsTest, ProductsThatClimb) {
  for (const double top : {50.0, 100.0, 300.0}) {
    for (const std::size_t cols : {200U, 9000U}) {
      if (cols == 9000 && (slow_machine() || pair().in != pair().out)) continue;
      PreOpsCase one(pair(), {2, cols}, 1, 130);
      one.scale = 7.7;
      one.logits[cols - 20] = one.logits[cols + 140] = top;
      one.logsumexp_dtype = SIMDSOFTMAX_F32;
      ASSERT_NO_FATAL_FAILURE(one.check("climb to " + std::to_string(top)));
      ASSERT_NO_FATAL_FAILURE(one.check_threads("climb to " + std::to_string(top)));
    }
  }
}

TEST_P(PreOpsTest, SoftcapOfLargeLogits) {
  for (const double cap : {1.0, 30.0, 1000.0}) {
    PreOpsCase one(pair(), {2, 40}, 1, 119, 1);
    for (std::size_t i = 0; i < one.logits.size(); ++i) {
      one.logits[i] = round_to(in(), cap * (static_cast<double>(i % 40) - 20) / 10);
    }
    one.softcap = cap;
    ASSERT_NO_FATAL_FAILURE(one.check("soft cap " + std::to_string(cap)));
  }
  PreOpsCase saturated(pair(), {1, 4}, 1, 120);  // tanh is 1 or -1, whatever the logits
  saturated.logits = {round_to(in(), 60000), 0, round_to(in(), -60000), -infinity};
  saturated.softcap = 2;
  ASSERT_NO_FATAL_FAILURE(saturated.check("saturated"));
}

TEST_P(PreOpsTest, BiasOfInfinityOrNan) {
  for (const double special : {infinity, nan_value, -infinity}) {
    for (const std::size_t cols : {1U, 20U, 300U}) {
      PreOpsCase one(pair(), {3, cols}, 1, 121);
      std::vector<double> bias(3 * cols, 0.5);
      bias[cols + cols / 2] = special;
      one.bias = Tensor(SIMDSOFTMAX_F32, {3, cols}, bias);
      ASSERT_NO_FATAL_FAILURE(one.check("bias of " + std::to_string(special)));
    }
  }
}

TEST_P(PreOpsTest, InfinityAndNanThatAreMasked) {
  for (const double special : {infinity, nan_value}) {
    PreOpsCase one(pair(), {2, 30}, 1, 122);
    one.logits[7] = one.logits[30 + 7] = special;
    std::vector<double> mask(30, 1);
    mask[7] = 0;
    one.mask = Tensor(SIMDSOFTMAX_BOOL, {30}, mask);
    ASSERT_NO_FATAL_FAILURE(one.check("masked"));
    one.logits[8] = special;
    ASSERT_NO_FATAL_FAILURE(one.check("one masked, one not"));
  }
}

TEST_P(PreOpsTest, RowsOfWhichNothingIsLeft) {
  for (const bool zeros : {false, true}) {
    for (const bool sink : {false, true}) {
      for (int how = 0; how < 5; ++how) {
        PreOpsCase one(pair(), {1, 3, 20}, 2, 123);
        one.empty_row_zeros = zeros;
        one.logsumexp_dtype = SIMDSOFTMAX_F64;
        if (sink) one.sinks = Tensor(SIMDSOFTMAX_F32, {1}, {-1.25});
        if (how == 0) one.mask = Tensor(SIMDSOFTMAX_BOOL, Sizes{1}, {0});
        if (how == 1) one.lengths = Tensor(SIMDSOFTMAX_I32, {3, 1}, {0, -1, 20});
        if (how == 2) one.bias = Tensor(SIMDSOFTMAX_BF16, {1, 1}, {-infinity});
        if (how == 3) std::fill(one.logits.begin(), one.logits.end(), -infinity);
        one.causal = how == 4;
        one.query_offset = -2;
        if (how != 2 && how != 3) one.poison_what_is_dropped();
        ASSERT_NO_FATAL_FAILURE(one.check("nothing left, " + std::to_string(how) + (sink ? ", sink" : "")));
      }
    }
  }
}

TEST_P(PreOpsTest, SinksOfInfinityOrNan) {
  for (const double special : {infinity, nan_value, -infinity, 1e30, -1e30}) {
    PreOpsCase one(pair(), {2, 40}, 1, 124);
    one.sinks = Tensor(SIMDSOFTMAX_F32, {2, 1}, {special, 1});
    one.logsumexp_dtype = SIMDSOFTMAX_F32;
    ASSERT_NO_FATAL_FAILURE(one.check("sink of " + std::to_string(special)));
  }
}

// A sink that has nearly all, or nearly nothing, of the probability.
TEST_P(PreOpsTest, SinksFarFromTheLogits) {
  for (const double sink : {-90.0, -20.0, 5.0, 20.0, 60.0, 300.0}) {
    for (const std::size_t cols : {1U, 16U, 300U, 9000U}) {
      if (slow_machine() && cols > 16) continue;
      if (cols == 9000 && pair().in != pair().out) continue;
      PreOpsCase one(pair(), {2, cols}, 1, 125);
      one.sinks = Tensor(SIMDSOFTMAX_F64, {1}, {sink});
      one.logsumexp_dtype = SIMDSOFTMAX_F64;
      ASSERT_NO_FATAL_FAILURE(one.check("sink of " + std::to_string(sink)));
    }
  }
}

TEST_P(PreOpsTest, ExtremePositions) {
  constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t first = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t offset : {first, first + 1, std::int64_t{-21}, std::int64_t{20}, last - 1, last}) {
    for (const std::int64_t window : {std::int64_t{0}, std::int64_t{1}, std::int64_t{7}, last}) {
      if (slow_machine() && window == 1) continue;
      for (const bool causal : {false, true}) {
        PreOpsCase one(pair(), {3, 20}, 1, 126);
        one.causal = causal;
        one.query_offset = offset;
        one.window = window;
        one.empty_row_zeros = true;
        one.poison_what_is_dropped();
        ASSERT_NO_FATAL_FAILURE(one.check("offset " + std::to_string(offset) + ", window " + std::to_string(window)));
      }
    }
  }
  PreOpsCase one(pair(), {4, 20}, 1, 127);
  one.lengths = Tensor(SIMDSOFTMAX_I64, {4, 1}, {-9223372036854775808.0, 4611686018427387904.0, 4294967297, 19});
  one.empty_row_zeros = true;
  one.poison_what_is_dropped();
  ASSERT_NO_FATAL_FAILURE(one.check("extreme lengths"));
}

// Heads whose number is no power of two have slopes between those of the power below.
TEST(Alibi, SlopesOfTheReference) {
  EXPECT_EQ(alibi_slope(8, 8, 0), 0.5L);
  EXPECT_EQ(alibi_slope(8, 8, 7), std::ldexp(1.0L, -8));
  EXPECT_EQ(alibi_slope(8, 1, 0), std::ldexp(1.0L, -8));
  EXPECT_EQ(alibi_slope(16, 16, 3), std::ldexp(1.0L, -4));
  EXPECT_EQ(alibi_slope(8, 12, 7), std::ldexp(1.0L, -8));
  EXPECT_NEAR(static_cast<double>(alibi_slope(8, 12, 8)), 0.70710678118654757, 1e-16);
  EXPECT_NEAR(static_cast<double>(alibi_slope(8, 12, 11)), 0.088388347648318447, 1e-17);
}

TEST_P(PreOpsTest, Alibi) {
  for (const std::size_t heads : {1U, 2U, 3U, 6U, 8U, 12U}) {
    for (const double max_bias : {8.0, 1.0, 20.0}) {
      if (slow_machine() && (max_bias == 20 || heads % 4 == 2)) continue;
      PreOpsCase one(pair(), {2, heads, 4, 21}, 3, 128);
      std::vector<double> distance(4 * 21);
      for (std::size_t i = 0; i < distance.size(); ++i) {
        distance[i] = -std::fabs(static_cast<double>(i / 21) + 17 - static_cast<double>(i % 21)) / 8;
      }
      one.bias = Tensor(SIMDSOFTMAX_F16, {4, 21}, distance);
      one.max_bias = max_bias;
      one.causal = true;
      one.query_offset = 17;
      ASSERT_NO_FATAL_FAILURE(one.check(std::to_string(heads) + " heads"));
    }
  }
}

// Pre-operations of nothing change nothing.
TEST_P(PreOpsTest, DefaultsAreNone) {
  const simdsoftmax_pre_ops none = SIMDSOFTMAX_PRE_OPS_INIT;
  for (const Shape& shape : {Shape{3, 10}, Shape{2, 129}, Shape{2, 9000}}) {
    const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 129));
    for (const Operator& op : operators()) {
      EXPECT_EQ(apply_to_rows(op, pair(), shape, logits, options_with(none)),
                apply_to_rows(op, pair(), shape, logits, serial_options()))
          << op.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, PreOpsTest, ::testing::ValuesIn(operator_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
