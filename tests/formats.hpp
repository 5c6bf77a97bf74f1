// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_FORMATS_HPP
#define SIMDSOFTMAX_TESTS_FORMATS_HPP

// The element types as the tests know them. Conversions are arithmetic on doubles and share nothing with the library:
// every value of every format is exact in a double.

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace softmax_test {

using Bytes = std::vector<unsigned char>;

struct Format {
  simdsoftmax_dtype dtype;
  const char* name;
  std::size_t bytes;
  int precision;          // significant bits, the hidden one counted
  int min_exponent;       // 2^min_exponent is the smallest normal value
  int max_exponent;       // 2^max_exponent is the binade of the largest value
  bool keeps_subnormals;  // what softmax does with results below the smallest normal value
};

const std::vector<Format>& formats();
const Format& format_of(simdsoftmax_dtype dtype);
const Format& format_named(const std::string& name);

double min_normal(const Format& format);
double largest(const Format& format);

// Nearest value of the format, ties to even; finite values beyond the largest become the largest.
double round_to(const Format& format, double value);

void store(const Format& format, double value, void* to);  // `value` is one of the format, inf or NaN
double load(const Format& format, const void* from);

Bytes encode(simdsoftmax_dtype dtype, const std::vector<double>& values);  // rounds
std::vector<double> decode(simdsoftmax_dtype dtype, const Bytes& bytes);

// Every pair of dtypes that a call accepts.
struct Pair {
  simdsoftmax_dtype in = SIMDSOFTMAX_F32;
  simdsoftmax_dtype out = SIMDSOFTMAX_F32;
};
const std::vector<Pair>& pairs();
std::string name_of(const Pair& pair);
void PrintTo(const Pair& pair, std::ostream* stream);

}  // namespace softmax_test

#endif
