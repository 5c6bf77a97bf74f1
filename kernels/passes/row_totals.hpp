// SPDX-License-Identifier: Apache-2.0
#pragma once

// The sums of several rows at once, one to a lane, from exponentials in a buffer. Each is added in the order of LaneSum
// and has its bits.

#include "passes/lane_sum.hpp"
#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows of exponentials: how many, how long, and each of them, which gives vectors: whole(i), and first(i, n) with zeros
// behind the n-th lane.
template <class T>
struct StoredRow {
  const T* e;  // up to a virtual vector behind it is read

  SIMDSOFTMAX_INLINE Vector<T> whole(std::size_t i) const { return load(e + i); }
  SIMDSOFTMAX_INLINE Vector<T> first(std::size_t i, std::size_t n) const { return keep_first(load(e + i), n); }
};

// One behind the other.
template <class Type>
struct StoredRows {
  using T = Type;
  const T* e;
  std::size_t rows;
  std::size_t cols;

  SIMDSOFTMAX_INLINE StoredRow<T> operator[](std::size_t r) const { return {e + r * cols}; }
};

// The lanes of a vector from column i on that lie before column n.
SIMDSOFTMAX_INLINE std::size_t lanes_from(std::size_t i, std::size_t n) {
  if (n <= i) return 0;
  return n - i < width<float> ? n - i : width<float>;
}

// Where the kernel of the shortest rows of f32 ends; the others begin where one ends: at 8 and 16 columns.
constexpr std::size_t shortest = width<float> < 8 ? width<float> : 8;

// The lane sums of a short row of f32, added up until one vector holds them. Its last chunk has `most` columns at most;
// longer: whole chunks come before.
template <std::size_t most, bool longer, class Row>
class ShortLanes {
  static constexpr std::size_t half = virtual_width<float> / 2;
  static constexpr std::size_t lanes = longer ? virtual_width<float> : most < half ? most : lanes_of_chunk<float>(most);
  // Columns of the last chunk that are there in any case.
  static constexpr std::size_t sure = most > virtual_width<float> ? virtual_width<float> : longer ? 0 : most / 2;

 public:
  // Whether such a row leaves half of a vector to another one.
  static constexpr bool in_pairs = lanes == width<double>;

  ShortLanes(const Row& row, std::size_t cols) : row_(row), cols_(cols) {
    if constexpr (longer) last_ = (cols - 1) / chunk_length<float> * chunk_length<float>;
  }

  SIMDSOFTMAX_INLINE F64 sum() const { return every<0, width<float>>(); }

  // Of two rows, one behind the other.
  template <class Other>  // that it is one, so that ISAs without such rows need not have what it takes
  SIMDSOFTMAX_INLINE F64 sum_with(const Other& other) const {
    const auto a = value<0>();
    const auto b = other.template value<0>();
    const F32 v = most > half ? folded(a, b) : join_low_halves(a, b);
    return add_neighbours(first_addends(v), second_addends(v));
  }

 private:
  // Of the vectors at lanes at, at + distance, ...
  template <std::size_t at, std::size_t distance>
  SIMDSOFTMAX_INLINE F64 every() const {
    if constexpr (distance < lanes) {
      return every<at, 2 * distance>() + every<at + distance, 2 * distance>();
    } else if constexpr (longer) {
      const F32 first = whole_chunk<at>(0);
      F64 even = first_addends(first);
      F64 odd = second_addends(first);
      const auto add = [&](F32 v) __attribute__((always_inline)) {
        even = even + first_addends(v);
        odd = odd + second_addends(v);
      };
      for (std::size_t begin = chunk_length<float>; begin < last_; begin += chunk_length<float>) {
        add(whole_chunk<at>(begin));
      }
      if constexpr (at < lanes_of_chunk<float>(most)) add(last_chunk<at>());
      return add_neighbours(even, odd);
    } else {
      const F32 v = last_chunk<at>();
      return add_neighbours(first_addends(v), second_addends(v));
    }
  }

  template <std::size_t at>
  SIMDSOFTMAX_INLINE F32 whole_chunk(std::size_t begin) const {
    return row_.whole(begin + at) + row_.whole(begin + at + virtual_width<float>);
  }

  template <std::size_t at>
  SIMDSOFTMAX_INLINE F32 last_chunk() const {
    if constexpr (most > virtual_width<float>) {
      return value<at>() + value<at + virtual_width<float>>();
    } else if constexpr (width<float> == virtual_width<float>) {
      return folded(value<at>());
    } else if constexpr (at + half < most) {
      return value<at>() + value<at + half>();
    } else {
      return value<at>();
    }
  }

  // Of the last chunk.
  template <std::size_t i>
  SIMDSOFTMAX_INLINE F32 value() const {
    if constexpr (i + width<float> <= sure) return row_.whole(last_ + i);
    return row_.first(last_ + i, lanes_from(last_ + i, cols_));
  }

  Row row_;
  std::size_t cols_;
  std::size_t last_ = 0;
};

// Lane sums of n values, as in add_values. begins: there is a whole chunk, and its values are not much to ask for twice
// in the code.
template <class T, Accuracy accuracy, bool begins = false, class Full, class First, class Before = Nothing>
SIMDSOFTMAX_INLINE LaneSum<T, accuracy> lanes_of(std::size_t n, const Full& full, const First& first,
                                                 const Before& before = {}) {
  LaneSum<T, accuracy> sum;
  if constexpr (begins) sum.begin(full);
  add_values<T>(sum, begins ? chunk_length<T> : 0, n, full, first, before);
  return sum;
}

// What is left to add of rows r, r + 1, ... in lanes `distance` apart; vector(r): that of one row, or of those that
// share a vector, which are `apart`.
template <std::size_t distance, std::size_t apart = width<double>, class RowVector>
SIMDSOFTMAX_INLINE F64 halved(std::size_t r, const RowVector& vector) {
  if constexpr (distance == apart) {
    return vector(r);
  } else {
    F64 low = halved<2 * distance, apart>(r, vector);
    F64 high = halved<2 * distance, apart>(r + distance, vector);
    exchange<distance>(low, high);
    return low + high;
  }
}

// Rows become columns.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void transpose(F64 (&square)[width<double>]) {
  repeat<width<double>>([&](std::size_t i) __attribute__((always_inline)) {
    if ((i & distance) == 0) exchange<distance>(square[i], square[i + distance]);
  });
  if constexpr (distance > 1) transpose<distance / 2>(square);
}

// Sums of as many rows as F64 has lanes, each high + low.
using GroupTotals = SplitSums;

// Compensated lanes are not halved: a row's are added one after the other. lanes(i): of row i.
template <class Lanes>
SIMDSOFTMAX_INLINE void add_lanes(GroupTotals& totals, const Lanes& lanes) {
  F64 square[width<double>];
  repeat<width<double>>([&](std::size_t i) __attribute__((always_inline)) { square[i] = lanes(i); });
  transpose<width<double> / 2>(square);
  repeat<width<double>>([&](std::size_t i) __attribute__((always_inline)) {
    accumulate_positive(totals.high, totals.low, square[i]);
  });
}

template <class Lanes>
SIMDSOFTMAX_INLINE GroupTotals totals_of(const Lanes* lanes) {
  if constexpr (Lanes::compensated) {
    const auto rest = [lanes](std::size_t i) __attribute__((always_inline)) { return lanes[i].halved_rest(); };
    GroupTotals totals = {F64(0.0), halved<1>(0, rest)};
    repeat<Lanes::count>([&](std::size_t k) __attribute__((always_inline)) {
      add_lanes(
          totals, [&](std::size_t i) __attribute__((always_inline)) { return lanes[i].lanes(k); });
    });
    return totals;
  } else {
    const auto vector = [lanes](std::size_t i) __attribute__((always_inline)) { return lanes[i].halved_to_vector(); };
    return {Lanes::finished_lanes(halved<1>(0, vector)), F64(0.0)};
  }
}

// Those of each row of a block, in whole groups.
struct RowTotals {
  double* high;
  double* low;

  SIMDSOFTMAX_INLINE void set(std::size_t r, const GroupTotals& totals) const {
    store(high + r, totals.high);
    store(low + r, totals.low);
  }
};

// lanes(r): the Sum, a LaneSum, of a row. Rows behind the last one repeat it.
template <class Sum, class Lanes>
SIMDSOFTMAX_INLINE void sum_rows(std::size_t rows, const Lanes& lanes, const RowTotals& totals) {
  constexpr std::size_t together = width<double>;
  for (std::size_t r = 0; r < rows; r += together) {
    Sum group[together];
    const std::size_t n = rows - r < together ? rows - r : together;
    for (std::size_t i = 0; i < n; ++i) group[i] = lanes(r + i);
    if (n == 1) {
      const SplitSum sum = group[0].total();
      totals.set(r, {F64(sum.high), F64(sum.low)});
    } else {
      for (std::size_t i = n; i < together; ++i) group[i] = group[n - 1];
      totals.set(r, totals_of(group));
    }
  }
}

// use(r, row) for groups of as many rows as F64 has lanes, the first of them row r; row(i): the i-th, or the last one
// there is.
template <class Rows, class Use>
SIMDSOFTMAX_INLINE void each_group(const Rows& rows, const Use& use) {
  std::size_t r = 0;
  for (; r + width<double> <= rows.rows; r += width<double>) {
    use(
        r, [&](std::size_t i) __attribute__((always_inline)) { return rows[r + i]; });
  }
  if (r == rows.rows) return;
  const std::size_t last = rows.rows - 1;
  use(
      r, [&](std::size_t i) __attribute__((always_inline)) { return rows[r + i < last ? r + i : last]; });
}

// The same for short rows of f32; most, longer: as for ShortLanes.
template <std::size_t most, bool longer = false, class Rows>
SIMDSOFTMAX_NOINLINE void sum_short_rows(const Rows& all, const RowTotals& totals) {
  const Rows rows = all;
  const RowTotals to = totals;
  using Lanes = ShortLanes<most, longer, decltype(rows[0])>;
  constexpr std::size_t apart = Lanes::in_pairs ? width<double> / 2 : width<double>;
  each_group(
      rows, [&](std::size_t r, const auto& row) __attribute__((always_inline)) {
        const auto lanes = [&](std::size_t i) __attribute__((always_inline)) { return Lanes(row(i), rows.cols); };
        const auto sums = [&](std::size_t i) __attribute__((always_inline)) {
          if constexpr (Lanes::in_pairs) return lanes(i).sum_with(lanes(i + apart));
          return lanes(i).sum();
        };
        to.set(r, {finished(halved<1, apart>(0, sums)), F64(0.0)});
      });
}

// For rows of f64 with no more columns than lanes.
template <Accuracy accuracy, class Rows>
SIMDSOFTMAX_NOINLINE void sum_single_chunks(const Rows& all, const RowTotals& totals) {
  const Rows rows = all;
  const RowTotals to = totals;
  using Sum = LaneSum<double, accuracy>;
  each_group(
      rows, [&](std::size_t r, const auto& row) __attribute__((always_inline)) {
        GroupTotals sums = {F64(0.0), F64(0.0)};
        if constexpr (Sum::compensated) {
          for (std::size_t c = 0; c < rows.cols; c += width<double>) {
            const std::size_t n = rows.cols - c < width<double> ? rows.cols - c : width<double>;
            add_lanes(
                sums, [&](std::size_t i) __attribute__((always_inline)) { return row(i).first(c, n); });
          }
        } else {
          const auto vector = [&](std::size_t i) __attribute__((always_inline)) {
            Sum lanes;
            lanes.add_first(
                rows.cols, [&](std::size_t c) __attribute__((always_inline)) { return row(i).whole(c); },
                [&](std::size_t c, std::size_t n) __attribute__((always_inline)) { return row(i).first(c, n); });
            return lanes.halved_to_vector();
          };
          sums.high = halved<1>(0, vector);
        }
        to.set(r, sums);
      });
}

// Rows of f32 that are summed faster when they have been stored, in groups, than on the way: softmax takes 0.75 to 0.90
// of the time on avx512 from 65 columns on, 0.77 to 0.95 on avx2; and 1.04 of it at 512, four rows of which are a
// block.
constexpr std::size_t longest_short_sum = 256;

// The neighbours that are added first are all there is of rows of two.
SIMDSOFTMAX_NOINLINE void sum_pairs(const StoredRows<float>& stored, const RowTotals& totals) {
  const RowTotals to = totals;
  const std::size_t rows = stored.rows;
  const float* const e = stored.e;
  for (std::size_t r = 0; r < rows; r += width<double>) {
    const F32 v = load(e + 2 * r);
    to.set(r, {finished(add_neighbours(first_addends(v), second_addends(v))), F64(0.0)});
  }
}

template <Accuracy accuracy, class Rows>
SIMDSOFTMAX_NOINLINE void sum_long_rows(const Rows& all, const RowTotals& totals) {
  using T = typename Rows::T;
  const Rows rows = all;
  const auto lanes = [&](std::size_t r) __attribute__((always_inline)) {
    const auto row = rows[r];
    const auto whole = [&](std::size_t i) __attribute__((always_inline)) { return row.whole(i); };
    return lanes_of<T, accuracy, sizeof(T) == sizeof(double)>(
        rows.cols, [&](const auto& at) __attribute__((always_inline)) { return map(whole, at); },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { return row.first(i, m); });
  };
  sum_rows<LaneSum<T, accuracy>>(rows.rows, lanes, totals);
}

template <Accuracy accuracy = Accuracy::balanced, class Rows>
SIMDSOFTMAX_INLINE void sum_rows(const Rows& rows, const RowTotals& totals) {
  if constexpr (sizeof(typename Rows::T) == sizeof(float)) {
    if (rows.cols <= shortest) return sum_short_rows<shortest>(rows, totals);
    if (rows.cols <= 8) return sum_short_rows<8>(rows, totals);
    if (rows.cols <= 16) return sum_short_rows<16>(rows, totals);
    if (rows.cols <= 32) return sum_short_rows<32>(rows, totals);
    if (rows.cols <= longest_short_sum) {
      const std::size_t rest = rows.cols % chunk_length<float>;
      if (rest > 0 && rest <= virtual_width<float>) return sum_short_rows<16, true>(rows, totals);
      return sum_short_rows<32, true>(rows, totals);
    }
    return sum_long_rows<Accuracy::balanced>(rows, totals);
  } else {
    if (rows.cols <= virtual_width<double>) return sum_single_chunks<accuracy>(rows, totals);
    sum_long_rows<accuracy>(rows, totals);
  }
}
template <Accuracy>
SIMDSOFTMAX_INLINE void sum_stored_rows(const StoredRows<float>& rows, const RowTotals& totals) {
  rows.cols == 2 ? sum_pairs(rows, totals) : sum_rows(rows, totals);
}
template <Accuracy accuracy>
SIMDSOFTMAX_INLINE void sum_stored_rows(const StoredRows<double>& rows, const RowTotals& totals) {
  sum_rows<accuracy>(rows, totals);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
