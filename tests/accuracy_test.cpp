// SPDX-License-Identifier: Apache-2.0
// Every accuracy x variant x ISA x pair of dtypes stays within its bound of the exact softmax at every length. All
// variants give the same bits, and so do all ISAs that have fma.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "harness.hpp"
#include "inputs.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

// One test per pair of dtypes; the reference is taken once for all ISAs.
class AccuracyTest : public ::testing::TestWithParam<Pair> {
 protected:
  const Format& in() const { return format_of(GetParam().in); }
  const Format& out() const { return format_of(GetParam().out); }

  // Rows of `cols` logits through every ISA, accuracy and variant.
  void measure(const std::string& name, const std::vector<double>& logits, std::size_t cols, double theta = 1.0) {
    const Shape shape{logits.size() / cols, cols};
    const Bytes encoded = encode(GetParam().in, logits);
    std::vector<Wide> exact;
    for (auto row = logits.begin(); row != logits.end(); row += static_cast<std::ptrdiff_t>(cols)) {
      const std::vector<Wide> exact_row = exact_softmax({row, row + static_cast<std::ptrdiff_t>(cols)}, theta);
      exact.insert(exact.end(), exact_row.begin(), exact_row.end());
    }
    const std::string where = name + ", " + std::to_string(cols) + " columns, theta " + std::to_string(theta);
    for (const simdsoftmax_accuracy accuracy : accuracies_for(cols)) {
      std::map<bool, Bytes> expected;  // by whether the ISA has fma
      std::map<Bytes, Worst> judged;   // the same bytes are judged once
      for (const std::string& isa : runnable_isas()) {
        const ScopedCap cap(isa);
        const std::string kernels = isa + ", " + simdsoftmax_accuracy_name(accuracy);
        for (const simdsoftmax_variant variant : variants()) {
          simdsoftmax_options options = serial_options(variant);
          options.theta = theta;
          options.accuracy = accuracy;
          const Bytes got = softmax(GetParam(), shape, encoded, options);
          const auto first = expected.try_emplace(has_fma(isa), got).first;
          if (got != first->second) other_bits_.emplace(kernels + ", " + simdsoftmax_variant_name(variant), where);
          const auto [output, is_new] = judged.try_emplace(got);
          if (is_new) {
            const std::vector<double> probabilities = decode(GetParam().out, got);
            output->second = worst_of(out(), exact, probabilities, accuracy);
            if (accuracy != SIMDSOFTMAX_FAST) judge_sums(kernels, probabilities, cols, where);
          }
          worst_[kernels].merge(output->second, where + ", " + output->second.where);
        }
      }
    }
  }

  void measure_kinds(const std::vector<std::size_t>& sizes) {
    for (const std::size_t cols : sizes) {
      for (const InputKind& kind : input_kinds()) measure(kind.name, make_row(kind, in(), cols), cols);
    }
  }

  void TearDown() override {
    EXPECT_GE(worst_.size(), runnable_isas().size());
    for (const auto& [kernels, worst] : worst_) {
      RecordProperty("worst_ulp_" + kernels, std::to_string(worst.ulp));
      EXPECT_LE(worst.bounds, 1) << kernels << ", " << worst.where;
    }
    for (const auto& [kernels, worst] : worst_sum_) {
      RecordProperty("worst_sum_" + kernels, std::to_string(worst.ulp));
      EXPECT_LE(worst.bounds, 1) << "sum of a row, " << kernels << ", " << worst.where;
    }
    for (const auto& [kernel, where] : other_bits_) ADD_FAILURE() << kernel << " gives other bits: " << where;
  }

 private:
  // How far rows are from adding up to 1, in epsilons of the output's type. What its subnormals, or their flushing,
  // take away does not count: half of the last place that they have for each column, or all of them.
  void judge_sums(const std::string& kernels, const std::vector<double>& probabilities, std::size_t cols,
                  const std::string& where) {
    const Format& format = out();
    const Wide least = format.keeps_subnormals ? std::ldexp(Wide{1}, format.min_exponent - format.precision)
                                               : static_cast<Wide>(min_normal(format));
    for (std::size_t begin = 0; begin < probabilities.size(); begin += cols) {
      Wide sum = 0;
      for (std::size_t c = 0; c < cols; ++c) sum += static_cast<Wide>(probabilities[begin + c]);
      const Wide counted = std::fabs(sum - 1) - least * static_cast<Wide>(cols) * 1.02L;
      const auto epsilons = static_cast<double>(std::ldexp(counted, format.precision - 1));
      worst_sum_[kernels].merge({epsilons, epsilons / bound_in_ulp(format), {}}, where);
    }
  }

  // Some of the sizes are enough for those that walk rows in the same way.
  std::vector<simdsoftmax_accuracy> accuracies_for(std::size_t cols) const {
    if (slow_machine() && cols > 20) return {SIMDSOFTMAX_BALANCED};
    const bool all =
        out().bytes != 8 && (cols <= 20 || cols % 32 <= 1 || (cols > 300 && cols < 1000000) || exhaustive());
    return all ? accuracies() : std::vector<simdsoftmax_accuracy>{SIMDSOFTMAX_BALANCED};
  }

  std::map<std::string, Worst> worst_;             // by ISA and accuracy
  std::map<std::string, Worst> worst_sum_;         // the same
  std::map<std::string, std::string> other_bits_;  // by ISA, accuracy and variant, where first
};

TEST_P(AccuracyTest, SmallRows) { measure_kinds(small_sizes()); }

TEST_P(AccuracyTest, AroundBlockBoundaries) {
  std::vector<std::size_t> sizes = {513};
  if (!slow_machine() || in().dtype == out().dtype) sizes.push_back(8193);
  if (!slow_machine()) sizes.insert(sizes.end(), {511, 512, 1000, 1025, 8191, 8192});
  measure_kinds(sizes);
}

// Where one logit dominates, the error of its exponential goes into every other result of the row.
TEST_P(AccuracyTest, ManyTinyRows) {
  const std::size_t rows = slow_machine() ? 500 : 8000;
  for (const std::size_t cols : {2U, 3U, 10U}) {
    for (const double scale : {0.3, 4.0, 10.0}) {
      measure("normal, deviation " + std::to_string(scale), normal_logits(in(), rows * cols, scale, 5), cols);
    }
  }
}

TEST_P(AccuracyTest, LongRows) {
  // 2^21 is where the parts of a row begin to be longer than one segment.
  std::vector<std::size_t> sizes = {slow_machine() ? std::size_t{20011} : 100003};
  const bool not_half = in().bytes > 2 && out().bytes > 2;
  if (!slow_machine() && not_half) sizes.push_back(2097153);
  if (exhaustive() && not_half) sizes.push_back(std::size_t{1} << 26);
  for (const std::size_t cols : sizes) {
    measure("normal, deviation 4", normal_logits(in(), cols, 4, static_cast<unsigned>(cols)), cols);
  }
  measure("all equal", std::vector<double>(sizes.back(), 1.5), sizes.back());
}

// theta * logit is not rounded before the exponential.
TEST_P(AccuracyTest, Theta) {
  for (const double theta : {0.0, 1e-3, 0.5, 0.7071067811865476, 2.0, 3.3, -1.0, -0.1}) {
    for (const std::size_t cols : {1U, 2U, 15U, 127U, 128U, 129U, 300U, 1000U}) {
      for (const double scale : {1.0, 30.0}) {
        measure("normal, deviation " + std::to_string(scale), normal_logits(in(), cols, scale, 7), cols, theta);
      }
    }
  }
}

// 1/n: the ties of a rounding to half, and the subnormals of f16.
TEST_P(AccuracyTest, EqualLogits) {
  std::vector<std::size_t> sizes = {5000, 17000, 40000, 68001};
  for (std::size_t cols = 1; cols < 2500; cols += slow_machine() ? 97 : 7) sizes.push_back(cols);
  for (const std::size_t cols : sizes) measure("all equal", std::vector<double>(cols, -2.0), cols);
}

INSTANTIATE_TEST_SUITE_P(All, AccuracyTest, ::testing::ValuesIn(pairs()), name_of_pair);

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

TEST(ErrorInBounds, CountsInTheBoundOfTheAccuracy) {
  const Format& f32 = format_named("f32");
  const Format& f16 = format_named("f16");
  EXPECT_EQ(error_in_bounds(f32, SIMDSOFTMAX_BALANCED, 0.5L, 0.5 + 0x1p-22), 1);
  EXPECT_EQ(error_in_bounds(f32, SIMDSOFTMAX_EXACT, 0.5L, 0.5 + 0x1p-24), 1 / 0.501);
  EXPECT_EQ(error_in_bounds(f32, SIMDSOFTMAX_FAST, 0.5L, 0.5 + 0x1p-13), 1);
  EXPECT_EQ(error_in_bounds(f32, SIMDSOFTMAX_FAST, 0.75L, 0.75 - 0x3p-14), 1);
  EXPECT_EQ(error_in_bounds(f16, SIMDSOFTMAX_FAST, 0.5L, 0.5 + 0x1p-12), 0);
  EXPECT_EQ(error_in_bounds(f16, SIMDSOFTMAX_FAST, 0.5L, 0.5 + 0x1p-11), 2);
  EXPECT_EQ(error_in_bounds(f32, SIMDSOFTMAX_FAST, 0x0.8p-126L, 0.0), 0);
  EXPECT_TRUE(std::isinf(error_in_bounds(f32, SIMDSOFTMAX_FAST, 0.5L, std::nan(""))));
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
