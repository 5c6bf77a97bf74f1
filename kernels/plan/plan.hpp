// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

// Bytes that one core can use of each level.
struct CacheSizes {
  std::size_t l2;
  std::size_t last_level;
};

struct Shape {
  std::size_t rows;
  std::size_t cols;
  Dtype logits;
  Dtype output;
  bool in_place;
};

struct Plan {
  Variant variant;  // never automatic
  int threads;
  bool split_rows;     // every row is shared by all threads
  const char* reason;  // why this variant
};

// Pure functions: the same arguments always give the same plan.
//
// asked: the variant of the caller, perhaps automatic. thread_limit: at least 1; at most what the caller allows.
Plan plan_rows(const Shape& shape, Variant asked, int thread_limit, const CacheSizes& caches);

std::size_t dtype_size(Dtype dtype);

}  // namespace simdsoftmax::detail
