// SPDX-License-Identifier: Apache-2.0
// Rows whose logits are so large that what rounding took from them would be more than exp can bear: products with
// theta, and finite numbers that stand for a mask. All functions, against the reference.

#include <gtest/gtest.h>

#include <cmath>

#include "pre_ops_case.hpp"

namespace softmax_test {
namespace {

class HugeLogitsTest : public ConfigTest {
 protected:
  const Format& compute() const { return compute_format(in()); }
  double ulp() const { return std::ldexp(1.0, 1 - in().precision); }
};

// Maxima that are equal, that are neighbours, and those that nothing else is near to.
TEST_P(HugeLogitsTest, ProductsWithTheta) {
  const Sizes shape = {5, 37};
  for (const double theta : {1.0 / 3, 0.7, -1.3, 2.9}) {
    for (const int exponent : {16, 29, 30, 33, 47, 60, 100, 126, 300, 1000, 1022}) {
      if (exponent >= in().max_exponent || (slow_machine() && exponent != 33)) continue;
      PreOpsCase huge(pair(), shape, 1, 281);
      huge.theta = theta;
      // The probabilities of neighbours in f32 are not yet zero here, and depend on more bits of a product than are
      // kept.
      const bool neighbours = compute().dtype == SIMDSOFTMAX_F64 || exponent < 29 || exponent > 33;
      Random random(282);
      for (double& logit : huge.logits) {
        const double below = random() % 4 == 0 ? 0.5 : neighbours ? static_cast<double>(random() % 3) * ulp() : 0;
        logit = round_to(in(), std::ldexp((theta < 0 ? -1.25 : 1.25) * (1 - below), exponent - 2));
      }
      ASSERT_NO_FATAL_FAILURE(huge.check("theta " + std::to_string(theta) + ", 2^" + std::to_string(exponent)));
    }
  }
}

// The largest finite number in place of infinity: columns with it count for nothing beside others, and for what their
// logits are where there are no others.
TEST_P(HugeLogitsTest, MasksOfTheLargestNumber) {
  const Sizes shape = {4, 70};
  for (const double share : {0.0, 0.5, 1.0}) {
    for (const double mask : {-largest(compute()), -1e30}) {
      PreOpsCase masked(pair(), shape, 1, 283);
      masked.scale = 0.3;
      Random random(284);
      std::vector<double> bias(count_of(shape));
      for (double& value : bias) value = uniform(random) < share ? mask : 0;
      masked.bias = Tensor(compute().dtype, shape, bias);
      ASSERT_NO_FATAL_FAILURE(masked.check("mask " + std::to_string(mask) + " for " + std::to_string(share)));
    }
  }
}

// Some parts of a row have to be taken relative to their maximum, and others need not.
TEST_P(HugeLogitsTest, PartsOnBothSidesOfWhereTheyBegin) {
  const Sizes shape = {1, 20001};
  const double begin = in().dtype == SIMDSOFTMAX_F64 ? 0x1p30 : has_fma(GetParam().isa) ? 0x1p15 : 0x1p8;
  for (const double theta : {1.0, 0.7}) {
    if (slow_machine() && theta != 1) continue;
    for (const double sign : {1.0, -1.0}) {
      for (const double apart : {0.5, 3.0, 20.0}) {
        if (apart != 3 && (slow_machine() || theta != 1)) continue;
        PreOpsCase both(pair(), shape, 1, 285);
        both.theta = theta;
        for (std::size_t c = 0; c < both.logits.size(); ++c) {
          const double side = c / 8192 % 2 == 0 ? apart : -apart;
          both.logits[c] = round_to(in(), (sign * begin + side) / theta - std::fabs(both.logits[c]));
        }
        ASSERT_NO_FATAL_FAILURE(both.check(std::to_string(sign * begin) + " and " + std::to_string(apart) + ", theta " +
                                           std::to_string(theta)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HugeLogitsTest, ::testing::ValuesIn(operator_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
