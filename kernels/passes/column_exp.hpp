// SPDX-License-Identifier: Apache-2.0
#pragma once

// Exponentials of the runs of a block, and their sums, one row to a lane.

#include "passes/column_runs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// exp of rows each of which has an anchor of its own.
template <class T, Accuracy accuracy>
class OwnExp {
 public:
  explicit OwnExp(const BlockState<T, accuracy>& block) : core_(ExpRange<T>::headroom), block_(&block) {}

  // Of m lanes from x[i] on, which are those of rows i, i + 1, ...
  template <class In>
  SIMDSOFTMAX_INLINE Vector<T> operator()(const In* x, std::size_t i, std::size_t m) {
    const Vector<T> v = min_or_second(load(block_->highest + i), load_lanes(x + i, m));
    return core_(max_or_second(load(block_->lowest + i), v), load(block_->anchor_bits + i));
  }

 private:
  ExpCore<T, accuracy> core_;
  const BlockState<T, accuracy>* block_;
};

// exp of rows that share the anchor of a number; how far their logits reach is found on the way.
template <class T, Accuracy accuracy>
class SharedExp {
 public:
  explicit SharedExp(T middle) : core_(anchor_near(middle)), middle_(middle), extremes_(middle) {}

  template <class In>
  SIMDSOFTMAX_INLINE Vector<T> operator()(const In* x, std::size_t i, std::size_t m) {
    const Vector<T> v = m == width<T> ? load(x + i) : load_first(x + i, m, middle_);
    extremes_.see(v);
    return core_(v);
  }

  LogitSpan<T> span() const { return extremes_.span(); }

 private:
  ExpCore<T, accuracy> core_;
  Vector<T> middle_;
  Extremes<T> extremes_;
};

// Where the exponentials of a block are: those of the first `kept` columns, and those of the chunk at hand behind.
template <class T>
struct RunExponentials {
  Runs<T> runs;
  std::size_t kept;

  SIMDSOFTMAX_INLINE T* operator[](std::size_t c) const { return runs[c]; }
  // Of column c of the chunk that begins with column `begin`.
  SIMDSOFTMAX_INLINE T* at(std::size_t begin, std::size_t c) const { return runs[(begin < kept ? begin : kept) + c]; }
};

// Long runs are seen coming by the hardware, but for their beginnings. Lines of short ones come in so many columns
// early.
template <class T>
constexpr std::size_t looked_ahead = 2 * width<T>;
constexpr std::size_t columns_ahead = 8;
// Where long runs are read from the last to the first, the hardware sees less. (4000x512 on axis 0 takes 0.94 of the
// time, 1000x1000 0.93 to 0.97, 81x8732 0.96.)
constexpr std::size_t long_columns_ahead = 2;

// Short runs of a tensor, and those that are needed when they have all been.
template <class Element, class Next>
struct RunsAhead {
  Runs<Element> runs;
  std::size_t cols;
  Runs<Next> after;

  SIMDSOFTMAX_INLINE const char* operator[](std::size_t c) const {
    if (c < cols) return reinterpret_cast<const char*>(runs[c]);
    return reinterpret_cast<const char*>(after[c - cols]);
  }
};

// Exponentials of rows of one chunk, with zeros in what is left of it. after: runs that are needed next.
template <class In, class Exp, class Next>
SIMDSOFTMAX_NOINLINE void exp_of_runs(const Runs<const In> x, std::size_t cols, std::size_t n, Exp& exp_of,
                                      const Runs<Compute<In>> e, const Runs<Next> after) {
  using T = Compute<In>;
  Exp exp = exp_of;
  const RunsAhead<const In, Next> ahead = {x, cols, after};
  for (std::size_t c = 0; c < cols; ++c) {
    const In* const run = x[c];
    const char* const next = ahead[c + columns_ahead];
    T* const to = e[c];
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          __builtin_prefetch(next + i * sizeof(In));
          store(to + i, exp(run, i, m));
        });
  }
  for (std::size_t c = cols; c < chunk_length<T>; ++c) {
    for (std::size_t i = 0; i < n; i += width<T>) store(e[c] + i, Vector<T>(T(0)));
  }
  exp_of = exp;
}

// Adds vectors to one of the virtual lanes, one after the other; the first ones begin it.
template <std::size_t count, class T, Accuracy accuracy>
SIMDSOFTMAX_INLINE void add_to_lane(BlockState<T, accuracy>& block, std::size_t lane, std::size_t i,
                                    const WideLanes<T> (&v)[count], bool begins) {
  double* const sum = block.lanes[lane] + i;
  if constexpr (BlockState<T, accuracy>::compensated) {
    double* const rest = block.lanes_low[lane] + i;
    F64 high = begins ? F64(0.0) : load(sum);
    F64 low = begins ? F64(0.0) : load(rest);
    for (std::size_t j = 0; j < count; ++j) accumulate_positive(high, low, v[j].part[0]);
    store(sum, high);
    store(rest, low);
  } else {
    for (std::size_t k = 0; k < WideLanes<T>::count; ++k) {
      double* const part = sum + k * width<double>;
      F64 s = begins ? v[0].part[k] : load(part) + v[0].part[k];
      for (std::size_t j = 1; j < count; ++j) s = s + v[j].part[k];
      store(part, s);
    }
  }
}

// Exponentials of rows of several chunks, and their sums. long_runs: in place of the results, after which nothing else
// is needed. Two chunks at a time spare half of the lanes' way to the caches and back.
template <bool long_runs, class In, class Exp, class Next, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void exp_sum_of_runs(const Runs<const In> x, std::size_t cols, std::size_t n, Exp& exp_of,
                                          const RunExponentials<Compute<In>> given, const Runs<Next> after,
                                          BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  Exp exp = exp_of;
  const RunExponentials<T> e = given;
  const RunsAhead<const In, Next> ahead = {x, cols, after};
  // `chunks` whole ones, or one that is not.
  const auto add = [&](auto chunks, std::size_t begin, std::size_t end) __attribute__((always_inline)) {
    constexpr std::size_t sums = decltype(chunks)::value;
    constexpr std::size_t count = sums * chunk_vectors<T>;
    const std::size_t lanes = lanes_of_chunk<T>(end - begin);
    const bool is_whole = end - begin == count * virtual_width<T>;
    for (std::size_t l = 0; l < lanes && begin + l < end; ++l) {
      const In* run[count];
      const char* next[count];
      T* to[count];
      const std::size_t step = l + 2 < lanes ? 2 : 2 + (count - 1) * virtual_width<T>;
      for (std::size_t k = 0; k < count; ++k) {
        const std::size_t c = begin + l + k * lanes;
        run[k] = x[c];
        next[k] = long_runs ? nullptr : ahead[c + step];
        to[k] = e.at(begin + k / chunk_vectors<T> * chunk_length<T>, l + k % chunk_vectors<T> * lanes);
      }
      const auto value = [&](std::size_t k, std::size_t i, std::size_t m) __attribute__((always_inline)) {
        const Vector<T> v = exp(run[k], i, m);
        if constexpr (long_runs) {
          __builtin_prefetch(run[k] + i + looked_ahead<T>);
          __builtin_prefetch(to[k] + i + looked_ahead<T>, 1);
          store_lanes(to[k] + i, m, v);
        } else {
          __builtin_prefetch(next[k] + i * sizeof(In));
          store(to[k] + i, v);
        }
        return v;
      };
      const auto add_values = [&](const auto& value_or_zero) __attribute__((always_inline)) {
        each_lanes<T>(
            n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
              WideLanes<T> wide[sums];
              repeat<sums>([&](std::size_t j) __attribute__((always_inline)) {
                Vector<T> v = value_or_zero(j * chunk_vectors<T>, i, m);
                if constexpr (chunk_vectors<T> == 2) v = v + value_or_zero(2 * j + 1, i, m);
                wide[j] = widen(v);
              });
              add_to_lane(block, l, i, wide, begin == 0);
            });
      };
      if (is_whole) {
        add_values(value);
      } else if constexpr (sums == 1) {
        add_values([&](std::size_t k, std::size_t i, std::size_t m) __attribute__((always_inline)) {
          return begin + l + k * lanes < end ? value(k, i, m) : Vector<T>(T(0));
        });
      }
    }
  };
  std::size_t begin = 0;
  for (; begin + 2 * chunk_length<T> <= cols; begin += 2 * chunk_length<T>) {
    add(std::integral_constant<std::size_t, 2>{}, begin, begin + 2 * chunk_length<T>);
  }
  for (; begin < cols; begin += chunk_length<T>) {
    const std::size_t end = cols - begin < chunk_length<T> ? cols : begin + chunk_length<T>;
    add(std::integral_constant<std::size_t, 1>{}, begin, end);
  }
  exp_of = exp;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
