// SPDX-License-Identifier: Apache-2.0
// The error of the f32 exponential alone, as the pass gives it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "harness.hpp"
#include "isa/registry.hpp"

namespace softmax_test {
namespace {

float float_of_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

class ExpTest : public IsaTest {};

// Exponentials carry a common factor, which cancels in the division by their sum. So the error is judged about the
// factor that fits best: half of what lies between the least and the greatest ratio to e^x, in units of 2^-24. Half an
// ULP is 0.5 to 1 of these.
TEST_P(ExpTest, MaximumError) {
  const simdsoftmax::detail::PassTable& passes = simdsoftmax::detail::find_kernels(GetParam().c_str())->passes;
  // Every 1009th of the floats in [-87, 0], every one in the exhaustive mode.
  const std::uint32_t step = exhaustive() ? 1 : slow_machine() ? 100003 : 1009;
  constexpr std::uint32_t minus_zero = 0x80000000U;
  constexpr std::uint32_t minus_87 = 0xc2ae0000U;
  constexpr std::size_t batch = 4096;
  double least = std::numeric_limits<double>::infinity();
  double greatest = 0;
  std::vector<float> x(batch);
  std::vector<float> e(batch);
  for (std::uint64_t bits = minus_zero; bits <= minus_87; bits += batch * step) {
    for (std::size_t i = 0; i < batch; ++i) {
      x[i] = float_of_bits(static_cast<std::uint32_t>(std::min<std::uint64_t>(bits + i * step, minus_87)));
    }
    (void)passes.exp_sum_store(x.data(), e.data(), batch, 0.0F);
    for (std::size_t i = 0; i < batch; ++i) {
      const double ratio = static_cast<double>(e[i]) / std::exp(static_cast<double>(x[i]));
      least = std::min(least, ratio);
      greatest = std::max(greatest, ratio);
    }
  }
  const double error = std::ldexp((greatest - least) / (greatest + least), 24);
  RecordProperty("worst_relative_error_2_24", std::to_string(error));
  EXPECT_LE(error, 1.5);  // over all floats: 1.345 with the table, 1.473 by the polynomial alone
}

INSTANTIATE_TEST_SUITE_P(All, ExpTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
