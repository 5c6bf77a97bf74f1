// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_HARNESS_HPP
#define SIMDSOFTMAX_TESTS_HARNESS_HPP

// The lists that the tests walk, all asked from the library, and one way to call it.

#include <gtest/gtest.h>
#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "formats.hpp"

namespace softmax_test {

constexpr unsigned char poison = 0xa5;

// Set in the environment: SIMDSOFTMAX_SLOW_MACHINE=1 thins out sizes (an emulator), SIMDSOFTMAX_EXHAUSTIVE=1 adds rows
// of 2^26 columns, every float, and long searches.
bool slow_machine();
bool exhaustive();

const std::vector<simdsoftmax_isa_info>& isas();  // all that the library knows, in its order
std::vector<std::string> runnable_isas();         // compiled and supported
std::vector<simdsoftmax_variant> variants();      // auto included
std::vector<simdsoftmax_accuracy> accuracies();   // the default included
bool has_fma(const std::string& isa);             // those that have it give the same bits
std::string active_isa();                         // empty when none is

// The ISAs that ran a ScopedCap, for the check at the end of the suite.
std::set<std::string>& exercised_isas();

// Runs the scope on exactly this ISA.
class ScopedCap {
 public:
  explicit ScopedCap(const std::string& isa);
  ~ScopedCap();
  ScopedCap(const ScopedCap&) = delete;
  ScopedCap& operator=(const ScopedCap&) = delete;
};

// Default options but for the variant and one thread.
simdsoftmax_options serial_options(simdsoftmax_variant variant = SIMDSOFTMAX_AUTO);

struct Shape {
  std::size_t rows;
  std::size_t cols;
};

// Dense rows, out of place, into poisoned memory; a status other than OK is a test failure.
Bytes softmax(const Pair& pair, const Shape& shape, const Bytes& logits, const simdsoftmax_options& options);

// One test per runnable ISA and pair of dtypes, run on that ISA; per accuracy too, where that matters.
struct Config {
  std::string isa;
  Pair pair;
  simdsoftmax_accuracy accuracy = SIMDSOFTMAX_BALANCED;
};
void PrintTo(const Config& config, std::ostream* stream);
std::vector<Config> configs();  // balanced
// Those and the others that the pair has; on a slow machine, pairs of equal dtypes.
std::vector<Config> accuracy_configs();
// Of those the ones of one ISA for each arithmetic: errors are those of the bits, which ISAs with fma have in common
// (hash_test.cpp). All if the tests are exhaustive.
std::vector<Config> of_each_arithmetic(const std::vector<Config>& all);
std::string name_of_config(const ::testing::TestParamInfo<Config>& info);

class ConfigTest : public ::testing::TestWithParam<Config> {
 protected:
  const Pair& pair() const { return GetParam().pair; }
  const Format& in() const { return format_of(pair().in); }
  const Format& out() const { return format_of(pair().out); }

 private:
  ScopedCap cap_{GetParam().isa};
};

// One per accuracy as well; accuracy_configs() are its values.
class AccuracyConfigTest : public ConfigTest {
 protected:
  simdsoftmax_accuracy accuracy() const { return GetParam().accuracy; }

  // Of the accuracy of the test.
  simdsoftmax_options serial_options(simdsoftmax_variant variant = SIMDSOFTMAX_AUTO) const {
    simdsoftmax_options options = softmax_test::serial_options(variant);
    options.accuracy = accuracy();
    return options;
  }
};

// One test per runnable ISA.
class IsaTest : public ::testing::TestWithParam<std::string> {
  ScopedCap cap_{GetParam()};
};
std::string name_of_pair(const ::testing::TestParamInfo<Pair>& info);
std::string name_of_isa(const ::testing::TestParamInfo<std::string>& info);

}  // namespace softmax_test

#endif
