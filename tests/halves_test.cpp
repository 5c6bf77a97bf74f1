// SPDX-License-Identifier: Apache-2.0
// Conversions of the half types: the tests' own against known words, and the library's for every word there is.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "harness.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

std::uint16_t word_of(const char* format, double value) {
  std::uint16_t word = 0;
  store(format_named(format), round_to(format_named(format), value), &word);
  return word;
}

TEST(HalfFormats, KnownWords) {
  EXPECT_EQ(word_of("f16", 1.0), 0x3c00);
  EXPECT_EQ(word_of("f16", -2.0), 0xc000);
  EXPECT_EQ(word_of("f16", 65504.0), 0x7bff);
  EXPECT_EQ(word_of("f16", 1.0 / 3.0), 0x3555);
  EXPECT_EQ(word_of("f16", 0x1p-24), 0x0001);
  EXPECT_EQ(word_of("f16", 0x1p-25), 0x0000);
  EXPECT_EQ(word_of("f16", 0x3p-25), 0x0002);
  EXPECT_EQ(word_of("f16", 1.0 + 0x1p-11), 0x3c00);
  EXPECT_EQ(word_of("f16", 1.0 + 0x3p-11), 0x3c02);
  EXPECT_EQ(word_of("f16", -HUGE_VAL), 0xfc00);
  EXPECT_EQ(word_of("bf16", 1.0), 0x3f80);
  EXPECT_EQ(word_of("bf16", 3.140625), 0x4049);
  EXPECT_EQ(word_of("bf16", 0x1p-133), 0x0001);
  EXPECT_EQ(word_of("bf16", 1.0 + 0x1p-8), 0x3f80);
  EXPECT_EQ(word_of("bf16", HUGE_VAL), 0x7f80);
}

// bf16 is the upper half of an f32.
TEST(HalfFormats, EveryWordThereAndBack) {
  for (const char* const name : {"f16", "bf16"}) {
    const Format& format = format_named(name);
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
      const auto word = static_cast<std::uint16_t>(bits);
      const double value = load(format, &word);
      if (std::isnan(value)) continue;
      std::uint16_t back = 0;
      store(format, value, &back);
      ASSERT_EQ(back, word);
      if (format.dtype == SIMDSOFTMAX_F16) continue;
      const std::uint32_t wide = bits << 16;
      ASSERT_EQ(load(format_named("f32"), &wide), value);
    }
  }
}

class HalvesTest : public AccuracyConfigTest {};
class HalvesAccuracyTest : public AccuracyConfigTest {};

// Every finite word as the second of two logits, beside a zero. theta brings its binade to [1, 2), so each bit of it
// counts.
TEST_P(HalvesTest, EveryWordIsReadRight) {
  if (in().bytes != 2) return;
  const int fraction_bits = in().precision - 1;
  const unsigned infinite = 0x7fffU >> fraction_bits << fraction_bits;
  for (unsigned first = 0; first < infinite; first += 1U << fraction_bits) {
    std::vector<double> values;
    for (unsigned bits = first; bits < first + (1U << fraction_bits); bits += slow_machine() ? 29 : 1) {
      for (const unsigned sign : {0U, 0x8000U}) {
        const auto word = static_cast<std::uint16_t>(bits | sign);
        values.insert(values.end(), {0.0, load(in(), &word)});
      }
    }
    simdsoftmax_options options = serial_options();
    const int exponent = std::max(std::ilogb(values.back()), in().min_exponent);
    options.theta = std::ldexp(1.0, std::clamp(-exponent, -126, 126));
    const Bytes output = softmax(pair(), {values.size() / 2, 2}, encode(pair().in, values), options);
    const std::vector<double> got = decode(pair().out, output);
    for (std::size_t i = 0; i < values.size(); i += 2) {
      const Worst worst =
          worst_of(out(), exact_softmax({values[i], values[i + 1]}, options.theta), {got[i], got[i + 1]}, accuracy());
      ASSERT_LE(worst.bounds, 1) << values[i + 1];
    }
  }
}

// Rows of the words as they are, beside others.
TEST_P(HalvesAccuracyTest, EveryWordInRowsOfSeveral) {
  if (in().bytes != 2) return;
  const unsigned infinite = 0x7fffU >> (in().precision - 1) << (in().precision - 1);
  const std::vector<std::vector<double>> others = {{0.0}, {1.5}, {-3.25}, {0.25, -1.0}, {8.0, 7.5, 7.0, -2.0, 6.5}};
  Worst worst;
  for (const std::vector<double>& rest : others) {
    const std::size_t cols = rest.size() + 1;
    std::vector<double> values;
    for (unsigned bits = 0; bits < infinite; bits += slow_machine() ? 61 : 1) {
      for (const unsigned sign : {0U, 0x8000U}) {
        const auto word = static_cast<std::uint16_t>(bits | sign);
        values.push_back(load(in(), &word));
        values.insert(values.end(), rest.begin(), rest.end());
      }
    }
    const Bytes output = softmax(pair(), {values.size() / cols, cols}, encode(pair().in, values), serial_options());
    const std::vector<double> got = decode(pair().out, output);
    for (auto row = values.begin(); row != values.end(); row += static_cast<std::ptrdiff_t>(cols)) {
      const auto result = got.begin() + (row - values.begin());
      const auto end = static_cast<std::ptrdiff_t>(cols);
      const Worst one = worst_of(out(), exact_softmax({row, row + end}), {result, result + end}, accuracy());
      worst.merge(one, std::to_string(*row) + ", " + one.where);
    }
  }
  RecordProperty("worst_ulp", std::to_string(worst.ulp));
  EXPECT_LE(worst.bounds, 1) << worst.where;
}

// Floats that become halves, beside a zero: results come close to the middle between two halves.
TEST_P(HalvesAccuracyTest, FloatsBesideAZero) {
  if (pair().in != SIMDSOFTMAX_F32 || out().bytes != 2) return;
  const std::uint32_t step = exhaustive() ? 97 : slow_machine() ? 1000003 : 20011;
  Worst worst;
  std::vector<double> values;
  const auto judge = [&] {
    const Bytes output = softmax(pair(), {values.size() / 2, 2}, encode(pair().in, values), serial_options());
    const std::vector<double> got = decode(pair().out, output);
    for (std::size_t i = 0; i < values.size(); i += 2) {
      const Worst one = worst_of(out(), exact_softmax({values[i], values[i + 1]}), {got[i], got[i + 1]}, accuracy());
      worst.merge(one, std::to_string(values[i]) + ", " + one.where);
    }
    values.clear();
  };
  for (std::uint32_t bits = 0x35000000; bits < 0x42b80000; bits += step) {  // 4.8e-7 to 92
    for (const std::uint32_t sign : {0U, 0x80000000U}) {
      const std::uint32_t word = bits | sign;
      values.insert(values.end(), {load(in(), &word), 0.0});
    }
    if (values.size() > 100000) judge();
  }
  judge();
  RecordProperty("worst_ulp", std::to_string(worst.ulp));
  EXPECT_LE(worst.bounds, 1) << worst.where;
}

// Every NaN word, with whatever payload and sign, is a NaN.
TEST_P(HalvesTest, EveryNanIsSeen) {
  if (in().bytes != 2) return;
  const unsigned infinite = 0x7fffU >> (in().precision - 1) << (in().precision - 1);
  for (unsigned bits = infinite + 1; bits < 0x8000; ++bits) {
    for (const unsigned sign : {0U, 0x8000U}) {
      const auto word = static_cast<std::uint16_t>(bits | sign);
      const std::uint16_t row[] = {0, word, 0};
      Bytes logits(sizeof row);
      std::copy_n(reinterpret_cast<const unsigned char*>(row), sizeof row, logits.begin());
      const std::vector<double> got = decode(pair().out, softmax(pair(), {1, 3}, logits, serial_options()));
      ASSERT_TRUE(std::all_of(got.begin(), got.end(), [](double value) { return std::isnan(value); })) << word;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HalvesTest, ::testing::ValuesIn(accuracy_configs()), name_of_config);
INSTANTIATE_TEST_SUITE_P(All, HalvesAccuracyTest, ::testing::ValuesIn(of_each_arithmetic(accuracy_configs())),
                         name_of_config);

}  // namespace
}  // namespace softmax_test
