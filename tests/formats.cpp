// SPDX-License-Identifier: Apache-2.0
#include "formats.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ostream>
#include <stdexcept>

namespace softmax_test {
namespace {

// Of the exponents of normal doubles. (std::ldexp takes most of the time of the tests.)
double power_of_two(int exponent) {
  const std::uint64_t bits = static_cast<std::uint64_t>(exponent + 1023) << 52;
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The 16-bit formats: sign, exponent field, fraction, all derived from the precision.
std::uint16_t to_word(const Format& format, double value) {
  const int fraction_bits = format.precision - 1;
  const unsigned sign = std::signbit(value) ? 0x8000U : 0U;
  const unsigned infinity = 0x7fffU >> fraction_bits << fraction_bits;
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | infinity | (1U << (fraction_bits - 1)));
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | infinity);
  const double magnitude = std::fabs(value);
  const double unit = power_of_two(format.min_exponent - fraction_bits);
  if (magnitude < min_normal(format)) return static_cast<std::uint16_t>(sign | static_cast<unsigned>(magnitude / unit));
  const int exponent = std::ilogb(magnitude);
  const auto significand = static_cast<unsigned>(magnitude * power_of_two(fraction_bits - exponent));
  const auto field = static_cast<unsigned>(exponent - format.min_exponent);  // the hidden bit adds the missing one
  return static_cast<std::uint16_t>(sign | ((field << fraction_bits) + significand));
}

double from_word(const Format& format, std::uint16_t word) {
  const int fraction_bits = format.precision - 1;
  const unsigned fraction = word & ((1U << fraction_bits) - 1U);
  const unsigned field = (word & 0x7fffU) >> fraction_bits;
  const double sign = (word & 0x8000U) != 0 ? -1.0 : 1.0;
  if (field == 0x7fffU >> fraction_bits) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  }
  const unsigned significand = field == 0 ? fraction : fraction | (1U << fraction_bits);
  const int exponent = static_cast<int>(std::max(field, 1U)) - 1 + format.min_exponent - fraction_bits;
  return sign * static_cast<double>(significand) * power_of_two(exponent);
}

}  // namespace

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {{SIMDSOFTMAX_F32, "f32", 4, 24, -126, 127, false},
                                          {SIMDSOFTMAX_F64, "f64", 8, 53, -1022, 1023, false},
                                          {SIMDSOFTMAX_F16, "f16", 2, 11, -14, 15, true},
                                          {SIMDSOFTMAX_BF16, "bf16", 2, 8, -126, 127, false}};
  return all;
}

const Format& format_of(simdsoftmax_dtype dtype) { return formats().at(static_cast<std::size_t>(dtype)); }

const Format& format_named(const std::string& name) {
  for (const Format& format : formats()) {
    if (name == format.name) return format;
  }
  throw std::invalid_argument("no element type named " + name);
}

double min_normal(const Format& format) { return power_of_two(format.min_exponent); }

double largest(const Format& format) {
  return (2.0 - power_of_two(1 - format.precision)) * power_of_two(format.max_exponent);
}

double round_to(const Format& format, double value) {
  if (value == 0.0 || !std::isfinite(value) || format.dtype == SIMDSOFTMAX_F64) return value;
  const double limit = largest(format);
  const int last_place = std::max(std::ilogb(value), format.min_exponent) - (format.precision - 1);
  const double rounded = std::nearbyint(value * power_of_two(-last_place)) * power_of_two(last_place);
  return std::clamp(rounded, -limit, limit);
}

void store(const Format& format, double value, void* to) {
  if (format.dtype == SIMDSOFTMAX_F64) {
    std::memcpy(to, &value, sizeof value);
  } else if (format.dtype == SIMDSOFTMAX_F32) {
    const auto single = static_cast<float>(value);
    std::memcpy(to, &single, sizeof single);
  } else {
    const std::uint16_t word = to_word(format, value);
    std::memcpy(to, &word, sizeof word);
  }
}

double load(const Format& format, const void* from) {
  if (format.dtype == SIMDSOFTMAX_F64) {
    double value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  if (format.dtype == SIMDSOFTMAX_F32) {
    float value = 0;
    std::memcpy(&value, from, sizeof value);
    return static_cast<double>(value);
  }
  std::uint16_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return from_word(format, word);
}

Bytes encode(simdsoftmax_dtype dtype, const std::vector<double>& values) {
  const Format& format = format_of(dtype);
  Bytes bytes(values.size() * format.bytes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    store(format, round_to(format, values[i]), bytes.data() + i * format.bytes);
  }
  return bytes;
}

std::vector<double> decode(simdsoftmax_dtype dtype, const Bytes& bytes) {
  const Format& format = format_of(dtype);
  std::vector<double> values(bytes.size() / format.bytes);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = load(format, bytes.data() + i * format.bytes);
  return values;
}

const std::vector<Pair>& pairs() {
  static const std::vector<Pair> all = {{SIMDSOFTMAX_F32, SIMDSOFTMAX_F32},   {SIMDSOFTMAX_F64, SIMDSOFTMAX_F64},
                                        {SIMDSOFTMAX_F16, SIMDSOFTMAX_F16},   {SIMDSOFTMAX_F16, SIMDSOFTMAX_F32},
                                        {SIMDSOFTMAX_BF16, SIMDSOFTMAX_BF16}, {SIMDSOFTMAX_BF16, SIMDSOFTMAX_F32},
                                        {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16},   {SIMDSOFTMAX_F32, SIMDSOFTMAX_BF16}};
  return all;
}

std::string name_of(const Pair& pair) {
  return std::string(format_of(pair.in).name) + "_to_" + format_of(pair.out).name;
}

void PrintTo(const Pair& pair, std::ostream* stream) { *stream << name_of(pair); }

}  // namespace softmax_test
