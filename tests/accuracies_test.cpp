// SPDX-License-Identifier: Apache-2.0
// What the accuracies promise beyond bounds of softmax: how many exact results are the nearest number, exact results of
// the other functions and layouts, and what is computed as balanced.

#include <gtest/gtest.h>

#include <cmath>

#include "inputs.hpp"
#include "operators.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

class AccuraciesTest : public ConfigTest {
 protected:
  simdsoftmax_options options_of(simdsoftmax_accuracy accuracy, double theta = 1) const {
    simdsoftmax_options options = serial_options();
    options.accuracy = accuracy;
    options.theta = theta;
    return options;
  }
  simdsoftmax_options exact_options(double theta = 1) const { return options_of(SIMDSOFTMAX_EXACT, theta); }
  bool is_f64() const { return pair().in == SIMDSOFTMAX_F64; }
  bool has_fast() const { return has_fma(GetParam().isa) && !is_f64() && in().bytes == out().bytes; }
};

// At least 99.999 %, of a million for f32 logits.
TEST_P(AccuraciesTest, ExactResultsAreTheNearestNumbers) {
  if (is_f64()) GTEST_SKIP() << "f64 has one accuracy";
  const bool many = in().dtype == SIMDSOFTMAX_F32 && !slow_machine();
  const std::size_t rows = many ? 260 : 26;
  constexpr std::size_t cols = 1000;
  std::size_t total = 0;
  std::size_t others = 0;
  for (const double scale : {0.1, 1.0, 4.0, 10.0}) {
    const std::vector<double> logits = normal_logits(in(), rows * cols, scale, 91);
    const std::vector<double> got =
        decode(pair().out, softmax(pair(), {rows, cols}, encode(pair().in, logits), exact_options()));
    for (std::size_t row = 0; row < rows; ++row) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(row * cols);
      const std::vector<Wide> exact = exact_softmax({first, first + static_cast<std::ptrdiff_t>(cols)});
      for (std::size_t c = 0; c < cols; ++c)
        others += error_in_ulp(out(), exact[c], got[row * cols + c]) > 0.5 ? 1U : 0U;
    }
    total += rows * cols;
  }
  RecordProperty("others", std::to_string(others));
  EXPECT_LE(others, total / 100000) << "of " << total;
}

// Rows side by side, far apart, and with pre-operations that change nothing.
TEST_P(AccuraciesTest, ExactBitsDoNotDependOnTheLayout) {
  for (const std::size_t cols : {1U, 2U, 7U, 33U, 128U, 300U, 1000U}) {
    for (const InputKind& kind : input_kinds()) {
      const std::size_t rows = 9;
      std::vector<double> logits;
      for (std::size_t row = 0; row < rows; ++row) {
        const std::vector<double> one = make_row(kind, in(), cols);
        logits.insert(logits.end(), one.begin(), one.end());
      }
      const Bytes expected = softmax(pair(), {rows, cols}, encode(pair().in, logits), exact_options());
      const std::string where = kind.name + ", " + std::to_string(cols) + " columns";

      const Sizes shape = {rows, cols};
      const Tensor padded(pair().in, shape, Strides{static_cast<std::ptrdiff_t>(3 * cols + 2), 3}, logits);
      ASSERT_TRUE(apply(softmax_operator(), padded, pair().out, 1, exact_options()).element_bytes() == expected)
          << where;

      const Tensor dense(pair().in, shape, logits);
      const Tensor mask(SIMDSOFTMAX_BOOL, {1}, {1.0});
      const simdsoftmax_tensor keep = mask.view();
      simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
      pre_ops.mask = &keep;
      simdsoftmax_options with_mask = exact_options();
      with_mask.pre_ops = &pre_ops;
      ASSERT_TRUE(apply(softmax_operator(), dense, pair().out, 1, with_mask).element_bytes() == expected) << where;

      const Tensor across(pair().in, {cols, rows}, Strides{static_cast<std::ptrdiff_t>(rows), 1},
                          decode(pair().in, axis_back(encode(pair().in, logits), in().bytes, {cols, rows}, 0)));
      const Bytes by_columns = apply(softmax_operator(), across, pair().out, 0, exact_options()).element_bytes();
      ASSERT_TRUE(axis_last(by_columns, out().bytes, {cols, rows}, 0) == expected) << where;
    }
  }
}

// f64 inside, one rounding: also where the result is a logarithm, and with theta and a scale.
TEST_P(AccuraciesTest, ExactFunctionsRoundOnce) {
  if (is_f64()) GTEST_SKIP() << "f64 has one accuracy";
  double worst = 0;
  for (const double theta : {1.0, 0.7071067811865476, -3.3}) {
    for (const std::size_t cols : {2U, 30U, 1000U, 5000U}) {
      for (const double scale : {1.0, 8.0}) {
        const std::vector<double> logits = normal_logits(in(), cols, scale, 92);
        RowOps ops;
        ops.theta = theta;
        const ExactRow exact = exact_row(logits, ops);
        const Tensor row(pair().in, {cols}, logits);
        const auto ulp_of = [&](Wide right, double got) {
          return static_cast<double>(std::fabs(static_cast<Wide>(got) - right) / last_place(out(), right));
        };
        const std::vector<double> logs =
            apply(log_softmax_operator(), row, pair().out, 0, exact_options(theta)).values();
        for (std::size_t c = 0; c < cols; ++c) worst = std::max(worst, ulp_of(exact.log_probabilities[c], logs[c]));
        const Tensor log_sum = apply(logsumexp_operator(), row, pair().out, 0, exact_options(theta));
        worst = std::max(worst, ulp_of(exact.logsumexp, log_sum.values().at(0)));

        Tensor top(pair().out, {2});
        Tensor indices(SIMDSOFTMAX_I32, {2});
        const simdsoftmax_tensor from = row.view();
        const simdsoftmax_tensor top_to = top.view();
        const simdsoftmax_tensor indices_to = indices.view();
        const simdsoftmax_options options = exact_options(theta);
        ASSERT_EQ(simdsoftmax_softmax_top_k(&from, &top_to, &indices_to, 0, SIMDSOFTMAX_OVER_ROW, &options),
                  SIMDSOFTMAX_OK);
        const std::vector<std::size_t> order = exact_order(exact, 2);
        for (std::size_t i = 0; i < 2; ++i) {
          EXPECT_EQ(indices.integers()[i], static_cast<std::int64_t>(order[i]));
          worst = std::max(worst, ulp_of(exact.probabilities[order[i]], top.values()[i]));
        }
      }
    }
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LE(worst, 0.501);
}

TEST_P(AccuraciesTest, ExactLossesRoundOnce) {
  if (is_f64() || pair().in != pair().out) GTEST_SKIP() << "losses have the dtype of the logits";
  for (const std::size_t cols : {2U, 10U, 3000U}) {
    const std::vector<double> logits = normal_logits(in(), cols, 3, 93);
    const ExactRow exact = exact_row(logits);
    const Tensor row(pair().in, {1, cols}, logits);
    Tensor loss(pair().in, {1});
    Tensor grad(pair().in, {1, cols});
    const Tensor label(SIMDSOFTMAX_I64, {1}, {1.0});
    const simdsoftmax_tensor from = row.view();
    const simdsoftmax_tensor label_from = label.view();
    const simdsoftmax_tensor loss_to = loss.view();
    const simdsoftmax_tensor grad_to = grad.view();
    simdsoftmax_cross_entropy_options loss_options = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
    loss_options.grad_logits = &grad_to;
    const simdsoftmax_options options = exact_options();
    ASSERT_EQ(simdsoftmax_sparse_softmax_cross_entropy(&from, &label_from, &loss_to, 1, &loss_options, &options),
              SIMDSOFTMAX_OK);
    EXPECT_LE(error_in_ulp(out(), -exact.log_probabilities[1], loss.values().at(0)), 0.501);
    for (std::size_t c = 0; c < cols; ++c) {
      const Wide right = exact.probabilities[c] - (c == 1 ? 1 : 0);
      const Wide ulp = std::fabs(static_cast<Wide>(grad.values()[c]) - right) / last_place(out(), right);
      ASSERT_LE(ulp, 0.501L) << "column " << c << " of " << cols;
    }
  }
}

// Where there is no fast kernel.
TEST_P(AccuraciesTest, FastIsBalancedWhereItIsNotOffered) {
  const Shape shape{4, 300};
  const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 94));
  const simdsoftmax_options fast = options_of(SIMDSOFTMAX_FAST);
  const simdsoftmax_options balanced = options_of(SIMDSOFTMAX_BALANCED);
  if (!has_fast()) {
    EXPECT_EQ(softmax(pair(), shape, logits, fast), softmax(pair(), shape, logits, balanced));
  }
  EXPECT_EQ(softmax(pair(), shape, logits, options_of(SIMDSOFTMAX_FAST, 0.5)),
            softmax(pair(), shape, logits, options_of(SIMDSOFTMAX_BALANCED, 0.5)));
  for (const Operator* const op : {&log_softmax_operator(), &logsumexp_operator()}) {
    EXPECT_EQ(apply_to_rows(*op, pair(), shape, logits, fast), apply_to_rows(*op, pair(), shape, logits, balanced));
  }
}

// A test of the fast rows would pass with balanced ones too.
TEST_P(AccuraciesTest, AccuraciesDiffer) {
  if (is_f64() || pair().out != SIMDSOFTMAX_F32) GTEST_SKIP() << "a half may hide it";
  const Shape shape{4, 300};
  const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 95));
  const Bytes balanced = softmax(pair(), shape, logits, options_of(SIMDSOFTMAX_BALANCED));
  if (has_fast()) {
    EXPECT_NE(softmax(pair(), shape, logits, options_of(SIMDSOFTMAX_FAST)), balanced);
  }
  EXPECT_NE(softmax(pair(), shape, logits, options_of(SIMDSOFTMAX_EXACT)), balanced);
}

INSTANTIATE_TEST_SUITE_P(All, AccuraciesTest, ::testing::ValuesIn(configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
