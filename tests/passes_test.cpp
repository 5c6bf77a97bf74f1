// SPDX-License-Identifier: Apache-2.0
// The passes of a row that are offered alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness.hpp"
#include "inputs.hpp"
#include "isa/registry.hpp"
#include "reference.hpp"

namespace softmax_test {
namespace {

class PassesTest : public IsaTest {
 protected:
  static const simdsoftmax::detail::PassTable& passes() {
    return simdsoftmax::detail::find_kernels(GetParam().c_str())->passes;
  }
};

TEST_P(PassesTest, ThePassesInOrderAreTheSoftmax) {
  const Format& f32 = format_named("f32");
  std::vector<std::size_t> sizes = small_sizes();
  sizes.insert(sizes.end(), {1000, 8191, 8192, 8193, 30000});
  for (const std::size_t cols : sizes) {
    const std::vector<double> logits = normal_logits(f32, cols, 4, 71);
    const std::vector<float> x(logits.begin(), logits.end());
    const float max = passes().max(x.data(), cols);
    ASSERT_EQ(max, *std::max_element(x.begin(), x.end())) << cols;
    std::vector<float> e(cols + 1, -1.0F);
    const double sum = passes().exp_sum_store(x.data(), e.data(), cols, max);
    ASSERT_EQ(sum, passes().exp_sum(x.data(), cols, max)) << cols;
    passes().scale(e.data(), cols, sum);
    ASSERT_EQ(e.back(), -1.0F) << "written past the end";
    e.pop_back();
    const Worst worst = worst_of(f32, exact_softmax(logits), std::vector<double>(e.begin(), e.end()));
    ASSERT_LE(worst.ulp, bound_in_ulp(f32)) << worst.where;
  }
}

INSTANTIATE_TEST_SUITE_P(All, PassesTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
