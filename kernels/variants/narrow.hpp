// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/narrow_block.hpp"
#include "passes/normalize.hpp"
#include "staging/plain_row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The factor that makes probabilities of exponentials, for each row: of one number or two.
// The arrays hold whole vectors.
template <class T>
struct RowFactors {
  T* high;
  T* low;
};

// Of rows r, r + 1, ...
template <class T, Accuracy accuracy>
SIMDSOFTMAX_INLINE void set_factors(std::size_t r, const GroupTotals& totals, const RowFactors<T>& factors) {
  const double smallest = static_cast<double>(Limits<T>::smallest_normal);
  const NormalFactors<T, F64, accuracy> of_rows(totals.high, totals.low, smallest);
  store_as(factors.high + r, of_rows.factor);
  if constexpr (!has_single_factor<accuracy>) store_as(factors.low + r, of_rows.factor_low);
}

// Those from column i on of at most `most`.
template <class T, std::size_t i, std::size_t most, class Whole, class Part>
SIMDSOFTMAX_INLINE void each_vector_from(std::size_t cols, const Whole& whole, const Part& part) {
  if constexpr (i + width<T> >= most) {
    part(i, cols - i);
  } else if (cols >= i + width<T>) {
    whole(i);
    if (cols > i + width<T>) each_vector_from<T, i + width<T>, most>(cols, whole, part);
  } else {
    part(i, cols - i);
  }
}

// The vectors of a row of at most `halves` (1, 2 or 4) halves of a virtual vector, but more than half of those:
// whole(i) for those that are sure to be complete, part(i, n) for the others; 0: of any length, before(i) before each
// four.
template <class T, std::size_t halves, class Whole, class Part, class Before>
SIMDSOFTMAX_INLINE void each_vector(std::size_t cols, const Whole& whole, const Part& part, const Before& before) {
  constexpr std::size_t half = virtual_width<T> / 2;
  constexpr std::size_t sure = halves / 2 * half / width<T> * width<T>;
  if constexpr (halves == 0) {
    for_each_vector<T>(0, cols, whole, part, before);
  } else {
    for (std::size_t i = 0; i < sure; i += width<T>) whole(i);
    each_vector_from<T, sure, halves * half>(cols, whole, part);
  }
}

// The payload of a NaN could be that of a logit, which conversions to 16 bits are not made for.
template <class Out>
SIMDSOFTMAX_INLINE void fill_nan_rows(BlockShape block, const RowFactors<Compute<Out>>& factors,
                                      const EvenRows<Out>& to) {
  for (std::size_t r = 0; r < block.rows; ++r) {
    if (factors.high[r] != factors.high[r]) PlainOutput<Out>{to[r]}.fill(0, block.cols, Limits<Compute<Out>>::nan);
  }
}

template <class Out, Accuracy accuracy, std::size_t halves, class Traffic>
SIMDSOFTMAX_NOINLINE void narrow_scale_pass(const Compute<Out>* e, BlockShape shape,
                                            const RowFactors<Compute<Out>>& factors, const EvenRows<Out>& rows,
                                            Traffic& traffic) {
  using T = Compute<Out>;
  using V = Vector<T>;
  const BlockShape block = shape;
  const RowFactors<T> factor = factors;
  const EvenRows<Out> to = rows;
  auto lines = traffic.template begin<Phase::results>(shape);
  for (std::size_t r = 0; r < block.rows; ++r, e += block.cols) {
    const Sink<Out> y{to[r]};
    lines.begin_row(r);
    const V high(factor.high[r]);
    const V low(has_single_factor<accuracy> ? T(0) : factor.low[r]);
    const auto probability = [&](V v) __attribute__((always_inline)) {
      return normalized_number<accuracy>(v, high, low);
    };
    // Behind those of long rows there may be no memory.
    const auto last = [&](std::size_t i, std::size_t n) __attribute__((always_inline)) {
      if constexpr (halves == 0) return load_first(e + i, n, V(T(0)));
      return load(e + i);
    };
    each_vector<T, halves>(
        block.cols, [&](std::size_t i) __attribute__((always_inline)) { y(i, probability(load(e + i))); },
        [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, probability(last(i, n))); },
        [&](std::size_t) __attribute__((always_inline)) { lines.template ask<4 * width<T>>(); });
  }
  traffic.end(lines);
  fill_nan_rows(block, factor, to);
}

// The same for rows that lie one behind the other, several to a vector; cols: 2, 4 or 8.
template <class Out, Accuracy accuracy, int cols>
SIMDSOFTMAX_NOINLINE void packed_scale_pass(const float* e, std::size_t rows, const RowFactors<float>& factors,
                                            const EvenRows<Out>& to) {
  const RowFactors<float> factor = factors;
  const Sink<Out> y{to.first};
  const auto probability = [&](std::size_t i) __attribute__((always_inline)) {
    const F32 v = load(e + i);
    const F32 high = spread<cols>(factor.high + i / cols);
    if constexpr (has_single_factor<accuracy>) return normalized_number<accuracy>(v, high, high);
    return normalized_number<accuracy>(v, high, spread<cols>(factor.low + i / cols));
  };
  for_each_vector<float>(
      0, rows * cols, [&](std::size_t i) __attribute__((always_inline)) { y(i, probability(i)); },
      [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, probability(i)); });
  fill_nan_rows({rows, cols}, factor, to);
}

// Rows on their way past the caches, behind those of the block before.
template <class Out>
void copy_rows(const EvenRows<Out>& from, const EvenRows<Out>& to, BlockShape shape, LineCopy& copy) {
  each_run(to, shape, [&](Out* run, std::size_t r, std::size_t n) {
    copy.finish();
    copy = line_copy(reinterpret_cast<const char*>(from[r]), reinterpret_cast<char*>(run), n * sizeof(Out));
  });
}

// Probabilities of several rows at a time.
template <class In, class Out, Accuracy accuracy>
class Narrow {
  using T = Compute<In>;

 public:
  Narrow(std::size_t cols, Destination destination) : block_(cols), destination_(destination) {}

  std::size_t rows_at_once() const { return block_.rows_at_once(); }
  // For exponentials of a row.
  T* room() { return block_.room(); }

  // At most rows_at_once() rows. False if they cannot go together: their logits are as they were.
  bool walk(const EvenRows<const In>& x, const EvenRows<Out>& y, std::size_t rows) {
    if (destination_ == Destination::past_caches) return stream(x, y, rows);
    constexpr std::size_t half = virtual_width<T> / 2;
    const BlockShape shape = block_.shape(rows);
    CachedTraffic<In, Out> traffic{x, y};
    NoTraffic none;
    T* const place = place_in(x, y);
    const bool together = destination_ == Destination::near ? block_.exponentiate(x, rows, none, place)
                                                            : block_.exponentiate(x, rows, traffic, place);
    if (!together) return false;
    const RowFactors<T> factors = factors_of(rows);
    const T* const e = block_.exponentials();
    if (shape.cols <= half) {
      if (!scale_packed(e, shape, factors, y)) narrow_scale_pass<Out, accuracy, 1>(e, shape, factors, y, none);
    } else if (shape.cols <= 2 * half) {
      narrow_scale_pass<Out, accuracy, 2>(e, shape, factors, y, none);
    } else if (shape.cols <= 4 * half) {
      narrow_scale_pass<Out, accuracy, 4>(e, shape, factors, y, none);
    } else if (destination_ == Destination::near) {
      narrow_scale_pass<Out, accuracy, 0>(e, shape, factors, y, none);
    } else {
      narrow_scale_pass<Out, accuracy, 0>(e, shape, factors, y, traffic);
    }
    return true;
  }

  // What is still on its way.
  void finish() { results_.finish(); }

 private:
  bool stream(const EvenRows<const In>& x, const EvenRows<Out>& y, std::size_t rows) {
    const BlockShape shape = block_.shape(rows);
    StreamedTraffic<In> traffic{x, results_};
    if (!block_.exponentiate(x, rows, traffic)) return false;
    // Results are no larger than exponentials, whose place they take.
    T* const e = block_.exponentials();
    const EvenRows<Out> here = {reinterpret_cast<Out*>(e), static_cast<std::ptrdiff_t>(shape.cols * sizeof(Out))};
    narrow_scale_pass<Out, accuracy, 0>(e, shape, factors_of(rows), here, traffic);
    results_ = traffic.results;
    copy_rows(here, y, shape, results_);
    block_.use_next_buffer();
    return true;
  }

  // Where the results will be, if exponentials may stay there until then; else null. Nothing may be read behind the
  // last row; nor may vectors that are only partly of a row, where these are short: each would wait for what has just
  // been written to the rest of it. (64x10 takes 2.5 times as long on avx512. With exponentials elsewhere 8192x512 does
  // 1.30 times, on avx2 1.11 times, and what is near 0.98 to 1.03 times.)
  T* place_in(const EvenRows<const In>& x, const EvenRows<Out>& y) const {
    if constexpr (sizeof(Out) == sizeof(T)) {
      const bool in_place = static_cast<const void*>(x.first) == static_cast<const void*>(y.first);
      const std::size_t cols = block_.shape(1).cols;
      const bool has_whole_vectors = cols > longest_short_sum || cols % virtual_width<T> == 0;
      const bool fits = is_block_of_its_own<T>(cols) || (has_whole_vectors && are_adjacent(y, cols));
      if (fits && !in_place) return reinterpret_cast<T*>(y.first);
    }
    return nullptr;
  }

  RowFactors<T> factors_of(std::size_t rows) {
    const RowFactors<T> factors = {factor_, factor_low_};
    if constexpr (accuracy == Accuracy::fast) {
      for (std::size_t r = 0; r < rows; r += width<float>) {
        const std::size_t next = r + width<double> < rows ? r + width<double> : r;
        store(factors.high + r, reciprocal_of(join_halves(block_.totals(r).high, block_.totals(next).high)));
      }
    } else {
      for (std::size_t r = 0; r < rows; r += width<double>) set_factors<T, accuracy>(r, block_.totals(r), factors);
    }
    return factors;
  }

  // False if the rows are not packed.
  static bool scale_packed(const T* e, BlockShape shape, const RowFactors<T>& factors, const EvenRows<Out>& y) {
    if constexpr (sizeof(T) == sizeof(float)) {
      if (y.stride != static_cast<std::ptrdiff_t>(shape.cols * sizeof(Out))) return false;
      switch (shape.cols) {
        case 2:
          packed_scale_pass<Out, accuracy, 2>(e, shape.rows, factors, y);
          return true;
        case 4:
          packed_scale_pass<Out, accuracy, 4>(e, shape.rows, factors, y);
          return true;
        case 8:
          packed_scale_pass<Out, accuracy, 8>(e, shape.rows, factors, y);
          return true;
        default:
          break;
      }
    }
    return false;
  }

  NarrowBlock<In, accuracy, 2> block_;
  Destination destination_;
  LineCopy results_ = {nullptr, nullptr, 0};  // of the block before
  // A vector of them may be read from the last one on.
  alignas(64) T factor_[most_narrow_rows + width<T>];
  alignas(64) T factor_low_[most_narrow_rows + width<T>];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
