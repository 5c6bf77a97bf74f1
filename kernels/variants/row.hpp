// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/exp_sum.hpp"
#include "passes/max.hpp"
#include "passes/normalize.hpp"
#include "variants/row_team.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Whether a row with this maximum can be anchored as it is. Every variant leaves others to Row::walk_any: no finite
// maximum, or one too large for the reduction of exp.
template <class T>
SIMDSOFTMAX_INLINE bool is_ordinary(double max) {
  return max < static_cast<double>(ExpRange<T>::giant) && max > -static_cast<double>(ExpRange<T>::giant);
}

template <class Row>
void walk_row_any(const Row& row);

// One row on its way: where logits come from and results go, and the steps that the variants share.
template <class RowSource, class Out>
struct Row {
  using Source = RowSource;
  using T = typename Source::T;

  Source x;
  Sink<Out> y;
  T* stash;  // room for the row's exponentials, perhaps the output itself; null when there is none
  std::size_t cols;
  bool in_place;
  bool empty_row_zeros;
  RowTeam& team;

  double max() const {
    return team.max([&](std::size_t begin, std::size_t end) { return static_cast<double>(max_pass(x, begin, end)); });
  }

  // The state of the row relative to the anchor of exp; exponentials go to the sink.
  template <class To, class ExpOf>
  RowState sum(const To& e, const ExpOf& exp, std::int64_t anchor) const {
    return team.sum([&](std::size_t part_begin, std::size_t part_end) {
      return add_segments(anchor, part_begin, part_end,
                          [&](std::size_t begin, std::size_t end) { return exp_sum_pass(x, e, exp, begin, end); });
    });
  }

  // The same, exponentials going to the stash if there is one.
  template <class ExpOf>
  RowState stashed_sum(const ExpOf& exp, std::int64_t anchor) const {
    return stash != nullptr ? sum(Sink<T>{stash}, exp, anchor) : sum(NoSink<T>{}, exp, anchor);
  }

  // The last pass: from stored exponentials, or from the logits once more.
  void normalize_stash(const SplitSum& sum) const {
    team.each_part([&](std::size_t begin, std::size_t end) { scale_pass(PlainSource<T>(stash), y, sum, begin, end); });
  }
  void normalize_logits(const Exp<T>& exp, const SplitSum& sum) const {
    team.each_part([&](std::size_t begin, std::size_t end) { exp_scale_pass(x, y, exp, sum, begin, end); });
  }
  void normalize(std::int64_t anchor, const SplitSum& sum) const {
    if (stash != nullptr) {
      normalize_stash(sum);
    } else {
      normalize_logits(Exp<T>(anchor), sum);
    }
  }

  SIMDSOFTMAX_NOINLINE void fill(T value) const {
    team.each_part([&](std::size_t part_begin, std::size_t part_end) {
      for_each_vector<T>(
          part_begin, part_end, [&](std::size_t i) { y(i, Vector<T>(value)); },
          [&](std::size_t i, std::size_t n) { y.first(i, n, Vector<T>(value)); });
    });
  }
  void fill_nan() const { fill(Limits<T>::nan); }

  // Rows of one column: their probability is exactly 1, which e * (1 / e) need not be.
  void walk_single() const {
    const double logit = max();
    if (logit > -Limits<double>::infinity && logit < Limits<double>::infinity) return fill(T(1));
    walk_any();
  }

  // Any row from the start, by its maximum and without the stash: rows that a variant cannot finish come here, with
  // logits and output as they were.
  void walk_any() const { walk_row_any(with_source(x.shifted(T(0)))); }

  template <class OtherSource>
  Row<OtherSource, Out> with_source(const OtherSource& source) const {
    return {source, y, nullptr, cols, in_place, empty_row_zeros, team};
  }
};

template <class Row>
SIMDSOFTMAX_NOINLINE void walk_row_any(const Row& row) {
  using T = typename Row::T;
  const double max = row.max();
  if (is_nan(max) || max == Limits<double>::infinity) return row.fill_nan();
  if (max == -Limits<double>::infinity) {
    // Every logit is -inf, or NaN where the maximum passes over it.
    const bool has_nan = is_nan(row.sum(NoSink<T>{}, Exp<T>(0), 0).sum);
    return row.fill(has_nan || !row.empty_row_zeros ? Limits<T>::nan : T(0));
  }
  const bool ordinary = is_ordinary<T>(max);
  const Row shifted = row.with_source(row.x.shifted(ordinary ? T(0) : static_cast<T>(max)));
  const std::int64_t anchor = ordinary ? anchor_of(max) : 0;
  const Exp<T> exp(anchor);
  const SplitSum sum = shifted.sum(NoSink<T>{}, exp, anchor).sum;
  if (is_nan(sum)) return row.fill_nan();
  shifted.normalize_logits(exp, sum);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
