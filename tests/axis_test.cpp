// SPDX-License-Identifier: Apache-2.0
// Along any axis and with any strides a row has the bits that it has alone and dense, and memory between the elements
// is neither read nor written. (That dense rows are right: accuracy_test.cpp, log_softmax_test.cpp.)

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

class AxisTest : public ConfigTest {
 protected:
  // Logits in row-major order of the shape.
  const Bytes& logits_of(const Sizes& shape) {
    Bytes& logits = logits_[shape];
    if (logits.empty()) logits = encode(pair().in, normal_logits(in(), count_of(shape), 4, 81));
    return logits;
  }

  void use_logits(const Sizes& shape, const std::vector<double>& values) { logits_[shape] = encode(pair().in, values); }

  Bytes expected(const Operator& op, const Sizes& shape, std::size_t axis, const Bytes& logits,
                 const simdsoftmax_options& options = serial_options()) {
    const std::size_t cols = shape[axis];
    const Shape rows{count_of(shape) / cols, cols};
    const Bytes output = apply_to_rows(op, pair(), rows, axis_last(logits, in().bytes, shape, axis), options);
    return axis_back(output, out().bytes, output_shape(op, shape, axis), axis);
  }

  void check(const Operator& op, const Sizes& shape, std::int32_t axis, const Strides& in_strides,
             const Strides& out_strides, const simdsoftmax_options& options = serial_options()) {
    const auto dimension = static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int32_t>(shape.size()) : axis);
    const Bytes& elements = logits_of(shape);
    Tensor logits(pair().in, shape, in_strides);
    logits.assign_bytes(elements);
    const Bytes before = logits.memory();
    Tensor output(pair().out, output_shape(op, shape, dimension), out_strides);
    const simdsoftmax_tensor from = logits.view();
    const simdsoftmax_tensor to = output.view();
    ASSERT_EQ(op.run(&from, &to, axis, &options), SIMDSOFTMAX_OK) << op.name << ", " << text_of(shape) << ", " << axis;
    ASSERT_TRUE(output.element_bytes() == expected(op, shape, dimension, elements))
        << op.name << ", " << text_of(shape) << ", axis " << axis;
    ASSERT_TRUE(output.gaps_untouched()) << op.name << ", " << text_of(shape) << ", axis " << axis;
    ASSERT_TRUE(logits.memory() == before) << op.name << ", " << text_of(shape) << ", axis " << axis;
  }

  void check_in_place(const Operator& op, const Sizes& shape, std::int32_t axis, const Strides& strides) {
    Tensor tensor(pair().in, shape, strides);
    tensor.assign_bytes(logits_of(shape));
    const simdsoftmax_tensor view = tensor.view();
    const simdsoftmax_options options = serial_options();
    ASSERT_EQ(op.run(&view, &view, axis, &options), SIMDSOFTMAX_OK);
    ASSERT_TRUE(tensor.element_bytes() == expected(op, shape, static_cast<std::size_t>(axis), logits_of(shape)))
        << op.name << ", " << text_of(shape) << ", axis " << axis;
    ASSERT_TRUE(tensor.gaps_untouched());
  }

  void check_dense(const Operator& op, const Sizes& shape, std::int32_t axis,
                   const simdsoftmax_options& options = serial_options()) {
    const auto dimension = static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int32_t>(shape.size()) : axis);
    check(op, shape, axis, dense_strides(shape), dense_strides(output_shape(op, shape, dimension)), options);
  }

 private:
  std::map<Sizes, Bytes> logits_;
};

const std::vector<std::size_t> inner_sizes = {1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 513};
const std::vector<std::size_t> axis_sizes = {1, 2, 3, 10, 21, 64, 65, 129, 1000, 1025, 8193};

TEST_P(AxisTest, RowsAcrossMemory) {
  const bool thorough = pair().in == SIMDSOFTMAX_F32 && pair().out == SIMDSOFTMAX_F32;
  const std::size_t limit = slow_machine() ? 1100 : thorough ? 150000 : 20000;
  for (const std::size_t cols : axis_sizes) {
    for (const std::size_t inner : inner_sizes) {
      if (cols * inner > limit) continue;
      const Sizes shape = {cols * inner > 3000 ? 1U : 2U, cols, inner};
      for (const Operator& op : operators()) ASSERT_NO_FATAL_FAILURE(check_dense(op, shape, 1));
    }
  }
}

// Rows that have no way in common with their neighbours, or no numbers.
TEST_P(AxisTest, OddRowsAmongOthers) {
  using Logit = double (*)(double ordinary, std::size_t column);
  const Logit odds[] = {[](double x, std::size_t c) { return c == 1 ? std::nan("") : x; },
                        [](double x, std::size_t c) { return c == 0 ? std::nan("") : x; },
                        [](double, std::size_t) { return std::nan(""); },
                        [](double x, std::size_t c) { return c == 1 ? HUGE_VAL : x; },
                        [](double x, std::size_t c) { return c == 1 ? -HUGE_VAL : x; },
                        [](double, std::size_t) { return -HUGE_VAL; },
                        [](double x, std::size_t c) { return c == 2 ? 1200 : x; },
                        [](double x, std::size_t) { return x * 5000; }};
  for (const std::size_t cols : {std::size_t{3}, std::size_t{21}, std::size_t{130}}) {
    const Sizes shape = {1, cols, 85};
    std::vector<double> values = normal_logits(in(), count_of(shape), 4, 82);
    // No vector of the widest ISA has more than two of them.
    for (std::size_t c = 0; c < cols; ++c) {
      for (std::size_t k = 0; k < std::size(odds); ++k) {
        double& value = values[c * 85 + k * 10];
        value = odds[k](value, c);
        if (std::isfinite(value)) value = round_to(in(), value);
      }
    }
    use_logits(shape, values);
    for (const Operator& op : operators()) {
      ASSERT_NO_FATAL_FAILURE(check_dense(op, shape, 1));
      if (pair().in == pair().out && !op.reduces) {
        ASSERT_NO_FATAL_FAILURE(check_in_place(op, shape, 1, dense_strides(shape)));
      }
    }
  }
}

TEST_P(AxisTest, EveryAxisOfEveryRank) {
  const Sizes sizes = {3, 2, 5, 1, 3, 2, 4, 3};
  for (std::size_t rank = 1; rank <= sizes.size(); ++rank) {
    if (slow_machine() && rank > 4) continue;
    const Sizes shape(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(rank));
    for (std::int32_t axis = -static_cast<std::int32_t>(rank); axis < static_cast<std::int32_t>(rank); ++axis) {
      for (const Operator& op : operators()) ASSERT_NO_FATAL_FAILURE(check_dense(op, shape, axis));
    }
  }
}

TEST_P(AxisTest, SizesOfOneAround) {
  for (const Sizes& shape : {Sizes{1, 1, 1}, Sizes{1, 300, 1}, Sizes{300, 1, 1}, Sizes{1, 1, 300}, Sizes{17, 1, 9},
                             Sizes{1, 9, 17}, Sizes{9, 17, 1}}) {
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      for (const Operator& op : operators()) ASSERT_NO_FATAL_FAILURE(check_dense(op, shape, axis));
    }
  }
}

TEST_P(AxisTest, PaddedAndTransposed) {
  for (const Sizes& shape : {Sizes{3, 4, 5}, Sizes{2, 17, 33}, Sizes{5, 3, 129}, Sizes{2, 300, 7}}) {
    if (count_of(shape) > 1500 && pair().in != pair().out) continue;
    std::vector<std::size_t> order = {0, 1, 2};
    do {
      if (slow_machine() && (order[0] == 1 || count_of(shape) > 100)) continue;
      for (std::int32_t axis = 0; axis < 3; ++axis) {
        for (const Operator& op : operators()) {
          const Sizes out_shape = output_shape(op, shape, static_cast<std::size_t>(axis));
          const Strides permuted = permuted_strides(shape, order, 0);
          const Strides out_permuted = permuted_strides(out_shape, order, 0);
          ASSERT_NO_FATAL_FAILURE(check(op, shape, axis, permuted, out_permuted));
          ASSERT_NO_FATAL_FAILURE(check(op, shape, axis, permuted, dense_strides(out_shape)));
          ASSERT_NO_FATAL_FAILURE(check(op, shape, axis, dense_strides(shape), permuted_strides(out_shape, order, 2)));
          ASSERT_NO_FATAL_FAILURE(
              check(op, shape, axis, permuted_strides(shape, order, 1), padded_strides(out_shape, 3)));
        }
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

// Rows of more than a tile, with gaps between their elements or between neighbouring rows.
TEST_P(AxisTest, LongRowsWithStrides) {
  if (slow_machine()) return;
  for (const Operator& op : operators()) {
    const Sizes across = {1, 9001, 3};
    ASSERT_NO_FATAL_FAILURE(
        check(op, across, 1, padded_strides(across, 2), dense_strides(output_shape(op, across, 1))));
    const Sizes transposed = {3, 2, 4099};
    ASSERT_NO_FATAL_FAILURE(check(op, transposed, 2, permuted_strides(transposed, {2, 1, 0}, 0),
                                  permuted_strides(output_shape(op, transposed, 2), {2, 0, 1}, 1)));
  }
}

// A stride of 0 repeats logits, along the axis too.
TEST_P(AxisTest, BroadcastInput) {
  const Sizes shape = {4, 19, 6};
  for (std::size_t repeated = 0; repeated < 3; ++repeated) {
    const Sizes base = with_axis(shape, repeated, 1);
    Tensor small(pair().in, base);
    small.assign_bytes(logits_of(base));
    Strides strides = small.strides();
    strides[repeated] = 0;
    const std::vector<double> all = broadcast(small.values(), base, shape);
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      for (const Operator& op : operators()) {
        const auto dimension = static_cast<std::size_t>(axis);
        simdsoftmax_tensor from = small.view();
        from.shape = shape.data();
        from.strides = strides.data();
        Tensor output(pair().out, output_shape(op, shape, dimension));
        const simdsoftmax_tensor to = output.view();
        const simdsoftmax_options options = serial_options();
        ASSERT_EQ(op.run(&from, &to, axis, &options), SIMDSOFTMAX_OK) << op.name;
        ASSERT_EQ(output.element_bytes(), expected(op, shape, dimension, encode(pair().in, all)))
            << op.name << ", axis " << axis << ", dimension " << repeated << " is repeated";
      }
    }
  }
}

TEST_P(AxisTest, NullStridesAreDense) {
  const Sizes shape = {3, 5, 7};
  for (std::int32_t axis = 0; axis < 3; ++axis) {
    for (const Operator& op : operators()) {
      Tensor logits(pair().in, shape);
      logits.assign_bytes(logits_of(shape));
      Tensor output(pair().out, output_shape(op, shape, static_cast<std::size_t>(axis)));
      const simdsoftmax_tensor from = logits.view_without_strides();
      const simdsoftmax_tensor to = output.view_without_strides();
      ASSERT_EQ(op.run(&from, &to, axis, nullptr), SIMDSOFTMAX_OK);
      ASSERT_EQ(output.element_bytes(), expected(op, shape, static_cast<std::size_t>(axis), logits.element_bytes()));
    }
  }
}

TEST_P(AxisTest, LogsumexpWithoutTheAxis) {
  const Sizes shape = {4, 6, 10};
  for (std::int32_t axis = 0; axis < 3; ++axis) {
    const auto dimension = static_cast<std::size_t>(axis);
    Tensor logits(pair().in, shape);
    logits.assign_bytes(logits_of(shape));
    const Sizes left = without_axis(shape, dimension);
    Tensor output(pair().out, left, padded_strides(left, 2));
    const simdsoftmax_tensor from = logits.view();
    const simdsoftmax_tensor to = output.view();
    ASSERT_EQ(simdsoftmax_logsumexp(&from, &to, axis, nullptr), SIMDSOFTMAX_OK);
    EXPECT_EQ(output.element_bytes(), expected(logsumexp_operator(), shape, dimension, logits.element_bytes()));
    EXPECT_TRUE(output.gaps_untouched());
  }
  Tensor row(pair().in, {10});
  row.assign_bytes(logits_of({10}));
  Tensor scalar(pair().out, Sizes{});
  const simdsoftmax_tensor from = row.view();
  const simdsoftmax_tensor to = scalar.view();
  ASSERT_EQ(simdsoftmax_logsumexp(&from, &to, 0, nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(scalar.element_bytes(), expected(logsumexp_operator(), {10}, 0, row.element_bytes()));
}

TEST_P(AxisTest, InPlace) {
  if (pair().in != pair().out) return;
  for (const Sizes& shape : {Sizes{3, 4, 5}, Sizes{2, 65, 33}, Sizes{2, 3, 300}, Sizes{1, 1025, 8}}) {
    if (slow_machine() && count_of(shape) > 500) continue;
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      for (const Strides& strides :
           {dense_strides(shape), padded_strides(shape, 3), permuted_strides(shape, {1, 2, 0}, 1)}) {
        for (const Operator* op : {&softmax_operator(), &log_softmax_operator()}) {
          ASSERT_NO_FATAL_FAILURE(check_in_place(*op, shape, axis, strides));
        }
      }
    }
  }
}

TEST_P(AxisTest, ThreadsAndVariants) {
  if (pair().in != pair().out) return;
  for (const Sizes& shape : {Sizes{10, 30, 25}, Sizes{1, 300, 100}, Sizes{1, 20001, 2}}) {
    if (slow_machine() && count_of(shape) > 8000) continue;
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      const auto dimension = static_cast<std::size_t>(axis);
      Tensor logits(pair().in, shape);
      logits.assign_bytes(logits_of(shape));
      for (const Operator& op : operators()) {
        const Bytes serial = expected(op, shape, dimension, logits.element_bytes());
        for (const std::int32_t threads : {1, 2, 4}) {
          if (slow_machine() && threads == 2) continue;
          simdsoftmax_options options = serial_options();
          options.num_threads = threads;
          ASSERT_TRUE(apply(op, logits, pair().out, axis, options).element_bytes() == serial)
              << op.name << ", " << text_of(shape) << ", axis " << axis << ", " << threads << " threads";
        }
        if (count_of(shape) > 35000) continue;
        for (const simdsoftmax_variant variant : variants()) {
          ASSERT_TRUE(apply(op, logits, pair().out, axis, serial_options(variant)).element_bytes() == serial)
              << op.name << ", " << text_of(shape) << ", axis " << axis << ", " << simdsoftmax_variant_name(variant);
        }
      }
    }
  }
}

TEST_P(AxisTest, ThetaAndEmptyRows) {
  const Sizes shape = {2, 33, 20};
  for (const double theta : {0.5, -1.0, 0.3}) {
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
    std::vector<double> values = normal_logits(in(), count_of(shape), 4, 82);
    if (theta > 0) {
      for (std::size_t c = 0; c < 33; ++c) values[c * 20 + 3] = -HUGE_VAL;  // a row along axis 1
      values[7] = HUGE_VAL;
    }
    const Tensor logits(pair().in, shape, values);
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      const auto dimension = static_cast<std::size_t>(axis);
      for (const Operator& op : operators()) {
        const Bytes want = expected(op, shape, dimension, logits.element_bytes(), options);
        const std::vector<double> exact = decode(pair().out, want);
        const std::vector<double> got = apply(op, logits, pair().out, axis, options).values();
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_TRUE(got[i] == exact[i] || (std::isnan(got[i]) && std::isnan(exact[i])))
              << op.name << ", axis " << axis << ", element " << i << ": " << got[i] << ", not " << exact[i];
        }
      }
    }
  }
}

// Against the reference itself, along a middle axis: what the comparisons above stand on.
TEST_P(AxisTest, Accuracy) {
  const Sizes shape = {2, 21, 17};
  for (const double theta : {1.0, 0.7}) {
    RowOps ops;
    ops.theta = theta;
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    const Tensor logits(pair().in, shape, normal_logits(in(), count_of(shape), 6, 83));
    const auto rows = rows_along(logits.values(), shape, 1);
    for (const Operator& op : operators()) {
      const Tensor output = apply(op, logits, pair().out, 1, options);
      const auto got = rows_along(output.values(), output.shape(), 1);
      for (std::size_t r = 0; r < rows.size(); ++r) {
        ASSERT_LE(op.error(pair(), exact_row(rows[r], ops), ops, false, got[r]), 1) << op.name << ", row " << r;
      }
    }
  }
}

TEST_P(AxisTest, NothingToDoSucceedsAndWritesNothing) {
  for (const Sizes& shape : {Sizes{0}, Sizes{0, 3}, Sizes{3, 0}, Sizes{2, 0, 3}, Sizes{0, 0}}) {
    for (std::int32_t axis = 0; axis < static_cast<std::int32_t>(shape.size()); ++axis) {
      for (const Operator& op : operators()) {
        const Tensor logits(pair().in, shape, Strides(shape.size(), 1));
        const Sizes out_shape = output_shape(op, shape, static_cast<std::size_t>(axis));
        const Tensor output(pair().out, out_shape);
        const simdsoftmax_tensor from = logits.view();
        const simdsoftmax_tensor to = output.view();
        EXPECT_EQ(op.run(&from, &to, axis, nullptr), SIMDSOFTMAX_OK) << op.name << ", " << text_of(shape);
        EXPECT_TRUE(output.untouched()) << op.name << ", " << text_of(shape);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AxisTest, ::testing::ValuesIn(operator_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
