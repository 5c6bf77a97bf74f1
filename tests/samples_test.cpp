// SPDX-License-Identifier: Apache-2.0
// Real logits: the sample that the project ships, and worked examples with their known results.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "operators.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

class SamplesTest : public IsaTest {};

std::size_t axis_of(const nlohmann::json& sample) {
  const int axis = sample.at("axis");
  const auto rank = static_cast<int>(sample.at("shape").size());
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

// |got - expected| as a multiple of the bound.
double error_of(const nlohmann::json& sample, const Format& format, const std::vector<double>& got) {
  const std::vector<double> values = sample.at("expected");
  if (values.size() != got.size()) return HUGE_VAL;
  if (sample.at("op") == "softmax") {
    return worst_of(format, std::vector<Wide>(values.begin(), values.end()), got).ulp / bound_in_ulp(format);
  }
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto value = static_cast<Wide>(values[i]);
    worst = std::max(worst, rounded_error(format, format, value, last_place(format, value), 4, got[i]));
  }
  return worst;
}

std::vector<double> loss_of(const nlohmann::json& sample, const Tensor& logits, const simdsoftmax_options& options) {
  const bool sparse = sample.at("op") == "sparse_softmax_cross_entropy";
  const std::size_t axis = axis_of(sample);
  const Sizes row_sizes = without_axis(logits.shape(), axis);
  const std::vector<double> label_values = sample.at("labels");
  const Tensor labels(sparse ? simdsoftmax_dtype{SIMDSOFTMAX_I64} : logits.dtype(), sparse ? row_sizes : logits.shape(),
                      label_values);
  const Tensor loss(logits.dtype(), row_sizes);
  const simdsoftmax_tensor x = logits.view();
  const simdsoftmax_tensor q = labels.view();
  const simdsoftmax_tensor to = loss.view();
  const auto call = sparse ? simdsoftmax_sparse_softmax_cross_entropy : simdsoftmax_softmax_cross_entropy;
  EXPECT_EQ(call(&x, &q, &to, static_cast<std::int32_t>(axis), nullptr, &options), SIMDSOFTMAX_OK);
  return loss.values();
}

TEST_P(SamplesTest, WorkedExamples) {
  std::ifstream file(SIMDSOFTMAX_TEST_DATA "/seed_cases.json");
  ASSERT_TRUE(file) << "no worked examples";
  std::map<std::string, std::size_t> run;
  for (const nlohmann::json& sample : nlohmann::json::parse(file)) {
    const std::string op = sample.at("op");
    ++run[op];
    const Format& format = format_named(sample.at("dtype"));
    const Sizes shape = sample.at("shape");
    const std::vector<double> values = sample.at("logits");
    const Tensor logits(format.dtype, shape, values);
    for (const simdsoftmax_variant variant : variants()) {
      simdsoftmax_options options = serial_options(variant);
      options.theta = sample.value("theta", 1.0);
      std::vector<double> got;
      if (op == "softmax" || op == "log_softmax") {
        const Operator& function = op == "softmax" ? softmax_operator() : log_softmax_operator();
        got = apply(function, logits, format.dtype, sample.at("axis"), options).values();
      } else {
        got = loss_of(sample, logits, options);
      }
      EXPECT_LE(error_of(sample, format, got), 1) << sample.at("name") << ", " << simdsoftmax_variant_name(variant);
    }
  }
  const std::map<std::string, std::size_t> all = {
      {"softmax", 30}, {"log_softmax", 1}, {"softmax_cross_entropy", 2}, {"sparse_softmax_cross_entropy", 1}};
  EXPECT_EQ(run, all) << "the file has 34 cases";
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
