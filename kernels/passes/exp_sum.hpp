// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/lane_sum.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Adds exp(x) of n logits to the lanes, relative to the anchor of exp; the exponentials go to the sink. All calls for a
// segment but the last take whole chunks. The sum is NaN if and only if a logit is NaN.
template <class Source, class Sink, class Exp, class Lanes>
SIMDSOFTMAX_NOINLINE void exp_sum_pass(const Source x, const Sink e, const Exp& exp_of, std::size_t n, Lanes& lanes) {
  using T = typename Source::T;
  const Exp exp = exp_of;
  Lanes sum = lanes;
  add_values<T>(
      sum, 0, n,
      [&](const auto& at) __attribute__((always_inline)) {
        const auto v = exp(map(x, at));
        put(e, at, v);
        return v;
      },
      [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
        const Vector<T> v = keep_first(exp(x.first(i, m)), m);
        e.first(i, m, v);
        return v;
      });
  lanes = sum;
}

// exp for the sum of all that is not the row's maximum. What lies below the range of the anchor counts as zero, not as
// the end of the range: nothing larger is there to drown it.
template <class T>
class ExpOfOthers {
 public:
  ExpOfOthers(const Exp<T>& exp, T max) : exp_(exp), max_(max) {}

  template <class Logit>
  SIMDSOFTMAX_INLINE Vector<T> operator()(const Logit& x) const {
    return others(x, exp_(x));
  }
  template <class Logit>
  SIMDSOFTMAX_INLINE Wave<Vector<T>> operator()(const Wave<Logit>& x) const {
    return each(
        [&](const Logit& z, const Vector<T>& v) __attribute__((always_inline)) { return others(z, v); }, x, exp_(x));
  }

 private:
  template <class Logit>
  SIMDSOFTMAX_INLINE Vector<T> others(const Logit& x, const Vector<T>& v) const {
    const Vector<T> hi = high_part<T>(x);
    return xsimd::select((hi == max_) | (hi <= exp_.lowest()), Vector<T>(T(0)), v);
  }

  Exp<T> exp_;
  Vector<T> max_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
