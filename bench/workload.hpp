// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_WORKLOAD_HPP
#define SIMDSOFTMAX_BENCH_WORKLOAD_HPP

#include <cstdlib>
#include <memory>
#include <string>

#include "element_type.hpp"
#include "options.hpp"
#include "reference.hpp"

namespace bench {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<void, Free>;

// `count` elements on a 64-byte boundary, every page touched.
Buffer allocate(std::size_t count, std::size_t element_size);

// Logits as models make them: normal, standard deviation 4, the same in every run.
Buffer seeded_logits(const ElementType& type, std::size_t count);

// One shape with its logits, room for the output, and what must come out. All benchmarks of the shape share it.
struct Workload {
  Workload(const Options& options, Shape workload_shape);

  std::size_t size() const { return shape.rows * shape.cols; }
  // What a softmax reads and writes once.
  std::size_t bytes() const { return size() * (in.size + out.size); }

  Shape shape;
  const ElementType& in;
  const ElementType& out;
  int threads;
  Buffer logits;
  Buffer output;
  ErrorMeter max_ulp;
};

}  // namespace bench

#endif
