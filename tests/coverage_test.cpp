// SPDX-License-Identifier: Apache-2.0
// No ISA is skipped silently: what this CPU has, found out here without the library, must have been detected, compiled
// in and run by the tests.

#include <gtest/gtest.h>

#include <iterator>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "harness.hpp"
#include "isa/registry.hpp"

namespace softmax_test {
namespace {

std::set<std::string> isas_of_this_cpu() {
  std::set<std::string> names;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  names.insert("sse2");
  if (avx2) names.insert("avx2");
  if (avx512) names.insert("avx512");
#elif defined(__aarch64__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0) names.insert("neon");
#endif
  return names;
}

// Less those that the build was told to leave out.
std::set<std::string> wanted_isas_of_this_cpu() {
  std::set<std::string> names = isas_of_this_cpu();
  const std::string wanted = "," SIMDSOFTMAX_WANTED_ISAS ",";
  for (auto name = names.begin(); wanted != ",," && name != names.end();) {
    name = wanted.find("," + *name + ",") == std::string::npos ? names.erase(name) : std::next(name);
  }
  return names;
}

TEST(Coverage, TheLibrarySeesTheCpuAsTheCompilerDoes) {
  std::set<std::string> supported;
  for (const simdsoftmax_isa_info& isa : isas()) {
    if (isa.supported != 0) supported.insert(isa.name);
  }
  EXPECT_EQ(supported, isas_of_this_cpu());
}

TEST(Coverage, EveryIsaOfThisCpuIsCompiledIn) {
  const std::vector<std::string> runnable = runnable_isas();
  EXPECT_EQ(std::set<std::string>(runnable.begin(), runnable.end()), wanted_isas_of_this_cpu());
}

TEST(Coverage, TheRegistryKnowsWhatTheQueryKnows) {
  for (const simdsoftmax_isa_info& isa : isas()) {
    const bool runnable = isa.compiled != 0 && isa.supported != 0;
    const simdsoftmax::detail::KernelTable* const table = simdsoftmax::detail::find_kernels(isa.name);
    ASSERT_EQ(table != nullptr, runnable) << isa.name;
    EXPECT_TRUE(!runnable || std::string(table->isa) == isa.name);
  }
  EXPECT_EQ(simdsoftmax::detail::find_kernels("none"), nullptr);
}

// At the end of a run of the whole suite, what ran is counted.
class EveryIsaRan : public ::testing::Environment {
  void TearDown() override {
    const bool whole_suite = ::testing::GTEST_FLAG(filter) == "*";
    EXPECT_TRUE(!whole_suite || exercised_isas() == wanted_isas_of_this_cpu()) << "an ISA of this CPU was not tested";
  }
};

[[maybe_unused]] const ::testing::Environment* const every_isa_ran =
    ::testing::AddGlobalTestEnvironment(new EveryIsaRan);  // GoogleTest owns it

}  // namespace
}  // namespace softmax_test
