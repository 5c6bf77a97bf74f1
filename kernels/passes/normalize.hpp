// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/split_sum.hpp"
#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What turns the exponentials of a row into probabilities: a multiplication, and exactly zero for what would come out
// below the smallest normal number (a subnormal would be slow in whatever reads it, and would depend on FTZ).
template <class T>
class Normalizer {
 public:
  explicit Normalizer(const SplitSum& sum) : factor_(static_cast<T>(1.0 / total(sum))) {
    if constexpr (corrected) factor_low_ = remainder(sum) / sum.high;
    // The smallest exponential whose probability is a normal number; none, if this is nothing beside the sum.
    smallest_ = factor_ == 0 ? Limits<T>::infinity
                             : static_cast<T>(static_cast<double>(Limits<T>::smallest_normal) /
                                              static_cast<double>(factor_) * (1 + (corrected ? 0x1p-52 : 0x1p-23)));
  }

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> e) const {
    const Vector<T> kept = zero_below(e, Vector<T>(smallest_));
    if constexpr (corrected) return mul_add(kept, Vector<T>(factor_), kept * Vector<T>(factor_low_));
    return kept * Vector<T>(factor_);
  }

 private:
  // In f64 the rounding of the factor would cost up to 1 of the 4 ULP; f32 can afford it, and its correction would be
  // subnormal, and slow, already for probabilities below 2^-102.
  static constexpr bool corrected = sizeof(T) == sizeof(double);

  // 1 - factor * sum.
  SIMDSOFTMAX_INLINE double remainder(const SplitSum& sum) const {
    const F64 product = F64(factor_) * F64(sum.high);
    const F64 error = product_error(F64(factor_), F64(sum.high), product);
    return ((F64(1.0) - product) - error).get(0) - factor_ * sum.low;
  }

  T factor_;
  T factor_low_ = 0;
  T smallest_;
};

// Probabilities from stored exponentials. The sink may write where the source reads.
template <class Source, class Sink>
SIMDSOFTMAX_NOINLINE void scale_pass(const Source& e, const Sink& y, const SplitSum& sum, std::size_t begin,
                                     std::size_t end) {
  using T = typename Source::T;
  const Normalizer<T> normalize(sum);
  for_each_vector<T>(
      begin, end, [&](std::size_t i) __attribute__((always_inline)) { y(i, normalize(e(i))); },
      [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, normalize(e.first(i, n))); });
}

// Probabilities from logits. The sink may write where the source reads.
template <class Source, class Sink, class Exp>
SIMDSOFTMAX_NOINLINE void exp_scale_pass(const Source& x, const Sink& y, const Exp& exp_of, const SplitSum& sum,
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
