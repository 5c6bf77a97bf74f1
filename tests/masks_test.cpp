// SPDX-License-Identifier: Apache-2.0
// Rows of f32 whose pre-operations only scale and hide, which are not staged: all kinds of masks and of columns that
// take no part, and what nearly is one of them.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "pre_ops_case.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class MasksTest : public ConfigTest {
 protected:
  bool is_f32() const { return pair().in == SIMDSOFTMAX_F32 && pair().out == SIMDSOFTMAX_F32; }
  PreOpsCase rows_of(const Sizes& shape, unsigned seed, double spread = 3) const {
    return {pair(), shape, shape.size() - 1, seed, spread};
  }
};

constexpr simdsoftmax_dtype bias_dtypes[] = {SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16, SIMDSOFTMAX_F32};

// 0 and -0; -inf, the lowest number, and others so low that nothing is left.
std::vector<double> mask_values(simdsoftmax_dtype dtype, std::size_t n, unsigned seed) {
  const double lowest = -largest(format_of(dtype));
  const double values[] = {0, -0.0, 0, -infinity, lowest, -2048, 0};
  Random random(seed);
  std::vector<double> mask(n);
  for (double& value : mask) value = values[random() % 7];
  return mask;
}

Tensor mask_of(simdsoftmax_dtype dtype, const Sizes& shape, std::size_t layout, const std::vector<double>& values) {
  if (layout == 0) return {dtype, shape, values};
  if (layout == 1) return {dtype, shape, padded_strides(shape, 3), values};
  Strides strides = dense_strides(shape);
  for (std::ptrdiff_t& stride : strides) stride *= static_cast<std::ptrdiff_t>(layout);
  return {dtype, shape, strides, values};
}

TEST_P(MasksTest, BiasesThatOnlyHide) {
  if (!is_f32()) return;
  unsigned seed = 301;
  for (const std::size_t cols : {2U, 17U, 64U, 127U, 200U, 513U, 1000U}) {
    if (slow_machine() && cols > 127) continue;
    for (const simdsoftmax_dtype dtype : bias_dtypes) {
      ++seed;
      const Sizes shapes[] = {{2, 3, cols}, {2, 1, cols}, {3, cols}, {cols}};
      const Sizes& mask_shape = shapes[seed % 4];
      PreOpsCase one = rows_of({2, 3, cols}, seed);
      one.bias = mask_of(dtype, mask_shape, seed % 3, mask_values(dtype, count_of(mask_shape), seed));
      one.scale = seed % 2 == 0 ? 1 : seed % 5 == 0 ? -0.7 : 0.125;
      const std::string name = std::to_string(cols) + " columns, mask " + std::to_string(seed);
      ASSERT_NO_FATAL_FAILURE(one.check(name));
      one.mask = Tensor(SIMDSOFTMAX_BOOL, {cols}, std::vector<double>(cols, 2));
      one.logits_strides = padded_strides({2, 3, cols}, 1);
      ASSERT_NO_FATAL_FAILURE(one.check_threads(name));
    }
  }
}

// One element that does more than hide, wherever it is.
TEST_P(MasksTest, BiasesThatNearlyOnlyHide) {
  if (!is_f32()) return;
  for (const simdsoftmax_dtype dtype : bias_dtypes) {
    for (const double other : {-3.0, 0.25, -1000.0, 2000.0}) {
      for (const std::size_t at : {std::size_t{0}, std::size_t{64}, std::size_t{1099}}) {
        if (slow_machine() && at != 64) continue;
        PreOpsCase one = rows_of({2, 1100}, 331);
        std::vector<double> bias = mask_values(dtype, 1100, 332);
        bias[at] = other;
        one.bias = Tensor(dtype, {1100}, bias);
        ASSERT_NO_FATAL_FAILURE(one.check("but for " + std::to_string(other)));
      }
    }
  }
}

// Masks of many rows that take turns with a bias that is none.
TEST_P(MasksTest, MasksAndBiasesByTurns) {
  if (!is_f32()) return;
  for (const simdsoftmax_dtype dtype : bias_dtypes) {
    PreOpsCase one = rows_of({3, 2, 4, 200}, 335);
    std::vector<double> bias = mask_values(dtype, 400, 336);
    bias[399] = 1.5;
    one.bias = Tensor(dtype, {2, 1, 200}, bias);
    ASSERT_NO_FATAL_FAILURE(one.check("by turns"));
    ASSERT_NO_FATAL_FAILURE(one.check_threads("by turns"));
  }
}

// Hidden logits of any size do not show.
TEST_P(MasksTest, HiddenLogitsFarFromTheOthers) {
  if (!is_f32()) return;
  for (const double height : {30.0, 70.0, 80.0, 1000.0, 1e30, -70.0, -1e30}) {
    for (const bool by_bias : {false, true}) {
      PreOpsCase one = rows_of({4, 150}, 341, 1);
      std::vector<double> mask(150, by_bias ? 0 : 1);
      for (std::size_t c = 3; c < 150; c += 5) {
        mask[c] = by_bias ? -infinity : 0;
        one.logits[c] = one.logits[150 + c] = height;
      }
      (by_bias ? one.bias : one.mask) = Tensor(by_bias ? SIMDSOFTMAX_F16 : SIMDSOFTMAX_BOOL, {150}, mask);
      ASSERT_NO_FATAL_FAILURE(one.check("hidden at " + std::to_string(height)));
      ASSERT_NO_FATAL_FAILURE(one.check_threads("hidden at " + std::to_string(height)));
    }
  }
}

// Rows of every length in a block, and such without any column.
TEST_P(MasksTest, CausalRowsAndLengths) {
  if (!is_f32()) return;
  for (const Sizes& shape :
       {Sizes{2, 33, 33}, Sizes{2, 70, 70}, Sizes{1, 20, 300}, Sizes{1, 5, 2112}, Sizes{1, 3, 8192}}) {
    const std::size_t cols = shape[2];
    if (slow_machine() && cols > 70) continue;
    for (int how = 0; how < 3; ++how) {
      PreOpsCase one = rows_of(shape, 351);
      one.causal = how != 1;
      one.query_offset = how == 2 ? static_cast<std::int64_t>(cols / 2) : 0;
      one.scale = how == 0 ? 1 : 0.08838834764831845;
      if (how == 1) {
        std::vector<double> lengths(shape[0] * shape[1]);
        for (std::size_t i = 0; i < lengths.size(); ++i) {
          lengths[i] = static_cast<double>((i * 37 + 64) % (cols + 20)) - (i == 4 ? 1000 : 0);
        }
        one.lengths = Tensor(SIMDSOFTMAX_I32, {shape[0], shape[1], 1}, lengths);
      }
      if (how == 2) one.bias = Tensor(SIMDSOFTMAX_F16, {cols}, mask_values(SIMDSOFTMAX_F16, cols, 352));
      one.empty_row_zeros = true;
      one.poison_what_is_dropped();
      const std::string name = std::to_string(cols) + " columns, " + std::to_string(how);
      ASSERT_NO_FATAL_FAILURE(one.check(name));
      if (cols > 300) continue;
      ASSERT_NO_FATAL_FAILURE(one.check_threads(name));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MasksTest, ::testing::ValuesIn(operator_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
