// SPDX-License-Identifier: Apache-2.0
#include "reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace bench {
namespace {

// Sums in two levels: with one accumulator a row of millions would lose bits even here.
template <class Wide>
Wide sum(const Wide* values, std::size_t count) {
  constexpr std::size_t block = 1024;
  Wide total = 0;
  for (std::size_t begin = 0; begin < count; begin += block) {
    Wide partial = 0;
    for (std::size_t i = begin; i < std::min(count, begin + block); ++i) partial += values[i];
    total += partial;
  }
  return total;
}

// NaN, +inf and a row of only -inf become a row of NaN by the arithmetic alone.
template <class Wide>
std::vector<Wide> softmax(const ElementType& in, const void* logits, std::size_t rows, std::size_t cols) {
  std::vector<Wide> result(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) {
    Wide* row = result.data() + r * cols;
    for (std::size_t c = 0; c < cols; ++c) row[c] = static_cast<Wide>(load(in, logits, r * cols + c));
    const Wide max = *std::max_element(row, row + cols);
    for (std::size_t c = 0; c < cols; ++c) row[c] = std::exp(row[c] - max);
    const Wide denominator = sum(row, cols);
    for (std::size_t c = 0; c < cols; ++c) row[c] /= denominator;
  }
  return result;
}

template <class Wide>
double ulp_error(const ElementType& out, double value, Wide expected) {
  if (std::isnan(value) != std::isnan(expected)) return std::numeric_limits<double>::infinity();
  if (std::isnan(value)) return 0;
  // Results below the smallest normal number of the compute type are exactly zero; near the border both are right.
  const Wide flushed_below = out.dtype == SIMDSOFTMAX_F64 ? static_cast<Wide>(std::numeric_limits<double>::min())
                                                          : static_cast<Wide>(std::numeric_limits<float>::min());
  if (expected < flushed_below * Wide(1.01) && value == 0) return 0;
  if (expected < flushed_below * Wide(0.99)) expected = 0;
  const int exponent = expected == 0 ? out.min_exponent : std::max(std::ilogb(expected), out.min_exponent);
  const Wide error = std::fabs(static_cast<Wide>(value) - expected);
  return static_cast<double>(std::ldexp(error, out.mantissa_bits - exponent));
}

template <class Wide>
ErrorMeter make_meter(const ElementType& in, const void* logits, const ElementType& out, std::size_t rows,
                      std::size_t cols) {
  const auto expected = std::make_shared<const std::vector<Wide>>(softmax<Wide>(in, logits, rows, cols));
  return [expected, &out](const void* output) {
    double worst = 0;
    for (std::size_t i = 0; i < expected->size(); ++i) {
      worst = std::max(worst, ulp_error(out, load(out, output, i), (*expected)[i]));
    }
    return worst;
  };
}

}  // namespace

ErrorMeter make_error_meter(const ElementType& in, const void* logits, const ElementType& out, std::size_t rows,
                            std::size_t cols) {
  return out.dtype == SIMDSOFTMAX_F64 ? make_meter<long double>(in, logits, out, rows, cols)
                                      : make_meter<double>(in, logits, out, rows, cols);
}

double error_limit(const ElementType& out) { return out.size == 2 ? 1 : 16; }

}  // namespace bench
