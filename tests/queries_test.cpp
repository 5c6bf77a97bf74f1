// SPDX-License-Identifier: Apache-2.0
// What the library says about itself: variants, ISAs and their cap, plans.

#include <gtest/gtest.h>
#include <simdsoftmax/version.h>

#include <cstring>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

TEST(Version, IsThatOfTheHeader) {
  EXPECT_EQ(std::to_string(SIMDSOFTMAX_VERSION_MAJOR) + "." + std::to_string(SIMDSOFTMAX_VERSION_MINOR) + "." +
                std::to_string(SIMDSOFTMAX_VERSION_PATCH),
            simdsoftmax_version());
}

TEST(Variants, NamesGoBothWays) {
  ASSERT_EQ(variants().size(), 7U);
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_AUTO), "auto");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_THREE_PASS), "three_pass");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_THREE_PASS_RECOMPUTE), "three_pass_recompute");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_ONLINE), "online");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_ANCHORED), "anchored");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_NARROW), "narrow");
  EXPECT_STREQ(simdsoftmax_variant_name(SIMDSOFTMAX_STREAMING), "streaming");
  for (const simdsoftmax_variant variant : variants()) {
    simdsoftmax_variant found = -1;
    EXPECT_EQ(simdsoftmax_variant_from_name(simdsoftmax_variant_name(variant), &found), SIMDSOFTMAX_OK);
    EXPECT_EQ(found, variant);
  }
}

TEST(Accuracies, NamesGoBothWays) {
  ASSERT_EQ(accuracies().size(), 3U);
  EXPECT_STREQ(simdsoftmax_accuracy_name(SIMDSOFTMAX_BALANCED), "balanced");
  EXPECT_STREQ(simdsoftmax_accuracy_name(SIMDSOFTMAX_EXACT), "exact");
  EXPECT_STREQ(simdsoftmax_accuracy_name(SIMDSOFTMAX_FAST), "fast");
  for (const simdsoftmax_accuracy accuracy : accuracies()) {
    simdsoftmax_accuracy found = -1;
    EXPECT_EQ(simdsoftmax_accuracy_from_name(simdsoftmax_accuracy_name(accuracy), &found), SIMDSOFTMAX_OK);
    EXPECT_EQ(found, accuracy);
  }
}

TEST(Accuracies, WhatIsNoAccuracyHasNoName) {
  EXPECT_EQ(simdsoftmax_accuracy_name(-1), nullptr);
  EXPECT_EQ(simdsoftmax_accuracy_name(3), nullptr);
  simdsoftmax_accuracy accuracy = 77;
  EXPECT_EQ(simdsoftmax_accuracy_from_name("correct", &accuracy), SIMDSOFTMAX_BAD_ACCURACY);
  EXPECT_EQ(simdsoftmax_accuracy_from_name("", &accuracy), SIMDSOFTMAX_BAD_ACCURACY);
  EXPECT_EQ(simdsoftmax_accuracy_from_name(nullptr, &accuracy), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(accuracy, 77);
  EXPECT_EQ(simdsoftmax_accuracy_from_name("fast", nullptr), SIMDSOFTMAX_NULL_POINTER);
}

TEST(Variants, WhatIsNoVariantHasNoName) {
  EXPECT_EQ(simdsoftmax_variant_name(-1), nullptr);
  EXPECT_EQ(simdsoftmax_variant_name(static_cast<simdsoftmax_variant>(simdsoftmax_variant_count())), nullptr);
  simdsoftmax_variant variant = 77;
  EXPECT_EQ(simdsoftmax_variant_from_name("two_pass", &variant), SIMDSOFTMAX_BAD_VARIANT);
  EXPECT_EQ(simdsoftmax_variant_from_name("", &variant), SIMDSOFTMAX_BAD_VARIANT);
  EXPECT_EQ(simdsoftmax_variant_from_name("autos", &variant), SIMDSOFTMAX_BAD_VARIANT);
  EXPECT_EQ(simdsoftmax_variant_from_name(nullptr, &variant), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(variant, 77);
  EXPECT_EQ(simdsoftmax_variant_from_name("auto", nullptr), SIMDSOFTMAX_NULL_POINTER);
}

TEST(Isas, QueryListsThemAll) {
  std::vector<std::string> names;
  for (const simdsoftmax_isa_info& isa : isas()) names.emplace_back(isa.name);
  EXPECT_EQ(names, (std::vector<std::string>{"sse2", "avx2", "avx512", "neon"}));
  simdsoftmax_isa_info info{};
  EXPECT_EQ(simdsoftmax_isa_query(simdsoftmax_isa_count(), &info), SIMDSOFTMAX_OUT_OF_RANGE);
  EXPECT_EQ(info.name, nullptr);
  EXPECT_EQ(simdsoftmax_isa_query(0, nullptr), SIMDSOFTMAX_NULL_POINTER);
}

TEST(Isas, EveryCapIsRespected) {
  std::string best_so_far;
  for (const simdsoftmax_isa_info& isa : isas()) {
    if (isa.compiled == 0) {
      EXPECT_EQ(simdsoftmax_cap_isa(isa.name), SIMDSOFTMAX_ISA_NOT_COMPILED) << isa.name;
      continue;
    }
    if (isa.supported != 0) best_so_far = isa.name;
    EXPECT_EQ(simdsoftmax_cap_isa(isa.name), SIMDSOFTMAX_OK);
    EXPECT_EQ(active_isa(), best_so_far) << "capped to " << isa.name;
    const simdsoftmax_options options = serial_options();
    simdsoftmax_plan plan{};
    EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 2, 100, 0, &options, &plan), SIMDSOFTMAX_OK);
    EXPECT_EQ(plan.isa, best_so_far);
  }
  EXPECT_EQ(simdsoftmax_cap_isa(nullptr), SIMDSOFTMAX_OK);
}

TEST(Isas, ARefusedCapChangesNothing) {
  const std::string lowest = runnable_isas().front();
  const ScopedCap cap(lowest);
  for (const char* const unknown : {"avx", "AVX2", "", "avx2 ", "sse2,avx2"}) {
    EXPECT_EQ(simdsoftmax_cap_isa(unknown), SIMDSOFTMAX_UNKNOWN_ISA) << unknown;
    EXPECT_EQ(active_isa(), lowest);
  }
}

class PlanTest : public ConfigTest {};

// What was asked for by name is what would run.
TEST_P(PlanTest, IsCompleteForEveryShape) {
  for (const Shape& shape : {Shape{1, 1}, Shape{4096, 8}, Shape{1, 131072}, Shape{64, 32000}, Shape{1, 1U << 26}}) {
    for (const simdsoftmax_variant variant : variants()) {
      for (const int in_place : {0, 1}) {
        const simdsoftmax_options options = serial_options(variant);
        simdsoftmax_plan plan{};
        ASSERT_EQ(simdsoftmax_plan_rows(pair().in, pair().out, shape.rows, shape.cols,
                                        pair().in == pair().out ? in_place : 0, &options, &plan),
                  SIMDSOFTMAX_OK);
        EXPECT_EQ(plan.isa, GetParam().isa);
        EXPECT_NE(plan.variant, SIMDSOFTMAX_AUTO);
        EXPECT_TRUE(variant == SIMDSOFTMAX_AUTO || variant == plan.variant);
        EXPECT_NE(simdsoftmax_variant_name(plan.variant), nullptr);
        EXPECT_EQ(plan.num_threads, 1);
        EXPECT_EQ(plan.split_rows, 0);
        ASSERT_NE(plan.reason, nullptr);
        EXPECT_GT(std::strlen(plan.reason), 10U);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, PlanTest, ::testing::ValuesIn(configs()), name_of_config);

TEST(Plan, ThreadsFollowTheOptionAndTheSize) {
  simdsoftmax_options options = serial_options();
  options.num_threads = 3;
  const auto plan = [&options](std::size_t rows, std::size_t cols) {
    simdsoftmax_plan result{};
    EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, rows, cols, 0, &options, &result),
              SIMDSOFTMAX_OK);
    return result;
  };
  EXPECT_EQ(plan(1, 100).num_threads, 1) << "a small call stays on the caller's thread";
  EXPECT_EQ(plan(0, 100).num_threads, 1);
  EXPECT_EQ(plan(10000, 5000).num_threads, simdsoftmax_has_openmp() != 0 ? 3 : 1);
  EXPECT_EQ(plan(10000, 5000).split_rows, 0);
  EXPECT_EQ(plan(1, 10000000).split_rows, simdsoftmax_has_openmp());
}

// A plan is refused for the same reasons as the call.
TEST(Plan, MisuseHasItsStatus) {
  const simdsoftmax_options good = serial_options();
  simdsoftmax_options bad = good;
  bad.variant = 99;
  simdsoftmax_plan plan;
  std::memset(&plan, poison, sizeof plan);
  const simdsoftmax_plan before = plan;
  constexpr std::size_t huge = std::size_t{1} << 62;
  EXPECT_EQ(simdsoftmax_plan_rows(9, SIMDSOFTMAX_F32, 2, 3, 0, &good, &plan), SIMDSOFTMAX_BAD_DTYPE);
  EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16, 2, 3, 0, &good, &plan),
            SIMDSOFTMAX_BAD_DTYPE_PAIR);
  EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 2, 3, 0, &bad, &plan), SIMDSOFTMAX_BAD_VARIANT);
  EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, huge, 3, 0, &good, &plan),
            SIMDSOFTMAX_SIZE_OVERFLOW);
  EXPECT_EQ(std::memcmp(&plan, &before, sizeof plan), 0);
  EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 2, 3, 0, &good, nullptr), SIMDSOFTMAX_NULL_POINTER);
}

}  // namespace
}  // namespace softmax_test
