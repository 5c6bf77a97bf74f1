// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_OPTIONS_HPP
#define SIMDSOFTMAX_BENCH_OPTIONS_HPP

#include <string>
#include <vector>

#include "element_type.hpp"

namespace bench {

struct Shape {
  std::size_t rows;
  std::size_t cols;
};

struct Options {
  std::vector<Shape> shapes;
  const ElementType* in = nullptr;
  const ElementType* out = nullptr;
  std::vector<std::string> isas;              // of this CPU, best last; never empty
  std::vector<simdsoftmax_variant> variants;  // never empty
  int threads = 1;
  std::string logits_file;  // dense elements of type `in`; empty: seeded ones
  std::string output_file;  // empty: not written
};

// What Google Benchmark has left of the command line. Throws std::invalid_argument with a sentence for the user.
Options parse_options(int argc, char** argv);

}  // namespace bench

#endif
