// SPDX-License-Identifier: Apache-2.0
// Where a row lies in memory changes no bit, and memory that is not part of a row is neither read nor written.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

class LayoutTest : public AccuracyConfigTest {
 protected:
  // Rows with strides, with `gap` as the value of the elements between input rows. The output's gaps must stay
  // poisoned.
  Bytes softmax_with_strides(const Shape& shape, const Bytes& dense, std::size_t in_gap, std::size_t out_gap,
                             double gap, const simdsoftmax_options& options) {
    const std::size_t in_stride = shape.cols + in_gap;
    const std::size_t out_stride = shape.cols + out_gap;
    const std::size_t in_row = shape.cols * in().bytes;
    const std::size_t out_row = shape.cols * out().bytes;
    Bytes logits = encode(pair().in, std::vector<double>(shape.rows * in_stride, gap));
    for (std::size_t row = 0; row < shape.rows; ++row) {
      std::copy_n(dense.data() + row * in_row, in_row, logits.data() + row * in_stride * in().bytes);
    }
    Bytes output(shape.rows * out_stride * out().bytes, poison);
    EXPECT_EQ(
        simdsoftmax_softmax_rows(logits.data(), pair().in, static_cast<std::ptrdiff_t>(in_stride), output.data(),
                                 pair().out, static_cast<std::ptrdiff_t>(out_stride), shape.rows, shape.cols, &options),
        SIMDSOFTMAX_OK);
    Bytes result;
    for (std::size_t row = 0; row < shape.rows; ++row) {
      const unsigned char* const begin = output.data() + row * out_stride * out().bytes;
      const unsigned char* const end = begin + out_stride * out().bytes;
      result.insert(result.end(), begin, begin + out_row);
      EXPECT_TRUE(std::all_of(begin + out_row, end, [](unsigned char byte) { return byte == poison; }))
          << "the gap after row " << row << " was written";
    }
    return result;
  }
};

TEST_P(LayoutTest, EveryAlignment) {
  for (const std::size_t cols : {1U, 5U, 10U, 64U, 67U, 129U, 200U, 8215U}) {
    if (slow_machine() && cols > 200) continue;
    const Bytes dense = encode(pair().in, normal_logits(in(), cols, 4, 21));
    const Bytes expected = softmax(pair(), {1, cols}, dense, serial_options());
    Bytes logits(dense.size() + 128);
    Bytes output(expected.size() + 128);
    for (const simdsoftmax_variant variant : variants()) {
      const simdsoftmax_options options = serial_options(variant);
      for (std::size_t offset = 0; offset < 64; ++offset) {
        const std::size_t out_offset = offset * 29 % 64;
        std::copy(dense.begin(), dense.end(), logits.data() + offset);
        std::fill(output.begin(), output.end(), poison);
        ASSERT_EQ(simdsoftmax_softmax_rows(logits.data() + offset, pair().in, 0, output.data() + out_offset, pair().out,
                                           0, 1, cols, &options),
                  SIMDSOFTMAX_OK);
        Bytes around(output.size(), poison);
        std::copy(expected.begin(), expected.end(), around.data() + out_offset);
        ASSERT_EQ(output, around) << cols << " columns, input at " << offset << ", output at " << out_offset;
      }
    }
  }
}

// Rows that are longer than the room there is for exponentials: some of those lie in the output meanwhile, if it may
// have them, and some are computed twice.
TEST_P(LayoutTest, LongRowsAtOddAddresses) {
  const std::size_t cols = slow_machine() ? 50001 : 100003;
  const Bytes dense = encode(pair().in, normal_logits(in(), cols, 4, 26));
  const Bytes expected = softmax(pair(), {1, cols}, dense, serial_options(SIMDSOFTMAX_THREE_PASS_RECOMPUTE));
  constexpr std::size_t offset = 3;
  const auto surrounded = [](const Bytes& bytes) {
    Bytes around(bytes.size() + 2 * offset, poison);
    std::copy(bytes.begin(), bytes.end(), around.begin() + offset);
    return around;
  };
  for (const simdsoftmax_variant variant : variants()) {
    const simdsoftmax_options options = serial_options(variant);
    const Bytes logits = surrounded(dense);
    Bytes output(expected.size() + 2 * offset, poison);
    ASSERT_EQ(simdsoftmax_softmax_rows(logits.data() + offset, pair().in, 0, output.data() + offset, pair().out, 0, 1,
                                       cols, &options),
              SIMDSOFTMAX_OK);
    ASSERT_TRUE(output == surrounded(expected)) << simdsoftmax_variant_name(variant);
    if (pair().in != pair().out) continue;
    Bytes memory = surrounded(dense);
    ASSERT_EQ(simdsoftmax_softmax_rows(memory.data() + offset, pair().in, 0, memory.data() + offset, pair().out, 0, 1,
                                       cols, &options),
              SIMDSOFTMAX_OK);
    ASSERT_TRUE(memory == surrounded(expected)) << "in place, " << simdsoftmax_variant_name(variant);
  }
}

TEST_P(LayoutTest, PositionInABatch) {
  for (const std::size_t cols : {1U, 3U, 8U, 10U, 17U, 64U, 65U, 300U}) {
    const Shape shape{19, cols};
    const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * cols, 4, 22));
    for (const simdsoftmax_variant variant : variants()) {
      const Bytes batch = softmax(pair(), shape, logits, serial_options(variant));
      for (std::size_t row = 0; row < shape.rows; ++row) {
        const auto first = static_cast<std::ptrdiff_t>(row * cols);
        const auto last = first + static_cast<std::ptrdiff_t>(cols);
        const auto in_bytes = static_cast<std::ptrdiff_t>(in().bytes);
        const auto out_bytes = static_cast<std::ptrdiff_t>(out().bytes);
        const Bytes alone(logits.begin() + first * in_bytes, logits.begin() + last * in_bytes);
        const Bytes expected(batch.begin() + first * out_bytes, batch.begin() + last * out_bytes);
        ASSERT_EQ(softmax(pair(), {1, cols}, alone, serial_options(variant)), expected) << "row " << row;
      }
    }
  }
}

TEST_P(LayoutTest, StridesWithPoisonedGaps) {
  for (const std::size_t cols : {1U, 7U, 33U, 128U, 150U}) {
    const Shape shape{6, cols};
    const Bytes dense = encode(pair().in, normal_logits(in(), shape.rows * cols, 4, 23));
    const Bytes expected = softmax(pair(), shape, dense, serial_options());
    for (const simdsoftmax_variant variant : variants()) {
      for (const double gap : {std::nan(""), HUGE_VAL, 100.0}) {
        EXPECT_EQ(softmax_with_strides(shape, dense, 0, 3, gap, serial_options(variant)), expected);
        EXPECT_EQ(softmax_with_strides(shape, dense, 5, 0, gap, serial_options(variant)), expected);
        EXPECT_EQ(softmax_with_strides(shape, dense, 9, 70, gap, serial_options(variant)), expected);
      }
    }
  }
}

// A stride of 0 reads one row again and again, a stride of 1 slides a window.
TEST_P(LayoutTest, InputRowsMayOverlap) {
  const Shape shape{5, 40};
  const std::vector<double> values = normal_logits(in(), shape.cols + shape.rows, 4, 24);
  const Bytes logits = encode(pair().in, values);
  for (const std::ptrdiff_t stride : {0, 1}) {
    std::vector<double> dense;
    for (std::size_t row = 0; row < shape.rows; ++row) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(row) * stride;
      dense.insert(dense.end(), first, first + static_cast<std::ptrdiff_t>(shape.cols));
    }
    Bytes output(shape.rows * shape.cols * out().bytes, poison);
    const simdsoftmax_options options = serial_options();
    ASSERT_EQ(simdsoftmax_softmax_rows(logits.data(), pair().in, stride, output.data(), pair().out,
                                       static_cast<std::ptrdiff_t>(shape.cols), shape.rows, shape.cols, &options),
              SIMDSOFTMAX_OK);
    EXPECT_EQ(output, softmax(pair(), shape, encode(pair().in, dense), options));
  }
}

TEST_P(LayoutTest, InPlace) {
  if (pair().in != pair().out) return;  // in place means one dtype
  for (const Shape& shape : {Shape{1, 300}, Shape{7, 10}, Shape{3, 129}, Shape{2, 70001}}) {
    const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 25));
    const Bytes expected = softmax(pair(), shape, logits, serial_options());
    for (const simdsoftmax_variant variant : variants()) {
      for (const int threads : {1, 4}) {
        simdsoftmax_options options = serial_options(variant);
        options.num_threads = threads;
        Bytes values = logits;
        const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
        ASSERT_EQ(simdsoftmax_softmax_rows(values.data(), pair().in, stride, values.data(), pair().out, stride,
                                           shape.rows, shape.cols, &options),
                  SIMDSOFTMAX_OK);
        ASSERT_EQ(values, expected) << simdsoftmax_variant_name(variant) << ", " << threads << " threads";
      }
    }
  }
}

TEST_P(LayoutTest, TheInputIsOnlyRead) {
  const Shape shape{3, 200};
  const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 26));
  const Bytes before = logits;
  for (const simdsoftmax_variant variant : variants()) {
    (void)softmax(pair(), shape, logits, serial_options(variant));
    ASSERT_EQ(logits, before) << simdsoftmax_variant_name(variant);
  }
}

INSTANTIATE_TEST_SUITE_P(All, LayoutTest, ::testing::ValuesIn(accuracy_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
