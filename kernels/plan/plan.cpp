// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.hpp"

namespace simdsoftmax::detail {

namespace {

// A parallel region costs a few microseconds when its threads sleep, one core exponentiates about 10 elements in a
// nanosecond: below this many elements a thread the region costs more than it saves.
constexpr std::size_t least_per_thread = 16384;

// Shorter rows would leave many lines that no single row fills, and those are not streamed.
constexpr std::size_t least_streamed = 256;

std::size_t compute_size(const Shape& shape) {
  return shape.logits == Dtype::f64 || shape.accuracy == Accuracy::exact ? sizeof(double) : sizeof(float);
}

// By multiplication: divisions would take longer than all the rest of a plan.
bool exceeds(std::size_t rows, std::size_t cols, std::size_t limit) {
  std::size_t product;
  return __builtin_mul_overflow(rows, cols, &product) || product > limit;
}

std::size_t times_at_most(std::size_t rows, std::size_t cols, std::size_t limit) {
  return exceeds(rows, cols, limit) ? limit : rows * cols;
}

int useful_threads(std::size_t rows, std::size_t cols, int limit) {
  const auto most = static_cast<std::size_t>(limit);
  const std::size_t work = times_at_most(rows, cols, most * least_per_thread);
  const std::size_t threads = work / least_per_thread;
  return threads < 1 ? 1 : static_cast<int>(threads);
}

// Whole rows keep their data in one core's cache and need no barrier, so rows are split only where whole ones would
// leave threads idle for long: fewer rows than threads, or a last round that few threads take part in.
bool should_split(std::size_t rows, std::size_t cols, std::size_t threads) {
  if (cols < 2 * segment_length) return false;
  const std::size_t rounds = (rows + threads - 1) / threads;
  return rounds * threads > rows + rows / 8;
}

int segments(std::size_t cols, std::size_t most) {
  const std::size_t count = (cols + segment_length - 1) / segment_length;
  return static_cast<int>(count < most ? count : most);
}

int at_most(int threads, std::size_t units) {
  return static_cast<std::size_t>(threads) > units ? static_cast<int>(units) : threads;
}

struct Threads {
  int count;
  bool split_rows;
};

Threads share_rows(std::size_t rows, std::size_t cols, int limit) {
  const int threads = useful_threads(rows, cols, limit);
  if (threads > 1 && should_split(rows, cols, static_cast<std::size_t>(threads))) {
    return {segments(cols, static_cast<std::size_t>(threads)), true};
  }
  return {at_most(threads, rows), false};
}

struct Choice {
  Variant variant;
  const char* reason;
};

// What logits and results may take of the last-level cache: half, because it is shared, with other cores and often with
// other machines. (glibc copies past the caches from the same size on: x86_non_temporal_threshold, a quarter of the
// last level, of each side. 65536x512 in 256 of 260 MiB took 1.25 times as long through the cache, 32768x512 1.2
// times.)
std::size_t room_in(const CacheSizes& caches) { return caches.last_level / 2; }

// Written past the caches: results of batches that no cache holds. Long rows are then exponentiated twice, which has to
// be worth its while: for f32 it is from the shortest of them on (2048x32000 takes 0.82 of the time on avx512, 0.93 on
// avx2), for other types, whose exponentials lie on the stack or take longer, where not even a row fits the last level;
// neither for logits that are staged (1.3) nor without fma (1.35).
bool should_stream(const Shape& shape, const CacheSizes& caches) {
  const std::size_t row = shape.cols * (dtype_size(shape.logits) + dtype_size(shape.output));
  if (shape.in_place || shape.cols < least_streamed || !exceeds(shape.rows, row, room_in(caches))) return false;
  const bool is_short = shape.cols * compute_size(shape) <= narrow_row_bytes;
  const bool is_f32 = shape.logits == Dtype::f32 && dtype_size(shape.output) >= compute_size(shape);
  return is_short || (!shape.is_staged && shape.has_fma && (is_f32 || row > room_in(caches)));
}

Choice choose(const Shape& shape, const CacheSizes& caches) {
  if (should_stream(shape, caches)) {
    return {Variant::streaming, "more than half of the last-level cache: results are written past the caches"};
  }
  if (shape.cols * compute_size(shape) <= narrow_row_bytes) {
    return {Variant::narrow, "short rows: they share what a row needs beside its exponentials"};
  }
  // Whether exponentials go to the output; exact ones only f64 can hold.
  const bool can_stash = dtype_size(shape.output) >= compute_size(shape);
  if (shape.in_place && can_stash) {
    return {Variant::three_pass, "in place: the logits are overwritten, so the row cannot be walked twice"};
  }
  return {Variant::anchored, "one pass exponentiates and sums, one scales, and the maximum is not needed"};
}

}  // namespace

Plan plan_rows(const Shape& shape, Variant asked, int thread_limit, const CacheSizes& caches) {
  if (shape.rows == 0 || shape.cols == 0) return {Variant::three_pass, 1, false, "there is nothing to do"};
  const Choice choice = asked == Variant::automatic ? choose(shape, caches) : Choice{asked, "asked for by the caller"};
  const Threads threads = share_rows(shape.rows, shape.cols, thread_limit);
  return {choice.variant, threads.count, threads.split_rows, choice.reason};
}

Plan plan_units(std::size_t rows, std::size_t cols, std::size_t units, int thread_limit) {
  return {Variant::automatic, at_most(useful_threads(rows, cols, thread_limit), units), false, nullptr};
}

Plan plan_shared_rows(std::size_t rows, std::size_t cols, int thread_limit) {
  const Threads threads = share_rows(rows, cols, thread_limit);
  return {Variant::automatic, threads.count, threads.split_rows, nullptr};
}

std::size_t row_part_length(std::size_t cols) {
  constexpr std::size_t most = max_parts * segment_length;
  const std::size_t segments_of_a_part = cols / most + (cols % most != 0);
  return (segments_of_a_part > 0 ? segments_of_a_part : 1) * segment_length;
}

// Long runs, which the hardware prefetches, but not so long that threads are left without one.
std::size_t columns_block(std::size_t outer, std::size_t inner, std::size_t compute_size, int thread_limit) {
  constexpr std::size_t least = 64;
  std::size_t run = columns_run_bytes;
  const auto blocks = [&] { return outer * ((inner * compute_size + run - 1) / run); };
  while (run > least && blocks() < static_cast<std::size_t>(thread_limit)) run /= 2;
  return run / compute_size;
}

}  // namespace simdsoftmax::detail
