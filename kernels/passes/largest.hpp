// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/lane_sum.hpp"
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

// Numbers as integers of the same order, and back; zeros of either sign are 0.
SIMDSOFTMAX_INLINE std::int32_t rank_of(float v) {
  std::int32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  return bits < 0 ? -(bits & 0x7FFFFFFF) : bits;
}
SIMDSOFTMAX_INLINE std::int64_t rank_of(double v) {
  std::int64_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  return bits < 0 ? -(bits & 0x7FFFFFFFFFFFFFFF) : bits;
}
SIMDSOFTMAX_INLINE float of_rank(std::int32_t rank) {
  const std::int32_t bits = rank < 0 ? -rank : rank;
  float v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return rank < 0 ? -v : v;
}
SIMDSOFTMAX_INLINE double of_rank(std::int64_t rank) {
  const std::int64_t bits = rank < 0 ? -rank : rank;
  double v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return rank < 0 ? -v : v;
}

// How many of n numbers are above v. Whole vectors are read: those behind the n-th are -inf.
template <class T>
SIMDSOFTMAX_INLINE std::size_t count_above(const T* numbers, std::size_t n, T v) {
  const Vector<T> limit(v);
  int count = 0;
  for (std::size_t i = 0; i < n; i += width<T>) count += __builtin_popcount(lanes_above(load(numbers + i), limit));
  return static_cast<std::size_t>(count);
}

// Numbers behind the n-th, of one vector, become -inf.
template <class T>
SIMDSOFTMAX_INLINE void end_numbers(T* numbers, std::size_t n) {
  store(numbers + n, Vector<T>(-Limits<T>::infinity));
}

// The k-th largest of n numbers, 0 < k <= n, or one with k to `enough` others above it, by bisection of all numbers: no
// more than 33 counts (65 for f64), whatever their order. Ends the numbers.
template <class T>
SIMDSOFTMAX_NOINLINE T kth_largest(T* numbers, std::size_t n, std::size_t k, std::size_t enough = 0) {
  end_numbers(numbers, n);
  Vector<T> most(-Limits<T>::infinity);
  Vector<T> least(-Limits<T>::infinity);  // of the negated numbers, the largest
  std::size_t i = 0;
  for (; i < n; i += width<T>) most = max_or_second(load(numbers + i), most);
  for (i = 0; i + width<T> <= n; i += width<T>) least = max_or_second(-load(numbers + i), least);
  T lowest = -lane_max(least);
  for (; i < n; ++i) lowest = numbers[i] < lowest ? numbers[i] : lowest;
  auto low = rank_of(lowest);
  auto high = rank_of(lane_max(most));
  while (low < high) {
    const auto middle = (low & high) + ((low ^ high) >> 1);  // rounded down, without overflow
    const std::size_t above = count_above(numbers, n, of_rank(middle));
    if (above >= k && above <= enough) return of_rank(middle);
    if (above < k) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return of_rank(low);
}

// The k-th largest of `count` numbers, which are whole vectors, by how many are as large as each: no branch depends on
// them, which would take most of the time of a bisection of so few.
template <std::size_t count, class T>
SIMDSOFTMAX_INLINE T kth_largest_of_few(const T* numbers, std::size_t k) {
  constexpr std::size_t w = width<T>;
  const Vector<T> none(T(0));
  const Vector<T> one(T(1));
  const Vector<T> lowest(-Limits<T>::infinity);
  Vector<T> kth = lowest;
  for (std::size_t i = 0; i < count; i += w) {
    const Vector<T> v = load(numbers + i);
    Vector<T> as_large = none;
    for (std::size_t j = 0; j < count; ++j) {
      as_large = as_large + xsimd::select(v <= Vector<T>(numbers[j]), one, none);
    }
    kth = max_or_second(xsimd::select(Vector<T>(static_cast<T>(k)) <= as_large, v, lowest), kth);
  }
  return lane_max(kth);
}

// Sorts n indices by what they stand for, the largest first and equal ones in the order they had. Ends the numbers.
template <class T>
SIMDSOFTMAX_NOINLINE void sort_descending(T* numbers, std::uint16_t* order, std::size_t n) {
  std::uint16_t sorted[detail::max_top_k];
  // Few numbers are sorted by counting how many are above each: 50 in a fifth of the time of four rounds by bytes.
  constexpr std::size_t most_counted = 128;
  if (n <= most_counted) {
    end_numbers(numbers, n);
    std::uint8_t equal[most_counted] = {};
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t above = count_above(numbers, n, numbers[order[i]]);
      sorted[above + equal[above]++] = order[i];
    }
    for (std::size_t i = 0; i < n; ++i) order[i] = sorted[i];
    return;
  }
  // By bytes, from the last to the first.
  for (std::size_t shift = 0; shift < 8 * sizeof(T); shift += 8) {
    const auto byte = [&](std::uint16_t i) {
      const auto rank = rank_of(numbers[i]);
      // The first byte has the sign; from the largest down.
      const auto bits = static_cast<std::uint64_t>(rank) >> shift;
      return (shift + 8 == 8 * sizeof(T) ? bits ^ 0x7F : ~bits) & 0xFF;
    };
    std::uint16_t place[257] = {};
    for (std::size_t i = 0; i < n; ++i) ++place[byte(order[i]) + 1];
    if (place[byte(order[0]) + 1] == n) continue;
    std::uint16_t before = 0;
    for (std::uint16_t& b : place) b = before = static_cast<std::uint16_t>(before + b);
    for (std::size_t i = 0; i < n; ++i) sorted[place[byte(order[i])]++] = order[i];
    for (std::size_t i = 0; i < n; ++i) order[i] = sorted[i];
  }
}

// The k first of the candidates offered. They gather in the order of their columns; when there is no more room, all but
// the k first are dropped, and the last of those is the threshold for others.
template <class T>
class Largest {
 public:
  explicit Largest(std::size_t k) : k_(k), capacity_(4 * k + 64) {}

  std::size_t size() const { return size_; }
  std::int64_t column(std::size_t i) const { return column_[i]; }
  // After sort(): the i-th.
  const Candidate<T>& operator[](std::size_t i) const { return sorted_[i]; }

  // A logit must be above it to be of interest; one whose lo counts, too, if it is equal.
  T threshold() const { return threshold_; }

  // A threshold before the first offer, from n logits of the row: at least k of them are above it. Of a few logits one
  // is looked at, the largest, so it is a little lower than the k-th would make it. (Without one, the first few hundred
  // logits of a row are candidates, and at 64x32000 and k = 50 the candidates took as long as the exponentials.)
  template <class Source>
  void expect(const Source& x, std::size_t n) {
    constexpr std::size_t w = width<T>;
    if (k_ <= virtual_width<T> / 2) return expect_few(x, n);
    // With eight numbers for each of the k, few of these share one.
    const std::size_t affordable = n / (8 * k_);
    const std::size_t few = affordable < 4 ? 4 : affordable < 32 ? affordable : 32;
    const std::size_t numbers = n / (few * w) * w;
    if (numbers < 4 * k_ || numbers > room - w) return;
    for (std::size_t i = 0; i < numbers; i += w) {
      Vector<T> most = high_part<T>(x(few * i));
      for (std::size_t j = 1; j < few; ++j) most = max_or_second(high_part<T>(x(few * i + j * w)), most);
      store(hi_ + i, most);
    }
    const T least = kth_largest(hi_, numbers, k_, k_ + k_ / 4);
    if (least > -Limits<T>::infinity) threshold_ = of_rank(rank_of(least) - 1);
  }

  // The same of the largest in each lane of all logits: about half of those are above it, and few others. (4096x64 with
  // k = 8 takes a third of the time.)
  template <class Source>
  void expect_few(const Source& x, std::size_t n) {
    constexpr std::size_t lanes = virtual_width<T>;
    if (n < 2 * lanes) return;
    Vector<T> largest(-Limits<T>::infinity);
    for (std::size_t i = 0; i < lanes; i += width<T>) {
      Vector<T> most = high_part<T>(x(i));
      for (std::size_t j = i + lanes; j + width<T> <= n; j += lanes) most = max_or_second(high_part<T>(x(j)), most);
      store(hi_ + i, most);
      largest = max_or_second(most, largest);
    }
    const T least = k_ == 1 ? lane_max(largest) : kth_largest_of_few<lanes>(hi_, k_);
    if (least > -Limits<T>::infinity) threshold_ = of_rank(rank_of(least) - 1);
  }

  void offer(T hi, T lo, std::int64_t column) {
    if (hi > threshold_ || (hi == threshold_ && lo > threshold_low_ && hi > -Limits<T>::infinity)) {
      append(hi, lo, column);
    }
  }
  void append(T hi, T lo, std::int64_t column) {
    hi_[size_] = hi;
    lo_[size_] = lo;
    column_[size_] = column;
    if (++size_ == capacity_) choose();
  }

  // Leaves the k first, in order.
  void sort() {
    // A few more are sorted sooner than chosen from.
    constexpr std::size_t few = 32;
    if (size_ > k_ && size_ > few) choose();
    std::uint16_t order[detail::max_top_k];
    for (std::size_t i = 0; i < size_; ++i) order[i] = static_cast<std::uint16_t>(i);
    bool have_lo = false;
    for (std::size_t i = 0; i < size_; ++i) have_lo |= lo_[i] != 0;
    if (have_lo) sort_descending(lo_, order, size_);
    sort_descending(hi_, order, size_);
    if (size_ > k_) size_ = k_;
    for (std::size_t i = 0; i < size_; ++i) sorted_[i] = {hi_[order[i]], lo_[order[i]], column_[order[i]]};
  }

 private:
  // Keeps those above the k-th, and of those equal to it the ones with the largest lo, and of these the first.
  SIMDSOFTMAX_NOINLINE void choose() {
    threshold_ = kth_largest(hi_, size_, k_);
    threshold_low_ = -Limits<T>::infinity;
    std::size_t ties_wanted = 0;
    if (count_above(hi_, size_, of_rank(rank_of(threshold_) - 1)) > k_) ties_wanted = choose_of_equal();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      bool keep = hi_[i] >= threshold_;
      if (__builtin_expect(hi_[i] == threshold_ && lo_[i] <= threshold_low_, 0)) {
        keep = lo_[i] == threshold_low_ && ties_wanted > 0;
        ties_wanted -= keep;
      }
      hi_[kept] = hi_[i];
      lo_[kept] = lo_[i];
      column_[kept] = column_[i];
      kept += keep;
    }
    size_ = kept;
  }

  // Where there are more candidates equal to the threshold than there is room for: the least of the lo that are kept,
  // and how many with that lo.
  SIMDSOFTMAX_NOINLINE std::size_t choose_of_equal() {
    std::size_t equal = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      low_of_equal_[equal] = lo_[i];
      equal += hi_[i] == threshold_;
    }
    const std::size_t wanted = k_ - count_above(hi_, size_, threshold_);
    threshold_low_ = kth_largest(low_of_equal_, equal, wanted);
    return wanted - count_above(low_of_equal_, equal, threshold_low_);
  }

  static constexpr std::size_t room = 4 * detail::max_top_k + 64 + width<T>;

  std::size_t k_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  T threshold_ = -Limits<T>::infinity;
  T threshold_low_ = -Limits<T>::infinity;
  alignas(64) T hi_[room];
  alignas(64) T lo_[room];
  alignas(64) T low_of_equal_[room];
  std::int64_t column_[room];
  Candidate<T> sorted_[detail::max_top_k];
};

// Offers n logits, the first of which is that of `column`. Logits of -inf are of no interest.
template <class Source>
SIMDSOFTMAX_NOINLINE void largest_pass(const Source x, std::size_t column, std::size_t n,
                                       Largest<typename Source::T>& largest) {
  using T = typename Source::T;
  constexpr std::size_t w = width<T>;
  constexpr bool has_lo = sizeof(x(0)) != sizeof(Vector<T>);
  // Where a lo may make the difference, what is equal to the threshold is looked at too.
  const auto limit = [&] {
    const T threshold = largest.threshold();
    return has_lo && threshold > -Limits<T>::infinity ? of_rank(rank_of(threshold) - 1) : threshold;
  };
  Vector<T> threshold(limit());
  alignas(64) T hi[4 * w];
  alignas(64) T lo[4 * w] = {};
  // Those of the vectors at `hi` and `lo` that are above the limit, the first of them being column `at` of the tile.
  const auto offer = [&](std::uint64_t above, std::size_t at) {
    for (; above != 0; above &= above - 1) {
      const auto k = static_cast<std::size_t>(__builtin_ctzll(above));
      largest.offer(hi[k], lo[k], static_cast<std::int64_t>(column + at + k));
    }
    threshold = Vector<T>(limit());
  };
  const auto take = [&](const auto& z, std::size_t k) __attribute__((always_inline)) {
    store(hi + k * w, high_part<T>(z));
    if constexpr (has_lo) store(lo + k * w, low_part<T>(z));
    return static_cast<std::uint64_t>(lanes_above(high_part<T>(z), threshold)) << (k * w);
  };
  // Which vectors, by fours, have a candidate is noted without a branch, which would be mispredicted for each of them:
  // at 64x32000 and k = 50 the call took 1.15 times as long with it.
  constexpr std::size_t four = 4 * w;
  constexpr std::size_t most_noted = 64;
  std::size_t i = 0;
  while (i + four <= n) {
    std::size_t noted[most_noted];
    std::size_t count = 0;
    const std::size_t end = n - i < most_noted * four ? n - n % four : i + most_noted * four;
    for (; i < end; i += four) {
      const auto high = [&](std::size_t k) __attribute__((always_inline)) { return high_part<T>(x(i + k * w)); };
      const Vector<T> most = max_or_second(max_or_second(high(0), high(1)), max_or_second(high(2), high(3)));
      noted[count] = i;
      count += any_above(most, threshold);
    }
    for (std::size_t c = 0; c < count; ++c) {
      const std::size_t at = noted[c];
      offer(take(x(at), 0) | take(x(at + w), 1) | take(x(at + 2 * w), 2) | take(x(at + 3 * w), 3), at);
    }
  }
  for (; i + w <= n; i += w) offer(take(x(i), 0), i);
  if (i < n) offer(take(x.first(i, n - i), 0) & ((std::uint64_t{1} << (n - i)) - 1), i);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
