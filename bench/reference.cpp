// SPDX-License-Identifier: Apache-2.0
#include "reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
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

// The largest power of two that is not above a positive normal x; 0 for 0. (std::ilogb would take most of the time.)
double power_of_two_below(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= 0x7ff0'0000'0000'0000;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

template <class Wide>
class Meter {
 public:
  Meter(const ElementType& out, std::vector<Wide> expected)
      : out_(out),
        expected_(std::make_shared<const std::vector<Wide>>(std::move(expected))),
        smallest_normal_(std::ldexp(1.0, out.min_exponent)),
        units_per_binade_(std::ldexp(1.0, out.mantissa_bits)),
        flushed_below_(out.dtype == SIMDSOFTMAX_F64 ? std::numeric_limits<double>::min()
                                                    : static_cast<double>(std::numeric_limits<float>::min())) {}

  double operator()(const void* output) const {
    double worst = 0;
    for (std::size_t i = 0; i < expected_->size(); ++i) {
      worst = std::max(worst, error(load(out_, output, i), (*expected_)[i]));
    }
    return worst;
  }

 private:
  double error(double value, Wide expected) const {
    if (std::isnan(value) != std::isnan(expected)) return std::numeric_limits<double>::infinity();
    if (std::isnan(value)) return 0;
    // Results below the smallest normal number of the compute type are exactly zero; near the border both are right.
    if (expected < flushed_below_ * Wide(1.01) && value == 0) return 0;
    if (expected < flushed_below_ * Wide(0.99)) expected = 0;
    const double binade = std::max(power_of_two_below(static_cast<double>(expected)), smallest_normal_);
    return static_cast<double>(std::fabs(static_cast<Wide>(value) - expected)) / binade * units_per_binade_;
  }

  const ElementType& out_;
  std::shared_ptr<const std::vector<Wide>> expected_;
  double smallest_normal_;
  double units_per_binade_;
  Wide flushed_below_;
};

template <class Wide>
ErrorMeter make_meter(const ElementType& in, const void* logits, const ElementType& out, std::size_t rows,
                      std::size_t cols) {
  return Meter<Wide>(out, softmax<Wide>(in, logits, rows, cols));
}

}  // namespace

ErrorMeter make_error_meter(const ElementType& in, const void* logits, const ElementType& out, std::size_t rows,
                            std::size_t cols) {
  return out.dtype == SIMDSOFTMAX_F64 ? make_meter<long double>(in, logits, out, rows, cols)
                                      : make_meter<double>(in, logits, out, rows, cols);
}

double error_limit(const ElementType& out, simdsoftmax_accuracy accuracy) {
  if (accuracy == SIMDSOFTMAX_FAST)
    return std::ldexp(1.0, out.mantissa_bits + 1 - 12) + 1;  // of the value, and rounded
  return out.size == 2 ? 1 : 16;
}

}  // namespace bench
