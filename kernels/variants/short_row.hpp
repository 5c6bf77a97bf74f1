// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/normalize.hpp"
#include "passes/row_totals.hpp"
#include "staging/plain_row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The longest row that goes alone, its exponentials on the stack.
template <class T>
constexpr std::size_t longest_short = 8192 / sizeof(T);

// A row that is all of a call: what counts is how long each step waits for the one before. Any power of two near the
// maximum serves as anchor, and that of the first logit is known before the others have been looked at. False, with
// nothing written, if a logit lies too far above it, or the first one is infinite, NaN or huge.
template <Accuracy accuracy, class In, class Out>
SIMDSOFTMAX_NOINLINE bool short_row(const In* x, Out* y, std::size_t cols) {
  using T = Compute<In>;
  const T near = first_of(x);
  constexpr T most = ExpRange<T>::giant - ExpRange<T>::climb;
  if (!(near < most && near > -most)) return false;
  alignas(64) T e[longest_short<T>];
  const Exp<T, true, accuracy> exp(anchor_near(near), near);
  const PlainSource<In, true> logits{x};
  const Sink<T> stash{e};
  const auto lanes = lanes_of<T, accuracy>(
      cols,
      [&](const auto& at) __attribute__((always_inline)) {
        const auto v = exp(map(logits, at));
        put(stash, at, v);
        return v;
      },
      [&](std::size_t i, std::size_t n) __attribute__((always_inline)) {
        const Vector<T> v = keep_first(exp(load_first(x + i, n, Vector<T>(T(0)))), n);
        store_first(e + i, n, v);
        return v;
      });
  const SplitSum sum = lanes.total();
  if (!(sum.high < climbed_sum<T>)) return false;
  const Normalizer<T, accuracy> normalize(sum, smallest_result<Out>);
  const Sink<Out> to{y};
  for_each_vector<T>(
      0, cols, [&](std::size_t i) __attribute__((always_inline)) { to(i, normalize(load(e + i))); },
      [&](std::size_t i, std::size_t n)
          __attribute__((always_inline)) { to.first(i, n, normalize(load_first(e + i, n, Vector<T>(T(0))))); });
  return true;
}

template <class In, class Out, Accuracy accuracy = Accuracy::balanced>
bool single_row(const void* logits, void* output, std::size_t cols) {
  if (cols == 1 || cols > longest_short<Compute<In>>) return false;
  return short_row<accuracy>(static_cast<const In*>(logits), static_cast<Out*>(output), cols);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
