// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the losses of a row and their gradient are made of.

#include "operators/gradients.hpp"
#include "operators/log_softmax.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The sum of c(i) * -log p(i); classes with c = 0 add nothing. -log p = (max - z) + log_sum, no term negative.
template <class Source, class Coefficients>
class WeightedLosses {
 public:
  WeightedLosses(const Source& x, const Coefficients& c, const LogScale& scale)
      : x_(x), c_(c), max_(scale.max), max_low_(scale.max_low), log_sum_(scale.log_sum) {}

  SIMDSOFTMAX_INLINE F64 operator()(std::size_t i) const { return loss(x_(i), c_(i)); }
  SIMDSOFTMAX_INLINE F64 first(std::size_t i, std::size_t n) const { return loss(x_.first(i, n), c_.first(i, n)); }

 private:
  template <class Logit>
  SIMDSOFTMAX_INLINE F64 loss(const Logit& z, F64 weight) const {
    const F64 below = (max_ - high_part<double>(z)) + (max_low_ - low_part<double>(z));
    return xsimd::select(weight == F64(0.0), F64(0.0), weight * (below + log_sum_));
  }

  Source x_;
  Coefficients c_;
  F64 max_;
  F64 max_low_;
  F64 log_sum_;
};

// What coefficients c take from the gradient: factor * c, c in f64, rounded to the compute type of the logits.
template <class T, class Coefficients>
class Pull {
 public:
  Pull(const Coefficients& c, double factor) : c_(c), minus_factor_(-factor) {}

  // p * weight without it, for n columns from column i on.
  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> p, Vector<T> weight, std::size_t i, std::size_t n) const {
    if constexpr (sizeof(T) == sizeof(double)) {
      return mul_add(p, weight, part(i, n));
    } else {
      const std::size_t w = width<double>;
      return mul_add(p, weight, join_halves(part(i, n), n > w ? part(i + w, n - w) : F64(0.0)));
    }
  }

 private:
  SIMDSOFTMAX_INLINE F64 part(std::size_t i, std::size_t n) const {
    return (n < width<double> ? c_.first(i, n) : c_(i)) * minus_factor_;
  }

  Coefficients c_;
  F64 minus_factor_;
};
struct NoPull {
  template <class V>
  SIMDSOFTMAX_INLINE V operator()(V p, V weight, std::size_t, std::size_t) const {
    return p * weight;
  }
};

// Gradients from logits: p * weight without what pulls.
template <class Source, class Sink, class PullOf>
SIMDSOFTMAX_NOINLINE void loss_gradient_pass(const Source x, const Sink y, const RowState& state,
                                             const Normalizer<typename Source::T>& normalizer, double weight,
                                             const PullOf& pull_of, std::size_t n) {
  using T = typename Source::T;
  const Exp<T, true> exp(state.anchor);
  const Normalizer<T> normalize = normalizer;
  const Vector<T> of_p(static_cast<T>(weight));
  const PullOf pull = pull_of;
  for_each_vector<T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { y(i, pull(normalize(exp(x(i))), of_p, i, width<T>)); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { y.first(i, m, pull(normalize(exp(x.first(i, m))), of_p, i, m)); });
}

// e^x - 1 for x <= 0. Maximum error: 3 ULP (Kahan's way: the errors of e^x and of its log cancel).
SIMDSOFTMAX_INLINE double exp_minus_one(double x) {
  const double e = scalar_exp(x);
  if (e == 1) return x;
  return e > 0.5 ? (e - 1) * x / scalar_log(e) : e - 1;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
