// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/row_state.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Team;

// One row, cut into parts, as the threads of a team see it: each takes its own parts and learns the result of all.
// Results are put together in the order of the parts, whoever computed them.
class RowTeam {
 public:
  RowTeam(const Team& team, std::size_t cols, std::size_t part_length)
      : team_(team), cols_(cols), part_length_(part_length), parts_((cols + part_length - 1) / part_length) {
    if (team.count > 1) {
      first_ = parts_ * static_cast<std::size_t>(team.index) / static_cast<std::size_t>(team.count);
      last_ = parts_ * static_cast<std::size_t>(team.index + 1) / static_cast<std::size_t>(team.count);
    } else {
      last_ = parts_;
    }
  }

  bool is_first() const { return team_.index == 0; }
  bool alone() const { return team_.count == 1; }

  // The parts of this thread are columns [first_column(), last_column()).
  std::size_t first_column() const { return begin(first_); }
  std::size_t last_column() const { return begin(last_); }

  // work(begin, end) for every part that is this thread's.
  template <class Work>
  void each_part(const Work& work) const {
    for (std::size_t p = first_; p < last_; ++p) work(begin(p), begin(p + 1));
  }

  template <class Work>
  void each_part_from_last(const Work& work) const {
    for (std::size_t p = last_; p > first_; --p) work(begin(p - 1), begin(p));
  }

  // The largest of what part_max(begin, end) gives for the parts of the row, NaN if the ISA keeps NaN in a maximum.
  template <class PartMax>
  double max(const PartMax& part_max) {
    const auto larger = [](double a, double b) { return b > a || is_nan(b) ? b : a; };
    return combined<double>(alone() ? nullptr : team_.board->max[turn_], part_max, larger);
  }

  // The merged state of the row; part_state(begin, end) gives that of a part.
  template <class PartState>
  RowState sum(const PartState& part_state) {
    return combined<RowState>(alone() ? nullptr : team_.board->states[turn_], part_state, merge);
  }

 private:
  std::size_t begin(std::size_t part) const {
    const std::size_t at = part * part_length_;
    return at < cols_ ? at : cols_;
  }

  template <class Result, class Part, class Combine>
  Result combined(Result* slots, const Part& part, const Combine& combine) {
    if (alone()) {
      Result all = part(0, begin(1));
      for (std::size_t p = 1; p < parts_; ++p) all = combine(all, part(begin(p), begin(p + 1)));
      return all;
    }
    for (std::size_t p = first_; p < last_; ++p) slots[p] = part(begin(p), begin(p + 1));
    team_.barrier();
    turn_ = 1 - turn_;
    Result all = slots[0];
    for (std::size_t p = 1; p < parts_; ++p) all = combine(all, slots[p]);
    return all;
  }

  const Team& team_;
  std::size_t cols_;
  std::size_t part_length_;
  std::size_t parts_;
  std::size_t first_ = 0;
  std::size_t last_;
  int turn_ = 0;
};

// sum(begin, end) over the segments of a part, or of what is left of one, as a state.
template <class SegmentSum>
SIMDSOFTMAX_INLINE RowState add_segments(std::int64_t anchor, const SplitSum& shift, std::size_t begin, std::size_t end,
                                         const SegmentSum& sum) {
  RowState state = {anchor, shift, {0.0, 0.0}};
  while (begin < end) {
    const std::size_t whole = (begin / detail::segment_length + 1) * detail::segment_length;
    const std::size_t segment_end = end < whole ? end : whole;
    accumulate(state.sum, sum(begin, segment_end));
    begin = segment_end;
  }
  return state;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
