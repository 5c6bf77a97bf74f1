// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// One logit of a row and its column.
template <class T>
struct Candidate {
  T hi;
  T lo;
  std::int64_t column;
};

// Larger logits come first, and of equal ones the lower column.
template <class T>
SIMDSOFTMAX_INLINE bool before(const Candidate<T>& a, const Candidate<T>& b) {
  if (a.hi != b.hi) return a.hi > b.hi;
  if (a.lo != b.lo) return a.lo > b.lo;
  return a.column < b.column;
}

// The k first of the candidates added. They gather behind the k first of before; when there is no more room, the k
// first of all of them are chosen anew, and the last of those is the threshold for others.
template <class T>
class Largest {
 public:
  explicit Largest(std::size_t k) : k_(k), capacity_(k + (k > 128 ? k : 128)) {}

  std::size_t size() const { return size_; }
  const Candidate<T>& operator[](std::size_t i) const { return candidates_[i]; }

  // What a logit must exceed to be of interest; equal ones come from higher columns.
  T threshold() const { return threshold_; }

  void add(const Candidate<T>& candidate) {
    candidates_[size_++] = candidate;
    if (size_ == capacity_) choose();
  }

  // Leaves the k first, in order.
  void sort() {
    if (size_ > k_) choose();
    for (std::size_t i = size_ / 2; i-- > 0;) sift_down(candidates_[i], i, size_);
    for (std::size_t n = size_; n-- > 1;) {
      const Candidate<T> last = candidates_[0];
      sift_down(candidates_[n], 0, n);
      candidates_[n] = last;
    }
  }

 private:
  // Quickselect (Hoare 1961), the pivot being the median of three.
  SIMDSOFTMAX_NOINLINE void choose() {
    std::size_t first = 0;
    std::size_t last = size_ - 1;
    while (first < last) {
      const Candidate<T> pivot = median(candidates_[first], candidates_[first + (last - first) / 2], candidates_[last]);
      std::size_t i = first;
      std::size_t j = last;
      while (true) {
        while (before(candidates_[i], pivot)) ++i;
        while (before(pivot, candidates_[j])) --j;
        if (i >= j) break;
        const Candidate<T> other = candidates_[i];
        candidates_[i++] = candidates_[j];
        candidates_[j--] = other;
      }
      // [first, j] comes before or at the pivot, the others behind it or at it.
      const std::size_t middle = j + 1;
      if (k_ < middle) {
        last = middle - 1;
      } else if (k_ > middle) {
        first = middle;
      } else {
        break;
      }
    }
    size_ = k_;
    threshold_ = candidates_[0].hi;
    for (std::size_t i = 1; i < k_; ++i) threshold_ = candidates_[i].hi < threshold_ ? candidates_[i].hi : threshold_;
  }

  static const Candidate<T>& median(const Candidate<T>& a, const Candidate<T>& b, const Candidate<T>& c) {
    if (before(a, b)) return before(b, c) ? b : before(a, c) ? c : a;
    return before(a, c) ? a : before(b, c) ? c : b;
  }

  // Lets a candidate find its place in the heap of the first n whose top comes last, from place i down.
  void sift_down(const Candidate<T> candidate, std::size_t i, std::size_t n) {
    for (std::size_t child; (child = 2 * i + 1) < n; i = child) {
      if (child + 1 < n && before(candidates_[child], candidates_[child + 1])) ++child;
      if (!before(candidate, candidates_[child])) break;
      candidates_[i] = candidates_[child];
    }
    candidates_[i] = candidate;
  }

  std::size_t k_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  T threshold_ = -Limits<T>::infinity;
  Candidate<T> candidates_[2 * detail::max_top_k];
};

SIMDSOFTMAX_INLINE bool any_beyond(const F32& z, F32 threshold) { return any_above(z, threshold); }
SIMDSOFTMAX_INLINE bool any_beyond(const F64& z, F64 threshold) { return any_above(z, threshold); }
template <class T>
SIMDSOFTMAX_INLINE bool any_beyond(const SplitLogit<T>& z, Vector<T> threshold) {
  return xsimd::any(z.hi >= threshold);
}

// Offers n logits, the first of which is that of `column`. Logits of -inf are of no interest.
template <class Source>
SIMDSOFTMAX_NOINLINE void largest_pass(const Source x, std::size_t column, std::size_t n,
                                       Largest<typename Source::T>& largest) {
  using T = typename Source::T;
  constexpr bool has_lo = sizeof(x(0)) != sizeof(Vector<T>);
  Vector<T> threshold(largest.threshold());
  const auto offer = [&](const auto& z, std::size_t i, std::size_t m) {
    alignas(64) T hi[width<T>];
    alignas(64) T lo[width<T>];
    store(hi, high_part<T>(z));
    store(lo, low_part<T>(z));
    T least = largest.threshold();
    for (std::size_t k = 0; k < m; ++k) {
      // At the threshold, lo may make the difference; -inf is where it begins.
      if (!(hi[k] > least) && (!has_lo || !(hi[k] == least) || least == -Limits<T>::infinity)) continue;
      largest.add({hi[k], lo[k], static_cast<std::int64_t>(column + i + k)});
      least = largest.threshold();
    }
    threshold = Vector<T>(least);
  };
  for_each_vector<T>(
      0, n,
      [&](std::size_t i) __attribute__((always_inline)) {
        const auto z = x(i);
        if (__builtin_expect(any_beyond(z, threshold), 0)) offer(z, i, width<T>);
      },
      [&](std::size_t i, std::size_t m) { offer(x.first(i, m), i, m); });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
