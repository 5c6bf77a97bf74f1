// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_INPUTS_HPP
#define SIMDSOFTMAX_TESTS_INPUTS_HPP

// Logits for the tests. Made with integer arithmetic alone, so they are the same on every machine.

#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "formats.hpp"

namespace softmax_test {

using Random = std::mt19937;

double uniform(Random& random);  // in [0, 1)
double normal(Random& random);   // mean 0, standard deviation 1, never beyond 6

// Rounded to the format and therefore exactly what the library gets to see.
std::vector<double> normal_logits(const Format& format, std::size_t count, double scale, unsigned seed);

struct InputKind {
  std::string name;
  std::function<double(const Format& format, std::size_t index, std::size_t cols, Random& random)> logit;
};
const std::vector<InputKind>& input_kinds();
std::vector<double> make_row(const InputKind& kind, const Format& format, std::size_t cols);

// 1 to 300, thinned out on a slow machine.
std::vector<std::size_t> small_sizes();

}  // namespace softmax_test

#endif
