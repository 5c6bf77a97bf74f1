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

// The k first of the candidates offered, as a heap whose top comes last.
template <class T>
class Largest {
 public:
  explicit Largest(std::size_t k) : k_(k) {}

  std::size_t size() const { return size_; }
  const Candidate<T>& operator[](std::size_t i) const { return heap_[i]; }

  // What a logit must exceed to be of interest.
  T threshold() const { return size_ < k_ ? -Limits<T>::infinity : heap_[0].hi; }

  void offer(const Candidate<T>& candidate) {
    if (size_ < k_) {
      append(candidate);
    } else if (before(candidate, heap_[0])) {
      sink_from_top(candidate, size_);
    }
  }

  // Adds a candidate that comes after all others.
  void append(const Candidate<T>& candidate) {
    std::size_t i = size_++;
    while (i > 0 && before(heap_[(i - 1) / 2], candidate)) {
      heap_[i] = heap_[(i - 1) / 2];
      i = (i - 1) / 2;
    }
    heap_[i] = candidate;
  }

  // Puts the candidates in order, the first one first; nothing can be offered any more.
  void sort() {
    for (std::size_t n = size_; n > 1; --n) {
      const Candidate<T> last = heap_[0];
      sink_from_top(heap_[n - 1], n - 1);
      heap_[n - 1] = last;
    }
  }

 private:
  // Replaces the top of the first n.
  void sink_from_top(const Candidate<T> candidate, std::size_t n) {
    std::size_t i = 0;
    for (std::size_t child; (child = 2 * i + 1) < n; i = child) {
      if (child + 1 < n && before(heap_[child], heap_[child + 1])) ++child;
      if (!before(candidate, heap_[child])) break;
      heap_[i] = heap_[child];
    }
    heap_[i] = candidate;
  }

  std::size_t k_;
  std::size_t size_ = 0;
  Candidate<T> heap_[detail::max_top_k];
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
  Vector<T> threshold(largest.threshold());
  const auto offer = [&](const auto& z, std::size_t i, std::size_t m) {
    alignas(64) T hi[width<T>];
    alignas(64) T lo[width<T>];
    store(hi, high_part<T>(z));
    store(lo, low_part<T>(z));
    for (std::size_t k = 0; k < m; ++k) {
      if (hi[k] > -Limits<T>::infinity) largest.offer({hi[k], lo[k], static_cast<std::int64_t>(column + i + k)});
    }
    threshold = Vector<T>(largest.threshold());
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
