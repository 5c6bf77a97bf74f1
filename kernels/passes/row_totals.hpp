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

// The lane sums of a row of f32, added up until one vector holds them.
//
// A row of `vectors` virtual vectors, the last one perhaps in part; 0: within one vector of floats.
template <std::size_t vectors, class Row>
class ShortLanes {
 public:
  ShortLanes(const Row& row, std::size_t cols) : row_(row), cols_(cols) {}

  SIMDSOFTMAX_INLINE F64 sum() const { return every < 0, vectors == 0 ? steps : 1 > (); }

 private:
  static constexpr std::size_t steps = virtual_width<float> / width<float>;

  // Of vectors first, first + stride, ... of a virtual vector.
  template <std::size_t first, std::size_t stride>
  SIMDSOFTMAX_INLINE F64 every() const {
    if constexpr (stride == steps) {
      constexpr std::size_t at = first * width<float>;
      F64 even = first_addends(chunk<0, at>());
      F64 odd = second_addends(chunk<0, at>());
      if constexpr (vectors > chunk_vectors<float>) {
        even = even + first_addends(chunk<chunk_vectors<float>, at>());
        odd = odd + second_addends(chunk<chunk_vectors<float>, at>());
      }
      return add_neighbours(even, odd);
    } else {
      return every<first, 2 * stride>() + every<first + stride, 2 * stride>();
    }
  }

  // Of two virtual vectors.
  template <std::size_t v, std::size_t at>
  SIMDSOFTMAX_INLINE F32 chunk() const {
    if constexpr (v + 1 >= vectors) return value<v, at>();
    return value<v, at>() + value<v + 1, at>();
  }

  template <std::size_t v, std::size_t at>
  SIMDSOFTMAX_INLINE F32 value() const {
    constexpr std::size_t i = v * virtual_width<float> + at;
    if constexpr (v + 1 < vectors) return row_.whole(i);
    return row_.first(i, present<width<float>>(i));
  }

  // How many of the `most` columns from i on there are.
  template <std::size_t most>
  SIMDSOFTMAX_INLINE std::size_t present(std::size_t i) const {
    if (cols_ <= i) return 0;
    return cols_ - i < most ? cols_ - i : most;
  }

  Row row_;
  std::size_t cols_;
};

// Lane sums of n values: full(i), a vector of them, and first(i, m), the first m of one and zeros.
template <class T, class Full, class First>
SIMDSOFTMAX_INLINE LaneSum<T> lanes_of(std::size_t n, const Full& full, const First& first) {
  LaneSum<T> sum;
  std::size_t i = 0;
  const auto full_here = [&](std::size_t k) __attribute__((always_inline)) { return full(i + k); };
  const auto first_here = [&](std::size_t k, std::size_t m) __attribute__((always_inline)) { return first(i + k, m); };
  for (; i + chunk_length<T> <= n; i += chunk_length<T>) sum.add(full_here);
  if (i < n) sum.add_first(n - i, full_here, first_here);
  return sum;
}

// What is left to add of rows r, r + 1, ... in lanes `distance` apart; vector(r): that of one row.
template <std::size_t distance, class RowVector>
SIMDSOFTMAX_INLINE F64 halved(std::size_t r, const RowVector& vector) {
  if constexpr (distance == width<double>) {
    return vector(r);
  } else {
    F64 low = halved<2 * distance>(r, vector);
    F64 high = halved<2 * distance>(r + distance, vector);
    exchange<distance>(low, high);
    return low + high;
  }
}

// Rows become columns.
template <std::size_t distance>
SIMDSOFTMAX_INLINE void transpose(F64 (&square)[width<double>]) {
  for (std::size_t i = 0; i < width<double>; ++i) {
    if ((i & distance) == 0) exchange<distance>(square[i], square[i + distance]);
  }
  if constexpr (distance > 1) transpose<distance / 2>(square);
}

// Sums of as many rows as F64 has lanes, each high + low.
using GroupTotals = SplitSums;

// vector(i): what the lanes of row i have become when one vector holds them.
template <class RowVector>
SIMDSOFTMAX_INLINE GroupTotals totals_by(const RowVector& vector) {
  return {finished(halved<1>(0, vector)), F64(0.0)};
}

SIMDSOFTMAX_INLINE GroupTotals totals_of(const LaneSum<float>* lanes) {
  return totals_by([lanes](std::size_t i) __attribute__((always_inline)) { return lanes[i].halved_to_vector(); });
}

// The lanes of f64 are not halved: a row's are added one after the other, compensated.
SIMDSOFTMAX_INLINE GroupTotals totals_of(const LaneSum<double>* lanes) {
  constexpr std::size_t rows = width<double>;
  F64 rest[rows];
  for (std::size_t i = 0; i < rows; ++i) rest[i] = lanes[i].halved_rest();
  GroupTotals totals = {F64(0.0), halved<1>(
                                      0, [&](std::size_t i) __attribute__((always_inline)) { return rest[i]; })};
  for (std::size_t k = 0; k < LaneSum<double>::count; ++k) {
    F64 square[rows];
    for (std::size_t i = 0; i < rows; ++i) square[i] = lanes[i].lanes(k);
    transpose<rows / 2>(square);
    for (const F64& lane : square) accumulate(totals.high, totals.low, lane);
  }
  return totals;
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

// lanes(r): the LaneSum of a row. Rows behind the last one repeat it.
template <class T, class Lanes>
SIMDSOFTMAX_INLINE void sum_rows(std::size_t rows, const Lanes& lanes, const RowTotals& totals) {
  constexpr std::size_t together = width<double>;
  for (std::size_t r = 0; r < rows; r += together) {
    LaneSum<T> group[together];
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

// The same for short rows of f32, of `vectors` virtual vectors.
template <std::size_t vectors, class Rows>
SIMDSOFTMAX_NOINLINE void sum_short_rows(const Rows& all, const RowTotals& totals) {
  constexpr std::size_t together = width<double>;
  const Rows rows = all;
  const RowTotals to = totals;
  const auto sum = [&](std::size_t r) __attribute__((always_inline)) {
    return ShortLanes<vectors, decltype(rows[r])>(rows[r], rows.cols).sum();
  };
  const auto set = [&](std::size_t r, const auto& of_row) __attribute__((always_inline)) {
    to.set(r, totals_by(of_row));
  };
  std::size_t r = 0;
  for (; r + together <= rows.rows; r += together) {
    set(
        r, [&](std::size_t i) __attribute__((always_inline)) { return sum(r + i); });
  }
  if (r == rows.rows) return;
  if (r + 1 == rows.rows) return to.set(r, {F64(finished(lane_sum(sum(r)))), F64(0.0)});
  F64 sums[together];
  for (std::size_t i = 0; i < together; ++i) sums[i] = r + i < rows.rows ? sum(r + i) : sums[i - 1];
  set(
      r, [&](std::size_t i) __attribute__((always_inline)) { return sums[i]; });
}

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

template <class Rows>
SIMDSOFTMAX_NOINLINE void sum_long_rows(const Rows& all, const RowTotals& totals) {
  using T = typename Rows::T;
  const Rows rows = all;
  const auto lanes = [&](std::size_t r) __attribute__((always_inline)) {
    const auto row = rows[r];
    return lanes_of<T>(
        rows.cols, [&](std::size_t i) __attribute__((always_inline)) { return row.whole(i); },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { return row.first(i, m); });
  };
  sum_rows<T>(rows.rows, lanes, totals);
}

template <class Rows>
SIMDSOFTMAX_INLINE void sum_rows(const Rows& rows, const RowTotals& totals) {
  if constexpr (sizeof(typename Rows::T) == sizeof(float)) {
    if (rows.cols <= width<float>) return sum_short_rows<0>(rows, totals);
    switch ((rows.cols + virtual_width<float> - 1) / virtual_width<float>) {
      case 1:
        return sum_short_rows<1>(rows, totals);
      case 2:
        return sum_short_rows<2>(rows, totals);
      case 3:
        return sum_short_rows<3>(rows, totals);
      case 4:
        return sum_short_rows<4>(rows, totals);
      default:
        break;
    }
  }
  sum_long_rows(rows, totals);
}
SIMDSOFTMAX_INLINE void sum_stored_rows(const StoredRows<float>& rows, const RowTotals& totals) {
  rows.cols == 2 ? sum_pairs(rows, totals) : sum_rows(rows, totals);
}
SIMDSOFTMAX_INLINE void sum_stored_rows(const StoredRows<double>& rows, const RowTotals& totals) {
  sum_rows(rows, totals);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
