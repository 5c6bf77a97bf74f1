// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The border between the code that runs anywhere and the code that is compiled once per ISA. Both sides include this
// header, so it holds plain data only: an inline function here would be compiled with two sets of instructions, and
// the linker would keep either.

namespace simdsoftmax::detail {

enum class Dtype : std::int32_t { f32 = 0, f64 = 1, f16 = 2, bf16 = 3 };
enum class Variant : std::int32_t { automatic = 0, three_pass, three_pass_recompute, online, anchored };

constexpr int dtype_count = 4;
constexpr int variant_count = 5;

// A row is cut into parts, and a part into segments, at places that depend on its length alone. A pass sums one segment
// at a time, in f64; segments are added up within a part, and parts within a row, in order. That is why neither the
// number of threads nor who does which part changes a bit. 8192 f32 are the size of a small L1 cache.
constexpr std::size_t segment_length = 8192;
constexpr std::size_t max_parts = 256;

// The anchored variant takes its anchor from so many first logits of a row.
constexpr std::size_t anchor_length = 128;

// A sum and what its additions rounded away, unevaluated. NaN when `high` is.
struct SplitSum {
  double high;
  double low;
};

// What one part of a row adds to the sum of the row: sum * 2^(anchor - headroom), or NaN.
struct RowState {
  std::int64_t anchor;
  SplitSum sum;
};

// What the threads that share a row tell one another: a slot for every part, in two sets that are used in turns,
// because a thread may be at its next step while others still read what the last one left.
struct TeamBoard {
  double max[2][max_parts];
  RowState states[2][max_parts];
};

// The threads that share each row of a task. A team of one needs no barrier.
struct Team {
  int index;
  int count;
  TeamBoard* board;
  void (*barrier)();
};

struct RowsTask {
  const void* logits;
  void* output;
  std::ptrdiff_t logits_stride;  // in bytes
  std::ptrdiff_t output_stride;  // in bytes
  std::size_t cols;              // at least 1
  double theta;
  Variant variant;  // not automatic
  bool empty_row_zeros;
};

// Computes rows [first, last) of the task. Every thread of the team calls it with the same arguments.
using RowsKernel = void (*)(const RowsTask& task, std::size_t first, std::size_t last, const Team& team);

// The f32 passes of a row, alone, for benches. `max` is the largest of the n logits.
struct PassTable {
  float (*max)(const float* x, std::size_t n);
  double (*exp_sum)(const float* x, std::size_t n, float max);
  double (*exp_sum_store)(const float* x, float* e, std::size_t n, float max);
  void (*scale)(float* e, std::size_t n, double sum);
};

struct KernelTable {
  const char* isa;
  RowsKernel rows[dtype_count][dtype_count];  // [logits][output]; null where the pair is not offered
  PassTable passes;
};

}  // namespace simdsoftmax::detail
