// SPDX-License-Identifier: Apache-2.0
// Every variant x ISA x pair of dtypes stays within bound_in_ulp of the exact softmax, at every length.

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "harness.hpp"
#include "inputs.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

class AccuracyTest : public ConfigTest {
 protected:
  // One row through every variant. Outputs that are the same bytes are judged once.
  void check_row(const std::string& name, const std::vector<double>& logits, double theta = 1.0) {
    const std::string where = name + ", " + std::to_string(logits.size()) + " columns, theta " + std::to_string(theta);
    const Bytes encoded = encode(pair().in, logits);
    const std::vector<Wide> exact = exact_softmax(logits, theta);
    Bytes judged;
    for (const simdsoftmax_variant variant : variants()) {
      simdsoftmax_options options = serial_options(variant);
      options.theta = theta;
      const Bytes output = softmax(pair(), {1, logits.size()}, encoded, options);
      if (output == judged) continue;
      judged = output;
      const Worst worst = worst_of(out(), exact, decode(pair().out, output));
      worst_.merge(worst.ulp, where + ", " + worst.where);
      EXPECT_LE(worst.ulp, bound_in_ulp(out()))
          << simdsoftmax_variant_name(variant) << ": " << where << ", " << worst.where;
    }
  }

  void check_kinds(const std::vector<std::size_t>& sizes) {
    for (const std::size_t cols : sizes) {
      for (const InputKind& kind : input_kinds()) check_row(kind.name, make_row(kind, in(), cols));
      if (HasFailure()) return;
    }
  }

  void TearDown() override {
    RecordProperty("worst_ulp", std::to_string(worst_.ulp));
    std::cout << "[    worst ] " << worst_.ulp << " ULP: " << worst_.where << '\n';
  }

 private:
  Worst worst_;
};

TEST_P(AccuracyTest, SmallRows) { check_kinds(small_sizes()); }

TEST_P(AccuracyTest, AroundBlockBoundaries) {
  std::vector<std::size_t> sizes = {511, 512, 513, 1000, 8191, 8192, 8193};
  if (!slow_machine()) sizes.insert(sizes.end(), {1023, 1024, 1025, 2049, 4096, 16383, 16384, 16385, 24577, 32769});
  check_kinds(sizes);
}

TEST_P(AccuracyTest, LongRows) {
  std::vector<std::size_t> sizes = {100003};
  if (!slow_machine()) sizes.insert(sizes.end(), {65536, 131071, 262145});
  const bool same_dtype = pair().in == pair().out && out().bytes > 2;
  if (!slow_machine() && same_dtype) sizes.insert(sizes.end(), {2097151, 2097153, std::size_t{1} << 22});
  if (exhaustive() && same_dtype) sizes.push_back(std::size_t{1} << 26);
  for (const std::size_t cols : sizes) {
    check_row("normal, deviation 4", normal_logits(in(), cols, 4, static_cast<unsigned>(cols)));
    check_row("all equal", std::vector<double>(cols, 1.5));
  }
}

// theta * logit is not rounded before the exponential.
TEST_P(AccuracyTest, Theta) {
  for (const double theta : {0.0, 1e-3, 0.5, 0.7071067811865476, 2.0, 3.3, -1.0, -0.1}) {
    for (const std::size_t cols : {1U, 2U, 15U, 127U, 128U, 129U, 300U, 1000U}) {
      for (const double scale : {1.0, 30.0}) {
        check_row("normal, deviation " + std::to_string(scale), normal_logits(in(), cols, scale, 7), theta);
      }
    }
  }
}

// 1/n for every n: the ties of a rounding to half, and the subnormals of f16.
TEST_P(AccuracyTest, EqualLogits) {
  const std::size_t step = slow_machine() ? 97 : 7;
  for (std::size_t cols = 1; cols < 70000; cols += cols < 2500 ? step / 7 : 1999 * step) {
    check_row("all equal", std::vector<double>(cols, -2.0));
  }
}

INSTANTIATE_TEST_SUITE_P(All, AccuracyTest, ::testing::ValuesIn(configs()), name_of_config);

// The judge itself: what it must accept, and what it must not.
TEST(ErrorInUlp, CountsInTheUnitsOfTheFormat) {
  const Format& f32 = format_named("f32");
  const Format& f16 = format_named("f16");
  EXPECT_EQ(error_in_ulp(f32, 0.5L, 0.5), 0);
  EXPECT_EQ(error_in_ulp(f32, 0.5L, 0.5 + 0x1p-24), 1);
  EXPECT_EQ(error_in_ulp(f32, 0.5L + 0x1p-26L, 0.5), 0.25);
  EXPECT_EQ(error_in_ulp(f16, 0.5L, 0.5 + 0x1p-11), 1);
  EXPECT_EQ(error_in_ulp(f16, 0x1p-25L, 0.0), 0.5);
  EXPECT_EQ(error_in_ulp(f16, 0x3p-25L, 0x1p-23), 0.5);
}

TEST(ErrorInUlp, KnowsTheFlushRule) {
  const Format& f32 = format_named("f32");
  EXPECT_EQ(error_in_ulp(f32, 0x0.8p-126L, 0.0), 0);
  EXPECT_EQ(error_in_ulp(f32, 0x1p-126L, 0.0), 0);
  EXPECT_EQ(error_in_ulp(f32, 0x1p-126L + 0x1p-148L, 0.0), 2);
  EXPECT_TRUE(std::isinf(error_in_ulp(f32, 0x0.8p-126L, 0x0.8p-126)));
  EXPECT_TRUE(std::isinf(error_in_ulp(f32, 0x0.8p-126L, -0.0)));
  EXPECT_TRUE(std::isinf(error_in_ulp(f32, 0.5L, std::nan(""))));
  EXPECT_EQ(error_in_ulp(format_named("f16"), 0x1p-24L, 0x1p-24), 0);
}

TEST(ExactSoftmax, IsExactWhereTheResultIsKnown) {
  EXPECT_EQ(exact_softmax({3.0, 3.0, 3.0, 3.0}), (std::vector<Wide>{0.25L, 0.25L, 0.25L, 0.25L}));
  // e^d of the double d nearest to ln 2, which lies 2.319e-17 below it.
  const std::vector<Wide> two = exact_softmax({0.0, 0.6931471805599453});
  EXPECT_LT(std::fabs(two[1] / two[0] - (2.0L - 2 * 2.3190468138462996e-17L)), 1e-18L);
  EXPECT_EQ(exact_softmax({1e300, -1e300}), (std::vector<Wide>{1.0L, 0.0L}));
}

}  // namespace
}  // namespace softmax_test
