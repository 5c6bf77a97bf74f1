// SPDX-License-Identifier: Apache-2.0
// The three loops of every textbook, and what the compiler makes of them: at -O3 -ffast-math, with the vector functions
// of the C library where it has any.
#include <algorithm>
#include <cmath>
#include <limits>

#include "instructions.hpp"
#include "peer.hpp"

namespace {

using bench::Call;
using bench::Function;

template <class T>
void run_row(const T* x, T* y, std::size_t cols) {
  T max = -std::numeric_limits<T>::max();
  for (std::size_t c = 0; c < cols; ++c) max = std::max(max, x[c]);
  T sum = 0;
  for (std::size_t c = 0; c < cols; ++c) {
    y[c] = std::exp(x[c] - max);
    sum += y[c];
  }
  const T factor = 1 / sum;
  for (std::size_t c = 0; c < cols; ++c) y[c] *= factor;
}

template <class T>
std::function<void()> prepare_for(const Call& call) {
  return [call] {
    peer::for_each(call.threads, call.outer(), [&call](std::size_t r) {
      const std::size_t begin = r * call.cols();
      run_row(static_cast<const T*>(call.logits) + begin, static_cast<T*>(call.output) + begin, call.cols());
    });
  };
}

std::function<void()> prepare(const Call& call) {
  if (call.inner() != 1 || call.function != Function::softmax) return {};
  if (call.dtype == SIMDSOFTMAX_F32) return prepare_for<float>(call);
  if (call.dtype == SIMDSOFTMAX_F64) return prepare_for<double>(call);
  return {};
}

std::string version() {
#ifdef __clang__
  return "clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__);
#else
  return "gcc " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__);
#endif
}

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"loops", version, peer::is_compiled_isa, prepare};
