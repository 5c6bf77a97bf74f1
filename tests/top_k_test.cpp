// SPDX-License-Identifier: Apache-2.0
// top_k and argmax: against a full sort of the exact values, and against what softmax gives.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

struct TopK {
  std::vector<double> probabilities;
  std::vector<std::int64_t> indices;
  Bytes bits;  // of the probabilities
};

class TopKTest : public ConfigTest {
 protected:
  TopK run(const Tensor& logits, std::int32_t axis, std::size_t k, simdsoftmax_normalization normalization,
           const simdsoftmax_options& options, simdsoftmax_dtype index_dtype = SIMDSOFTMAX_I32) {
    const Sizes shape = with_axis(logits.shape(), static_cast<std::size_t>(axis), k);
    const Tensor probabilities(pair().out, shape, padded_strides(shape, 1));
    const Tensor indices(index_dtype, shape, padded_strides(shape, 2));
    const simdsoftmax_tensor x = logits.view();
    const simdsoftmax_tensor p = probabilities.view();
    const simdsoftmax_tensor i = indices.view();
    EXPECT_EQ(simdsoftmax_softmax_top_k(&x, &p, &i, axis, normalization, &options), SIMDSOFTMAX_OK);
    EXPECT_TRUE(probabilities.gaps_untouched() && indices.gaps_untouched());
    return {probabilities.values(), indices.integers(), probabilities.element_bytes()};
  }

  // All of one row: the order, the bits of softmax at these columns, the sum over the k.
  void check(const std::vector<double>& row, const std::vector<std::size_t>& some_k, const std::string& name,
             double theta = 1) {
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    RowOps ops;
    ops.theta = theta;
    const ExactRow exact = exact_row(row, ops);
    const Tensor logits(pair().in, {row.size()}, row);
    const std::vector<double> all = apply(softmax_operator(), logits, pair().out, 0, options).values();
    for (const std::size_t k : some_k) {
      const std::string where = name + ", " + std::to_string(k) + " of " + std::to_string(row.size()) + ", place ";
      const std::vector<std::size_t> order = exact_order(exact, k);
      const TopK top = run(logits, 0, k, SIMDSOFTMAX_OVER_ROW, options);
      for (std::size_t i = 0; i < k; ++i) {
        ASSERT_EQ(top.indices[i], static_cast<std::int64_t>(order[i])) << where << i;
        ASSERT_EQ(top.probabilities[i], all[order[i]]) << where << i;
      }
      const TopK alone = run(logits, 0, k, SIMDSOFTMAX_OVER_TOP_K, options, SIMDSOFTMAX_I64);
      ASSERT_EQ(alone.indices, top.indices) << where;
      std::vector<double> winners;
      for (const std::size_t column : order) winners.push_back(row[column]);
      ASSERT_NO_FATAL_FAILURE(check_over_top_k(winners, theta, alone.probabilities, where));
    }
  }

  void check_over_top_k(const std::vector<double>& winners, double theta, const std::vector<double>& got,
                        const std::string& where) {
    const Worst worst = worst_of(out(), exact_softmax(winners, theta), got);
    ASSERT_LE(worst.ulp, bound_in_ulp(out())) << where << worst.where;
    const Wide sum = std::accumulate(got.begin(), got.end(), Wide{0});
    Wide bound = 0;  // every probability may be off by its own error
    for (const double p : got) {
      bound += static_cast<Wide>(bound_in_ulp(out())) * last_place(out(), static_cast<Wide>(p)) +
               (out().keeps_subnormals ? 0 : static_cast<Wide>(min_normal(out())));
    }
    ASSERT_LE(std::fabs(sum - 1), bound) << where;
  }

  std::vector<std::size_t> some_k(std::size_t cols) {
    std::vector<std::size_t> all;
    for (const std::size_t k :
         {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{50}, std::size_t{100}, std::size_t{1024}}) {
      if (k < cols) all.push_back(k);
    }
    if (cols <= SIMDSOFTMAX_MAX_TOP_K) all.push_back(cols);
    return all;
  }
};

TEST_P(TopKTest, EverySize) {
  for (const std::size_t cols : small_sizes()) {
    if (cols > 40 && (cols % 8 > 1 || slow_machine())) continue;
    const std::vector<double> row = normal_logits(in(), cols, 4, static_cast<unsigned>(cols));
    ASSERT_NO_FATAL_FAILURE(check(row, some_k(cols), "normal"));
  }
}

TEST_P(TopKTest, Orders) {
  for (const std::size_t cols : {7U, 64U, 1000U, 1025U, 5000U}) {
    if (slow_machine() && cols > 64) continue;
    const std::vector<std::size_t> k = some_k(cols);
    std::vector<double> row = normal_logits(in(), cols, 4, 161);
    std::sort(row.begin(), row.end());
    ASSERT_NO_FATAL_FAILURE(check(row, k, "ascending"));
    std::reverse(row.begin(), row.end());
    ASSERT_NO_FATAL_FAILURE(check(row, k, "descending"));
    ASSERT_NO_FATAL_FAILURE(check(std::vector<double>(cols, 1.5), k, "equal"));
    std::vector<double> two(cols, 2);
    for (std::size_t c = 0; c < cols; c += 3) two[c] = 1;
    ASSERT_NO_FATAL_FAILURE(check(two, k, "two values"));
    std::vector<double> few(cols, -infinity);  // fewer than k have any probability
    few[cols / 2] = 1;
    few[cols - 1] = 2;
    ASSERT_NO_FATAL_FAILURE(check(few, k, "mostly -inf"));
    std::vector<double> zeros(cols, 0.0);
    for (std::size_t c = 0; c < cols; c += 2) zeros[c] = -0.0;
    ASSERT_NO_FATAL_FAILURE(check(zeros, k, "zeros of both signs"));
  }
}

TEST_P(TopKTest, LongRows) {
  if (slow_machine()) return;
  for (const std::size_t cols : {8193U, 20001U, 200000U}) {
    if (cols == 200000 && pair().in != pair().out) continue;
    ASSERT_NO_FATAL_FAILURE(check(normal_logits(in(), cols, 4, 162), some_k(cols), "normal"));
    if (cols == 200000) continue;
    std::vector<double> climbs = normal_logits(in(), cols, 1, 163);
    for (std::size_t c = cols / 2; c < cols; ++c) climbs[c] = round_to(in(), climbs[c] + 200);
    ASSERT_NO_FATAL_FAILURE(check(climbs, {50}, "climbs"));
  }
}

TEST_P(TopKTest, EveryKindOfLogits) {
  for (const InputKind& kind : input_kinds()) {
    for (const std::size_t cols : {10U, 129U, 1000U}) {
      if (slow_machine() && cols > 10) continue;
      ASSERT_NO_FATAL_FAILURE(check(make_row(kind, in(), cols), {8}, kind.name));
    }
  }
}

TEST_P(TopKTest, Theta) {
  for (const double theta : {0.5, -1.0, 0.0, 1.0 / 3, -0.1}) {
    for (const std::size_t cols : {5U, 65U, 1000U}) {
      ASSERT_NO_FATAL_FAILURE(check(normal_logits(in(), cols, 4, 164), {5}, "theta " + std::to_string(theta), theta));
    }
  }
}

TEST_P(TopKTest, AxesStridesAndThreads) {
  for (const Sizes& shape : {Sizes{3, 8, 5}, Sizes{2, 65, 17}, Sizes{7, 4, 300}}) {
    if (slow_machine() && count_of(shape) > 500) continue;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (const Strides& strides :
           {dense_strides(shape), padded_strides(shape, 3), permuted_strides(shape, {1, 2, 0}, 0)}) {
        const Tensor logits(pair().in, shape, strides, normal_logits(in(), count_of(shape), 4, 165));
        const std::size_t k = std::min<std::size_t>(3, shape[axis]);
        const Sizes out_shape = with_axis(shape, axis, k);
        const auto a = static_cast<std::int32_t>(axis);
        const TopK top = run(logits, a, k, SIMDSOFTMAX_OVER_ROW, serial_options());
        const auto rows = rows_along(logits.values(), shape, axis);
        const auto all =
            rows_along(apply(softmax_operator(), logits, pair().out, a, serial_options()).values(), shape, axis);
        const auto p = rows_along(top.probabilities, out_shape, axis);
        const auto i = rows_along(top.indices, out_shape, axis);
        for (std::size_t r = 0; r < rows.size(); ++r) {
          const std::vector<std::size_t> order = exact_order(exact_row(rows[r]), k);
          for (std::size_t place = 0; place < k; ++place) {
            ASSERT_EQ(i[r][place], static_cast<std::int64_t>(order[place])) << text_of(shape) << ", axis " << axis;
            ASSERT_EQ(p[r][place], all[r][order[place]]) << text_of(shape) << ", axis " << axis;
          }
        }
        for (const std::int32_t threads : {2, 4}) {
          simdsoftmax_options options = serial_options();
          options.num_threads = threads;
          const TopK parallel = run(logits, a, k, SIMDSOFTMAX_OVER_ROW, options);
          ASSERT_EQ(parallel.indices, top.indices);
          ASSERT_EQ(parallel.bits, top.bits);
        }
      }
    }
  }
}

TEST_P(TopKTest, SpecialRows) {
  for (const std::size_t cols : {1U, 5U, 129U, 9000U}) {
    const std::size_t k = std::min<std::size_t>(cols, 4);
    std::vector<double> values = normal_logits(in(), 4 * cols, 4, 166);
    values[cols / 2] = nan_value;
    values[cols + cols - 1] = infinity;
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(2 * cols), cols, -infinity);
    const Tensor logits(pair().in, {4, cols}, values);
    for (const bool zeros : {false, true}) {
      for (const simdsoftmax_normalization normalization : {SIMDSOFTMAX_OVER_ROW, SIMDSOFTMAX_OVER_TOP_K}) {
        simdsoftmax_options options = serial_options();
        options.empty_row = zeros ? SIMDSOFTMAX_EMPTY_ROW_ZEROS : SIMDSOFTMAX_EMPTY_ROW_NAN;
        const TopK top = run(logits, 1, k, normalization, options);
        for (std::size_t i = 0; i < 3 * k; ++i) {
          ASSERT_EQ(top.indices[i], static_cast<std::int64_t>(i % k)) << cols << " columns";
          if (i / k == 2 && zeros) {
            ASSERT_EQ(top.probabilities[i], 0) << cols << " columns";
          } else {
            ASSERT_TRUE(std::isnan(top.probabilities[i])) << cols << " columns";
          }
        }
        ASSERT_TRUE(std::isfinite(top.probabilities[3 * k]));
      }
    }
  }
}

TEST_P(TopKTest, Argmax) {
  for (const Sizes& shape : {Sizes{3, 8, 5}, Sizes{2, 65, 17}, Sizes{1, 2, 9000}, Sizes{40}}) {
    if (slow_machine() && count_of(shape) > 500) continue;
    const std::vector<double> values = normal_logits(in(), count_of(shape), 1, 167);
    std::vector<double> rounded = values;  // with ties
    for (double& value : rounded) value = std::nearbyint(value);
    for (const std::vector<double>& some : {values, rounded}) {
      const Tensor logits(pair().in, shape, padded_strides(shape, 1), some);
      for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        const auto a = static_cast<std::int32_t>(axis);
        const TopK top = run(logits, a, 1, SIMDSOFTMAX_OVER_ROW, serial_options());
        const auto rows = rows_along(logits.values(), shape, axis);
        for (const Sizes& out_shape : {without_axis(shape, axis), with_axis(shape, axis, 1)}) {
          const Tensor probabilities(pair().out, out_shape);
          const Tensor indices(SIMDSOFTMAX_I64, out_shape);
          const simdsoftmax_tensor x = logits.view();
          const simdsoftmax_tensor p = probabilities.view();
          const simdsoftmax_tensor i = indices.view();
          const simdsoftmax_options options = serial_options();
          ASSERT_EQ(simdsoftmax_argmax(&x, &p, &i, a, &options), SIMDSOFTMAX_OK);
          EXPECT_EQ(probabilities.element_bytes(), top.bits) << text_of(shape) << ", axis " << axis;
          EXPECT_EQ(indices.integers(), top.indices) << text_of(shape) << ", axis " << axis;
          const Tensor without(SIMDSOFTMAX_I32, out_shape);
          const simdsoftmax_tensor j = without.view();
          ASSERT_EQ(simdsoftmax_argmax(&x, nullptr, &j, a, &options), SIMDSOFTMAX_OK);
          EXPECT_EQ(without.integers(), top.indices) << text_of(shape) << ", axis " << axis;
        }
        for (std::size_t r = 0; r < rows.size(); ++r) {
          const auto first = std::max_element(rows[r].begin(), rows[r].end()) - rows[r].begin();
          ASSERT_EQ(top.indices[r], first) << text_of(shape) << ", axis " << axis << ", row " << r;
        }
      }
    }
  }
}

TEST_P(TopKTest, WithoutProbabilities) {
  const Tensor logits(pair().in, {3, 300}, normal_logits(in(), 900, 4, 168));
  const TopK top = run(logits, 1, 20, SIMDSOFTMAX_OVER_ROW, serial_options());
  const Tensor indices(SIMDSOFTMAX_I64, {3, 20});
  const simdsoftmax_tensor x = logits.view();
  const simdsoftmax_tensor i = indices.view();
  const simdsoftmax_options options = serial_options();
  ASSERT_EQ(simdsoftmax_softmax_top_k(&x, nullptr, &i, 1, SIMDSOFTMAX_OVER_TOP_K, &options), SIMDSOFTMAX_OK);
  EXPECT_EQ(indices.integers(), top.indices);
}

// With a sink, what the k have over the row is less than 1, and over themselves it is 1.
TEST_P(TopKTest, SinksAndNormalization) {
  const std::vector<double> row = normal_logits(in(), 60, 2, 169);
  const Tensor logits(pair().in, {1, 60}, row);
  const Tensor sinks(SIMDSOFTMAX_F32, {1}, {3});
  const simdsoftmax_tensor sinks_view = sinks.view();
  simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  pre_ops.sinks = &sinks_view;
  RowOps ops;
  ops.sink = 3;
  const ExactRow exact = exact_row(row, ops);
  const std::vector<std::size_t> order = exact_order(exact, 9);
  const TopK over_row = run(logits, 1, 9, SIMDSOFTMAX_OVER_ROW, options_with(pre_ops));
  const TopK over_top = run(logits, 1, 9, SIMDSOFTMAX_OVER_TOP_K, options_with(pre_ops));
  std::vector<Wide> of_row;
  std::vector<double> winners;
  for (std::size_t i = 0; i < 9; ++i) {
    of_row.push_back(exact.probabilities[order[i]]);
    winners.push_back(row[order[i]]);
  }
  EXPECT_LE(worst_of(out(), of_row, over_row.probabilities).ulp, bound_in_ulp(out()));
  EXPECT_LE(worst_of(out(), exact_softmax(winners), over_top.probabilities).ulp, bound_in_ulp(out()));
}

INSTANTIATE_TEST_SUITE_P(All, TopKTest, ::testing::ValuesIn(operator_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
