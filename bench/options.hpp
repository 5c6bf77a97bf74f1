// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_OPTIONS_HPP
#define SIMDSOFTMAX_BENCH_OPTIONS_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "element_type.hpp"

namespace bench {

struct Shape {
  std::size_t rows;
  std::size_t cols;
};

// For softmax along an axis that need not be the last.
struct TensorShape {
  std::string text;  // as it was given: 1x21x512x512@1
  std::vector<std::size_t> dims;
  std::int32_t axis;
};

inline constexpr const char* variants_suite = "variants";
inline constexpr const char* axes_suite = "axes";
inline constexpr const char* peers_suite = "peers";

struct Options {
  std::string suite = variants_suite;
  std::vector<Shape> shapes;
  std::vector<TensorShape> tensors;  // for the suites of the axes, which takes no shapes, and of the peers
  const ElementType* in = nullptr;
  const ElementType* out = nullptr;
  std::vector<std::string> isas;                 // of this CPU, best last; never empty
  std::vector<simdsoftmax_variant> variants;     // never empty
  std::vector<simdsoftmax_accuracy> accuracies;  // never empty
  int threads = 1;
  std::string function = "softmax";  // for the suite of the peers, which are files:
  std::vector<std::string> peers;
  std::string logits_file;  // dense elements of type `in`; empty: seeded ones
  std::string output_file;  // empty: not written
};

// What Google Benchmark has left of the command line. Throws std::invalid_argument with a sentence for the user.
Options parse_options(int argc, char** argv);

}  // namespace bench

#endif
