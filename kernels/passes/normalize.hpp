// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/split_sum.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What turns the exponentials of a row into probabilities: a multiplication, and exactly zero for what would come out
// below the smallest normal number (a subnormal would be slow in whatever reads it, and would depend on FTZ).
//
// The factor is the sum of two numbers: its rounding alone would cost up to 1 ULP. Products with the lower one could be
// subnormal, so the factor is kept 2^64 times as large and each result taken back, which is exact.
template <class T>
class Normalizer {
 public:
  explicit Normalizer(const SplitSum& sum) {
    const double all = total(sum);
    const double factor = lift / all;
    factor_ = static_cast<T>(factor);
    factor_low_ = static_cast<T>(remainder(sum) * (factor / lift));
    // The smallest exponential whose probability is surely a normal number.
    constexpr double margin = 1 + (sizeof(T) == 4 ? 0x1p-22 : 0x1p-51);
    smallest_ = static_cast<T>(static_cast<double>(Limits<T>::smallest_normal) * all * margin);
  }

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> e) const {
    const Vector<T> lifted = mul_add(e, Vector<T>(factor_), e * Vector<T>(factor_low_));
    return where_at_least(e, Vector<T>(smallest_), lifted * Vector<T>(static_cast<T>(1 / lift)));
  }

 private:
  static constexpr double lift = 0x1p64;

  // lift - factor * sum. For f32 the product is exact enough in f64.
  SIMDSOFTMAX_INLINE double remainder(const SplitSum& sum) const {
    const double factor = static_cast<double>(factor_);
    const double product = factor * sum.high;
    double error = 0;
    if constexpr (sizeof(T) == 8) error = product_error(F64(factor), F64(sum.high), F64(product)).get(0);
    return lift - product - error - factor * sum.low;
  }

  T factor_;
  T factor_low_;
  T smallest_;
};

// Probabilities from stored exponentials. The sink may write where the source reads.
template <class Source, class Sink>
SIMDSOFTMAX_NOINLINE void scale_pass(const Source e, const Sink y, const SplitSum& sum, std::size_t begin,
                                     std::size_t end) {
  using T = typename Source::T;
  const Normalizer<T> normalize(sum);
  for_each_vector<T>(
      begin, end, [&](std::size_t i) __attribute__((always_inline)) { y(i, normalize(e(i))); },
      [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, normalize(e.first(i, n))); });
}

// Probabilities from logits. The sink may write where the source reads.
template <class Source, class Sink, class Exp>
SIMDSOFTMAX_NOINLINE void exp_scale_pass(const Source x, const Sink y, const Exp& exp_of, const SplitSum& sum,
                                         std::size_t begin, std::size_t end) {
  using T = typename Source::T;
  const Exp exp = exp_of;
  const Normalizer<T> normalize(sum);
  for_each_vector<T>(
      begin, end, [&](std::size_t i) __attribute__((always_inline)) { y(i, normalize(exp(x(i)))); },
      [&](std::size_t i, std::size_t n)
          __attribute__((always_inline)) { y.first(i, n, normalize(exp(x.first(i, n)))); });
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
