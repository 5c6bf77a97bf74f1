// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sums of the rows of a block from their lanes, and probabilities.

#include "passes/column_exp.hpp"
#include "passes/normalize.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// leaf(i) + leaf(i + half of count) for all i of the lower half, and so on.
template <class T, std::size_t count, std::size_t i = 0, std::size_t distance = 1, class Leaf>
SIMDSOFTMAX_INLINE WideLanes<T> halved_lanes(const Leaf& leaf) {
  if constexpr (distance == count) {
    return leaf(i);
  } else {
    return halved_lanes<T, count, i, 2 * distance>(leaf) + halved_lanes<T, count, i + distance, 2 * distance>(leaf);
  }
}

// The sum of `count` lanes in the order of LaneSum.
template <class T, std::size_t count, class Leaf>
SIMDSOFTMAX_INLINE WideLanes<T> sum_of_lanes(const Leaf& leaf) {
  if constexpr (sizeof(T) == sizeof(double)) {
    return halved_lanes<T, count>(leaf);
  } else {
    return halved_lanes<T, count / 2>([&](std::size_t l)
                                          __attribute__((always_inline)) { return leaf(2 * l) + leaf(2 * l + 1); });
  }
}

// The sums of rows i, i + 1, ... of a block.
template <class T, Accuracy accuracy>
class RunTotals {
  static constexpr std::size_t lanes = virtual_width<T>;

 public:
  SIMDSOFTMAX_INLINE RunTotals(const BlockState<T, accuracy>& block, const Runs<T>& e, std::size_t cols, std::size_t i)
      : block_(block), e_(e), i_(i) {
    for (std::size_t k = 0; k < low.count; ++k) low.part[k] = F64(0.0);
    if (cols > chunk_length<T>) {
      sum_lanes();
    } else if (chunk_vectors<T> == 2 && cols <= virtual_width<T>) {
      sum_chunk<lanes / chunk_vectors<T>>();
    } else {
      sum_chunk<lanes>();
    }
  }

  WideLanes<T> high;
  WideLanes<T> low;

 private:
  static constexpr bool compensated = BlockState<T, accuracy>::compensated;

  SIMDSOFTMAX_INLINE void sum_lanes() {
    const auto part = [&](const auto& of) __attribute__((always_inline)) {
      return [&](std::size_t l) __attribute__((always_inline)) {
        WideLanes<T> v;
        for (std::size_t k = 0; k < v.count; ++k) v.part[k] = load(of[l] + i_ + k * width<double>);
        return v;
      };
    };
    if constexpr (compensated) {
      low = sum_of_lanes<T, lanes>(part(block_.lanes_low));
      accumulate_all(part(block_.lanes));
    } else {
      high = sum_of_lanes<T, lanes>(part(block_.lanes));
    }
  }

  // Of rows of one chunk, whose exponentials have not been added.
  template <std::size_t count>
  SIMDSOFTMAX_INLINE void sum_chunk() {
    const auto lane = [&](std::size_t l) __attribute__((always_inline)) {
      Vector<T> v = load(e_[l] + i_);
      if constexpr (chunk_vectors<T> == 2) v = v + load(e_[l + count] + i_);
      return widen(v);
    };
    if constexpr (compensated) {
      accumulate_all(lane);
    } else {
      high = sum_of_lanes<T, count>(lane);
    }
  }

  template <class Lane>
  SIMDSOFTMAX_INLINE void accumulate_all(const Lane& lane) {
    high.part[0] = F64(0.0);
    repeat<lanes>([&](std::size_t l)
                      __attribute__((always_inline)) { accumulate(high.part[0], low.part[0], lane(l).part[0]); });
  }

  const BlockState<T, accuracy>& block_;
  const Runs<T>& e_;
  std::size_t i_;
};

// Factors from the sums, NaN where those are. False if a sum is above most_sum.
template <class T, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE bool normalize_runs(std::size_t cols, std::size_t n, const Runs<T>& e, double most_sum,
                                         double smallest_normal, BlockState<T, accuracy>& block) {
  bool in_range = true;
  for (std::size_t i = 0; i < n; i += width<T>) {
    const RunTotals<T, accuracy> totals(block, e, cols, i);
    WideLanes<T> factor, factor_low, smallest;
    for (std::size_t k = 0; k < factor.count; ++k) {
      const F64 high = totals.high.part[k];
      in_range = in_range && !any_above(high, F64(most_sum));
      const NormalFactors<T, F64, accuracy> factors(high, totals.low.part[k], smallest_normal);
      factor.part[k] = xsimd::select(high == high, factors.factor, F64(Limits<double>::nan));
      factor_low.part[k] = xsimd::select(high == high, factors.factor_low, F64(Limits<double>::nan));
      smallest.part[k] = factors.smallest;
    }
    store(block.factor + i, narrow(factor));
    store(block.factor_low + i, narrow(factor_low));
    store(block.smallest + i, narrow(smallest));
  }
  return in_range;
}

// What makes probabilities of the exponentials of rows i, i + 1, ...; flushes: some might come out below the normal
// numbers.
template <bool flushes, class T, Accuracy accuracy>
class RunNormalizer {
 public:
  SIMDSOFTMAX_INLINE RunNormalizer(const BlockState<T, accuracy>& block, std::size_t i)
      : high_(load(block.factor + i)), low_(load(block.factor_low + i)), smallest_(load(block.smallest + i)) {}

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> e) const {
    if constexpr (flushes) return normalized_unless_below<accuracy>(e, smallest_, high_, low_);
    return normalized<accuracy>(e, high_, low_);
  }

 private:
  Vector<T> high_;
  Vector<T> low_;
  Vector<T> smallest_;
};

// Probabilities of short runs, from exponentials beside the results. after: runs that are needed next.
template <bool flushes, class In, class Out, class Exp, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void scale_runs(const Runs<const In> x, const Runs<Out> y, std::size_t cols, std::size_t n,
                                     const Exp& exp_of, const RunExponentials<Compute<In>> given,
                                     const Runs<const In> after, const BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  Exp exp = exp_of;
  const RunExponentials<T> e = given;
  const RunsAhead<Out, const In> ahead = {y, cols, after};
  // Factors stay in registers for all columns.
  const auto scale = [&](auto vectors, std::size_t i, std::size_t m) __attribute__((always_inline)) {
    const auto scale_with = [&](const auto&... normalize) __attribute__((always_inline)) {
      const auto column = [&](std::size_t c, const auto& exp_at) __attribute__((always_inline)) {
        Out* const run = y[c] + i;
        const char* const next = ahead[c + columns_ahead] + i * sizeof(Out);
        std::size_t k = 0;
        const auto one = [&](const auto& normalize_one) __attribute__((always_inline)) {
          __builtin_prefetch(next + k * sizeof(Out), 1);
          store_lanes(run + k, m, normalize_one(exp_at(i + k)));
          k += width<T>;
        };
        (one(normalize), ...);
      };
      for (std::size_t c = 0; c < e.kept; ++c) {
        const T* const stored = e[c];
        column(
            c, [&](std::size_t at) __attribute__((always_inline)) { return load(stored + at); });
      }
      for (std::size_t c = e.kept; c < cols; ++c) {
        const In* const run = x[c];
        column(
            c, [&](std::size_t at) __attribute__((always_inline)) { return exp(run, at, m); });
      }
    };
    using Normalize = RunNormalizer<flushes, T, accuracy>;
    constexpr std::size_t w = width<T>;
    if constexpr (decltype(vectors)::value == 4) {
      scale_with(Normalize(block, i), Normalize(block, i + w), Normalize(block, i + 2 * w),
                 Normalize(block, i + 3 * w));
    } else {
      scale_with(Normalize(block, i));
    }
  };
  std::size_t i = 0;
  for (; i + 4 * width<T> <= n; i += 4 * width<T>) scale(std::integral_constant<int, 4>{}, i, width<T>);
  for (; i < n; i += width<T>) scale(std::integral_constant<int, 1>{}, i, n - i < width<T> ? n - i : width<T>);
}

// Probabilities of long runs, in place of their exponentials; those that were written last are nearest.
template <bool flushes, class T, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void scale_runs_from_last(const Runs<T> y, std::size_t cols, std::size_t n,
                                               const BlockState<T, accuracy>& block) {
  for (std::size_t c = cols; c > 0; --c) {
    T* const run = y[c - 1];
    const T* const next = y[c > long_columns_ahead ? c - 1 - long_columns_ahead : 0];
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          __builtin_prefetch(next + i, 1);
          store_lanes(run + i, m, RunNormalizer<flushes, T, accuracy>(block, i)(load_lanes(run + i, m)));
        });
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
