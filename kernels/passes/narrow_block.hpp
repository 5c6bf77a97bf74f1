// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/row_totals.hpp"
#include "simd/exp.hpp"
#include "simd/stream.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Several short rows at a time. What a row needs beside its exponentials (a maximum, an anchor, the sum of its lanes, a
// division) takes longer than 64 of them, so rows that lie within `span` of one another share an anchor, and lanes are
// added up, and divided into, for a vector of rows at a time. Within the span no exponential leaves the range of the
// anchor and no probability is subnormal, so neither has to be looked at.
//
// f32: the smallest probability of 2^16 columns, e^-76 / 2^16, is above 2^-126; with exponentials taken 2^32 above the
// anchor of the maximum they are within 2^-46 and 2^65, and the factors for their sums (2^64 / sum) within 2^-18 and
// 2^111: neither of their parts overflows or is subnormal. f64: likewise, e^-600 / 2^16 > 2^-882, exponentials from
// 2^-802 on, factors up to 2^866; but results that become floats are flushed as those are.
template <class In>
constexpr Compute<In> narrow_span = sizeof(In) == sizeof(double) ? 600 : 76;
template <class T>
constexpr int narrow_lift = sizeof(T) == sizeof(double) ? 0 : 32;

// Rows at even distances, in bytes.
template <class Element>
struct EvenRows {
  Element* first;
  std::ptrdiff_t stride;

  SIMDSOFTMAX_INLINE Element* operator[](std::size_t r) const {
    const auto offset = static_cast<std::uintptr_t>(static_cast<std::ptrdiff_t>(r) * stride);
    return reinterpret_cast<Element*>(reinterpret_cast<std::uintptr_t>(first) + offset);
  }
};

// Lines that will be read or written, in bytes: they come in while exponentials are computed, not when they are needed.
template <bool written>
struct ExpectedLines {
  const char* first;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t element;

  // Also of rows that there are not.
  SIMDSOFTMAX_INLINE void expect(std::size_t row, std::size_t column) const {
    __builtin_prefetch(at(row, column), written);
  }
  ExpectedLines from(std::size_t row) const { return {at(row, 0), row_stride, element}; }
  SIMDSOFTMAX_INLINE void meanwhile() const {}

 private:
  SIMDSOFTMAX_INLINE const char* at(std::size_t row, std::size_t column) const {
    const auto offset = static_cast<std::ptrdiff_t>(row) * row_stride + static_cast<std::ptrdiff_t>(column) * element;
    return reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(first) + static_cast<std::uintptr_t>(offset));
  }
};

// Where the results will go.
using Destination = ExpectedLines<true>;

template <class Out>
SIMDSOFTMAX_INLINE Destination destination_of(const EvenRows<Out>& y) {
  return {reinterpret_cast<const char*>(y.first), y.stride, sizeof(Out)};
}

// Results of the block before on their way past the caches, while exponentials are computed. All at once they have to
// wait for memory, and nothing is computed meanwhile: 65536x512 took 1.47 times as long as memcpy, now 1.24.
struct Drain {
  LineCopy lines;

  SIMDSOFTMAX_INLINE void expect(std::size_t, std::size_t) { lines.next(); }
  // For passes that take less time than memory would need for a line a vector.
  SIMDSOFTMAX_INLINE void meanwhile() { lines.next(); }
};

struct BlockShape {
  std::size_t rows;
  std::size_t cols;
};

// work(x, at, n) for runs of n elements, the first of them being number `at` of the block.
template <class Element, class Work>
SIMDSOFTMAX_INLINE void each_run(const EvenRows<Element>& x, BlockShape shape, const Work& work) {
  if (x.stride == static_cast<std::ptrdiff_t>(shape.cols * sizeof(Element))) {
    return work(x.first, 0, shape.rows * shape.cols);
  }
  for (std::size_t r = 0; r < shape.rows; ++r) work(x[r], r * shape.cols, shape.cols);
}

// whole(i) for vectors that cover [0, n), the last of them perhaps twice; few() if n does not fill one.
template <class T, class Whole, class Few>
SIMDSOFTMAX_INLINE void cover(std::size_t n, const Whole& whole, const Few& few) {
  if (n < width<T>) return few();
  std::size_t i = 0;
  for (; i + 4 * width<T> <= n; i += 4 * width<T>) {
    whole(i, 0);
    whole(i + width<T>, 1);
    whole(i + 2 * width<T>, 0);
    whole(i + 3 * width<T>, 1);
  }
  for (; i + width<T> <= n; i += width<T>) whole(i, 0);
  if (i < n) whole(n - width<T>, 1);
}

// Whether the logits are ordinary and lie within the span; their maximum. A NaN is passed over, or makes it false.
template <class In, class Results>
SIMDSOFTMAX_NOINLINE bool narrow_span_pass(const EvenRows<const In>& x, BlockShape shape, Compute<In>& max,
                                           Results& results) {
  using T = Compute<In>;
  Results y = results;
  using V = Vector<T>;
  const V infinite(Limits<T>::infinity);
  V least[2] = {infinite, infinite};
  V most[2] = {-infinite, -infinite};
  each_run(
      x, shape, [&](const In* run, std::size_t, std::size_t n) __attribute__((always_inline)) {
        cover<T>(
            n,
            [&](std::size_t i, int k) __attribute__((always_inline)) {
              if (i % (4 * width<T>) == 0) y.meanwhile();
              const V v = load(run + i);
              least[k] = min_or_second(v, least[k]);
              most[k] = max_or_second(v, most[k]);
            },
            [&]() __attribute__((always_inline)) {
              least[0] = min_or_second(load_first(run, n, infinite), least[0]);
              most[0] = max_or_second(load_first(run, n, -infinite), most[0]);
            });
      });
  results = y;
  max = lane_max(max_or_second(most[0], most[1]));
  const T min = -lane_max(-min_or_second(least[0], least[1]));
  constexpr T giant = ExpRange<T>::giant;
  return max - min <= narrow_span<In> && max < giant && max > -giant && min > -giant;
}

template <class In, class Results>
SIMDSOFTMAX_INLINE bool narrow_span_pass(const EvenRows<const Wide<In>>& x, BlockShape shape, double& max,
                                         Results& results) {
  float narrow_max = 0;
  const EvenRows<const In> narrow = {reinterpret_cast<const In*>(x.first), x.stride};
  const bool within = narrow_span_pass(narrow, shape, narrow_max, results);
  max = static_cast<double>(narrow_max);
  return within;
}

// Exponentials of a block, row behind row.
template <class In, Accuracy accuracy, class Results>
SIMDSOFTMAX_NOINLINE void narrow_exp_pass(const EvenRows<const In>& x, BlockShape shape, Compute<In> max,
                                          Compute<In>* e, Results& results) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_of(max) - narrow_lift<T>);
  Results y = results;
  each_run(
      x, shape, [&](const In* run, std::size_t at, std::size_t n) __attribute__((always_inline)) {
        cover<T>(
            n,
            [&](std::size_t i, int) __attribute__((always_inline)) {
              y.expect(0, at + i);
              store(e + at + i, exp(load(run + i)));
            },
            [&]() __attribute__((always_inline)) { store(e + at, exp(load_first(run, n, Vector<T>(max)))); });
      });
  results = y;
}

// Exponentials of a block, row behind row, and their sums, in one pass: for rows of many chunks.
template <class In, Accuracy accuracy, class Results>
SIMDSOFTMAX_NOINLINE void narrow_exp_sum_pass(const EvenRows<const In>& rows, BlockShape shape, Compute<In> max,
                                              Compute<In>* to, Results& results, const RowTotals& totals) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_of(max) - narrow_lift<T>);
  const EvenRows<const In> x = rows;
  Results y = results;
  const std::size_t cols = shape.cols;
  const std::size_t rows_of_block = shape.rows;
  const auto lanes = [&](std::size_t r) __attribute__((always_inline)) {
    const In* const logits = x[r];
    const In* const next = x[rows_of_block + r];
    T* const e = to + r * cols;
    return lanes_of<T, accuracy>(
        cols,
        [&](std::size_t i) __attribute__((always_inline)) {
          __builtin_prefetch(next + i);
          y.expect(r, i);
          const Vector<T> v = exp(load(logits + i));
          store(e + i, v);
          return v;
        },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          const Vector<T> v = exp(load_first(logits + i, m, Vector<T>(max)));
          store(e + i, v);
          return keep_first(v, m);
        });
  };
  sum_rows<LaneSum<T, accuracy>>(shape.rows, lanes, totals);
  results = y;
}

// The longest rows that go this way; no longer than a segment, because sums of several of those are put together
// otherwise.
template <class T>
constexpr std::size_t longest_narrow = detail::narrow_row_bytes / sizeof(T);
static_assert(longest_narrow<float> <= detail::segment_length);
constexpr std::size_t narrow_block_bytes = 8192;
constexpr std::size_t most_narrow_rows = 128;

// Rows that are taken at once: groups of a vector of them where they fit.
template <class T>
std::size_t narrow_rows(std::size_t cols, std::size_t block_bytes) {
  const std::size_t fitting = block_bytes / sizeof(T) / cols;
  if (fitting >= most_narrow_rows) return most_narrow_rows;
  if (fitting < width<double>) return fitting > 0 ? fitting : 1;
  return fitting / width<double> * width<double>;
}

// Exponentials and sums of a block of rows, with the room that they need. With two buffers those of one block may stay
// while the next one is taken.
template <class In, Accuracy accuracy, std::size_t buffers = 1>
class NarrowBlock {
 public:
  using T = Compute<In>;

  explicit NarrowBlock(std::size_t cols) : cols_(cols), rows_at_once_(narrow_rows<T>(cols, narrow_block_bytes)) {
    for (auto& buffer : exponentials_) store(buffer + cols_ * rows_at_once_, Vector<T>(T(0)));
  }

  std::size_t rows_at_once() const { return rows_at_once_; }
  BlockShape shape(std::size_t rows) const { return {rows, cols_}; }
  // Those of the last block; else room for those of a row.
  T* exponentials() { return exponentials_[buffer_]; }
  void use_next_buffer() { buffer_ = (buffer_ + 1) % buffers; }

  // Of at most rows_at_once() rows. False if their logits do not lie within the span, or are infinite or huge.
  // Results: Destination or Drain.
  template <class Results>
  bool exponentiate(const EvenRows<const In>& x, std::size_t rows, Results& results) {
    const BlockShape block = shape(rows);
    T max;
    if (!narrow_span_pass(x, block, max, results)) return false;
    anchor_ = anchor_of(max) - narrow_lift<T>;
    const RowTotals totals = {high_, low_};
    if (cols_ > (sizeof(T) == sizeof(float) ? longest_short_sum : 4 * virtual_width<T>)) {
      narrow_exp_sum_pass<In, accuracy>(x, block, max, exponentials(), results, totals);
    } else {
      narrow_exp_pass<In, accuracy>(x, block, max, exponentials(), results);
      sum_stored_rows<accuracy>({exponentials(), rows, cols_}, totals);
    }
    return true;
  }

  // What exponentials are relative to, and the sums of rows r, r + 1, ... r + width<double> - 1.
  std::int64_t anchor() const { return anchor_; }
  SIMDSOFTMAX_INLINE GroupTotals totals(std::size_t r) const { return {load(high_ + r), load(low_ + r)}; }

 private:
  std::size_t cols_;
  std::size_t rows_at_once_;
  std::size_t buffer_ = 0;
  std::int64_t anchor_ = 0;
  // A row's last vector may reach beyond it.
  alignas(64) T exponentials_[buffers][longest_narrow<T> + virtual_width<T>];
  alignas(64) double high_[most_narrow_rows];
  alignas(64) double low_[most_narrow_rows];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
