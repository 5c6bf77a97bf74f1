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
  std::size_t i = 0;
  const auto full = [&](std::size_t k) __attribute__((always_inline)) {
    const Vector<T> v = exp(x(i + k));
    e(i + k, v);
    return v;
  };
  const auto last = [&](std::size_t k, std::size_t m) __attribute__((always_inline)) {
    const Vector<T> v = keep_first(exp(x.first(i + k, m)), m);
    e.first(i + k, m, v);
    return v;
  };
  constexpr std::size_t chunk = chunk_length<T>;
  if constexpr (chunk == virtual_width<T>) {  // one vector at a time took 1.05 times as long
    for (; i + 2 * chunk <= n; i += 2 * chunk) {
      sum.add(full);
      sum.add([&](std::size_t k) __attribute__((always_inline)) { return full(k + chunk); });
    }
  }
  for (; i + chunk <= n; i += chunk) sum.add(full);
  if (i < n) sum.add_first(n - i, full, last);
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
    const Vector<T> hi = high_part<T>(x);
    return xsimd::select((hi == max_) | (hi <= exp_.lowest()), Vector<T>(T(0)), exp_(x));
  }

 private:
  Exp<T> exp_;
  Vector<T> max_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
