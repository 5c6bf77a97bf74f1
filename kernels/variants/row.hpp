// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/exp_sum.hpp"
#include "passes/max.hpp"
#include "passes/normalize.hpp"
#include "simd/stream.hpp"
#include "variants/row_team.hpp"
#include "variants/stash.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Whether a row with this maximum can be anchored as it is; not so without a finite maximum, or with one too large for
// the reduction of exp.
template <class T>
SIMDSOFTMAX_INLINE bool is_ordinary(double max) {
  return max < static_cast<double>(ExpRange<T>::giant) && max > -static_cast<double>(ExpRange<T>::giant);
}

template <class T>
SIMDSOFTMAX_INLINE T larger(T a, T b) {
  return b > a || b != b ? b : a;
}

// The logits of one row on their way to its sum: the steps that the variants share.
template <class RowSource, Accuracy accuracy = Accuracy::balanced>
struct RowLogits {
  using Source = RowSource;
  using T = typename Source::T;
  // exp relative to the anchor of the maximum. That of Anchored serves too; balanced rows, f64 included, have their
  // own, which is one instruction shorter.
  using AnchoredExp = Exp<T, Source::is_wide || accuracy != Accuracy::balanced, accuracy>;

  Source x;
  Stash<T> stash;
  bool logits_survive;  // the stash does not lie on top of them
  RowTeam& team;
  // For rows whose stash is never where results go: the result of the first column of the stash, and the bytes of one.
  const char* results = nullptr;
  std::size_t result_bytes = 0;

  // The part of [begin, end) that takes part.
  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  Range visible(std::size_t begin, std::size_t end) const {
    const Range range = {begin > x.first() ? begin : x.first(), end < x.last() ? end : x.last()};
    return range.begin < range.end ? range : Range{end, end};
  }

  T max_of(std::size_t part_begin, std::size_t part_end) const {
    T max = -Limits<T>::infinity;
    const Range range = visible(part_begin, part_end);
    x.each_tile(range.begin, range.end,
                [&](const auto& tile, std::size_t, std::size_t n) { max = larger(max, max_pass(tile, n)); });
    return max;
  }

  // What the largest logits of a part, of which this is the hi, have as the largest lo; -inf if there is none.
  T low_of_max(T max, std::size_t part_begin, std::size_t part_end) const {
    if (x.is_exact()) return 0;
    T low = -Limits<T>::infinity;
    const Range range = visible(part_begin, part_end);
    x.each_tile(range.begin, range.end, [&](const auto& tile, std::size_t, std::size_t n) {
      low = larger(low, low_of_max_pass(tile, max, n));
    });
    return low;
  }

  double max() const {
    return team.max([&](std::size_t begin, std::size_t end) { return static_cast<double>(max_of(begin, end)); });
  }

  // The state of what is visible of a part relative to the anchor of exp; its exponentials go to the sink.
  template <class To, class ExpOf>
  RowState part_sum(const To& e, const ExpOf& exp, std::int64_t anchor, const SplitSum& shift,
                    const Range& range) const {
    return add_segments(anchor, shift, range.begin, range.end, [&](std::size_t begin, std::size_t end) {
      LaneSum<T, accuracy> lanes;
      x.each_tile(begin, end, [&](const auto& tile, std::size_t at, std::size_t n) {
        exp_sum_pass(tile, e.from(at - range.begin), exp, n, lanes);
      });
      return lanes.total();
    });
  }

  // The state of the row, the row's sink included.
  template <class To, class ExpOf>
  RowState sum(const To& e, const ExpOf& exp, std::int64_t anchor, const SplitSum& shift = no_shift) const {
    return with_sink(team.sum([&](std::size_t begin, std::size_t end) {
      const Range range = visible(begin, end);
      return part_sum(e.from(range.begin), exp, anchor, shift, range);
    }));
  }

  // The same, exponentials going to the stash as far as it has room.
  template <class ExpOf>
  RowState stashed_sum(const ExpOf& exp, std::int64_t anchor) const {
    const RowState state = team.sum([&](std::size_t begin, std::size_t end) {
      const Range range = visible(begin, end);
      T* const e = stash.at(range.begin);
      if (e == nullptr) return part_sum(NoSink<T>{}, exp, anchor, no_shift, range);
      return part_sum(stash_sink(e, range.begin), exp, anchor, no_shift, range);
    });
    if (!stash.is_empty()) x.forget_tile();
    return with_sink(state);
  }

  auto stash_sink(T* e, std::size_t column) const {
    if constexpr (Source::is_wide) {
      return FetchingSink<T>{e, {results + (column - stash.first) * result_bytes, result_bytes}};
    } else {
      return Sink<T>{e};
    }
  }

  RowState with_sink(RowState state) const {
    if (!x.has_sink() || is_nothing(state)) return state;
    if (x.sink() == Limits<double>::infinity) return not_a_sum;
    accumulate(state.sum, exp_in<T>(state, above_shift(x.sink(), state)));
    return state;
  }
};

// One row on its way: where logits come from and results go (PlainRow and PlainOutput, or StagedSource and
// StagedOutput).
template <class Source, class RowOutput, Accuracy accuracy = Accuracy::balanced>
struct Row : RowLogits<Source, accuracy> {
  using Logits = RowLogits<Source, accuracy>;
  using Logits::stash;
  using Logits::team;
  using Logits::x;
  using typename Logits::Range;
  using typename Logits::T;

  RowOutput y;

  // Results from what pass(from, to, n) makes of logits, `hidden` in columns that take no part.
  template <class Pass>
  void write(const Pass& pass, T hidden) const {
    team.each_part([&](std::size_t begin, std::size_t end) {
      const Range range = this->visible(begin, end);
      write_range(pass, range);
      fill_around(range, begin, end, hidden);
    });
  }

  // Probabilities from the exponentials in the stash, or from the logits once more. The last part comes first, and of
  // it the last vector, as what is lent has to: see Stash.
  void normalize(const RowState& state) const {
    if (stash.is_empty()) return normalize_logits(state);
    const auto scale = normalizer(state);
    team.each_part_from_last([&](std::size_t begin, std::size_t end) {
      const Range range = this->visible(begin, end);
      const std::size_t n = range.end - range.begin;
      if (n == 0) return;
      const T* const e = stash.at(range.begin);
      if (e == nullptr) {
        write_range(exp_scale(state), range);
      } else {
        scale_pass(e, y.sink(range.begin), scale, n);
        y.flush(range.begin, n);
      }
    });
    // Last, because the stash may lie where they pass through.
    team.each_part([&](std::size_t begin, std::size_t end) { fill_around(this->visible(begin, end), begin, end, 0); });
  }
  // above: whether a logit may be beyond the range of the state's anchor.
  template <bool above = false>
  void normalize_logits(const RowState& state) const {
    write(exp_scale<above>(state), 0);
  }
  Normalizer<T, accuracy> normalizer(const RowState& state) const { return {state.sum, y.smallest_normal()}; }

  // The same past the caches, but for what lies before the first line and for elements across lines.
  void stream(const RowState& state) const {
    using Out = typename RowOutput::Element;
    const Exp<T, false, accuracy> exp(state.anchor);
    const auto scale = normalizer(state);
    team.each_part([&](std::size_t begin, std::size_t end) {
      const std::size_t bytes = bytes_to_line(y.y + begin);
      const std::size_t cached = bytes % sizeof(Out) == 0 ? bytes / sizeof(Out) : end - begin;
      const std::size_t line = cached < end - begin ? begin + cached : end;
      const auto write = [&](std::size_t first, std::size_t last, const auto& sink) {
        x.each_tile(first, last, [&](const auto& tile, std::size_t at, std::size_t n) {
          exp_scale_pass(tile, sink(at), exp, scale, n);
        });
      };
      write(begin, line, [&](std::size_t at) { return y.sink(at); });
      write(line, end, [&](std::size_t at) { return StreamSink<Out>{y.y + at}; });
    });
  }

  SIMDSOFTMAX_NOINLINE void fill(T value) const {
    team.each_part([&](std::size_t begin, std::size_t end) { y.fill(begin, end, value); });
  }

 private:
  template <bool above = false>
  auto exp_scale(const RowState& state) const {
    return [exp = Exp<T, above, accuracy>(state.anchor), scale = normalizer(state)](
               const auto& tile, const auto& to, std::size_t n) { exp_scale_pass(tile, to, exp, scale, n); };
  }

  template <class Pass>
  void write_range(const Pass& pass, const Range& range) const {
    x.each_tile(range.begin, range.end, [&](const auto& tile, std::size_t at, std::size_t n) {
      pass(tile, y.sink(at), n);
      y.flush(at, n);
    });
  }

  void fill_around(const Range& range, std::size_t begin, std::size_t end, T value) const {
    if (begin < range.begin) y.fill(begin, range.begin, value);
    if (range.end < end) y.fill(range.end, end, value);
  }
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
