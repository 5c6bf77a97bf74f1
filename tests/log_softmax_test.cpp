// SPDX-License-Identifier: Apache-2.0
// log_softmax and logsumexp of dense rows: accuracy on every kind of logits, and the table of special cases.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

class LogSoftmaxTest : public ConfigTest {
 protected:
  std::vector<double> run(const Operator& op, const Shape& shape, const std::vector<double>& logits,
                          const simdsoftmax_options& options = serial_options()) {
    return decode(pair().out, apply_to_rows(op, pair(), shape, encode(pair().in, logits), options));
  }

  // The larger of the errors of both functions, as multiples of their bounds.
  double error_of_row(const std::vector<double>& row, const simdsoftmax_options& options = serial_options()) {
    RowOps ops;
    ops.theta = options.theta;
    const ExactRow exact = exact_row(row, ops);
    const bool zeros = options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS;
    double worst = 0;
    for (const Operator* op : {&log_softmax_operator(), &logsumexp_operator()}) {
      const double error = op->error(pair(), exact, ops, zeros, run(*op, {1, row.size()}, row, options));
      EXPECT_LE(error, 1) << op->name << " of " << row.size() << " columns, theta " << options.theta;
      worst = std::max(worst, error);
    }
    return worst;
  }
};

TEST_P(LogSoftmaxTest, EveryKindOfLogits) {
  std::vector<std::size_t> sizes = {1, 2, 10};
  if (!slow_machine()) sizes.insert(sizes.end(), {3, 5, 65, 8, 16, 21, 31, 64, 100, 129, 300, 513, 1025, 8193});
  for (const std::size_t cols : sizes) {
    for (const InputKind& kind : input_kinds()) {
      ASSERT_LE(error_of_row(make_row(kind, in(), cols)), 1) << kind.name;
    }
  }
}

TEST_P(LogSoftmaxTest, Theta) {
  for (const double theta : {0.5, 2.0, 1.0 / 3, -1.0, 0.0, 1e-3, 7.3}) {
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    for (const std::size_t cols : {1U, 2U, 10U, 65U, 129U, 1000U}) {
      if (slow_machine() && cols > 65) continue;
      for (const double scale : {0.1, 4.0, 300.0}) {
        ASSERT_LE(error_of_row(normal_logits(in(), cols, scale, 71), options), 1) << "scale " << scale;
      }
    }
  }
}

// The case of SciPy's log_softmax: what is left of 1 in the largest probability is all of its logarithm.
TEST_P(LogSoftmaxTest, ProbabilityNearOneKeepsItsRelativeAccuracy) {
  const std::vector<double> got = run(log_softmax_operator(), {1, 2}, {0, -40});
  const double expected = out().dtype == SIMDSOFTMAX_F16 ? 0 : -std::exp(-40.0);  // f16 begins at 2^-24
  EXPECT_NEAR(got[0], expected, std::fabs(expected) * 4 * std::ldexp(1.0, 1 - out().precision));
  EXPECT_EQ(got[1], -40);
  for (const std::size_t cols : {2U, 3U, 10U, 64U, 129U, 1000U, 9000U}) {
    if (slow_machine() && cols > 129) continue;
    for (const double gap : {1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 85.0}) {
      for (const std::size_t at : {std::size_t{0}, cols / 2, cols - 1}) {
        if (slow_machine() && at != cols / 2) continue;
        std::vector<double> row = normal_logits(in(), cols, 0.5, 72);
        row[at] = round_to(in(), gap + 3);
        ASSERT_LE(error_of_row(row), 1) << "gap " << gap << " at " << at;
      }
    }
  }
}

// Many columns, each with less than the smallest normal number, and together with more.
TEST_P(LogSoftmaxTest, ManyFarBelowTheLargest) {
  const double least = -std::log(min_normal(compute_format(in())));  // e^-least is that number
  for (const double beyond : {0.1, 1.0, 2.0, 3.0, 5.0}) {
    for (const std::size_t cols : {2U, 5U, 300U, 20000U}) {
      if (slow_machine() && cols > 300) continue;
      for (const double at : {0.0, 100.0, 200.0, 1e3}) {
        std::vector<double> row(cols, round_to(in(), at - least - beyond));
        row[cols / 2] = at;
        ASSERT_LE(error_of_row(row), 1) << beyond << " below " << at;
      }
    }
  }
}

// A few columns, none of which has all of the probability.
TEST_P(LogSoftmaxTest, TwoNearlyEqualMaxima) {
  for (const std::size_t cols : {2U, 17U, 300U}) {
    for (const double apart : {0.0, 1e-3, 0.1, 1.0}) {
      std::vector<double> row(cols, round_to(in(), -50));
      row[cols / 3] = 8;
      row[cols - 1] = round_to(in(), 8 - apart);
      ASSERT_LE(error_of_row(row), 1) << apart;
    }
  }
}

// Two of the worst exponentials of f64, whose addition is rounded too, where a last place of the result is small.
TEST_P(LogSoftmaxTest, WorstPairBelowOneHalf) {
  if (in().dtype != SIMDSOFTMAX_F64 || out().dtype != SIMDSOFTMAX_F64) GTEST_SKIP() << "a row of doubles";
  std::vector<double> row(9, -700);
  row[0] = -0x1.a39a517e166cap-2;
  row[8] = -0x1.9e7c50e204345p-2;
  const Operator& op = logsumexp_operator();
  EXPECT_LE(4 * op.error(pair(), exact_row(row), {}, false, run(op, {1, row.size()}, row)), 5);
}

TEST_P(LogSoftmaxTest, HugeLogits) {
  for (const double huge : {70000.0, 1e6, 1e30, largest(format_of(SIMDSOFTMAX_F32)), largest(in())}) {
    for (const double sign : {1.0, -1.0}) {
      const double x = round_to(in(), sign * huge);
      const double neighbour = round_to(in(), sign * huge * (1 - std::ldexp(1.0, 1 - in().precision)));
      for (const std::size_t cols : {1U, 2U, 10U, 200U}) {
        std::vector<double> row(cols, x);
        ASSERT_LE(error_of_row(row), 1) << huge;
        row[cols / 2] = neighbour;
        ASSERT_LE(error_of_row(row), 1) << huge << " beside " << neighbour;
        row[0] = 0;
        ASSERT_LE(error_of_row(row), 1) << huge << " beside 0";
      }
    }
  }
}

TEST_P(LogSoftmaxTest, OneColumn) {
  const std::vector<double> logits = {0.0, 1.0, -700.0, 1e4, largest(in()), -largest(in()), min_normal(in())};
  const Shape shape{logits.size(), 1};
  EXPECT_EQ(run(log_softmax_operator(), shape, logits), std::vector<double>(logits.size(), 0.0));
  for (const double logit : logits) error_of_row({round_to(in(), logit)});
}

TEST_P(LogSoftmaxTest, NanAndInfinityMakeTheirRowNanAndNoOther) {
  for (const std::size_t cols : {1U, 2U, 17U, 129U, 9000U}) {
    if (slow_machine() && cols > 129) continue;
    const Shape shape{3, cols};
    const std::vector<double> logits = normal_logits(in(), 3 * cols, 4, 73);
    for (const Operator& op : operators()) {
      const std::vector<double> expected = run(op, shape, logits);
      const std::size_t width = op.reduces ? 1 : cols;
      for (const double special : {nan_value, -nan_value, infinity}) {
        for (const std::size_t at : {std::size_t{0}, cols / 2, cols - 1}) {
          std::vector<double> spoilt = logits;
          spoilt[cols + at] = special;
          const std::vector<double> got = run(op, shape, spoilt);
          for (std::size_t i = 0; i < got.size(); ++i) {
            const bool in_the_row = i / width == 1;
            ASSERT_TRUE(in_the_row ? std::isnan(got[i]) : got[i] == expected[i])
                << op.name << ", " << special << " at " << at << " of " << cols << ": " << got[i];
          }
        }
      }
    }
  }
}

TEST_P(LogSoftmaxTest, MinusInfinity) {
  for (const std::size_t cols : {1U, 2U, 17U, 129U, 9000U}) {
    const std::vector<double> row(cols, -infinity);
    simdsoftmax_options options = serial_options();
    for (const double value : run(log_softmax_operator(), {1, cols}, row, options)) ASSERT_TRUE(std::isnan(value));
    EXPECT_EQ(run(logsumexp_operator(), {1, cols}, row, options)[0], -infinity);
    options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
    for (const double value : run(log_softmax_operator(), {1, cols}, row, options)) ASSERT_EQ(value, -infinity);
    EXPECT_EQ(run(logsumexp_operator(), {1, cols}, row, options)[0], -infinity);
    for (const std::size_t at : {std::size_t{0}, cols / 2, cols - 1}) {
      std::vector<double> one = row;
      one[at] = -3.5;
      std::vector<double> expected = row;
      expected[at] = 0;
      ASSERT_EQ(run(log_softmax_operator(), {1, cols}, one, options), expected);
      ASSERT_LE(error_of_row(one), 1);
    }
  }
}

// theta * logit is the IEEE product where it is infinite or NaN.
TEST_P(LogSoftmaxTest, ThetaAndInfinities) {
  for (const Operator& op : operators()) {
    for (const double theta : {0.0, -1.0}) {
      simdsoftmax_options options = serial_options();
      options.theta = theta;
      for (const double value : run(op, {1, 40}, std::vector<double>(40, -infinity), options)) {
        ASSERT_TRUE(std::isnan(value)) << op.name << ", theta " << theta;
      }
    }
  }
}

// The variant belongs to softmax; the number of threads changes no bit.
TEST_P(LogSoftmaxTest, SameBitsWhateverTheOptions) {
  for (const Shape& shape : {Shape{40, 200}, Shape{3, 20001}, Shape{1, 150001}}) {
    if (slow_machine() && shape.cols > 200) continue;
    const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 74));
    for (const Operator* op : {&log_softmax_operator(), &logsumexp_operator()}) {
      const Bytes expected = apply_to_rows(*op, pair(), shape, logits, serial_options());
      for (const std::int32_t threads : {0, 2, 3, 4}) {
        simdsoftmax_options options = serial_options();
        options.num_threads = threads;
        EXPECT_EQ(apply_to_rows(*op, pair(), shape, logits, options), expected) << op->name << ", " << threads;
      }
      for (const simdsoftmax_variant variant : variants()) {
        EXPECT_EQ(apply_to_rows(*op, pair(), shape, logits, serial_options(variant)), expected) << op->name;
      }
    }
  }
}

TEST_P(LogSoftmaxTest, InPlace) {
  if (pair().in != pair().out) return;
  for (const std::size_t cols : {1U, 10U, 65U, 300U, 9000U}) {
    const Bytes logits = encode(pair().in, normal_logits(in(), 2 * cols, 4, 75));
    for (const Operator* op : {&softmax_operator(), &log_softmax_operator()}) {
      const Bytes expected = apply_to_rows(*op, pair(), {2, cols}, logits, serial_options());
      Bytes memory = logits;
      const Sizes shape = {2, cols};
      const simdsoftmax_tensor view = {memory.data(), pair().in, 2, shape.data(), nullptr};
      const simdsoftmax_options options = serial_options();
      EXPECT_EQ(op->run(&view, &view, -1, &options), SIMDSOFTMAX_OK);
      EXPECT_EQ(memory, expected) << op->name << " of " << cols;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LogSoftmaxTest, ::testing::ValuesIn(of_each_arithmetic(operator_configs())),
                         name_of_config);

// Bits of log_softmax and logsumexp do not depend on which ISA with fma computed them.
TEST(LogSoftmaxBits, AgreeBetweenIsasWithFma) {
  for (const Pair& pair : pairs()) {
    for (const std::size_t cols : {1U, 10U, 65U, 300U, 9000U}) {
      const Bytes logits = encode(pair.in, normal_logits(format_of(pair.in), 3 * cols, 4, 76));
      for (const Operator* op : {&log_softmax_operator(), &logsumexp_operator()}) {
        Bytes first;
        for (const std::string& isa : runnable_isas()) {
          if (!has_fma(isa)) continue;
          const ScopedCap cap(isa);
          const Bytes got = apply_to_rows(*op, pair, {3, cols}, logits, serial_options());
          if (first.empty()) first = got;
          EXPECT_EQ(got, first) << op->name << ", " << isa << ", " << name_of(pair) << ", " << cols;
        }
      }
    }
  }
}

}  // namespace
}  // namespace softmax_test
