// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The border between the code that runs anywhere and the code that is compiled once per ISA. Both sides include this
// header, so it holds plain data only: an inline function here would be compiled with two sets of instructions, and
// the linker would keep either.

namespace simdsoftmax::detail {

enum class Dtype : std::int32_t { f32 = 0, f64 = 1, f16 = 2, bf16 = 3, i32 = 4, i64 = 5, boolean = 6 };
enum class Function : std::int32_t { softmax, log_softmax, logsumexp };
enum class Variant : std::int32_t {
  automatic = 0,
  three_pass,
  three_pass_recompute,
  online,
  anchored,
  narrow,
  streaming
};
enum class Accuracy : std::int32_t { balanced = 0, exact, fast };

constexpr int dtype_count = 4;  // those of logits
constexpr int variant_count = 7;
constexpr int accuracy_count = 3;

// A row is cut into parts, and a part into segments, at places that depend on its length alone. A pass sums one segment
// at a time, in f64; segments are added up within a part, and parts within a row, in order. That is why neither the
// number of threads nor who does which part changes a bit. 8192 f32 are the size of a small L1 cache.
constexpr std::size_t segment_length = 8192;
constexpr std::size_t max_parts = 256;

// Rows of at most so many bytes in the compute type share what a row needs beside its exponentials, and have room for
// those on the stack. (32x4096 takes 0.82 to 0.9 of the time of the anchored variant, f32 on avx512.)
constexpr std::size_t narrow_row_bytes = 32768;

// The anchored variant takes its anchor from so many first logits of a row.
constexpr std::size_t anchor_length = 128;

// A sum and what its additions rounded away, unevaluated. NaN when `high` is.
struct SplitSum {
  double high;
  double low;
};

// What one part of a row adds to the sum of the row: sum * 2^(anchor - headroom) * e^shift, or NaN. The shift is 0 but
// in parts with huge logits.
struct RowState {
  std::int64_t anchor;
  SplitSum shift;
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

// Tasks carry the length of a part: a multiple of segment_length that makes at most max_parts of a row (row_part_length
// in plan/).

constexpr int max_rank = 8;

// The rows of a call, row r being the r-th combination of indices along all dimensions but the axis, last one fastest.
struct RowGrid {
  int rank;
  std::size_t dims[max_rank - 1];
};

// One tensor of a call: where each row begins and how far apart its elements lie. Strides in bytes; 0 repeats.
struct Operand {
  char* data;  // null: the call has none
  Dtype dtype;
  std::ptrdiff_t axis_stride;
  std::ptrdiff_t row_strides[max_rank - 1];  // along the dimensions of the grid
};

// A position along one dimension of the logits, as a function of the row.
struct Position {
  std::int64_t row_strides[max_rank - 1];  // 1 along that dimension, 0 along the others
};

// Scale is part of the task's theta, but for what the rounding of that product takes away.
struct PreOps {
  double theta_low;
  double softcap;   // 0: none
  double max_bias;  // 0: none
  std::size_t heads;
  bool causal;
  bool mask_drops;
  std::int64_t query_offset;
  std::int64_t window;  // 0: none
  Operand bias;
  Operand mask;
  Operand lengths;
  Operand sinks;
  Operand logsumexp;  // an output
  Position query;
  Position head;
};

struct RowsTask {
  RowGrid grid;
  std::size_t cols;  // at least 1
  std::size_t part_length;
  Operand logits;
  Operand output;  // of one element a row for logsumexp
  Function function;
  Variant variant;  // not automatic; for softmax
  double theta;
  bool in_place;
  bool empty_row_zeros;
  const PreOps* pre_ops;   // null: none
  std::size_t near_bytes;  // logits and results of at most so many are waited for by no one
};

// Computes units [first, last) of a task of the type that belongs to the kernel: rows, or blocks of them. Where a team
// of several shares each row, all of its threads call it with the same arguments.
using Kernel = void (*)(const void* task, std::size_t first, std::size_t last, const Team& team);

// Rows that lie across memory: element c of row i of a block is at c * axis_stride + i * element size. Units of work
// are blocks of `block` neighbouring rows; unit u is block u % blocks of the outer index u / blocks, which the grid
// describes.
struct ColumnsTask {
  RowGrid grid;
  std::size_t cols;   // at most segment_length
  std::size_t inner;  // rows beside one another
  std::size_t block;  // at most columns_run_bytes of the compute type
  Operand logits;
  Operand output;  // of one element a row for logsumexp
  Function function;
  double theta;
  bool empty_row_zeros;
  Kernel row_kernel;  // that such rows would have if they were dense
};
constexpr std::size_t columns_run_bytes = 2048;

// softmax: theta y (g - sum of g y); log_softmax: theta (g - e^y sum of g).
struct GradientTask {
  RowGrid grid;
  std::size_t cols;
  std::size_t part_length;
  Operand grad_output;
  Operand output;
  Operand grad_input;
  Function function;  // softmax or log_softmax
  double theta;
};

// Units of work are blocks of `block` rows, and the sum of the losses of block b goes to block_sums[b].
struct LossTask {
  RowGrid grid;
  std::size_t rows;
  std::size_t cols;
  std::size_t part_length;
  std::size_t block;
  Operand logits;
  Operand labels;         // i32 or i64, all of them checked; or a distribution
  Operand losses;         // null data: only the sums are wanted
  Operand class_weights;  // null data: all 1; row strides are 0
  Operand grad_logits;
  Operand log_probabilities;
  double theta;
  double label_smoothing;
  bool use_ignore_index;
  std::int64_t ignore_index;
  double grad_factor;  // the gradient of the reduced loss with respect to the loss of a row
  SplitSum* block_sums;
};

struct TopKTask {
  RowGrid grid;
  std::size_t cols;
  std::size_t part_length;
  Operand logits;
  Operand probabilities;  // null data: not wanted
  Operand indices;
  std::size_t k;
  bool over_top_k;
  double theta;
  bool empty_row_zeros;
  const PreOps* pre_ops;  // null: none
};
constexpr std::size_t max_top_k = 1024;

// Columns [first, first + count) of a row of `cols`, dense, `logits` at the first of them.
struct SliceTask {
  const void* logits;
  Dtype dtype;
  std::size_t cols;
  std::size_t part_length;
  std::size_t first;
  std::size_t count;
  double theta;
};

// Softmax of a dense row that is all of a call. False, and nothing has been written, if it has to go as others do.
using SingleRowKernel = bool (*)(const void* logits, void* output, std::size_t cols);

// The passes of an f32 row, alone, for benches and tests. `max` is the largest of the n logits.
struct PassTable {
  float (*max)(const float* x, std::size_t n);
  double (*exp_sum)(const float* x, std::size_t n, float max);
  double (*exp_sum_store)(const float* x, float* e, std::size_t n, float max);
  double (*exp_sum_store_exact)(const float* x, double* e, std::size_t n, float max);
  double (*exp_sum_store_fast)(const float* x, float* e, std::size_t n, float max);  // null without fast rows
  void (*scale)(float* e, std::size_t n, double sum);
};

// Rows are computed in f32; in f64, if the logits are; or in f64 for narrower results, if the caller wants them exact.
constexpr int compute_count = 3;

struct KernelTable {
  const char* isa;
  int arithmetic;  // ISAs with the same number give the same bits
  bool has_fma;
  // RowsTask: softmax of dense rows, theta 1, no pre-operations. [accuracy][logits][output]; null where the pair is not
  // offered.
  Kernel dense_rows[accuracy_count][dtype_count][dtype_count];
  SingleRowKernel single_row[accuracy_count][dtype_count][dtype_count];  // null also for exact halves
  // The same for log_softmax and logsumexp, unless they are to be exact. [logits][output].
  Kernel dense_logs[dtype_count][dtype_count];
  // By compute type.
  Kernel rows[compute_count];      // RowsTask, whatever it asks for
  Kernel columns[compute_count];   // ColumnsTask
  Kernel gradient[compute_count];  // GradientTask
  Kernel loss[compute_count];      // LossTask
  Kernel top_k[compute_count];     // TopKTask, one thread a row
  // The states of the parts of a slice that begins and ends between parts, the first of them to states[0].
  void (*slice_states[compute_count])(const SliceTask& task, RowState* states);
  // Probabilities of any slice of a row with this state.
  void (*finish_slice[compute_count])(const SliceTask& task, const RowState& state, void* output, Dtype output_dtype,
                                      bool empty_row_zeros);
  RowState (*merge)(const RowState& a, const RowState& b);
  double (*logsumexp[compute_count])(const RowState& state);
  PassTable passes;
};

}  // namespace simdsoftmax::detail
