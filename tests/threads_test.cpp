// SPDX-License-Identifier: Apache-2.0
// The number of threads changes no bit; calls from several threads at once do not disturb each other.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

class ThreadsTest : public AccuracyConfigTest {};

// Of the accuracies that are not the default, one pair whose exponentials may go to the output, and one whose may not.
std::vector<Config> thread_configs() {
  std::vector<Config> some;
  for (const Config& config : accuracy_configs()) {
    const std::string pair = name_of(config.pair);
    if (config.accuracy == SIMDSOFTMAX_BALANCED || pair == "f32_to_f32" || pair == "f16_to_f16") some.push_back(config);
  }
  return some;
}

simdsoftmax_plan plan_of(const Pair& pair, const Shape& shape, const simdsoftmax_options& options) {
  simdsoftmax_plan plan{};
  EXPECT_EQ(simdsoftmax_plan_rows(pair.in, pair.out, shape.rows, shape.cols, 0, &options, &plan), SIMDSOFTMAX_OK);
  return plan;
}

// Few long rows are split inside, many rows are shared out; some shapes stay below the serial cut-off.
std::vector<Shape> shapes() { return {{1, 1}, {1, 100000}, {3, 40000}, {37, 129}, {200, 333}}; }

std::vector<int> thread_counts() { return slow_machine() ? std::vector<int>{2, 3} : std::vector<int>{2, 3, 4, 7, 16}; }

TEST_P(ThreadsTest, ThreadCountChangesNoBit) {
  bool split_inside = false;
  bool split_by_rows = false;
  for (const Shape& shape : shapes()) {
    std::vector<double> values = normal_logits(in(), shape.rows * shape.cols, 4, 11);
    values.back() = 60;  // a late rise: the maximum is in the part of the last thread
    const Bytes logits = encode(pair().in, values);
    const Bytes expected = softmax(pair(), shape, logits, serial_options(SIMDSOFTMAX_THREE_PASS));
    for (const simdsoftmax_variant variant : variants()) {
      for (const int threads : thread_counts()) {
        simdsoftmax_options options = serial_options(variant);
        options.num_threads = threads;
        const simdsoftmax_plan plan = plan_of(pair(), shape, options);
        EXPECT_LE(plan.num_threads, threads);
        split_inside |= plan.num_threads > 1 && plan.split_rows != 0;
        split_by_rows |= plan.num_threads > 1 && plan.split_rows == 0;
        ASSERT_EQ(softmax(pair(), shape, logits, options), expected)
            << simdsoftmax_variant_name(variant) << ", " << threads << " threads, " << shape.rows << " x "
            << shape.cols;
      }
    }
  }
  const bool has_openmp = simdsoftmax_has_openmp() != 0;
  EXPECT_EQ(split_inside, has_openmp) << "the shapes above are meant to reach both ways of sharing the work";
  EXPECT_EQ(split_by_rows, has_openmp);
}

// A row whose special values lie in one thread's part alone, beside a row that has none. NaN may have other payloads.
TEST_P(ThreadsTest, SpecialValuesInOnePart) {
  const Shape shape{2, 40001};
  for (const double special : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    for (const std::size_t at : {std::size_t{0}, shape.cols / 2, shape.cols - 1}) {
      if (slow_machine() && at != shape.cols / 2) continue;
      std::vector<double> values = normal_logits(in(), shape.rows * shape.cols, 4, 12);
      values[shape.cols + at] = special;
      const Bytes logits = encode(pair().in, values);
      const Bytes expected = softmax(pair(), shape, logits, serial_options());
      for (const simdsoftmax_variant variant : variants()) {
        simdsoftmax_options options = serial_options(variant);
        options.num_threads = 3;
        const Bytes output = softmax(pair(), shape, logits, options);
        if (output == expected) continue;
        const std::vector<double> serial = decode(pair().out, expected);
        const std::vector<double> got = decode(pair().out, output);
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_TRUE(got[i] == serial[i] || (std::isnan(got[i]) && std::isnan(serial[i])))
              << simdsoftmax_variant_name(variant) << ", " << special << " at " << at << ", element " << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ThreadsTest, ::testing::ValuesIn(thread_configs()), name_of_config);

TEST(Concurrency, CallersDoNotDisturbEachOther) {
  const Pair pair;
  const Shape shape{9, 1003};
  const Bytes logits = encode(pair.in, normal_logits(format_of(pair.in), shape.rows * shape.cols, 4, 13));
  const Bytes expected = softmax(pair, shape, logits, serial_options());
  std::atomic<int> wrong{0};
  const int rounds = slow_machine() ? 20 : 500;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      simdsoftmax_options options = serial_options();
      options.num_threads = caller % 2 + 1;
      for (int round = 0; round < rounds; ++round) wrong += softmax(pair, shape, logits, options) != expected ? 1 : 0;
    });
  }
  // Meanwhile the cap changes between ISAs that give the same bits.
  const std::string best = runnable_isas().back();
  const std::string other = best == "avx512" ? "avx2" : best;
  for (int round = 0; round < rounds; ++round) {
    EXPECT_EQ(simdsoftmax_cap_isa(round % 2 == 0 ? other.c_str() : nullptr), SIMDSOFTMAX_OK);
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(simdsoftmax_cap_isa(nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace softmax_test
