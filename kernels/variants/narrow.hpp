// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/normalize.hpp"
#include "passes/row_totals.hpp"
#include "staging/plain_row.hpp"

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

// Where the results will go, in bytes: its lines come in while exponentials are computed, not while they are scaled.
struct Destination {
  char* first;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t element;

  SIMDSOFTMAX_INLINE void expect(std::size_t row, std::size_t column) const {
    __builtin_prefetch(
        first + static_cast<std::ptrdiff_t>(row) * row_stride + static_cast<std::ptrdiff_t>(column) * element, 1);
  }
};

struct BlockShape {
  std::size_t rows;
  std::size_t cols;
};

// work(x, at, n) for runs of n logits, the first of them being number `at` of the block.
template <class In, class Work>
SIMDSOFTMAX_INLINE void each_run(const EvenRows<const In>& x, BlockShape shape, const Work& work) {
  if (x.stride == static_cast<std::ptrdiff_t>(shape.cols * sizeof(In))) {
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
template <class In>
SIMDSOFTMAX_NOINLINE bool narrow_span_pass(const EvenRows<const In>& x, BlockShape shape, Compute<In>& max) {
  using T = Compute<In>;
  using V = Vector<T>;
  const V infinite(Limits<T>::infinity);
  V least[2] = {infinite, infinite};
  V most[2] = {-infinite, -infinite};
  each_run(
      x, shape, [&](const In* run, std::size_t, std::size_t n) __attribute__((always_inline)) {
        cover<T>(
            n,
            [&](std::size_t i, int k) __attribute__((always_inline)) {
              const V v = load(run + i);
              least[k] = min_or_second(v, least[k]);
              most[k] = max_or_second(v, most[k]);
            },
            [&]() __attribute__((always_inline)) {
              least[0] = min_or_second(load_first(run, n, infinite), least[0]);
              most[0] = max_or_second(load_first(run, n, -infinite), most[0]);
            });
      });
  max = lane_max(max_or_second(most[0], most[1]));
  const T min = -lane_max(-min_or_second(least[0], least[1]));
  constexpr T giant = ExpRange<T>::giant;
  return max - min <= narrow_span<In> && max < giant && max > -giant && min > -giant;
}

// Exponentials of a block, row behind row.
template <class In, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void narrow_exp_pass(const EvenRows<const In>& x, BlockShape shape, Compute<In> max,
                                          Compute<In>* e, const Destination& destination) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_of(max) - narrow_lift<T>);
  const Destination y = destination;
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
}

// The two parts of the factor that makes probabilities of exponentials, for each row; fast ones have the first alone.
// The arrays hold whole vectors.
template <class T>
struct RowFactors {
  T* high;
  T* low;
};

SIMDSOFTMAX_INLINE void store_as(double* to, F64 v) { store(to, v); }
SIMDSOFTMAX_INLINE void store_as(float* to, F64 v) { store_low_half(to, to_low_half(v)); }

template <class T, Accuracy accuracy>
struct FindFactors {
  RowFactors<T> factors;

  SIMDSOFTMAX_INLINE void operator()(std::size_t r, const GroupTotals<T>& totals) const {
    const NormalFactors<T, F64> of_rows(totals.high, totals.low, static_cast<double>(Limits<T>::smallest_normal));
    if constexpr (accuracy == Accuracy::fast) {
      store_as(factors.high + r, of_rows.factor * F64(1 / normalizer_lift));
    } else {
      store_as(factors.high + r, of_rows.factor);
      store_as(factors.low + r, of_rows.factor_low);
    }
  }
};

// Exponentials of a block, row behind row, and the factors of its rows, in one pass: for rows of many chunks.
template <class In, Accuracy accuracy, bool streams>
SIMDSOFTMAX_NOINLINE void narrow_exp_sum_pass(const EvenRows<const In>& rows, BlockShape shape, Compute<In> max,
                                              Compute<In>* to, const Destination& destination,
                                              const RowFactors<Compute<In>>& factors) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_of(max) - narrow_lift<T>);
  const EvenRows<const In> x = rows;
  const Destination y = destination;
  const std::size_t cols = shape.cols;
  const std::size_t rows_of_block = shape.rows;
  const auto lanes = [&](std::size_t r) __attribute__((always_inline)) {
    const In* const logits = x[r];
    const In* const next = x[rows_of_block + r];
    T* const e = to + r * cols;
    return lanes_of<T>(
        cols,
        [&](std::size_t i) __attribute__((always_inline)) {
          __builtin_prefetch(next + i);
          if constexpr (!streams) y.expect(r, i);
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
  each_group<T>(shape.rows, lanes, FindFactors<T, accuracy>{factors});
}

// The vectors of a row of `vectors` virtual vectors: whole(i) for those that are sure to be complete, part(i, n) for
// the others; 0: of any length.
template <class T, std::size_t vectors, class Whole, class Part>
SIMDSOFTMAX_INLINE void each_vector(std::size_t cols, const Whole& whole, const Part& part) {
  if constexpr (vectors == 0) {
    for_each_vector<T>(0, cols, whole, part);
  } else {
    constexpr std::size_t sure = (vectors - 1) * virtual_width<T>;
    for (std::size_t i = 0; i < sure; i += width<T>) whole(i);
    if constexpr (virtual_width<T> == width<T>) {
      part(sure, cols - sure);
    } else {
      std::size_t i = sure;
      for (; i + width<T> <= cols; i += width<T>) whole(i);
      if (i < cols) part(i, cols - i);
    }
  }
}

template <class Out, Accuracy accuracy, std::size_t vectors, bool streams = false>
SIMDSOFTMAX_NOINLINE void narrow_scale_pass(const Compute<Out>* e, BlockShape shape,
                                            const RowFactors<Compute<Out>>& factors, const EvenRows<Out>& rows) {
  using T = Compute<Out>;
  using V = Vector<T>;
  const V unlift(static_cast<T>(1 / normalizer_lift));
  const BlockShape block = shape;
  const RowFactors<T> factor = factors;
  const EvenRows<Out> to = rows;
  for (std::size_t r = 0; r < block.rows; ++r, e += block.cols) {
    const Sink<Out> y{to[r]};
    const V high(factor.high[r]);
    const V low(accuracy == Accuracy::fast ? T(0) : factor.low[r]);
    const auto probability = [&](std::size_t i) __attribute__((always_inline)) {
      const V v = load(e + i);
      if constexpr (accuracy == Accuracy::fast) return v * high;
      return mul_add(v, high, v * low) * unlift;
    };
    if constexpr (streams) {
      stream_vectors<T>(
          y.y, block.cols,
          probability, [&](std::size_t i, std::size_t) __attribute__((always_inline)) { return probability(i); });
      continue;
    }
    each_vector<T, vectors>(
        block.cols, [&](std::size_t i) __attribute__((always_inline)) { y(i, probability(i)); },
        [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, probability(i)); });
  }
  // Their payload could be that of a logit, which conversions to 16 bits are not made for.
  for (std::size_t r = 0; r < block.rows; ++r) {
    if (factor.high[r] != factor.high[r]) PlainOutput<Out>{to[r]}.fill(0, block.cols, Limits<T>::nan);
  }
}

// The longest rows that go this way; no longer than a segment, because sums of several of those are put together
// otherwise. Streaming: rows of so many columns and more are written past the caches.
template <class T>
constexpr std::size_t longest_narrow = detail::narrow_row_bytes / sizeof(T);
static_assert(longest_narrow<float> <= detail::segment_length);
constexpr std::size_t narrow_block_bytes = 8192;
constexpr std::size_t least_streamed = 128;

template <class In, class Out, Accuracy accuracy, bool streams>
class Narrow {
  using T = Compute<In>;

 public:
  explicit Narrow(std::size_t cols) : cols_(cols), rows_at_once_(rows_at_once(cols)) {
    store(exponentials_ + cols_ * rows_at_once_, Vector<T>(T(0)));
  }

  std::size_t rows_at_once() const { return rows_at_once_; }
  // Room for those of a row.
  T* exponentials() { return exponentials_; }

  // Probabilities of at most rows_at_once() rows. False if their logits do not lie within the span, or are infinite or
  // huge: nothing has been written then.
  bool walk(const EvenRows<const In>& x, const EvenRows<Out>& y, std::size_t rows) {
    const BlockShape shape = {rows, cols_};
    T max;
    if (!narrow_span_pass(x, shape, max)) return false;
    const RowFactors<T> factors = {factor_, factor_low_};
    const Destination destination = {reinterpret_cast<char*>(y.first), y.stride, sizeof(Out)};
    if (cols_ > 4 * virtual_width<T>) {
      narrow_exp_sum_pass<In, accuracy, streams>(x, shape, max, exponentials_, destination, factors);
    } else {
      narrow_exp_pass<In, accuracy>(x, shape, max, exponentials_, destination);
      each_group(StoredRows<T>{exponentials_, cols_, rows}, FindFactors<T, accuracy>{factors});
    }
    if (streams && cols_ >= least_streamed) {
      narrow_scale_pass<Out, accuracy, 0, true>(exponentials_, shape, factors, y);
    } else if (cols_ <= virtual_width<T>) {
      narrow_scale_pass<Out, accuracy, 1>(exponentials_, shape, factors, y);
    } else if (cols_ <= 2 * virtual_width<T>) {
      narrow_scale_pass<Out, accuracy, 2>(exponentials_, shape, factors, y);
    } else {
      narrow_scale_pass<Out, accuracy, 0>(exponentials_, shape, factors, y);
    }
    return true;
  }

 private:
  static constexpr std::size_t most_rows = 128;

  static std::size_t rows_at_once(std::size_t cols) {
    const std::size_t fitting = narrow_block_bytes / sizeof(T) / cols;
    if (fitting >= most_rows) return most_rows;
    if (fitting < width<double>) return fitting > 0 ? fitting : 1;
    return fitting / width<double> * width<double>;
  }

  std::size_t cols_;
  std::size_t rows_at_once_;
  // A row's last vector may reach beyond it.
  alignas(64) T exponentials_[longest_narrow<T> + virtual_width<T>];
  alignas(64) T factor_[most_rows];
  alignas(64) T factor_low_[most_rows];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
