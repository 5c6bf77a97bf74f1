// SPDX-License-Identifier: Apache-2.0
// Rows that are taken several at a time have the bits that each has alone, whatever the others are.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// What can be amiss with the row in the middle of a batch of ordinary ones.
struct Odd {
  const char* name;
  double (*logit)(double ordinary, std::size_t column);
};
const Odd odds[] = {
    {"nothing", [](double x, std::size_t) { return x; }},
    {"a NaN", [](double x, std::size_t c) { return c == 1 ? std::nan("") : x; }},
    {"only NaN", [](double, std::size_t) { return std::nan(""); }},
    {"an infinity", [](double x, std::size_t c) { return c == 1 ? infinity : x; }},
    {"a masked column", [](double x, std::size_t c) { return c == 1 ? -infinity : x; }},
    {"all columns masked", [](double, std::size_t) { return -infinity; }},
    {"higher than the others, but not out of their reach", [](double x, std::size_t) { return x + 30; }},
    {"far above the others", [](double x, std::size_t) { return x + 1000; }},
    {"far below the others", [](double x, std::size_t) { return x - 1000; }},
    {"huge", [](double x, std::size_t) { return x * 2000; }},
    {"a column far below its others", [](double x, std::size_t c) { return c == 1 ? -95 : x; }},
    {"a column far above its others", [](double x, std::size_t c) { return c == 1 ? 40 : x; }},
    {"a column out of reach of the first one", [](double x, std::size_t c) { return c == 1 ? 1200 : x; }},
    {"a masked first column", [](double x, std::size_t c) { return c == 0 ? -infinity : x; }},
    {"a huge first column", [](double x, std::size_t c) { return c == 0 ? -60000 : x; }},
    {"a NaN in the first column", [](double x, std::size_t c) { return c == 0 ? std::nan("") : x; }},
    {"two columns that share the maximum", [](double x, std::size_t c) { return c < 2 ? 30 : x; }},
};

class NarrowTest : public ConfigTest {
 protected:
  std::vector<double> batch(const Shape& shape, const Odd& odd) const {
    std::vector<double> values = normal_logits(in(), shape.rows * shape.cols, 4, static_cast<unsigned>(shape.cols));
    const std::size_t middle = shape.rows / 2 * shape.cols;
    for (std::size_t c = 0; c < shape.cols; ++c) {
      const double value = odd.logit(values[middle + c], c);
      values[middle + c] = std::isfinite(value) ? round_to(in(), value) : value;
    }
    return values;
  }

  Bytes one_by_one(const Shape& shape, const std::vector<double>& values) const {
    Bytes all;
    for (std::size_t row = 0; row < shape.rows; ++row) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(row * shape.cols);
      const Bytes logits = encode(pair().in, {first, first + static_cast<std::ptrdiff_t>(shape.cols)});
      const Bytes alone = softmax(pair(), {1, shape.cols}, logits, serial_options(SIMDSOFTMAX_THREE_PASS));
      all.insert(all.end(), alone.begin(), alone.end());
    }
    return all;
  }
};

std::vector<std::size_t> columns() {
  if (slow_machine()) return {2, 8, 17, 64, 129};
  return {2, 3, 4, 5, 8, 9, 16, 17, 31, 33, 48, 49, 64, 65, 100, 129, 256, 600, 2500};
}

TEST_P(NarrowTest, RowsHaveTheBitsTheyHaveAlone) {
  for (const std::size_t cols : columns()) {
    for (const std::size_t rows : {1U, 2U, 7U, 8U, 21U, 300U}) {
      if (rows == 300 && cols > 20) continue;  // more than go together
      for (const Odd& odd : odds) {
        if (&odd != odds && rows > 2 && (rows != 21 || cols > 300)) continue;
        const Shape shape{rows, cols};
        const std::vector<double> values = batch(shape, odd);
        const Bytes expected = one_by_one(shape, values);
        Bytes logits = encode(pair().in, values);
        const simdsoftmax_options options = serial_options(SIMDSOFTMAX_NARROW);
        ASSERT_EQ(softmax(pair(), shape, logits, serial_options(SIMDSOFTMAX_STREAMING)), expected)
            << "streaming, " << rows << " rows of " << cols << ", the middle one with " << odd.name;
        ASSERT_EQ(softmax(pair(), shape, logits, options), expected)
            << rows << " rows of " << cols << ", the middle one with " << odd.name;
        if (pair().in != pair().out) continue;
        const auto stride = static_cast<std::ptrdiff_t>(cols);
        ASSERT_EQ(simdsoftmax_softmax_rows(logits.data(), pair().in, stride, logits.data(), pair().in, stride, rows,
                                           cols, &options),
                  SIMDSOFTMAX_OK);
        ASSERT_EQ(logits, expected) << "in place, " << rows << " rows of " << cols << ", the middle one with "
                                    << odd.name;
      }
    }
  }
}

// Blocks that lie elsewhere than the one before, reach too far, or have no place at all.
std::vector<double> rows_of_many_levels(const Format& in, const Shape& shape) {
  constexpr double levels[] = {0, 20, 70, -70, 0, 1000, -infinity, 1000, 31000, -5, 31000, -31000, 300, 0};
  constexpr std::size_t count = sizeof levels / sizeof *levels;
  std::vector<double> values = normal_logits(in, shape.rows * shape.cols, 4, 9);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i] + levels[i / shape.cols * count / shape.rows];
    values[i] = std::isfinite(value) ? round_to(in, value) : value;
  }
  return values;
}

TEST_P(NarrowTest, BlocksOfManyLevels) {
  for (const Shape& shape : {Shape{400, 33}, Shape{200, 200}, Shape{70, 600}}) {
    const std::vector<double> values = rows_of_many_levels(in(), shape);
    const Bytes logits = encode(pair().in, values);
    const Bytes expected = one_by_one(shape, values);
    ASSERT_EQ(softmax(pair(), shape, logits, serial_options(SIMDSOFTMAX_NARROW)), expected) << shape.cols;
    ASSERT_EQ(softmax(pair(), shape, logits, serial_options(SIMDSOFTMAX_STREAMING)), expected) << shape.cols;
    for (const double scale : {1.0, -0.3, 0.0, 1e-40, 50.0}) {
      for (const bool causal : {false, true}) {
        simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
        pre_ops.scale = scale;
        pre_ops.causal = causal ? 1 : 0;
        simdsoftmax_options options = serial_options(SIMDSOFTMAX_NARROW);
        options.pre_ops = &pre_ops;
        simdsoftmax_options staged = serial_options(SIMDSOFTMAX_ONLINE);
        staged.pre_ops = &pre_ops;
        ASSERT_EQ(softmax(pair(), shape, logits, options), softmax(pair(), shape, logits, staged))
            << shape.cols << " columns, scale " << scale << (causal ? ", causal" : "");
      }
    }
  }
}

// A grid of rows in three dimensions, of which the inner ones do not continue one another.
TEST_P(NarrowTest, RowsOfATensor) {
  const std::size_t shape[] = {3, 5, 10};
  const std::ptrdiff_t strides[] = {200, 12, 1};
  const std::vector<double> values = normal_logits(in(), 3 * 5 * 10, 4, 7);
  std::vector<double> apart(3 * 200, std::nan(""));
  for (std::size_t i = 0; i < values.size(); ++i) apart[i / 50 * 200 + i / 10 % 5 * 12 + i % 10] = values[i];
  Bytes logits = encode(pair().in, apart);
  Bytes output(values.size() * out().bytes, poison);
  const simdsoftmax_tensor from = {logits.data(), pair().in, 3, shape, strides};
  const simdsoftmax_tensor to = {output.data(), pair().out, 3, shape, nullptr};
  const simdsoftmax_options options = serial_options(SIMDSOFTMAX_NARROW);
  ASSERT_EQ(simdsoftmax_softmax(&from, &to, 2, &options), SIMDSOFTMAX_OK);
  EXPECT_EQ(output, one_by_one({15, 10}, values));
}

// log_softmax and logsumexp too; elements that lie apart are taken row by row.
TEST_P(NarrowTest, LogsHaveTheBitsTheyHaveRowByRow) {
  using Function = decltype(&simdsoftmax_softmax);
  const struct {
    const char* name;
    Function function;
    std::int32_t rank;  // of the output
  } functions[] = {{"log_softmax", simdsoftmax_log_softmax, 2}, {"logsumexp", simdsoftmax_logsumexp, 1}};
  const simdsoftmax_options options = serial_options();
  for (const std::size_t cols : columns()) {
    for (const std::size_t rows : {1U, 7U, 21U}) {
      for (const Odd& odd : odds) {
        if (&odd != odds && (rows != 21 || cols > 600)) continue;
        const std::vector<double> values = batch({rows, cols}, odd);
        std::vector<double> apart(2 * values.size(), std::nan(""));
        for (std::size_t i = 0; i < values.size(); ++i) apart[2 * i] = values[i];
        Bytes dense_logits = encode(pair().in, values);
        Bytes apart_logits = encode(pair().in, apart);
        const std::size_t shape[] = {rows, cols};
        const auto step = static_cast<std::ptrdiff_t>(2 * cols);
        const std::ptrdiff_t strides[] = {step, 2};
        const simdsoftmax_tensor dense = {dense_logits.data(), pair().in, 2, shape, nullptr};
        const simdsoftmax_tensor strided = {apart_logits.data(), pair().in, 2, shape, strides};
        for (const auto& f : functions) {
          const std::size_t results = f.rank == 2 ? rows * cols : rows;
          Bytes output(results * out().bytes, poison);
          Bytes expected = output;
          const simdsoftmax_tensor to = {output.data(), pair().out, f.rank, shape, nullptr};
          const simdsoftmax_tensor reference = {expected.data(), pair().out, f.rank, shape, nullptr};
          ASSERT_EQ(f.function(&dense, &to, 1, &options), SIMDSOFTMAX_OK);
          ASSERT_EQ(f.function(&strided, &reference, 1, &options), SIMDSOFTMAX_OK);
          ASSERT_EQ(output, expected) << f.name << " of " << rows << " rows of " << cols << ", the middle one with "
                                      << odd.name;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, NarrowTest, ::testing::ValuesIn(configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
