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
  std::size_t cols;  // rows of f64 must fit the address space
  Dtype logits;
  Dtype output;
  bool in_place;
  Accuracy accuracy = Accuracy::balanced;
  bool is_staged = false;  // theta or pre-operations change the logits
  bool has_fma = true;     // of the ISA
};

struct Plan {
  Variant variant;  // automatic where there are none to choose from
  int threads;
  bool split_rows;     // every row is shared by all threads
  const char* reason;  // why this variant; null without variants
};

// Pure functions: the same arguments always give the same plan.
//
// Softmax of rows.
// asked: the variant of the caller, perhaps automatic. thread_limit: at least 1; at most what the caller allows.
Plan plan_rows(const Shape& shape, Variant asked, int thread_limit, const CacheSizes& caches);

// What logits and results may take to be near: half of L2.
inline std::size_t near_bytes(const CacheSizes& caches) { return caches.l2 / 2; }

// What has no variants: `units` of work make up rows x cols elements.
Plan plan_units(std::size_t rows, std::size_t cols, std::size_t units, int thread_limit);

// The same for kernels whose units are rows that threads may share.
Plan plan_shared_rows(std::size_t rows, std::size_t cols, int thread_limit);

// The length of the parts that a row is cut into, except for the last of them.
std::size_t row_part_length(std::size_t cols);

// How many rows that lie beside one another in memory are taken at a time; there are `outer` times `inner` of them.
// compute_size: bytes of an element.
std::size_t columns_block(std::size_t outer, std::size_t inner, std::size_t compute_size, int thread_limit);

inline constexpr unsigned char dtype_sizes[] = {4, 8, 2, 2, 4, 8, 1};
inline std::size_t dtype_size(Dtype dtype) { return dtype_sizes[static_cast<int>(dtype)]; }

}  // namespace simdsoftmax::detail
