// SPDX-License-Identifier: Apache-2.0
// The same bits from every variant, and from every ISA that has fma.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

class VariantAgreementTest : public ConfigTest {};

TEST_P(VariantAgreementTest, SameBits) {
  std::vector<std::size_t> sizes = small_sizes();
  sizes.insert(sizes.end(), {511, 513, 1000, 8191, 8192, 8193, 20000});
  for (const std::size_t cols : sizes) {
    for (const InputKind& kind : input_kinds()) {
      const Bytes logits = encode(pair().in, make_row(kind, in(), cols));
      const Bytes expected = softmax(pair(), {1, cols}, logits, serial_options(SIMDSOFTMAX_THREE_PASS));
      for (const simdsoftmax_variant variant : variants()) {
        ASSERT_EQ(softmax(pair(), {1, cols}, logits, serial_options(variant)), expected)
            << simdsoftmax_variant_name(variant) << ", " << kind.name << ", " << cols << " columns";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, VariantAgreementTest, ::testing::ValuesIn(configs()), name_of_config);

// FNV-1a over the outputs for a fixed set of rows.
std::uint64_t hash_of_outputs(const Pair& pair) {
  std::uint64_t hash = 14695981039346656037U;
  for (const std::size_t cols : {1U, 7U, 10U, 64U, 127U, 128U, 129U, 300U, 1000U, 8193U, 20001U}) {
    for (const InputKind& kind : input_kinds()) {
      const Bytes logits = encode(pair.in, make_row(kind, format_of(pair.in), cols));
      for (const unsigned char byte : softmax(pair, {1, cols}, logits, serial_options())) {
        hash = (hash ^ byte) * 1099511628211U;
      }
    }
  }
  return hash;
}

// The promise that the bits do not depend on the machine, as numbers. A kernel that is changed on purpose changes them:
// take the new ones from the failure message, provided that every ISA gives the same ones.
const std::map<std::string, std::uint64_t>& expected_hashes() {
  static const std::map<std::string, std::uint64_t> hashes = {};
  return hashes;
}

class IsaAgreementTest : public ::testing::TestWithParam<Pair> {};

TEST_P(IsaAgreementTest, SameBitsOnEveryMachineWithFma) {
  std::size_t compared = 0;
  for (const std::string& isa : runnable_isas()) {
    if (isa == "sse2") continue;  // has no fma
    const ScopedCap cap(isa);
    const std::uint64_t hash = hash_of_outputs(GetParam());
    const auto expected = expected_hashes().find(name_of(GetParam()));
    ASSERT_NE(expected, expected_hashes().end()) << "no hash is known, " << isa << " gives 0x" << std::hex << hash;
    EXPECT_EQ(hash, expected->second) << isa << " gives 0x" << std::hex << hash;
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "no ISA with fma runs here";
}

INSTANTIATE_TEST_SUITE_P(All, IsaAgreementTest, ::testing::ValuesIn(pairs()),
                         [](const ::testing::TestParamInfo<Pair>& test) { return name_of(test.param); });

}  // namespace
}  // namespace softmax_test
