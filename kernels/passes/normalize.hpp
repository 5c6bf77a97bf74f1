// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/exp.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What turns the exponentials of a row into probabilities: a multiplication, and exactly zero for what would come out
// below the smallest normal number (a subnormal would be slow in whatever reads it, and would depend on FTZ).
template <class T>
struct Normalizer {
  T factor;
  T smallest;  // the smallest exponential whose probability is a normal number

  explicit Normalizer(double sum) : factor(static_cast<T>(1.0 / sum)) {
    if (factor == 0) {  // a part of a row that is nothing beside the rest
      smallest = Limits<T>::infinity;
    } else {
      smallest = static_cast<T>(static_cast<double>(Limits<T>::smallest_normal) / static_cast<double>(factor) *
                                (1 + (sizeof(T) == 4 ? 0x1p-23 : 0x1p-52)));
    }
  }

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> e) const {
    return zero_below(e, Vector<T>(smallest)) * Vector<T>(factor);
  }
};

// Probabilities from stored exponentials. The sink may write where the source reads.
template <class Source, class Sink>
SIMDSOFTMAX_NOINLINE void scale_pass(const Source& e, const Sink& y, double sum, std::size_t begin, std::size_t end) {
  using T = typename Source::T;
  const Normalizer<T> normalize(sum);
  for_each_vector<T>(
      begin, end, [&](std::size_t i) __attribute__((always_inline)) { y(i, normalize(e(i))); },
      [&](std::size_t i, std::size_t n) __attribute__((always_inline)) { y.first(i, n, normalize(e.first(i, n))); });
}

// Probabilities from logits. The sink may write where the source reads.
template <class Source, class Sink, class Exp>
SIMDSOFTMAX_NOINLINE void exp_scale_pass(const Source& x, const Sink& y, const Exp& exp_of, double sum,
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
