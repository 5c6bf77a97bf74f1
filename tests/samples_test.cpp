// SPDX-License-Identifier: Apache-2.0
// Real logits: the sample that the project ships, and worked examples with their known results.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "harness.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

class SamplesTest : public IsaTest {};

// Softmax over the last axis is what this library computes of the operations in the file.
bool is_row_softmax(const nlohmann::json& sample) {
  const auto rank = static_cast<int>(sample.at("shape").size());
  const int axis = sample.at("axis");
  return sample.at("op") == "softmax" && (axis == -1 || axis == rank - 1);
}

TEST_P(SamplesTest, WorkedExamples) {
  std::ifstream file(SIMDSOFTMAX_TEST_DATA "/seed_cases.json");
  ASSERT_TRUE(file) << "no worked examples";
  std::size_t run = 0;
  for (const nlohmann::json& sample : nlohmann::json::parse(file)) {
    if (!is_row_softmax(sample)) continue;
    ++run;
    const simdsoftmax_dtype dtype = format_named(sample.at("dtype")).dtype;
    const std::vector<double> logits = sample.at("logits");
    const std::vector<double> values = sample.at("expected");
    const std::vector<Wide> expected(values.begin(), values.end());
    const std::size_t cols = sample.at("shape").back();
    for (const simdsoftmax_variant variant : variants()) {
      simdsoftmax_options options = serial_options(variant);
      options.theta = sample.at("theta");
      const Bytes output = softmax({dtype, dtype}, {logits.size() / cols, cols}, encode(dtype, logits), options);
      const Worst worst = worst_of(format_of(dtype), expected, decode(dtype, output));
      EXPECT_LE(worst.ulp, bound_in_ulp(format_of(dtype))) << sample.at("name") << ", " << worst.where;
    }
  }
  EXPECT_EQ(run, 26U) << "the file has 26 cases of softmax over the last axis";
}

// 597 x 10 f32 behind a header of version 1.0.
std::vector<double> read_digits() {
  constexpr std::size_t header = 128;
  constexpr std::size_t count = std::size_t{597} * 10;
  std::ifstream file(SIMDSOFTMAX_SAMPLE_DATA "/digits_logits.npy", std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string text(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), header)));
  if (text.find("'<f4', 'fortran_order': False, 'shape': (597, 10)") == std::string::npos) return {};
  if (bytes.size() != header + count * sizeof(float)) return {};
  return decode(SIMDSOFTMAX_F32, Bytes(bytes.begin() + header, bytes.end()));
}

TEST_P(SamplesTest, Digits) {
  constexpr std::size_t cols = 10;
  const std::vector<double> logits = read_digits();
  ASSERT_FALSE(logits.empty()) << "the sample is missing or not what it was";
  const std::size_t rows = logits.size() / cols;
  for (const Pair& pair : pairs()) {
    if (pair.in != SIMDSOFTMAX_F32 && pair.in != SIMDSOFTMAX_F64) continue;  // the logits are exact in these
    const Format& format = format_of(pair.out);
    for (const simdsoftmax_variant variant : variants()) {
      const std::vector<double> got =
          decode(pair.out, softmax(pair, {rows, cols}, encode(pair.in, logits), serial_options(variant)));
      for (std::size_t row = 0; row < rows; ++row) {
        const auto first = static_cast<std::ptrdiff_t>(row * cols);
        const auto last = first + static_cast<std::ptrdiff_t>(cols);
        const std::vector<double> x(logits.begin() + first, logits.begin() + last);
        const std::vector<double> p(got.begin() + first, got.begin() + last);
        EXPECT_LE(worst_of(format, exact_softmax(x), p).ulp, bound_in_ulp(format)) << "row " << row;
        const auto top = std::max_element(x.begin(), x.end()) - x.begin();
        EXPECT_EQ(p[static_cast<std::size_t>(top)], *std::max_element(p.begin(), p.end())) << "row " << row;
        double sum = 0;
        for (const double value : p) sum += value;
        EXPECT_NEAR(sum, 1.0, 4 * std::ldexp(1.0, 1 - format.precision)) << "row " << row;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SamplesTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
