// SPDX-License-Identifier: Apache-2.0
// The table of the special cases: NaN, infinities, empty rows, underflow.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness.hpp"
#include "inputs.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

class ContractTest : public AccuracyConfigTest {
 protected:
  std::vector<double> run(const Shape& shape, const std::vector<double>& logits, const simdsoftmax_options& options) {
    return decode(pair().out, softmax(pair(), shape, encode(pair().in, logits), options));
  }
};

bool all_nan(const std::vector<double>& row) {
  for (const double value : row) {
    if (!std::isnan(value)) return false;
  }
  return true;
}

bool all_positive_zero(const std::vector<double>& row) {
  for (const double value : row) {
    if (value != 0 || std::signbit(value)) return false;
  }
  return true;
}

std::vector<double> row_of(const std::vector<double>& values, std::size_t row, std::size_t cols) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(row * cols);
  return {first, first + static_cast<std::ptrdiff_t>(cols)};
}

TEST_P(ContractTest, NanOrInfinityMakesItsRowNanAndNoOther) {
  for (const double special : {nan_value, -nan_value, infinity}) {
    for (const std::size_t cols : {1U, 2U, 7U, 16U, 63U, 128U, 129U, 300U}) {
      const Shape shape{3, cols};
      const std::vector<double> logits = normal_logits(in(), shape.rows * cols, 4, 41);
      for (const simdsoftmax_variant variant : variants()) {
        const std::vector<double> expected = run(shape, logits, serial_options(variant));
        for (std::size_t at = 0; at < cols; at += 1 + at / (slow_machine() ? 3 : 20)) {
          std::vector<double> poisoned = logits;
          poisoned[cols + at] = special;
          const std::vector<double> got = run(shape, poisoned, serial_options(variant));
          ASSERT_EQ(row_of(got, 0, cols), row_of(expected, 0, cols));
          ASSERT_TRUE(all_nan(row_of(got, 1, cols)))
              << special << " at " << at << " of " << cols << ", " << simdsoftmax_variant_name(variant);
          ASSERT_EQ(row_of(got, 2, cols), row_of(expected, 2, cols));
        }
      }
    }
  }
}

TEST_P(ContractTest, NanOfEveryPayload) {
  for (int bit = 0; bit < in().precision - 1; ++bit) {
    for (const simdsoftmax_variant variant : variants()) {
      Bytes logits = encode(pair().in, {0.0, infinity, 0.0});
      const std::size_t byte = in().bytes + static_cast<std::size_t>(bit) / 8;
      logits[byte] = static_cast<unsigned char>(logits[byte] | 1U << bit % 8);
      ASSERT_TRUE(all_nan(decode(pair().out, softmax(pair(), {1, 3}, logits, serial_options(variant)))))
          << "bit " << bit << ", " << simdsoftmax_variant_name(variant);
    }
  }
}

// In long rows, beside -inf, the largest finite value, or each other.
TEST_P(ContractTest, NanAndInfinityWinOverEverything) {
  const std::vector<double> companions = {0.0, -infinity, largest(in()), -largest(in()), infinity, nan_value};
  for (const std::size_t cols : {2U, 100U, 1000U, 9000U}) {
    for (const double special : {nan_value, infinity}) {
      for (const double companion : companions) {
        for (const std::size_t at : {std::size_t{0}, cols / 2, cols - 1}) {
          if (slow_machine() && cols > 1000 && at != cols / 2) continue;
          std::vector<double> logits(cols, companion);
          logits[at] = special;
          for (const simdsoftmax_variant variant : variants()) {
            ASSERT_TRUE(all_nan(run({1, cols}, logits, serial_options(variant))))
                << special << " at " << at << " of " << cols << " beside " << companion << ", "
                << simdsoftmax_variant_name(variant);
          }
        }
      }
    }
  }
}

TEST_P(ContractTest, RowOfMinusInfinityFollowsTheOption) {
  for (const std::size_t cols : {1U, 2U, 17U, 128U, 300U, 9000U}) {
    std::vector<double> logits = normal_logits(in(), 3 * cols, 4, 42);
    const std::vector<double> neighbours = run({3, cols}, logits, serial_options());
    std::fill_n(logits.begin() + static_cast<std::ptrdiff_t>(cols), cols, -infinity);
    for (const simdsoftmax_variant variant : variants()) {
      simdsoftmax_options options = serial_options(variant);
      EXPECT_TRUE(all_nan(row_of(run({3, cols}, logits, options), 1, cols)));
      options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
      const std::vector<double> got = run({3, cols}, logits, options);
      EXPECT_TRUE(all_positive_zero(row_of(got, 1, cols)));
      EXPECT_EQ(row_of(got, 0, cols), row_of(neighbours, 0, cols));
      EXPECT_EQ(row_of(got, 2, cols), row_of(neighbours, 2, cols));
    }
  }
}

// empty_row speaks of rows of -inf only.
TEST_P(ContractTest, ZerosForEmptyRowsDoNotHideNan) {
  for (const double special : {nan_value, infinity}) {
    for (const simdsoftmax_variant variant : variants()) {
      simdsoftmax_options options = serial_options(variant);
      options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
      std::vector<double> logits(200, -infinity);
      logits[150] = special;
      EXPECT_TRUE(all_nan(run({1, 200}, logits, options)));
    }
  }
}

TEST_P(ContractTest, MinusInfinityBesideFiniteIsExactlyZero) {
  for (const std::size_t cols : {2U, 9U, 64U, 129U, 300U, 9000U}) {
    for (const double finite : {0.0, -1.5, largest(in()), -largest(in())}) {
      for (const std::size_t at : {std::size_t{0}, cols / 2, cols - 1}) {
        if (slow_machine() && cols > 1000 && at != cols / 2) continue;
        std::vector<double> logits(cols, -infinity);
        logits[at] = finite;
        for (const simdsoftmax_variant variant : variants()) {
          std::vector<double> got = run({1, cols}, logits, serial_options(variant));
          ASSERT_LE(error_in_bounds(out(), accuracy(), 1, got[at]), 1);
          got[at] = 0;
          ASSERT_TRUE(all_positive_zero(got))
              << finite << " at " << at << " of " << cols << ", " << simdsoftmax_variant_name(variant);
        }
      }
    }
  }
}

TEST_P(ContractTest, OneColumnIsExactlyOne) {
  const double smallest = min_normal(in()) * std::ldexp(1.0, 1 - in().precision);
  const std::vector<double> logits = {0.0,           -0.0,           1.0,      -700.0,           1e4,
                                      largest(in()), -largest(in()), smallest, min_normal(in()), -smallest};
  for (const simdsoftmax_variant variant : variants()) {
    EXPECT_EQ(run({logits.size(), 1}, logits, serial_options(variant)), std::vector<double>(logits.size(), 1.0));
  }
}

// Results that would be subnormal are exactly 0, except in f16, whose subnormals are worth having.
TEST_P(ContractTest, Underflow) {
  const double steps_below_one = -std::log(min_normal(out()));
  for (const std::size_t cols : {3U, 40U, 300U}) {
    std::vector<double> logits(cols);
    for (std::size_t i = 0; i < cols; ++i) logits[i] = -steps_below_one - 0.02 * static_cast<double>(i);
    logits[0] = 0;
    logits[1] += 1;
    for (const simdsoftmax_variant variant : variants()) {
      const std::vector<double> got = run({1, cols}, logits, serial_options(variant));
      std::size_t subnormal = 0;
      for (const double value : got) subnormal += value > 0 && value < min_normal(out()) ? 1U : 0U;
      EXPECT_EQ(subnormal > 0, out().keeps_subnormals) << simdsoftmax_variant_name(variant);
      EXPECT_GE(got[1], min_normal(out()));
    }
  }
}

TEST_P(ContractTest, NothingToDoSucceedsAndWritesNothing) {
  for (const simdsoftmax_variant variant : variants()) {
    const simdsoftmax_options options = serial_options(variant);
    for (const Shape& shape : {Shape{0, 0}, Shape{0, 7}, Shape{7, 0}}) {
      const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
      EXPECT_EQ(simdsoftmax_softmax_rows(nullptr, pair().in, stride, nullptr, pair().out, stride, shape.rows,
                                         shape.cols, &options),
                SIMDSOFTMAX_OK);
      const Bytes logits(64, poison);
      Bytes output(64, poison);
      EXPECT_EQ(simdsoftmax_softmax_rows(logits.data(), pair().in, stride, output.data(), pair().out, stride,
                                         shape.rows, shape.cols, &options),
                SIMDSOFTMAX_OK);
      EXPECT_EQ(output, Bytes(64, poison));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ContractTest, ::testing::ValuesIn(accuracy_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
