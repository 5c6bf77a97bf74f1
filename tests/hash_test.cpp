// SPDX-License-Identifier: Apache-2.0
// The bits do not depend on the machine, as numbers. (accuracy_test.cpp compares what runs on this one.)

#include <gtest/gtest.h>

#include <cstdint>
#include <map>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

// FNV-1a over the outputs for a fixed set of rows.
std::uint64_t hash_of_outputs(const Pair& pair) {
  std::uint64_t hash = 14695981039346656037U;
  for (const std::size_t cols : {1U, 7U, 10U, 64U, 127U, 128U, 129U, 300U, 1000U, 8193U, 10001U}) {
    for (const InputKind& kind : input_kinds()) {
      const Bytes logits = encode(pair.in, make_row(kind, format_of(pair.in), cols));
      for (const unsigned char byte : softmax(pair, {1, cols}, logits, serial_options())) {
        hash = (hash ^ byte) * 1099511628211U;
      }
    }
  }
  return hash;
}

// A kernel that is changed on purpose changes these: take the new ones from the failure message, provided that every
// ISA with fma, on every machine, gives the same ones.
std::uint64_t expected_hash(const Pair& pair) {
  static const std::map<std::string, std::uint64_t> hashes = {
      {"f32_to_f32", 0x65199905f748f859}, {"f64_to_f64", 0x544fdbdd41a291fd},   {"f16_to_f16", 0x61b2251e1ada38cc},
      {"f16_to_f32", 0xfb8ddb5f5e30ee3c}, {"bf16_to_bf16", 0x1bec5d3df36ca7fb}, {"bf16_to_f32", 0x7b6ec473fffa7ee},
      {"f32_to_f16", 0x6099a76e5f8c7363}, {"f32_to_bf16", 0x76bb0de98373b69}};
  return hashes.at(name_of(pair));
}

class HashTest : public ::testing::TestWithParam<Pair> {};

TEST_P(HashTest, IsThatOfEveryMachineWithFma) {
  std::size_t compared = 0;
  for (const std::string& isa : runnable_isas()) {
    if (!has_fma(isa)) continue;
    const ScopedCap cap(isa);
    const std::uint64_t hash = hash_of_outputs(GetParam());
    EXPECT_EQ(hash, expected_hash(GetParam())) << isa << " gives 0x" << std::hex << hash;
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "no ISA with fma runs here";
}

INSTANTIATE_TEST_SUITE_P(All, HashTest, ::testing::ValuesIn(pairs()), name_of_pair);

}  // namespace
}  // namespace softmax_test
