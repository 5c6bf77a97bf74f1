// SPDX-License-Identifier: Apache-2.0
#pragma once

// One shape of reduction for every ISA. A segment is cut into chunks: of two virtual vectors of 16 floats, or of one of
// 8 doubles. In a chunk, the two floats of a lane are added, and the result to the f64 sum of that lane. At the end the
// lanes are added: for f32 neighbours first, then both by halving. An ISA with narrower registers takes a virtual
// vector in several steps and does the same additions. A last chunk of one virtual vector of floats or less is folded:
// two halves of eight are added, so that half of the lanes are enough for rows of up to 16 columns.
//
// For f32 a chunk is rounded once, which the bound of softmax (4 ULP) has room for, and for no more than that; the f64
// sums are then exact to about cols / 32 * 2^-53. For f64, where it has not, nothing is rounded: the lanes are
// compensated. Plain ones behind a tree of eight measured 7 ULP; two doubles to a chunk would take 0.98 of the time and
// have a bound of 4.5. Lanes of exact rows, whose results are no doubles, are plain.

#include "simd/split_sum.hpp"
#include "simd/wave.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

template <class T>
constexpr std::size_t virtual_width = 64 / sizeof(T);
template <class T>
constexpr std::size_t chunk_vectors = sizeof(T) == sizeof(float) ? 2 : 1;
template <class T>
constexpr std::size_t chunk_length = virtual_width<T>* chunk_vectors<T>;
// Whole chunks of whole waves: both are powers of two.
constexpr std::size_t larger_of(std::size_t a, std::size_t b) { return a > b ? a : b; }
template <class T>
constexpr std::size_t stretch_length = larger_of(chunk_length<T>, wave_length<T>);
// The lanes that the values of a last chunk go to.
template <class T>
constexpr std::size_t lanes_of_chunk(std::size_t n) {
  return chunk_vectors<T> == 2 && n <= virtual_width<T> ? virtual_width<T> / 2 : virtual_width<T>;
}

// leaf(begin) + ... of `count` virtual vectors from `begin` on, as a balanced tree.
template <class T, std::size_t count, class Leaf>
SIMDSOFTMAX_INLINE Vector<T> tree_sum(std::size_t begin, const Leaf& leaf) {
  if constexpr (count == 1) {
    return leaf(begin);
  } else {
    const Vector<T> left = tree_sum<T, count / 2>(begin, leaf);
    return left + tree_sum<T, count / 2>(begin + count / 2 * virtual_width<T>, leaf);
  }
}

// Sums of addends are below this if and only if none was NaN: no exponentials of a segment have a sum of 2^128.
constexpr double addend_of_nan = 0x1p128 / addend_unit;

// A sum of addends as what it is the sum of, or NaN.
SIMDSOFTMAX_INLINE double finished(double sum) { return sum < addend_of_nan ? sum * addend_unit : Limits<double>::nan; }
SIMDSOFTMAX_INLINE F64 finished(F64 sum) {
  return xsimd::select(sum < F64(addend_of_nan), sum * F64(addend_unit), F64(Limits<double>::nan));
}

// Of numbers none of which is negative, or of any.
template <class T, Accuracy accuracy = Accuracy::balanced, bool any_sign = false>
class LaneSum {
 public:
  SIMDSOFTMAX_INLINE LaneSum() {
    repeat<count>([&](std::size_t i) __attribute__((always_inline)) {
      sums_[i] = F64(0.0);
      if constexpr (compensated) low_[i] = F64(0.0);
    });
  }

  // Adds a whole chunk. full(i): the vector of values at offset i of the chunk.
  template <class Full>
  SIMDSOFTMAX_INLINE void add(const Full& full) {
    repeat<steps>([&](std::size_t step) __attribute__((always_inline)) {
      widen_add(step, tree_sum<T, chunk_vectors<T>>(step * width<T>, full));
    });
  }

  // The same for the first chunk, in less time.
  template <class Full>
  SIMDSOFTMAX_INLINE void begin(const Full& full) {
    static_assert(sizeof(T) == sizeof(double) && !any_sign);
    repeat<steps>([&](std::size_t step) __attribute__((always_inline)) { sums_[step] = full(step * width<T>); });
  }

  // Adds a stretch. full(at): the vectors of a wave, at those offsets; the ones that are added to one another first lie
  // in the same wave.
  template <class Full>
  SIMDSOFTMAX_INLINE void add_stretch(const Full& full) {
    constexpr std::size_t sums = wave_vectors / chunk_vectors<T>;  // of a wave
    repeat<stretch_length<T> / wave_length<T>>([&](std::size_t j) __attribute__((always_inline)) {
      Indices at;
      repeat<wave_vectors>([&](std::size_t k) __attribute__((always_inline)) {
        const std::size_t sum = j * sums + k / chunk_vectors<T>;
        at.of[k] = sum / steps * chunk_length<T> + sum % steps * width<T> + k % chunk_vectors<T> * virtual_width<T>;
      });
      const Wave<Vector<T>> v = full(at);
      repeat<sums>([&](std::size_t i) __attribute__((always_inline)) {
        const std::size_t step = (j * sums + i) % steps;
        if constexpr (chunk_vectors<T> == 2) {
          widen_add(step, v.of[2 * i] + v.of[2 * i + 1]);
        } else {
          widen_add(step, v.of[i]);
        }
      });
    });
  }

  // Adds the n first values of a chunk, 0 < n < chunk_length. last(i, m): the first m values at offset i, zeros after.
  template <class Full, class Last>
  SIMDSOFTMAX_INLINE void add_first(std::size_t n, const Full& full, const Last& last) {
    if constexpr (chunk_vectors<T> == 2) {
      if (n <= virtual_width<T>) {
        return add_folded([&](std::size_t i) __attribute__((always_inline)) { return first_of(n, i, full, last); });
      }
    }
    repeat<steps>([&](std::size_t step) __attribute__((always_inline)) {
      widen_add(step, tree_sum<T, chunk_vectors<T>>(
                          step * width<T>, [&](std::size_t i)
                                               __attribute__((always_inline)) { return first_of(n, i, full, last); }));
    });
  }

  // Adds a last chunk of one virtual vector. values(i): the vector at offset i of it, zeros behind the last value.
  template <class Values>
  SIMDSOFTMAX_INLINE void add_folded(const Values& values) {
    if constexpr (steps == 1) {
      widen_add(0, folded(values(0)));
    } else {
      repeat<steps / 2>([&](std::size_t step) __attribute__((always_inline)) {
        const Vector<T> low = values(step * width<T>);
        widen_add(step, low + values(virtual_width<T> / 2 + step * width<T>));
      });
    }
  }

  SIMDSOFTMAX_INLINE void scale(double factor) {
    repeat<count>([&](std::size_t i) __attribute__((always_inline)) {
      const F64 scaled = sums_[i] * F64(factor);
      sums_[i] = sizeof(T) == sizeof(double) ? scaled : xsimd::select(sums_[i] < F64(addend_of_nan), scaled, sums_[i]);
      if constexpr (compensated) low_[i] = low_[i] * F64(factor);
    });
  }

  SIMDSOFTMAX_INLINE SplitSum total() const {
    if constexpr (!compensated) return {finished_lanes(lane_sum(halved_to_vector())), 0.0};
    // Dominated by one lane, as they often are, the lanes must not be rounded again either.
    SplitSum sum = {0.0, lane_sum(halved_rest())};
    alignas(64) double lanes[virtual_width<T>];
    repeat<count>([&](std::size_t i) __attribute__((always_inline)) { store(lanes + i * width<double>, sums_[i]); });
    for (const double lane : lanes) accumulate(sum, lane);
    return sum;
  }

  // Whether nothing that is added is rounded away.
  static constexpr bool compensated = sizeof(T) == sizeof(double) && accuracy != Accuracy::exact;

  // For totals of several rows at once: the lanes, and what they or their rests have become when one vector holds them.
  static constexpr std::size_t count = virtual_width<T> / width<double>;
  SIMDSOFTMAX_INLINE F64 lanes(std::size_t i) const { return sums_[i]; }
  SIMDSOFTMAX_INLINE F64 halved_to_vector() const {
    return halved<steps>([&](std::size_t i) __attribute__((always_inline)) {
      if constexpr (sizeof(T) == sizeof(double)) return sums_[i];
      return add_neighbours(sums_[2 * i], sums_[2 * i + 1]);
    });
  }
  // The sum of all lanes in the units of what was added.
  template <class Number>
  SIMDSOFTMAX_INLINE static Number finished_lanes(Number sum) {
    if constexpr (sizeof(T) == sizeof(double)) return sum;
    return finished(sum);
  }
  SIMDSOFTMAX_INLINE F64 halved_rest() const {
    return halved<count>([&](std::size_t i) __attribute__((always_inline)) { return low_[i]; });
  }

 private:
  static constexpr std::size_t steps = virtual_width<T> / width<T>;

  // The vector at offset i of n values.
  template <class Full, class Last>
  SIMDSOFTMAX_INLINE static Vector<T> first_of(std::size_t n, std::size_t i, const Full& full, const Last& last) {
    if (i + width<T> <= n) return full(i);
    return i < n ? last(i, n - i) : Vector<T>(T(0));
  }

  SIMDSOFTMAX_INLINE void widen_add(std::size_t step, F32 v) {
    sums_[2 * step] = sums_[2 * step] + first_addends(v);
    sums_[2 * step + 1] = sums_[2 * step + 1] + second_addends(v);
  }
  SIMDSOFTMAX_INLINE void widen_add(std::size_t step, F64 v) {
    if constexpr (!compensated) {
      sums_[step] = sums_[step] + v;
    } else {
      any_sign ? accumulate(sums_[step], low_[step], v) : accumulate_positive(sums_[step], low_[step], v);
    }
  }

  // leaf(i) + leaf(i + half of count) for all i of the lower half, and so on.
  template <std::size_t count, std::size_t i = 0, std::size_t distance = 1, class Leaf>
  SIMDSOFTMAX_INLINE static F64 halved(const Leaf& leaf) {
    if constexpr (distance == count) {
      return leaf(i);
    } else {
      return halved<count, i, 2 * distance>(leaf) + halved<count, i + distance, 2 * distance>(leaf);
    }
  }

  F64 sums_[count];
  F64 low_[compensated ? count : 1];  // used for f64 only
};

// Adds the whole chunks of values i, i + 1, ... n - 1 to the lanes, i being the beginning of one, and returns where
// they end: full(at), a vector of them, or a wave; before(i) before each stretch and before what is none.
template <class T, class Lanes, class Full, class Before = Nothing>
SIMDSOFTMAX_INLINE std::size_t add_chunks(Lanes& sum, std::size_t i, std::size_t n, const Full& full,
                                          const Before& before = {}) {
  constexpr std::size_t stretch = stretch_length<T>;
  constexpr std::size_t chunk = chunk_length<T>;
  const auto full_here = [&](const auto& at) __attribute__((always_inline)) { return full(i + at); };
  for (; i + stretch <= n; i += stretch) {
    before(i);
    sum.add_stretch(full_here);
  }
  if (i < n) before(i);
  if constexpr (stretch > chunk) {
    for (; i + chunk <= n; i += chunk) sum.add(full_here);
  }
  return i;
}

// All of them. first(i, m): the first m values of a vector, and zeros.
template <class T, class Lanes, class Full, class First, class Before = Nothing>
SIMDSOFTMAX_INLINE void add_values(Lanes& sum, std::size_t begin, std::size_t n, const Full& full, const First& first,
                                   const Before& before = {}) {
  const std::size_t i = add_chunks<T>(sum, begin, n, full, before);
  if (i == n) return;
  sum.add_first(
      n - i, [&](std::size_t k) __attribute__((always_inline)) { return full(i + k); },
      [&](std::size_t k, std::size_t m) __attribute__((always_inline)) { return first(i + k, m); });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
