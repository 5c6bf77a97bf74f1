// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/source.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What log-probabilities of a row need: z - logsumexp(z) = (z - max) - (log_sum + max_low), the maximum being
// max + max_low and log_sum + log_sum_low = log(sum of exp(z - max)).
struct LogScale {
  double max;
  double max_low;
  double log_sum;
  double log_sum_low;
};

// What there is beside log_sum, that being rounded to T.
template <class T>
SIMDSOFTMAX_INLINE T rest_of(const LogScale& scale) {
  const auto log_sum = static_cast<double>(static_cast<T>(scale.log_sum));
  return static_cast<T>(scale.log_sum - log_sum + (scale.log_sum_low + scale.max_low));
}

// No term is rounded before the last but z - max, which is exact near the maximum and else rounded once.
template <class T>
class LogNormalizer {
 public:
  explicit LogNormalizer(const LogScale& scale)
      : LogNormalizer(static_cast<T>(scale.max), static_cast<T>(scale.log_sum), rest_of<T>(scale)) {}
  LogNormalizer(T max, T log_sum, T rest) : LogNormalizer(Vector<T>(max), Vector<T>(log_sum), Vector<T>(rest)) {}
  // Of a row for each lane.
  LogNormalizer(Vector<T> max, Vector<T> log_sum, Vector<T> rest) : max_(max), log_sum_(log_sum), rest_(rest) {}

  template <class Logit>
  SIMDSOFTMAX_INLINE Vector<T> operator()(const Logit& z) const {
    const Vector<T> below = high_part<T>(z) - max_;
    const Vector<T> log = (below - log_sum_) + (low_part<T>(z) - rest_);
    if constexpr (sizeof(Logit) == sizeof(Vector<T>)) return log;
    // The lo of the maximum may be a part of log_sum, and that is rounded.
    const Vector<T> at_most_0 = min_or_second(Vector<T>(T(0)), log);
    // The lo of -inf may be NaN.
    return xsimd::select(below == Vector<T>(-Limits<T>::infinity), below, at_most_0);
  }

 private:
  Vector<T> max_;
  Vector<T> log_sum_;
  Vector<T> rest_;
};

// Log-probabilities from logits. The sink may write where the source reads.
template <class Source, class Sink, class Before = Nothing>
SIMDSOFTMAX_INLINE void write_logs(const Source& x, const Sink& y, const LogNormalizer<typename Source::T>& log,
                                   std::size_t n, const Before& before = {}) {
  for_each_vector<typename Source::T>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { y(i, log(x(i))); },
      [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { y.first(i, m, log(x.first(i, m))); }, before);
}
template <class Source, class Sink>
SIMDSOFTMAX_NOINLINE void log_pass(const Source x, const Sink y, const LogScale& scale, std::size_t n) {
  write_logs(x, y, LogNormalizer<typename Source::T>(scale), n);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
