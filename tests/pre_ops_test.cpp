// SPDX-License-Identifier: Apache-2.0
// Pre-operations: of long rows, then what each one promises.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "pre_ops_case.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

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
  saturated.softcap = 1e-310;  // whose inverse is infinite
  ASSERT_NO_FATAL_FAILURE(saturated.check("hardly anything left"));
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
