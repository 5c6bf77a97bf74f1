// SPDX-License-Identifier: Apache-2.0
// Exits with 0 if the library says that it has no OpenMP, plans no threads, and computes all the same.
#include <cmath>
#include <simdsoftmax/simdsoftmax.hpp>
#include <vector>

int main() {
  constexpr std::size_t cols = std::size_t{1} << 20;
  simdsoftmax::Options options;
  options.num_threads = 2;
  const simdsoftmax_options c_options = options.c();
  simdsoftmax_plan plan;
  if (simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 1, cols, 1, &c_options, &plan) != SIMDSOFTMAX_OK ||
      simdsoftmax_has_openmp() != 0 || plan.num_threads != 1) {
    return 1;
  }
  std::vector<float> values(cols, 3.0F);
  if (simdsoftmax::softmax_rows(values, cols, options) != simdsoftmax::Status::ok) return 2;
  for (const float value : values) {
    if (!(std::fabs(std::ldexp(value, 20) - 1.0F) < 1e-6F)) return 3;
  }
}
