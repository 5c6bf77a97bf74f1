// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/block_traffic.hpp"
#include "passes/logit_span.hpp"
#include "passes/row_totals.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Several short rows at a time. What a row needs beside its exponentials (a maximum, an anchor, the sum of its lanes, a
// division) takes longer than 64 of them, so rows that lie within `span` of one another share an anchor, and lanes are
// added up, and divided into, for a vector of rows at a time. Within the span no exponential leaves the range of the
// anchor and no probability is subnormal, so neither has to be looked at.
//
// f32: the smallest probability of 2^13 columns, e^-76 / 2^13, is above 2^-126. With exponentials taken 2^32 above the
// anchor of the middle they are within 2^-23 and 2^88, and the factors for their sums (2^64 / sum) within 2^-38 and
// 2^88: neither of their parts overflows or is subnormal. (Relative to the largest, 2^64 above its anchor: within 2^-46
// and 2^65, 2^-18 and 2^111.) f64: likewise, e^-600 / 2^12 > 2^-878, exponentials within 2^-370 and 2^498; but results
// that become floats are flushed as those are.
template <class In>
constexpr Compute<In> narrow_span = sizeof(In) == sizeof(double) ? 600 : 76;

// The longest rows that go this way; no longer than a segment, because sums of several of those are put together
// otherwise. And what is taken at once of shorter ones.
template <class T>
constexpr std::size_t longest_narrow = detail::narrow_row_bytes / sizeof(T);
static_assert(longest_narrow<float> <= detail::segment_length);
constexpr std::size_t narrow_block_bytes = 8192;

// Rows that are longer than that leave no room for others in L1: neither for their exponentials, if these may go where
// results will, nor for the logits of the next ones. (With both 32x4096 took 1.23 times as long on avx512.)
template <class T>
constexpr bool is_block_of_its_own(std::size_t cols) {
  return cols * sizeof(T) > narrow_block_bytes;
}

// whole(at) for waves and vectors that cover [0, n), the last of them perhaps twice; few() if n does not fill a vector;
// before(i) before each wave.
template <class T, class Whole, class Few, class Before = Nothing>
SIMDSOFTMAX_INLINE void cover(std::size_t n, const Whole& whole, const Few& few, const Before& before = {}) {
  constexpr std::size_t w = width<T>;
  if (n < w) return few();
  for_each_wave<T>(
      0, n, whole, [&](std::size_t, std::size_t) __attribute__((always_inline)) { whole(n - w); }, before);
}

template <class In>
SIMDSOFTMAX_NOINLINE LogitSpan<Compute<In>> narrow_span_pass(const EvenRows<const In>& x, BlockShape shape) {
  using T = Compute<In>;
  Extremes<T> extremes;
  each_run(
      x, shape, [&](const In* run, std::size_t, std::size_t n) __attribute__((always_inline)) {
        const PlainSource<In, true> logits{run};
        cover<T>(
            n, [&](const auto& at) __attribute__((always_inline)) { extremes.see(map(logits, at)); },
            [&]() __attribute__((always_inline)) { extremes.see(load_first(run, n, Vector<T>(first_of(run)))); });
      });
  return extremes.span();
}

// The largest logit of each row.
template <class In>
SIMDSOFTMAX_NOINLINE void row_max_pass(const EvenRows<const In>& rows, BlockShape block, Compute<In>* max) {
  using T = Compute<In>;
  const EvenRows<const In> x = rows;
  const BlockShape shape = block;
  const Vector<T> lowest(-Limits<T>::infinity);
  for (std::size_t r = 0; r < shape.rows; ++r) {
    const PlainSource<In, true> row{x[r]};
    Extremes<T> extremes;
    cover<T>(
        shape.cols, [&](const auto& at) __attribute__((always_inline)) { extremes.see(map(row, at)); },
        [&]() __attribute__((always_inline)) { extremes.see(load_first(row.x, shape.cols, lowest)); });
    max[r] = lane_max(extremes.most);
  }
}

// Exponentials of a block, row behind row, relative to the anchor of a number; how far the logits reach.
template <class In, Accuracy accuracy, class Traffic>
SIMDSOFTMAX_NOINLINE LogitSpan<Compute<In>> narrow_exp_pass(const EvenRows<const In>& x, BlockShape shape,
                                                            Compute<In> middle, Compute<In>* e, Traffic& traffic) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_near(middle));
  Extremes<T> extremes(middle);
  const auto exp_of = [&](const auto& v) __attribute__((always_inline)) {
    extremes.see(v);
    return exp(v);
  };
  auto lines = traffic.template begin<Phase::exponentials>(shape);
  const std::size_t cols = shape.cols;
  each_run(
      x, shape, [&](const In* run, std::size_t r, std::size_t n) __attribute__((always_inline)) {
        const PlainSource<In, true> logits{run};
        const Sink<T> to{e + r * cols};
        lines.begin_row(r);
        cover<T>(
            n, [&](const auto& at) __attribute__((always_inline)) { put(to, at, exp_of(map(logits, at))); },
            [&]() __attribute__((always_inline)) { to(0, exp_of(load_first(run, n, Vector<T>(middle)))); },
            [&](std::size_t) __attribute__((always_inline)) { lines.template ask<wave_length<T>>(); });
      });
  traffic.end(lines);
  return extremes.span();
}

// The same, and the sums, in one pass: for rows of many chunks. row_max: for the largest logit of each row, or null.
template <class In, Accuracy accuracy, class Traffic>
SIMDSOFTMAX_NOINLINE LogitSpan<Compute<In>> narrow_exp_sum_pass(const EvenRows<const In>& rows, BlockShape shape,
                                                                Compute<In> middle,
                                                                const EvenRows<Compute<In>>& exponentials,
                                                                Traffic& traffic, const RowTotals& totals,
                                                                Compute<In>* row_max) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> exp(anchor_near(middle));
  Extremes<T> extremes(middle);
  const auto exp_of = [&](const auto& v) __attribute__((always_inline)) {
    extremes.see(v);
    return exp(v);
  };
  const EvenRows<const In> x = rows;
  const EvenRows<T> to = exponentials;
  auto lines = traffic.template begin<Phase::exponentials>(shape);
  const std::size_t cols = shape.cols;
  const auto lanes_of_row = [&](std::size_t r) __attribute__((always_inline)) {
    const PlainSource<In, true> logits{x[r]};
    const Sink<T> e{to[r]};
    lines.begin_row(r);
    const Vector<T> most_before = extremes.most;
    T filler = middle;
    if (row_max != nullptr) {
      extremes.most = Vector<T>(-Limits<T>::infinity);
      filler = first_of(logits.x);
    }
    const auto sums = lanes_of<T, accuracy>(
        cols,
        [&](const auto& at) __attribute__((always_inline)) {
          const auto v = exp_of(map(logits, at));
          put(e, at, v);
          return v;
        },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          const Vector<T> v = exp_of(load_first(logits.x + i, m, Vector<T>(filler)));
          e.first(i, m, v);
          return keep_first(v, m);
        },
        [&](std::size_t) __attribute__((always_inline)) { lines.template ask<stretch_length<T>>(); });
    if (row_max != nullptr) {
      row_max[r] = lane_max(extremes.most);
      extremes.most = max_or_second(extremes.most, most_before);
    }
    return sums;
  };
  sum_rows<LaneSum<T, accuracy>>(shape.rows, lanes_of_row, totals);
  traffic.end(lines);
  return extremes.span();
}

constexpr std::size_t most_narrow_rows = 128;

// Rows that are taken at once, where so many fit: groups of a vector of them.
inline std::size_t in_groups(std::size_t fitting) {
  if (fitting >= most_narrow_rows) return most_narrow_rows;
  if (fitting < width<double>) return fitting > 0 ? fitting : 1;
  return fitting / width<double> * width<double>;
}
template <class T>
std::size_t narrow_rows(std::size_t cols, std::size_t block_bytes) {
  return in_groups(block_bytes / sizeof(T) / cols);
}

// The number whose anchor the rows of a block share. Most blocks lie about the middle of the one before: exponentials
// are relative to that, and how far the logits reach is found on the way. Behind a block whose rows cannot go together
// they are looked at before anything is computed. (To look at each block first took 1.1 to 1.17 times as long.)
template <class T>
class BlockMiddle {
 public:
  // How far logits may reach, and how large they may be.
  BlockMiddle(T span, T giant) : span_(span), giant_(giant) {}

  T value() const { return middle_; }
  // At the next block, whatever the one before was like.
  void look_first() { looks_first_ = true; }

  // exponentiate() gives exponentials relative to value(), and both functions the span of a block with this first
  // logit. False if its rows cannot go together.
  template <class Look, class Exponentiate>
  bool settle(T first, const Look& look, const Exponentiate& exponentiate) {
    if (is_unknown_) middle_ = first < giant_ - span_ && first > span_ - giant_ ? first : 0;
    is_unknown_ = false;
    const bool looked = looks_first_;
    const LogitSpan<T> logits = looked ? look() : exponentiate();
    const T min = logits.min;
    const T max = logits.max;
    looks_first_ = !(max - min <= span_ && max < giant_ && -min < giant_);
    if (looks_first_) return false;
    if (!looked && max - middle_ <= span_ / 2 && middle_ - min <= span_ / 2) return true;
    middle_ = min / 2 + max / 2;
    (void)exponentiate();
    return true;
  }

 private:
  T span_;
  T giant_;
  T middle_ = 0;
  bool is_unknown_ = true;
  bool looks_first_ = false;
};

// Exponentials and sums of a block of rows, with the room that they need. With two buffers those of one block may stay
// while the next one is taken.
template <class In, Accuracy accuracy, std::size_t buffers = 1>
class NarrowBlock {
 public:
  using T = Compute<In>;

  explicit NarrowBlock(std::size_t cols) : NarrowBlock(cols, narrow_rows<T>(cols, narrow_block_bytes)) {}
  NarrowBlock(std::size_t cols, std::size_t rows_at_once)
      : cols_(cols), rows_at_once_(rows_at_once), keeps_all_(cols * rows_at_once * sizeof(T) <= narrow_block_bytes) {
    for (auto& buffer : exponentials_) store(buffer + cols_ * (keeps_all_ ? rows_at_once_ : 1), Vector<T>(T(0)));
  }

  std::size_t rows_at_once() const { return rows_at_once_; }
  // Whether exponentials of so many rows stay; else only those of the last one do.
  bool keeps_all() const { return keeps_all_; }
  BlockShape shape(std::size_t rows) const { return {rows, cols_}; }
  // Of the last block.
  T* exponentials() { return last_; }
  // For those of a row.
  T* room() { return exponentials_[buffer_]; }
  void use_next_buffer() { buffer_ = (buffer_ + 1) % buffers; }

  // Of at most rows_at_once() rows. False if their logits do not lie within the span, or are infinite or huge.
  // Exponentials go to `place`, or to a buffer if that is null; the largest logit of each row to row_max, unless null.
  template <class Traffic>
  bool exponentiate(const EvenRows<const In>& x, std::size_t rows, Traffic& traffic, T* place = nullptr,
                    T* row_max = nullptr) {
    last_ = place != nullptr ? place : room();
    const BlockShape block = shape(rows);
    const bool together = middle_.settle(
        first_of(x.first), [&] { return narrow_span_pass(x, block); },
        [&] { return exponentiate_about_middle(x, block, traffic, row_max); });
    if (together && row_max != nullptr && !sums_on_the_way()) row_max_pass(x, block, row_max);
    return together;
  }

  // What exponentials are relative to, and the sums of rows r, r + 1, ... r + width<double> - 1.
  std::int64_t anchor() const { return anchor_near(middle_.value()); }
  SIMDSOFTMAX_INLINE GroupTotals totals(std::size_t r) const { return {load(high_ + r), load(low_ + r)}; }
  SplitSum total(std::size_t r) const { return {high_[r], low_[r]}; }

 private:
  // Whether rows are summed while they are exponentiated, and their maxima found.
  bool sums_on_the_way() const {
    return cols_ > (sizeof(T) == sizeof(float) ? longest_short_sum : 4 * virtual_width<T>);
  }

  template <class Traffic>
  LogitSpan<T> exponentiate_about_middle(const EvenRows<const In>& x, const BlockShape& block, Traffic& traffic,
                                         T* row_max) {
    const RowTotals totals = {high_, low_};
    if (sums_on_the_way()) {
      const EvenRows<T> to = {last_, keeps_all_ ? static_cast<std::ptrdiff_t>(cols_ * sizeof(T)) : 0};
      return narrow_exp_sum_pass<In, accuracy>(x, block, middle_.value(), to, traffic, totals, row_max);
    }
    const auto logits = narrow_exp_pass<In, accuracy>(x, block, middle_.value(), exponentials(), traffic);
    sum_stored_rows<accuracy>({exponentials(), block.rows, cols_}, totals);
    return logits;
  }

  std::size_t cols_;
  std::size_t rows_at_once_;
  bool keeps_all_;
  std::size_t buffer_ = 0;
  T* last_ = nullptr;
  BlockMiddle<T> middle_{narrow_span<In>, ExpRange<T>::giant};
  // A row's last vector may reach beyond it.
  alignas(64) T exponentials_[buffers][longest_narrow<T> + virtual_width<T>];
  alignas(64) double high_[most_narrow_rows];
  alignas(64) double low_[most_narrow_rows];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
