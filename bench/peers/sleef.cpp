// SPDX-License-Identifier: Apache-2.0
// What a kernel of one's own would be with SLEEF's exponential (1.0 ULP): maximum, exponentials and sum, scale.
#include <immintrin.h>
#include <sleef.h>

#include <algorithm>
#include <limits>

#include "instructions.hpp"
#include "peer.hpp"

namespace {

using bench::Call;
using bench::Function;

// Eight or sixteen floats.
#ifdef __AVX512F__
struct Vector {
  using V = __m512;
  static constexpr std::size_t width = 16;
  static V load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  static V set(float x) { return _mm512_set1_ps(x); }
  static V exp(V v) { return Sleef_expf16_u10avx512f(v); }
};
#else
struct Vector {
  using V = __m256;
  static constexpr std::size_t width = 8;
  static V load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  static V set(float x) { return _mm256_set1_ps(x); }
  static V exp(V v) { return Sleef_expf8_u10avx2(v); }
};
#endif
using V = Vector::V;
constexpr std::size_t width = Vector::width;
constexpr float lowest = -std::numeric_limits<float>::infinity();

V max(V a, V b) { return a > b ? a : b; }

// The rest of a row, with the lanes behind it filled up.
V load_tail(const float* x, std::size_t count) {
  float lanes[width];
  std::fill_n(std::copy_n(x, count, lanes), width - count, lowest);
  return Vector::load(lanes);
}

void store_tail(float* y, V v, std::size_t count) {
  float lanes[width];
  Vector::store(lanes, v);
  std::copy_n(lanes, count, y);
}

void run_row(const float* x, float* y, std::size_t cols) {
  const std::size_t body = cols / width * width;
  const std::size_t tail = cols - body;
  float lanes[width];
  V maxima = tail > 0 ? load_tail(x + body, tail) : Vector::set(lowest);
  for (std::size_t c = 0; c < body; c += width) maxima = max(maxima, Vector::load(x + c));
  Vector::store(lanes, maxima);
  const V shift = Vector::set(*std::max_element(lanes, lanes + width));
  V sums = Vector::set(0);
  for (std::size_t c = 0; c < body; c += width) {
    const V e = Vector::exp(Vector::load(x + c) - shift);
    Vector::store(y + c, e);
    sums += e;
  }
  if (tail > 0) {
    const V e = Vector::exp(load_tail(x + body, tail) - shift);
    store_tail(y + body, e, tail);
    sums += e;
  }
  Vector::store(lanes, sums);
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  const V factor = Vector::set(1 / sum);
  for (std::size_t c = 0; c < body; c += width) Vector::store(y + c, Vector::load(y + c) * factor);
  for (std::size_t c = body; c < cols; ++c) y[c] *= 1 / sum;
}

std::function<void()> prepare(const Call& call) {
  if (call.inner() != 1 || call.function != Function::softmax || call.dtype != SIMDSOFTMAX_F32) return {};
  return [call] {
    peer::for_each(call.threads, call.outer(), [&call](std::size_t r) {
      const std::size_t begin = r * call.cols();
      run_row(static_cast<const float*>(call.logits) + begin, static_cast<float*>(call.output) + begin, call.cols());
    });
  };
}

std::string version() {
  return std::to_string(SLEEF_VERSION_MAJOR) + "." + std::to_string(SLEEF_VERSION_MINOR) + "." +
         std::to_string(SLEEF_VERSION_PATCHLEVEL);
}

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"SLEEF", version, peer::is_compiled_isa, prepare};
