// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/lane_sum.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The sum of exp(x) over [begin, end), relative to the anchor of exp; the exponentials go to the sink. NaN if and only
// if a logit is NaN.
template <class Source, class Sink, class Exp>
SIMDSOFTMAX_NOINLINE SplitSum exp_sum_pass(const Source x, const Sink e, const Exp& exp_of, std::size_t begin,
                                           std::size_t end) {
  using T = typename Source::T;
  const Exp exp = exp_of;
  LaneSum<T> sum;
  std::size_t i = begin;
  const auto full = [&](std::size_t k) __attribute__((always_inline)) {
    const Vector<T> v = exp(x(i + k));
    e(i + k, v);
    return v;
  };
  const auto last = [&](std::size_t k, std::size_t n) __attribute__((always_inline)) {
    const Vector<T> v = keep_first(exp(x.first(i + k, n)), n);
    e.first(i + k, n, v);
    return v;
  };
  for (; i + chunk_length<T> <= end; i += chunk_length<T>) sum.add(full);
  if (i < end) sum.add_first(end - i, full, last);
  return sum.total();
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
