// SPDX-License-Identifier: Apache-2.0
// Cross entropy: worked examples, every option against the definition, and the gradient against differences.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "inputs.hpp"
#include "loss_case.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class CrossEntropyTest : public IsaTest {};

// ---- Worked by hand -------------------------------------------------------------------------------------------------

// Probabilities 1/4 and 3/4, three times.
LossCase quarters(bool dense) {
  LossCase one(SIMDSOFTMAX_F64, {3, 2}, 1, dense);
  const double log3 = 1.0986122886681098;
  one.logits = {0, log3, 0, log3, log3, 0};
  one.labels = dense ? std::vector<double>{0.5, 0.5, 0, 1, 0.25, 0.75} : std::vector<double>{0, 1, 0};
  return one;
}
const double log4 = 1.3862943611198906;          // -log(1/4)
const double log4_thirds = 0.28768207245178093;  // -log(3/4)

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-15) << "element " << i;
}

TEST_P(CrossEntropyTest, SparseByHand) {
  LossCase one = quarters(false);  // the rows' own losses are log 4, log 4/3, log 4/3
  expect_near(one.run().loss.values(), {log4, log4_thirds, log4_thirds});
  expect_near(one.run().grad_logits.values(), {-0.75, 0.75, 0.25, -0.25, -0.25, 0.25});
  expect_near(one.run().log_probabilities.values(), {-log4, -log4_thirds, -log4, -log4_thirds, -log4_thirds, -log4});
  one.reduction = SIMDSOFTMAX_REDUCE_SUM;
  expect_near(one.run().loss.values(), {log4 + 2 * log4_thirds});
  one.reduction = SIMDSOFTMAX_REDUCE_MEAN;
  expect_near(one.run().loss.values(), {(log4 + 2 * log4_thirds) / 3});
  expect_near(one.run().grad_logits.values(), {-0.25, 0.25, 0.25 / 3, -0.25 / 3, -0.25 / 3, 0.25 / 3});

  // PyTorch and ONNX divide by the weights of the labels: 2 + 5 + 2.
  one.weights = {2, 5};
  expect_near(one.run().loss.values(), {(2 * log4 + 5 * log4_thirds + 2 * log4_thirds) / 9});
  expect_near(one.run().grad_logits.values(), {-1.5 / 9, 1.5 / 9, 1.25 / 9, -1.25 / 9, -0.5 / 9, 0.5 / 9});
  one.reduction = SIMDSOFTMAX_REDUCE_NONE;
  expect_near(one.run().loss.values(), {2 * log4, 5 * log4_thirds, 2 * log4_thirds});

  // Ignored rows are in neither sum.
  one.reduction = SIMDSOFTMAX_REDUCE_MEAN;
  one.ignore_index = 1;
  expect_near(one.run().loss.values(), {(2 * log4 + 2 * log4_thirds) / 4});
  expect_near(one.run().grad_logits.values(), {-1.5 / 4, 1.5 / 4, 0, 0, -0.5 / 4, 0.5 / 4});
  one.ignore_index = -100;  // no class at all
  one.labels = {-100, 1, -100};
  expect_near(one.run().loss.values(), {log4_thirds});
  expect_near(one.run().grad_logits.values(), {0, 0, 0.25, -0.25, 0, 0});
}

// Smoothing by 0.2 of two classes: 0.9 of the label and 0.1 of the other, each times its own weight; PyTorch's mean
// still divides by the weights of the labels.
TEST_P(CrossEntropyTest, SmoothingByHand) {
  LossCase one = quarters(false);
  one.label_smoothing = 0.2;
  const double row0 = 0.9 * log4 + 0.1 * log4_thirds;
  const double row1 = 0.1 * log4 + 0.9 * log4_thirds;
  expect_near(one.run().loss.values(), {row0, row1, row1});
  expect_near(one.run().grad_logits.values(), {0.25 - 0.9, 0.75 - 0.1, 0.25 - 0.1, 0.75 - 0.9, 0.75 - 0.9, 0.25 - 0.1});
  one.weights = {2, 5};
  one.reduction = SIMDSOFTMAX_REDUCE_MEAN;
  const double weighted0 = 2 * 0.9 * log4 + 5 * 0.1 * log4_thirds;
  const double weighted1 = 2 * 0.1 * log4 + 5 * 0.9 * log4_thirds;
  const double weighted2 = 2 * 0.9 * log4_thirds + 5 * 0.1 * log4;
  expect_near(one.run().loss.values(), {(weighted0 + weighted1 + weighted2) / 9});
}

TEST_P(CrossEntropyTest, DenseByHand) {
  LossCase one = quarters(true);
  expect_near(one.run().loss.values(), {0.5 * log4 + 0.5 * log4_thirds, log4_thirds, 0.25 * log4_thirds + 0.75 * log4});
  expect_near(one.run().grad_logits.values(), {-0.25, 0.25, 0.25, -0.25, 0.5, -0.5});
  one.weights = {2, 4};
  one.reduction = SIMDSOFTMAX_REDUCE_MEAN;  // by the number of rows, whatever the weights
  expect_near(one.run().loss.values(), {(log4 + 2 * log4_thirds + 4 * log4_thirds + 0.5 * log4_thirds + 3 * log4) / 3});
  one.weights.clear();
  one.label_smoothing = 0.5;  // rows of 1/2 1/2, 1/4 3/4, 3/8 5/8
  expect_near(
      one.run().loss.values(),
      {(0.5 * log4 + 0.5 * log4_thirds + 0.25 * log4 + 0.75 * log4_thirds + 0.375 * log4_thirds + 0.625 * log4) / 3});
}

TEST_P(CrossEntropyTest, ThetaByHand) {
  LossCase one(SIMDSOFTMAX_F64, {1, 2}, 1, false);
  one.logits = {0, 2.1972245773362196};  // log 9, of which theta makes log 3
  one.labels = {0};
  one.theta = 0.5;
  expect_near(one.run().loss.values(), {log4});
  expect_near(one.run().grad_logits.values(), {-0.375, 0.375});
}

// ---- Against the definition -----------------------------------------------------------------------------------------

const std::vector<simdsoftmax_reduction> reductions = {SIMDSOFTMAX_REDUCE_NONE, SIMDSOFTMAX_REDUCE_SUM,
                                                       SIMDSOFTMAX_REDUCE_MEAN};
const std::vector<simdsoftmax_dtype> float_dtypes = {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64, SIMDSOFTMAX_F16,
                                                     SIMDSOFTMAX_BF16};

std::vector<double> some_weights(std::size_t classes) {
  std::vector<double> weights(classes);
  for (std::size_t c = 0; c < classes; ++c) weights[c] = static_cast<double>(c % 5) / 4 + 0.25;
  return weights;
}

TEST_P(CrossEntropyTest, EveryOption) {
  for (const simdsoftmax_dtype dtype : float_dtypes) {
    for (const bool dense : {false, true}) {
      for (const std::size_t classes : {1U, 2U, 10U, 65U, 300U}) {
        if (slow_machine() && classes > 10) continue;
        for (const simdsoftmax_reduction reduction : reductions) {
          for (const double smoothing : {0.0, 0.1, 1.0}) {
            for (const bool weighted : {false, true}) {
              for (const bool ignores : {false, true}) {
                if (dense && ignores) continue;
                LossCase one(dtype, {7, classes}, 1, dense);
                one.reduction = reduction;
                one.label_smoothing = smoothing;
                if (weighted) one.weights = some_weights(classes);
                if (ignores) {
                  one.ignore_index = -100;
                  one.labels[2] = one.labels[6] = -100;
                }
                ASSERT_NO_FATAL_FAILURE(one.check(
                    std::string(format_of(dtype).name) + (dense ? ", dense, " : ", sparse, ") +
                    std::to_string(classes) + " classes, reduction " + std::to_string(reduction) + ", smoothing " +
                    std::to_string(smoothing) + (weighted ? ", weights" : "") + (ignores ? ", ignore_index" : "")));
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(CrossEntropyTest, Dtypes) {
  const std::vector<simdsoftmax_dtype> narrow = {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16};
  for (const simdsoftmax_dtype dtype : narrow) {
    for (const simdsoftmax_dtype other : narrow) {
      for (const simdsoftmax_dtype loss :
           {dtype, simdsoftmax_dtype{SIMDSOFTMAX_F32}, simdsoftmax_dtype{SIMDSOFTMAX_F64}}) {
        for (const bool dense : {false, true}) {
          LossCase one(dtype, {5, 33}, 1, dense);
          one.loss_dtype = loss;
          one.grad_dtype = other;
          one.log_dtype = other == SIMDSOFTMAX_F16 ? SIMDSOFTMAX_F32 : other;
          one.weights_dtype = other == SIMDSOFTMAX_F32 ? SIMDSOFTMAX_BF16 : SIMDSOFTMAX_F32;
          one.weights = some_weights(33);
          one.label_smoothing = 0.05;
          if (dense) one.labels_dtype = other;
          if (!dense) one.labels_dtype = other == SIMDSOFTMAX_F16 ? SIMDSOFTMAX_I32 : SIMDSOFTMAX_I64;
          ASSERT_NO_FATAL_FAILURE(one.check(std::string(format_of(dtype).name) + " with " + format_of(other).name));
        }
      }
    }
  }
  for (const bool dense : {false, true}) {
    LossCase one(SIMDSOFTMAX_F64, {5, 33}, 1, dense);
    one.loss_dtype = SIMDSOFTMAX_F32;
    ASSERT_NO_FATAL_FAILURE(one.check("f64 with a loss of f32"));
  }
}

TEST_P(CrossEntropyTest, AxesAndStrides) {
  for (const simdsoftmax_dtype dtype : float_dtypes) {
    for (const bool dense : {false, true}) {
      for (const Sizes& shape : {Sizes{3, 10, 4}, Sizes{2, 65, 17}, Sizes{4, 2, 129}}) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
          for (const std::size_t gap : {0U, 1U, 3U}) {
            if (slow_machine() && (count_of(shape) > 500 || dtype == SIMDSOFTMAX_F16)) continue;
            LossCase one(dtype, shape, axis, dense);
            one.gap = gap;
            one.keeps_axis = gap == 1;
            one.reduction = gap == 3 ? SIMDSOFTMAX_REDUCE_MEAN : SIMDSOFTMAX_REDUCE_NONE;
            one.weights = some_weights(shape[axis]);
            if (!dense) {
              one.ignore_index = 0;
              one.labels_dtype = gap == 1 ? SIMDSOFTMAX_I32 : SIMDSOFTMAX_I64;
            }
            ASSERT_NO_FATAL_FAILURE(one.check(text_of(shape) + ", axis " + std::to_string(axis)));
          }
        }
      }
    }
  }
}

TEST_P(CrossEntropyTest, Sizes) {
  std::vector<std::size_t> sizes = {1, 2, 3, 7, 8, 15, 16, 17, 31, 64, 100, 128, 129};
  if (!slow_machine()) sizes.insert(sizes.end(), {1000, 1025, 4097, 8193, 20001});
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    for (const std::size_t classes : sizes) {
      for (const bool dense : {false, true}) {
        LossCase one(dtype, {2, classes}, 1, dense);
        ASSERT_NO_FATAL_FAILURE(one.check(std::to_string(classes) + " classes"));
        one.label_smoothing = 0.1;
        one.reduction = SIMDSOFTMAX_REDUCE_MEAN;
        ASSERT_NO_FATAL_FAILURE(one.check(std::to_string(classes) + " classes, smoothing"));
      }
    }
  }
}

TEST_P(CrossEntropyTest, Theta) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    for (const double theta : {0.5, 1.0 / 3, 5.0, -1.0, 0.0}) {
      for (const bool dense : {false, true}) {
        LossCase one(dtype, {4, 50}, 1, dense);
        one.theta = theta;
        one.reduction = SIMDSOFTMAX_REDUCE_SUM;
        ASSERT_NO_FATAL_FAILURE(one.check("theta " + std::to_string(theta)));
      }
    }
  }
}

// Losses close to 0, where the label has nearly all of the probability, and large ones.
TEST_P(CrossEntropyTest, SureAndWrong) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    for (const double gap : {5.0, 15.0, 30.0, 80.0}) {
      for (const std::size_t classes : {2U, 10U, 300U, 9000U}) {
        if (slow_machine() && classes > 10) continue;
        LossCase one(dtype, {3, classes}, 1, false);
        for (std::size_t i = 0; i < one.logits.size(); ++i)
          one.logits[i] = round_to(format_of(dtype), one.logits[i] / 4);
        for (std::size_t r = 0; r < 3; ++r) one.logits[r * classes + r % 2] = gap;
        one.labels = {0, 1, 1};  // the last one is wrong
        ASSERT_NO_FATAL_FAILURE(one.check("gap " + std::to_string(gap)));
      }
    }
  }
}

TEST_P(CrossEntropyTest, InPlace) {
  for (const simdsoftmax_dtype dtype : float_dtypes) {
    for (const bool dense : {false, true}) {
      for (const Sizes& shape : {Sizes{4, 20, 1}, Sizes{2, 33, 5}, Sizes{1, 9000, 1}}) {
        if (slow_machine() && count_of(shape) > 1000) continue;
        for (const bool gradient : {false, true}) {
          LossCase one(dtype, shape, 1, dense);
          one.gap = 1;
          one.label_smoothing = 0.1;
          const LossResult apart = one.run();
          one.grad_in_place = gradient;
          one.log_in_place = !gradient;
          const LossResult there = one.run();
          EXPECT_EQ(there.status, SIMDSOFTMAX_OK);
          EXPECT_TRUE(there.loss.memory() == apart.loss.memory());
          EXPECT_TRUE(there.grad_logits.element_bytes() == apart.grad_logits.element_bytes()) << text_of(shape);
          EXPECT_TRUE(there.log_probabilities.element_bytes() == apart.log_probabilities.element_bytes());
        }
      }
    }
  }
}

// What else is computed changes no bit of the loss, and neither does the number of threads.
TEST_P(CrossEntropyTest, SameBitsWhateverIsAskedFor) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64, SIMDSOFTMAX_BF16}) {
    for (const bool dense : {false, true}) {
      for (const Sizes& shape : {Sizes{300, 40}, Sizes{2, 20001}, Sizes{1, 150001}}) {
        if (count_of(shape) > 100000 && dense) continue;
        if (count_of(shape) > 20000 && slow_machine()) continue;
        for (const simdsoftmax_reduction reduction : reductions) {
          LossCase one(dtype, shape, 1, dense);
          one.reduction = reduction;
          const LossResult serial = one.run();
          for (const std::int32_t threads : {2, 4}) {
            one.num_threads = threads;
            const LossResult parallel = one.run();
            EXPECT_TRUE(parallel.loss.memory() == serial.loss.memory()) << text_of(shape);
            EXPECT_TRUE(parallel.grad_logits.memory() == serial.grad_logits.memory()) << text_of(shape);
            EXPECT_TRUE(parallel.log_probabilities.memory() == serial.log_probabilities.memory()) << text_of(shape);
          }
          one.wants_grad = false;
          one.wants_log = false;
          const LossResult alone = one.run();
          EXPECT_TRUE(alone.loss.memory() == serial.loss.memory()) << text_of(shape);
          EXPECT_TRUE(alone.grad_logits.untouched() && alone.log_probabilities.untouched());
        }
      }
    }
  }
}

// Dense rows are taken several at a time, others one by one. Among them are rows that one logit dominates, and some
// that keep the others from going together.
TEST_P(CrossEntropyTest, RowsTogetherOrAlone) {
  for (const simdsoftmax_dtype dtype : float_dtypes) {
    for (const std::size_t classes : {2U, 8U, 10U, 16U, 21U, 100U, 257U, 1000U, 3000U, 8192U}) {
      if (classes > 300 && slow_machine()) continue;
      const std::size_t rows = classes > 300 ? 11 : 70;
      for (const bool dense : {false, true}) {
        LossCase one(dtype, {rows, classes}, 1, dense);
        for (std::size_t r = 0; r < rows; r += 5) one.logits[r * classes + r % classes] = 40;
        for (const double special : {0.0, -infinity, std::nan(""), 60000.0}) {
          if (special != 0) one.logits[rows / 2 * classes + 1] = special;
          for (const bool writes : {false, true}) {
            one.wants_grad = one.wants_log = writes;
            one.label_smoothing = writes && !dense && classes == 21 ? 0.1 : 0;
            one.step = 1;
            const LossResult together = one.run();
            one.step = 2;
            const LossResult alone = one.run();
            const std::string name = std::to_string(classes) + " classes, with " + std::to_string(special);
            EXPECT_TRUE(together.loss.element_bytes() == alone.loss.element_bytes()) << name;
            EXPECT_TRUE(together.grad_logits.element_bytes() == alone.grad_logits.element_bytes()) << name;
            EXPECT_TRUE(together.log_probabilities.element_bytes() == alone.log_probabilities.element_bytes()) << name;
          }
        }
      }
    }
  }
}

// ---- Special values -------------------------------------------------------------------------------------------------

TEST_P(CrossEntropyTest, AllIgnored) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    LossCase one(dtype, {3, 5}, 1, false);
    one.ignore_index = -1;
    one.labels = {-1, -1, -1};
    EXPECT_EQ(one.run().loss.values(), std::vector<double>(3, 0.0));
    EXPECT_EQ(one.run().grad_logits.values(), std::vector<double>(15, 0.0));
    one.reduction = SIMDSOFTMAX_REDUCE_SUM;
    EXPECT_EQ(one.run().loss.values(), std::vector<double>{0.0});
    one.reduction = SIMDSOFTMAX_REDUCE_MEAN;
    const LossResult mean = one.run();
    EXPECT_TRUE(std::isnan(mean.loss.values().at(0)));
    EXPECT_EQ(mean.grad_logits.values(), std::vector<double>(15, 0.0));
  }
}

TEST_P(CrossEntropyTest, MinusInfinity) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    LossCase one(dtype, {3, 4}, 1, false);
    one.logits = {0, -infinity, 0, 0, 0, -infinity, 0, 0, -infinity, 2, -infinity, -infinity};
    one.labels = {0, 1, 1};
    const std::vector<double> sparse = one.run().loss.values();
    EXPECT_NEAR(sparse[0], std::log(3.0), 1e-6);
    EXPECT_EQ(sparse[1], infinity);
    EXPECT_EQ(sparse[2], 0);
    ASSERT_NO_FATAL_FAILURE(one.check("-inf, sparse"));
    one.label_smoothing = 0.1;
    EXPECT_EQ(one.run().loss.values(), std::vector<double>(3, infinity));

    LossCase dense(dtype, {3, 4}, 1, true);
    dense.logits = one.logits;
    dense.labels = {0.5, 0, 0.5, 0, 0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0};
    const std::vector<double> losses = dense.run().loss.values();
    EXPECT_NEAR(losses[0], std::log(3.0), 1e-6);
    EXPECT_EQ(losses[1], infinity);
    EXPECT_EQ(losses[2], 0);
    ASSERT_NO_FATAL_FAILURE(dense.check("-inf, dense"));
  }
}

TEST_P(CrossEntropyTest, NanAndInfinity) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64, SIMDSOFTMAX_F16}) {
    for (const double special : {infinity, std::nan("")}) {
      for (const bool dense : {false, true}) {
        for (const std::size_t at : {0U, 5U, 19U}) {
          LossCase one(dtype, {3, 20}, 1, dense);
          one.logits[20 + at] = special;
          ASSERT_NO_FATAL_FAILURE(one.check("special value"));
          one.reduction = SIMDSOFTMAX_REDUCE_SUM;
          EXPECT_TRUE(std::isnan(one.run().loss.values().at(0)));
        }
      }
      LossCase ignored(dtype, {3, 20}, 1, false);  // rows that are ignored add nothing
      ignored.logits[20] = special;
      ignored.ignore_index = 5;
      ignored.labels = {1, 5, 2};
      ignored.wants_log = false;
      ignored.reduction = SIMDSOFTMAX_REDUCE_MEAN;
      ASSERT_NO_FATAL_FAILURE(ignored.check("special value in an ignored row"));
      EXPECT_TRUE(std::isfinite(ignored.run().loss.values().at(0)));
    }
  }
}

TEST_P(CrossEntropyTest, LabelsThatAreNoClasses) {
  for (const simdsoftmax_dtype labels_dtype : {SIMDSOFTMAX_I32, SIMDSOFTMAX_I64}) {
    for (const double bad : {-1.0, 10.0, -100.0, 2147483647.0, -2147483648.0}) {
      for (const std::size_t at : {0U, 7U, 11U}) {
        for (const std::size_t gap : {0U, 2U}) {
          LossCase one(SIMDSOFTMAX_F32, {3, 10, 4}, 1, false);
          one.labels_dtype = labels_dtype;
          one.gap = gap;
          one.labels[at] = bad;
          one.labels[11] = at == 0 ? -7 : one.labels[11];  // the first one counts
          const LossResult result = one.run();
          EXPECT_EQ(result.status, SIMDSOFTMAX_BAD_LABEL);
          EXPECT_EQ(result.bad_row, at);
          EXPECT_TRUE(result.loss.untouched());
          EXPECT_TRUE(result.grad_logits.untouched());
          EXPECT_TRUE(result.log_probabilities.untouched());
          one.ignore_index = static_cast<std::int64_t>(bad);
          EXPECT_EQ(one.run().status, at == 0 ? SIMDSOFTMAX_BAD_LABEL : SIMDSOFTMAX_OK);
          one.num_threads = 4;
          EXPECT_EQ(one.run().status, at == 0 ? SIMDSOFTMAX_BAD_LABEL : SIMDSOFTMAX_OK);
          EXPECT_EQ(one.run().bad_row, at == 0 ? 11U : 999999U);
        }
      }
    }
  }
  LossCase wide(SIMDSOFTMAX_F32, {2, 10}, 1, false);  // 2^32 is no class, though its lower half is
  wide.labels = {3, 4294967296.0};
  EXPECT_EQ(wide.run().status, SIMDSOFTMAX_BAD_LABEL);
  EXPECT_EQ(wide.run().bad_row, 1U);
}

TEST_P(CrossEntropyTest, NothingToDoSucceedsAndWritesNothing) {
  for (const bool dense : {false, true}) {
    LossCase one(SIMDSOFTMAX_F32, {0, 5}, 1, dense);
    const LossResult result = one.run();
    EXPECT_EQ(result.status, SIMDSOFTMAX_OK);
    EXPECT_TRUE(result.loss.untouched() && result.grad_logits.untouched() && result.log_probabilities.untouched());
  }
}

// ---- The gradient is that of the loss -------------------------------------------------------------------------------

TEST_P(CrossEntropyTest, CentralDifferences) {
  for (const bool dense : {false, true}) {
    for (const simdsoftmax_reduction reduction : {SIMDSOFTMAX_REDUCE_SUM, SIMDSOFTMAX_REDUCE_MEAN}) {
      for (const double theta : {1.0, 0.7}) {
        LossCase one(SIMDSOFTMAX_F64, {3, 6, 2}, 1, dense);
        one.reduction = reduction;
        one.theta = theta;
        one.weights = some_weights(6);
        one.label_smoothing = 0.1;
        if (!dense) one.ignore_index = static_cast<std::int64_t>(one.labels[1]);
        const std::vector<double> gradient = one.run().grad_logits.values();
        const double step = std::ldexp(1.0, -17);
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          const double x = one.logits[i];
          one.logits[i] = x + step;
          const double above = one.run().loss.values().at(0);
          one.logits[i] = x - step;
          const double below = one.run().loss.values().at(0);
          one.logits[i] = x;
          EXPECT_NEAR(gradient[i], (above - below) / (2 * step), 4e-9) << "element " << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrossEntropyTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
