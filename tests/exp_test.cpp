// SPDX-License-Identifier: Apache-2.0
// The error of the f32 exponential alone, as the pass gives it: a power of two times e^x.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>

#include "harness.hpp"
#include "isa/registry.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

float float_of_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

class ExpTest : public IsaTest {};

// Every 1009th of the floats in [-87, 0] (every one in the exhaustive mode), each beside a 0 that sets the anchor.
TEST_P(ExpTest, MaximumError) {
  const simdsoftmax::detail::PassTable& passes = simdsoftmax::detail::find_kernels(GetParam().c_str())->passes;
  const std::uint32_t step = exhaustive() ? 1 : slow_machine() ? 100003 : 1009;
  constexpr std::uint32_t minus_zero = 0x80000000U;
  constexpr std::uint32_t minus_87 = 0xc2ae0000U;
  constexpr std::size_t batch = 4096;
  double worst = 0;
  double worst_at = 0;
  std::vector<float> x(batch);
  std::vector<float> e(batch);
  for (std::uint64_t bits = minus_zero; bits <= minus_87; bits += (batch - 1) * step) {
    x[0] = 0;
    for (std::size_t i = 1; i < batch; ++i) {
      const std::uint64_t next = bits + (i - 1) * step;
      x[i] = float_of_bits(static_cast<std::uint32_t>(std::min<std::uint64_t>(next, minus_87)));
    }
    (void)passes.exp_sum_store(x.data(), e.data(), batch, 0.0F);
    for (std::size_t i = 1; i < batch; ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      const double ulp =
          error_in_ulp(format_named("f32"), exact, static_cast<double>(e[i]) / static_cast<double>(e[0]));
      if (ulp > worst) {
        worst = ulp;
        worst_at = static_cast<double>(x[i]);
      }
    }
  }
  EXPECT_EQ(e[0], std::ldexp(1.0F, std::ilogb(e[0]))) << "e^0 is a power of two";
  RecordProperty("worst_ulp", std::to_string(worst));
  std::cout << "[    worst ] " << worst << " ULP at " << worst_at << '\n';
  EXPECT_LE(worst, 1.6);
}

INSTANTIATE_TEST_SUITE_P(All, ExpTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
