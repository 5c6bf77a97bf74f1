// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <simdsoftmax/simdsoftmax.hpp>
#include <vector>

int main() {
  std::vector<float> logits = {1, 2, 3, 4, -1, 0, 1, 9};  // two rows of four
  if (const auto status = simdsoftmax::softmax_rows(logits, 4); status != simdsoftmax::Status::ok) {
    std::puts(simdsoftmax::text(status));
    return 1;
  }
  for (const float p : logits) std::printf("%.6f\n", static_cast<double>(p));
}
