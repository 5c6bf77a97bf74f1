// SPDX-License-Identifier: Apache-2.0
// Gradients: against the formula in long double, and against differences of the function itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Backward {
  const char* name;
  simdsoftmax_status (*run)(const simdsoftmax_tensor* grad_output, const simdsoftmax_tensor* output,
                            const simdsoftmax_tensor* grad_input, int32_t axis, const simdsoftmax_options* options);
  bool of_log;
};
const Backward backwards[] = {{"softmax", simdsoftmax_softmax_backward, false},
                              {"log_softmax", simdsoftmax_log_softmax_backward, true}};

// Each of f32, f16, bf16, in combinations; or all f64.
struct Dtypes {
  simdsoftmax_dtype grad_output, output, grad_input;
};
std::vector<Dtypes> all_dtypes() {
  std::vector<Dtypes> all = {{SIMDSOFTMAX_F64, SIMDSOFTMAX_F64, SIMDSOFTMAX_F64}};
  for (const simdsoftmax_dtype a : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
    for (const simdsoftmax_dtype b : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
      for (const simdsoftmax_dtype c : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) all.push_back({a, b, c});
    }
  }
  return all;
}

class GradientsTest : public IsaTest {
 protected:
  // What softmax or log_softmax of such logits is, rounded to the dtype.
  static std::vector<double> outputs(const Backward& backward, simdsoftmax_dtype dtype, const Sizes& shape,
                                     std::size_t axis, double spread) {
    std::vector<double> values(count_of(shape));
    const auto logits = rows_along(normal_logits(format_of(SIMDSOFTMAX_F32), values.size(), spread, 141), shape, axis);
    std::size_t inner = 1;
    for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
    for (std::size_t r = 0; r < logits.size(); ++r) {
      const ExactRow exact = exact_row(logits[r]);
      for (std::size_t c = 0; c < shape[axis]; ++c) {
        const Wide value = backward.of_log ? exact.log_probabilities[c] : exact.probabilities[c];
        values[(r / inner * shape[axis] + c) * inner + r % inner] =
            round_to(format_of(dtype), static_cast<double>(value));
      }
    }
    return values;
  }

  // The gradient of one row, and of each element the quantity that the error is measured by: that of the header, but
  // for f64, of which it says nothing, with the sum of what the terms of the sum are without their signs.
  static void exact_gradient(const Backward& backward, bool f64, double theta, const std::vector<double>& g,
                             const std::vector<double>& y, std::vector<Wide>& gradient, std::vector<Wide>& magnitude) {
    Wide sum = 0;
    Wide terms = 0;
    for (std::size_t c = 0; c < g.size(); ++c) {
      const Wide term = static_cast<Wide>(g[c]) * (backward.of_log ? 1 : static_cast<Wide>(y[c]));
      sum += term;
      terms += std::fabs(term);
    }
    if (!f64) terms = std::fabs(sum);
    for (std::size_t c = 0; c < g.size(); ++c) {
      const auto gc = static_cast<Wide>(g[c]);
      const auto yc = static_cast<Wide>(y[c]);
      const auto t = static_cast<Wide>(theta);
      if (backward.of_log) {
        const Wide part = std::exp(yc) * sum;
        gradient.push_back(t * (gc - part));
        magnitude.push_back(std::fabs(t) * std::max(std::fabs(gc), std::exp(yc) * terms));
      } else {
        gradient.push_back(t * yc * (gc - sum));
        magnitude.push_back(std::fabs(t * yc) * std::max(std::fabs(gc), terms));
      }
    }
  }

  static void check(const Backward& backward, const Dtypes& dtypes, const Sizes& shape, std::size_t axis, double theta,
                    const Strides& in_strides, const Strides& out_strides) {
    const std::string where = std::string(backward.name) + ", " + text_of(shape) + ", axis " + std::to_string(axis) +
                              ", " + format_of(dtypes.grad_output).name + ", " + format_of(dtypes.output).name +
                              " -> " + format_of(dtypes.grad_input).name;
    const Tensor grad_output(dtypes.grad_output, shape, in_strides,
                             normal_logits(format_of(dtypes.grad_output), count_of(shape), 2, 142));
    const Tensor output(dtypes.output, shape, out_strides, outputs(backward, dtypes.output, shape, axis, 3));
    const Tensor grad_input(dtypes.grad_input, shape, padded_strides(shape, 2));
    const simdsoftmax_tensor g = grad_output.view();
    const simdsoftmax_tensor y = output.view();
    const simdsoftmax_tensor x = grad_input.view();
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    ASSERT_EQ(backward.run(&g, &y, &x, static_cast<std::int32_t>(axis), &options), SIMDSOFTMAX_OK) << where;
    ASSERT_TRUE(grad_input.gaps_untouched()) << where;
    const auto rows_g = rows_along(grad_output.values(), shape, axis);
    const auto rows_y = rows_along(output.values(), shape, axis);
    const auto rows_x = rows_along(grad_input.values(), shape, axis);
    const Format& out = format_of(dtypes.grad_input);
    const Format& compute = compute_format(format_of(dtypes.grad_output));
    for (std::size_t r = 0; r < rows_g.size(); ++r) {
      std::vector<Wide> gradient;
      std::vector<Wide> magnitude;
      exact_gradient(backward, compute.dtype == SIMDSOFTMAX_F64, theta, rows_g[r], rows_y[r], gradient, magnitude);
      for (std::size_t c = 0; c < gradient.size(); ++c) {
        const Wide unit = last_place(compute, magnitude[c]);
        ASSERT_LE(rounded_error(compute, out, gradient[c], unit, 4, rows_x[r][c]), 1)
            << where << ", row " << r << ", column " << c << ": " << rows_x[r][c] << ", exactly " << gradient[c];
      }
    }
    for (const std::int32_t threads : {2, 4}) {
      const Tensor again(dtypes.grad_input, shape, padded_strides(shape, 2));
      const simdsoftmax_tensor there = again.view();
      options.num_threads = threads;
      ASSERT_EQ(backward.run(&g, &y, &there, static_cast<std::int32_t>(axis), &options), SIMDSOFTMAX_OK) << where;
      ASSERT_TRUE(again.memory() == grad_input.memory()) << where << ", " << threads << " threads";
    }
  }
};

TEST_P(GradientsTest, EveryCombinationOfDtypes) {
  for (const Backward& backward : backwards) {
    for (const Dtypes& dtypes : all_dtypes()) {
      for (const Sizes& shape : {Sizes{3, 10}, Sizes{2, 129}, Sizes{1, 1000}}) {
        if (slow_machine() && count_of(shape) > 100) continue;
        ASSERT_NO_FATAL_FAILURE(check(backward, dtypes, shape, 1, 1, dense_strides(shape), dense_strides(shape)));
      }
    }
  }
}

TEST_P(GradientsTest, EverySize) {
  for (const Backward& backward : backwards) {
    for (const Dtypes& dtypes : {all_dtypes()[0], all_dtypes()[1]}) {
      for (const std::size_t cols : small_sizes()) {
        if (slow_machine() && cols > 70) continue;
        const Sizes shape = {2, cols};
        ASSERT_NO_FATAL_FAILURE(check(backward, dtypes, shape, 1, 1, dense_strides(shape), dense_strides(shape)));
      }
      for (const std::size_t cols : {4097U, 8193U, 20001U, 150001U}) {
        if (slow_machine() && cols > 5000) continue;
        const Sizes shape = {1, cols};
        ASSERT_NO_FATAL_FAILURE(check(backward, dtypes, shape, 1, 0.5, dense_strides(shape), dense_strides(shape)));
      }
    }
  }
}

TEST_P(GradientsTest, AxesStridesAndTheta) {
  for (const Backward& backward : backwards) {
    for (const Dtypes& dtypes : {all_dtypes()[0], all_dtypes()[1], all_dtypes()[14]}) {
      for (const Sizes& shape : {Sizes{3, 4, 5}, Sizes{2, 17, 33}, Sizes{2, 65, 3}, Sizes{2, 3, 130}}) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
          for (const double theta : {1.0, 0.3, -2.0, 0.0}) {
            if (slow_machine() && (count_of(shape) > 500 || theta == -2)) continue;
            ASSERT_NO_FATAL_FAILURE(
                check(backward, dtypes, shape, axis, theta, padded_strides(shape, 3), dense_strides(shape)));
            ASSERT_NO_FATAL_FAILURE(check(backward, dtypes, shape, axis, theta, dense_strides(shape),
                                          permuted_strides(shape, {2, 0, 1}, 1)));
          }
        }
      }
    }
  }
}

// A gradient that is the same in every column, as the sum of a loss has it: a stride of 0.
TEST_P(GradientsTest, BroadcastGradOutput) {
  const Sizes shape = {4, 33};
  for (const Backward& backward : backwards) {
    for (const Strides& strides : {Strides{0, 0}, Strides{1, 0}, Strides{0, 1}}) {
      ASSERT_NO_FATAL_FAILURE(check(backward, all_dtypes()[1], shape, 1, 1, strides, dense_strides(shape)));
    }
  }
}

// Rows that lie in memory as they are have the bits of those that are put together, whatever is in them.
TEST_P(GradientsTest, StridesChangeNoBit) {
  for (const Backward& backward : backwards) {
    for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
      for (const Sizes& shape : {Sizes{5, 3}, Sizes{5, 16}, Sizes{5, 100}, Sizes{5, 4099}, Sizes{5, 20000}}) {
        if (slow_machine() && shape[1] > 100) continue;
        std::vector<double> g = normal_logits(format_of(dtype), count_of(shape), 2, 144);
        std::vector<double> y = outputs(backward, dtype, shape, 1, 3);
        g[shape[1] + 2] = infinity;
        g[2 * shape[1] + 1] = std::nan("");
        y[3 * shape[1]] = std::nan("");
        y[4 * shape[1] + 1] = backward.of_log ? -infinity : 0;
        std::vector<Bytes> results;
        for (const std::size_t step : {1U, 2U}) {
          const Strides strides = stepped_strides(shape, 0, step);
          const Tensor grad_output(dtype, shape, strides, g);
          const Tensor output(dtype, shape, strides, y);
          const Tensor grad_input(dtype, shape, strides);
          const simdsoftmax_tensor from = grad_output.view();
          const simdsoftmax_tensor at = output.view();
          const simdsoftmax_tensor to = grad_input.view();
          const simdsoftmax_options options = serial_options();
          ASSERT_EQ(backward.run(&from, &at, &to, 1, &options), SIMDSOFTMAX_OK);
          results.push_back(grad_input.element_bytes());
        }
        EXPECT_TRUE(results[0] == results[1])
            << backward.name << ", " << text_of(shape) << ", " << format_of(dtype).name;
      }
    }
  }
}

TEST_P(GradientsTest, InThePlaceOfEitherInput) {
  for (const Backward& backward : backwards) {
    for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64, SIMDSOFTMAX_F16}) {
      for (const Sizes& shape : {Sizes{3, 20, 1}, Sizes{2, 65, 7}, Sizes{1, 9000, 1}}) {
        const Strides strides = padded_strides(shape, 1);
        Tensor grad_output(dtype, shape, strides, normal_logits(format_of(dtype), count_of(shape), 2, 143));
        Tensor output(dtype, shape, strides, outputs(backward, dtype, shape, 1, 3));
        const Tensor apart(dtype, shape, strides);
        const simdsoftmax_tensor g = grad_output.view();
        const simdsoftmax_tensor y = output.view();
        const simdsoftmax_tensor x = apart.view();
        const simdsoftmax_options options = serial_options();
        ASSERT_EQ(backward.run(&g, &y, &x, 1, &options), SIMDSOFTMAX_OK);
        const Bytes saved = output.element_bytes();
        ASSERT_EQ(backward.run(&g, &y, &y, 1, &options), SIMDSOFTMAX_OK);
        EXPECT_TRUE(output.memory() == apart.memory()) << backward.name << ", " << text_of(shape);
        output.assign_bytes(saved);
        ASSERT_EQ(backward.run(&g, &y, &g, 1, &options), SIMDSOFTMAX_OK);
        EXPECT_TRUE(grad_output.memory() == apart.memory()) << backward.name << ", " << text_of(shape);
      }
    }
  }
}

// The derivative of the loss sum of c * f(x) by differences in f64, through the library's own functions.
TEST_P(GradientsTest, CentralDifferences) {
  for (const Backward& backward : backwards) {
    const Operator& op = backward.of_log ? log_softmax_operator() : softmax_operator();
    for (const double theta : {1.0, 0.7}) {
      const Sizes shape = {2, 7, 3};
      simdsoftmax_options options = serial_options();
      options.theta = theta;
      const std::vector<double> x = normal_logits(format_of(SIMDSOFTMAX_F64), count_of(shape), 1, 144);
      const std::vector<double> c = normal_logits(format_of(SIMDSOFTMAX_F64), count_of(shape), 1, 145);
      const auto loss = [&](const std::vector<double>& at) {
        const Tensor output = apply(op, Tensor(SIMDSOFTMAX_F64, shape, at), SIMDSOFTMAX_F64, 1, options);
        Wide sum = 0;
        const std::vector<double> values = output.values();
        for (std::size_t i = 0; i < values.size(); ++i) sum += static_cast<Wide>(c[i]) * static_cast<Wide>(values[i]);
        return sum;
      };
      const Tensor grad_output(SIMDSOFTMAX_F64, shape, c);
      const Tensor output = apply(op, Tensor(SIMDSOFTMAX_F64, shape, x), SIMDSOFTMAX_F64, 1, options);
      const Tensor grad_input(SIMDSOFTMAX_F64, shape);
      const simdsoftmax_tensor g = grad_output.view();
      const simdsoftmax_tensor y = output.view();
      const simdsoftmax_tensor gx = grad_input.view();
      ASSERT_EQ(backward.run(&g, &y, &gx, 1, &options), SIMDSOFTMAX_OK);
      const std::vector<double> gradient = grad_input.values();
      const double step = std::ldexp(1.0, -17);  // errors of step^2 and of 2^-53 / step: about 1e-10
      for (std::size_t i = 0; i < x.size(); ++i) {
        std::vector<double> above = x;
        std::vector<double> below = x;
        above[i] += step;
        below[i] -= step;
        const Wide difference = (loss(above) - loss(below)) / static_cast<Wide>(above[i] - below[i]);
        EXPECT_NEAR(gradient[i], static_cast<double>(difference), 2e-9) << backward.name << ", element " << i;
      }
    }
  }
}

// A probability of 0, or its logarithm, -inf, has no gradient of its own.
TEST_P(GradientsTest, MaskedColumns) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    const Sizes shape = {1, 40};
    for (const Backward& backward : backwards) {
      std::vector<double> y = outputs(backward, dtype, shape, 1, 2);
      for (std::size_t c = 0; c < 40; c += 3) y[c] = backward.of_log ? -HUGE_VAL : 0;
      const std::vector<double> g = normal_logits(format_of(dtype), 40, 2, 146);
      const Tensor grad_output(dtype, shape, g);
      const Tensor output(dtype, shape, y);
      const Tensor grad_input(dtype, shape);
      const simdsoftmax_tensor g_view = grad_output.view();
      const simdsoftmax_tensor y_view = output.view();
      const simdsoftmax_tensor x_view = grad_input.view();
      ASSERT_EQ(backward.run(&g_view, &y_view, &x_view, 1, nullptr), SIMDSOFTMAX_OK);
      const std::vector<double> got = grad_input.values();
      for (std::size_t c = 0; c < 40; ++c) {
        ASSERT_TRUE(std::isfinite(got[c]));
        if (c % 3 == 0) {
          EXPECT_EQ(got[c], backward.of_log ? g[c] : 0) << backward.name << ", column " << c;
        }
      }
    }
  }
}

TEST_P(GradientsTest, NothingToDoSucceedsAndWritesNothing) {
  for (const Backward& backward : backwards) {
    for (const Sizes& shape : {Sizes{0}, Sizes{3, 0}, Sizes{0, 3}}) {
      const Tensor grad_output(SIMDSOFTMAX_F32, shape);
      const Tensor output(SIMDSOFTMAX_F32, shape);
      const Tensor grad_input(SIMDSOFTMAX_F32, shape);
      const simdsoftmax_tensor g = grad_output.view();
      const simdsoftmax_tensor y = output.view();
      const simdsoftmax_tensor x = grad_input.view();
      EXPECT_EQ(backward.run(&g, &y, &x, 0, nullptr), SIMDSOFTMAX_OK);
      EXPECT_TRUE(grad_input.untouched());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GradientsTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
