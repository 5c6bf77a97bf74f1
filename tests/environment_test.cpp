// SPDX-License-Identifier: Apache-2.0
// The environment variables and the verbose lines. The variables are read once in a process, so this file is run in
// several processes with several values: each test asks what the value is and expects what it means.

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

constexpr Pair f32_pair{};

simdsoftmax_status call_with_shape(const Shape& shape, simdsoftmax_variant variant = SIMDSOFTMAX_AUTO) {
  const simdsoftmax_options options = serial_options(variant);
  std::vector<float> values(shape.rows * shape.cols);
  const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
  return simdsoftmax_softmax_rows(values.data(), f32_pair.in, stride, values.data(), f32_pair.out, stride, shape.rows,
                                  shape.cols, &options);
}

std::vector<std::string> lines_of(const Shape& shape, simdsoftmax_variant variant = SIMDSOFTMAX_AUTO) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(call_with_shape(shape, variant), SIMDSOFTMAX_OK);
  std::istringstream text(::testing::internal::GetCapturedStderr());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

bool contains(const std::string& line, const std::string& part) { return line.find(part) != std::string::npos; }

TEST(EnvironmentVariables, IsaIsACap) {
  EXPECT_EQ(simdsoftmax_cap_isa(nullptr), SIMDSOFTMAX_OK);
  const char* const value = std::getenv("SIMDSOFTMAX_ISA");
  const std::string cap = value == nullptr || *value == '\0' ? runnable_isas().back() : value;
  std::string expected;
  bool known = false;
  bool compiled = false;
  for (const simdsoftmax_isa_info& isa : isas()) {
    if (known) break;
    if (isa.compiled != 0 && isa.supported != 0) expected = isa.name;
    known = cap == isa.name;
    compiled = isa.compiled != 0;
  }
  if (known && compiled) {
    EXPECT_EQ(active_isa(), expected);
    EXPECT_EQ(call_with_shape({1, 5}), SIMDSOFTMAX_OK);
  } else {
    EXPECT_EQ(active_isa(), "");
    EXPECT_EQ(call_with_shape({1, 5}), known ? SIMDSOFTMAX_ISA_NOT_COMPILED : SIMDSOFTMAX_UNKNOWN_ISA);
  }
}

TEST(EnvironmentVariables, AFunctionSettingBeatsTheVariable) {
  for (const std::string& isa : runnable_isas()) {
    const ScopedCap cap(isa);
    EXPECT_EQ(call_with_shape({1, 5}), SIMDSOFTMAX_OK);
  }
}

// Stands before every test that sets the switch itself.
TEST(EnvironmentVariables, VerboseIsTheDefaultOfTheSwitch) {
  const ScopedCap cap(runnable_isas().back());
  const char* const value = std::getenv("SIMDSOFTMAX_VERBOSE");
  const bool verbose = value != nullptr && *value != '\0' && std::string(value) != "0";
  EXPECT_EQ(lines_of({2, 23}).size(), verbose ? 1U : 0U);
}

TEST(Verbose, OneLineForEachDistinctShape) {
  const ScopedCap cap(runnable_isas().back());
  simdsoftmax_set_verbose(1);
  const std::vector<std::string> first = lines_of({3, 29});
  ASSERT_EQ(first.size(), 1U);
  EXPECT_TRUE(contains(first[0], runnable_isas().back())) << first[0];
  EXPECT_TRUE(contains(first[0], "29")) << first[0];
  EXPECT_TRUE(contains(first[0], "f32")) << first[0];
  EXPECT_EQ(lines_of({3, 29}).size(), 0U) << "the same shape again";
  EXPECT_EQ(lines_of({3, 31}).size(), 1U);
  EXPECT_EQ(lines_of({4, 31}).size(), 1U);
  EXPECT_EQ(lines_of({3, 29}).size(), 0U);
  for (const simdsoftmax_variant variant : variants()) {
    if (variant == SIMDSOFTMAX_AUTO) continue;
    const std::vector<std::string> named = lines_of({5, 37}, variant);
    if (named.empty()) continue;  // the shape ran before with this variant, as auto's choice
    EXPECT_TRUE(contains(named[0], simdsoftmax_variant_name(variant))) << named[0];
  }
  simdsoftmax_set_verbose(0);
}

TEST(Verbose, OffIsSilent) {
  const ScopedCap cap(runnable_isas().back());
  simdsoftmax_set_verbose(0);
  EXPECT_EQ(lines_of({7, 41}).size(), 0U);
}

// A call that is refused has not run.
TEST(Verbose, SaysNothingOfARefusedCall) {
  simdsoftmax_set_verbose(1);
  ::testing::internal::CaptureStderr();
  const simdsoftmax_options options = serial_options();
  EXPECT_EQ(simdsoftmax_softmax_rows(nullptr, 0, 43, nullptr, 0, 43, 2, 43, &options), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  simdsoftmax_set_verbose(0);
}

}  // namespace
}  // namespace softmax_test
