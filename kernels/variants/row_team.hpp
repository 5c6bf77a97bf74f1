// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/split_sum.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::RowState;
using detail::Team;

// What a part without probability mass adds.
constexpr RowState nothing = {-(std::int64_t{1} << 40), {0.0, 0.0}};

// Both states relative to the higher anchor, which is exact, and then added.
SIMDSOFTMAX_INLINE RowState merge(const RowState& a, const RowState& b) {
  const std::int64_t anchor = a.anchor > b.anchor ? a.anchor : b.anchor;
  RowState merged = {anchor, scaled(a.sum, power_of_two(a.anchor - anchor))};
  accumulate(merged.sum, scaled(b.sum, power_of_two(b.anchor - anchor)));
  return merged;
}

// One row, cut into parts, as the threads of a team see it: each takes its own parts and learns the result of all.
// Results are put together in the order of the parts, whoever computed them.
class RowTeam {
 public:
  RowTeam(const Team& team, std::size_t cols)
      : team_(team), cols_(cols), parts_((cols + part_length() - 1) / part_length()) {}

  bool alone() const { return team_.count == 1; }

  // work(begin, end) for every part that is this thread's.
  template <class Work>
  void each_part(const Work& work) const {
    for (std::size_t p = first(); p < first_after(); ++p) work(begin(p), begin(p + 1));
  }

  // The largest of what part_max(begin, end) gives for the parts of the row, NaN if the ISA keeps NaN in a maximum.
  template <class PartMax>
  double max(const PartMax& part_max) {
    double all = -Limits<double>::infinity;
    const auto take = [&](double m) { all = m > all || is_nan(m) ? m : all; };
    double* const maxima = alone() ? nullptr : team_.board->max[turn_];
    for (std::size_t p = first(); p < first_after(); ++p) {
      const double m = part_max(begin(p), begin(p + 1));
      if (alone()) {
        take(m);
      } else {
        maxima[p] = m;
      }
    }
    if (!alone()) {
      team_.barrier();
      for (std::size_t p = 0; p < parts_; ++p) take(maxima[p]);
      turn_ = 1 - turn_;
    }
    return all;
  }

  // The merged state of the row; part_state(begin, end) gives that of a part.
  template <class PartState>
  RowState sum(const PartState& part_state) {
    RowState all = nothing;
    RowState* const states = alone() ? nullptr : team_.board->states[turn_];
    for (std::size_t p = first(); p < first_after(); ++p) {
      const RowState state = part_state(begin(p), begin(p + 1));
      if (alone()) {
        all = merge(all, state);
      } else {
        states[p] = state;
      }
    }
    if (!alone()) {
      team_.barrier();
      for (std::size_t p = 0; p < parts_; ++p) all = merge(all, states[p]);
      turn_ = 1 - turn_;
    }
    return all;
  }

 private:
  std::size_t part_length() const {
    constexpr std::size_t most = detail::max_parts * detail::segment_length;
    return (cols_ / most + (cols_ % most != 0)) * detail::segment_length;
  }
  std::size_t begin(std::size_t part) const {
    const std::size_t at = part * part_length();
    return at < cols_ ? at : cols_;
  }
  std::size_t first() const { return share(team_.index); }
  std::size_t first_after() const { return share(team_.index + 1); }
  std::size_t share(int index) const {
    return parts_ * static_cast<std::size_t>(index) / static_cast<std::size_t>(team_.count);
  }

  const Team& team_;
  std::size_t cols_;
  std::size_t parts_;
  int turn_ = 0;
};

// sum(begin, end) over the segments of a part, as a state.
template <class SegmentSum>
SIMDSOFTMAX_INLINE RowState add_segments(std::int64_t anchor, std::size_t begin, std::size_t end,
                                         const SegmentSum& sum) {
  RowState state = {anchor, {0.0, 0.0}};
  for (std::size_t i = begin; i < end; i += detail::segment_length) {
    const std::size_t segment_end = end - i < detail::segment_length ? end : i + detail::segment_length;
    accumulate(state.sum, sum(i, segment_end));
  }
  return state;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
