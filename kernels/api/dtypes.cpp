// SPDX-License-Identifier: Apache-2.0
#include "api/dtypes.hpp"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "api/doubles.hpp"

namespace simdsoftmax::detail {

namespace {

bool is_finite_in(simdsoftmax_dtype logits, double theta) {
  return logits == SIMDSOFTMAX_F64 || is_at_most(theta, static_cast<double>(FLT_MAX));
}

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(T value, char* to) {
  std::memcpy(to, &value, sizeof value);
}

// A binary format of 16 bits: its fraction bits and its smallest exponent of a normal number.
struct HalfFormat {
  int fraction_bits;
  int least_exponent;

  std::uint16_t infinity() const { return static_cast<std::uint16_t>(0x7FFFu >> fraction_bits << fraction_bits); }
};
constexpr HalfFormat f16_format = {10, -14};
constexpr HalfFormat bf16_format = {7, -126};

constexpr int f64_fraction_bits = 52;
constexpr int f64_bias = 1023;
constexpr std::uint64_t f64_implicit_one = std::uint64_t{1} << f64_fraction_bits;

// Of normal numbers.
double power_of_two(int exponent) {
  const std::uint64_t bits = static_cast<std::uint64_t>(exponent + f64_bias) << f64_fraction_bits;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

double from_half(std::uint16_t bits, const HalfFormat& format) {
  const auto magnitude = static_cast<std::uint16_t>(bits & 0x7FFFu);
  const double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  if (magnitude > format.infinity()) return std::nan("");
  if (magnitude == format.infinity()) return sign * HUGE_VAL;
  const int field = magnitude >> format.fraction_bits;
  const int exponent = (field > 0 ? field - 1 : 0) + format.least_exponent - format.fraction_bits;
  const int fraction = magnitude - (field << format.fraction_bits);
  const int significand = field > 0 ? fraction + (1 << format.fraction_bits) : fraction;
  return sign * significand * power_of_two(exponent);
}

// The encodings of numbers that are not negative are in their order: a significand that rounds up to the next power of
// two, or to infinity, gives the right encoding by itself.
std::uint16_t to_half(double value, const HalfFormat& format) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<std::uint16_t>(bits >> 48 & 0x8000u);
  const auto with_sign = [sign](std::uint64_t magnitude) { return static_cast<std::uint16_t>(sign | magnitude); };
  if (std::isnan(value)) return with_sign(format.infinity() | 1u << (format.fraction_bits - 1));
  const int exponent = static_cast<int>(bits >> f64_fraction_bits & 0x7FFu) - f64_bias;
  if (exponent > 1 - format.least_exponent) return with_sign(format.infinity());
  // From here on subnormals of f64 are 0 too.
  const int below = exponent < format.least_exponent ? format.least_exponent - exponent : 0;
  const int shift = f64_fraction_bits - format.fraction_bits + below;
  if (shift > f64_fraction_bits + 1) return with_sign(0);
  const std::uint64_t significand = (bits & (f64_implicit_one - 1)) | f64_implicit_one;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  std::uint64_t rounded = significand >> shift;
  rounded += rest > half || (rest == half && (rounded & 1u) != 0);
  const auto binades = static_cast<std::uint64_t>(below > 0 ? 0 : exponent - format.least_exponent);
  return with_sign((binades << format.fraction_bits) + rounded);
}

}  // namespace

simdsoftmax_status check_logits_dtype(simdsoftmax_dtype logits, double theta) {
  if (!is_real(logits)) return SIMDSOFTMAX_BAD_DTYPE;
  return is_finite_in(logits, theta) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_THETA;
}

simdsoftmax_status check_dtypes(simdsoftmax_dtype logits, simdsoftmax_dtype output, double theta) {
  if (!is_real(logits) || !is_real(output)) return SIMDSOFTMAX_BAD_DTYPE;
  const bool offered = logits == output || (is_half(logits) && output == SIMDSOFTMAX_F32) ||
                       (logits == SIMDSOFTMAX_F32 && is_half(output));
  if (!offered) return SIMDSOFTMAX_BAD_DTYPE_PAIR;
  return is_finite_in(logits, theta) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_THETA;
}

simdsoftmax_status check_compute_dtype(simdsoftmax_dtype logits, simdsoftmax_dtype dtype) {
  if (!is_real(dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  return compute_index(logits) == compute_index(dtype) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_DTYPE_PAIR;
}

double load_real(const char* from, Dtype dtype) {
  switch (dtype) {
    case Dtype::f64:
      return load<double>(from);
    case Dtype::f16:
      return from_half(load<std::uint16_t>(from), f16_format);
    case Dtype::bf16:
      return from_half(load<std::uint16_t>(from), bf16_format);
    default:
      return static_cast<double>(load<float>(from));
  }
}

void store_real(double value, char* to, Dtype dtype) {
  switch (dtype) {
    case Dtype::f64:
      return store(value, to);
    case Dtype::f16:
      return store(to_half(value, f16_format), to);
    case Dtype::bf16:
      return store(to_half(value, bf16_format), to);
    default:
      return store(static_cast<float>(value), to);
  }
}

}  // namespace simdsoftmax::detail
