// SPDX-License-Identifier: Apache-2.0
// The caller's floating-point environment is neither used nor changed: rounding mode, flush to zero, exception flags,
// traps.

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>
#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "harness.hpp"
#include "inputs.hpp"
#include "public_functions.hpp"

namespace softmax_test {
namespace {

#if defined(__x86_64__)
constexpr std::uint64_t flush_bits = 0x8040;  // FTZ and DAZ
std::uint64_t control() { return _mm_getcsr(); }
std::uint64_t flags() { return static_cast<std::uint64_t>(std::fetestexcept(FE_ALL_EXCEPT)); }  // both SSE and x87
void set_control(std::uint64_t value) { _mm_setcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
constexpr std::uint64_t flush_bits = std::uint64_t{1} << 24;  // FZ
std::uint64_t control() {
  std::uint64_t value = 0;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
std::uint64_t flags() {
  std::uint64_t value = 0;
  asm volatile("mrs %0, fpsr" : "=r"(value));
  return value;
}
void set_control(std::uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#endif

using State = std::tuple<std::uint64_t, std::uint64_t, int>;
State state() { return {control(), flags(), std::fegetround()}; }

class FpEnvironmentTest : public AccuracyConfigTest {
 protected:
  void SetUp() override { ASSERT_EQ(std::feholdexcept(&before_), 0); }
  void TearDown() override { std::fesetenv(&before_); }

  // Runs `enter`, the call, and compares the state around the call.
  template <class Enter>
  Bytes softmax_within(Enter enter, const Shape& shape, const Bytes& logits, const simdsoftmax_options& options) {
    Bytes output(shape.rows * shape.cols * out().bytes, poison);
    const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
    std::fenv_t outside;
    std::fegetenv(&outside);
    enter();
    const State entered = state();
    const simdsoftmax_status status = simdsoftmax_softmax_rows(logits.data(), pair().in, stride, output.data(),
                                                               pair().out, stride, shape.rows, shape.cols, &options);
    const State left = state();
    std::fesetenv(&outside);
    EXPECT_EQ(status, SIMDSOFTMAX_OK);
    EXPECT_EQ(left, entered) << simdsoftmax_variant_name(options.variant) << ", " << options.num_threads << " threads";
    return output;
  }

  // Ordinary rows, rows that underflow, subnormal logits, and results on both sides of the flush threshold.
  std::vector<double> demanding_logits(const Shape& shape) {
    std::vector<double> values = normal_logits(in(), shape.rows * shape.cols, 4, 51);
    for (std::size_t row = 0; row < shape.rows; ++row) {
      double* const begin = values.data() + row * shape.cols;
      for (std::size_t i = 0; i < shape.cols; ++i) {
        if (row % 3 == 1) begin[i] *= min_normal(in()) / 16;
        if (row % 3 == 2 && i % 2 == 1) begin[i] += std::log(min_normal(out())) - 5;
      }
    }
    return values;
  }

 private:
  std::fenv_t before_{};
};

struct Mode {
  const char* name;
  void (*enter)();
};

const Mode modes[] = {{"upward", [] { std::fesetround(FE_UPWARD); }},
                      {"downward", [] { std::fesetround(FE_DOWNWARD); }},
                      {"toward zero", [] { std::fesetround(FE_TOWARDZERO); }},
                      {"flush to zero", [] { set_control(control() | flush_bits); }},
                      {"flush and upward",
                       [] {
                         std::fesetround(FE_UPWARD);
                         set_control(control() | flush_bits);
                       }},
                      {"all flags raised", [] { std::feraiseexcept(FE_ALL_EXCEPT); }}};

TEST_P(FpEnvironmentTest, ModesChangeNoBitAndAreLeftAlone) {
  for (const Shape& shape : {Shape{1, 100}, Shape{6, 10}, Shape{6, 333}, Shape{1, 40001}, Shape{120, 300}}) {
    const Bytes logits = encode(pair().in, demanding_logits(shape));
    const Bytes expected = softmax(pair(), shape, logits, serial_options());
    for (const simdsoftmax_variant variant : variants()) {
      for (const int threads : {1, 2}) {
        if (slow_machine() && shape.rows * shape.cols > 10000 && (variant != SIMDSOFTMAX_AUTO || threads == 1))
          continue;
        simdsoftmax_options options = serial_options(variant);
        options.num_threads = threads;
        for (const Mode& mode : modes) {
          ASSERT_EQ(softmax_within(mode.enter, shape, logits, options), expected)
              << mode.name << ", " << simdsoftmax_variant_name(variant) << ", " << threads << " threads, " << shape.rows
              << " x " << shape.cols;
        }
      }
    }
  }
}

// theta makes the products subnormal.
TEST_P(FpEnvironmentTest, SubnormalProductsOfTheta) {
  simdsoftmax_options options = serial_options();
  options.theta = std::ldexp(1.0, -100);
  const Bytes logits = encode(pair().in, normal_logits(in(), 200, 1e-4, 52));
  const Bytes expected = softmax(pair(), {1, 200}, logits, options);
  for (const Mode& mode : modes) {
    EXPECT_EQ(softmax_within(mode.enter, {1, 200}, logits, options), expected) << mode.name;
  }
}

// No flag is left behind by any case of the contract.
TEST_P(FpEnvironmentTest, FlagsStayClear) {
  const auto clear = [] { std::feclearexcept(FE_ALL_EXCEPT); };
  for (const double special : {0.0, std::nan(""), HUGE_VAL, -HUGE_VAL, largest(in()), -largest(in()), 1e4}) {
    for (const std::size_t cols : {1U, 10U, 200U}) {
      std::vector<double> values = normal_logits(in(), cols, 4, 53);
      values[cols / 2] = special;
      for (const simdsoftmax_variant variant : variants()) {
        (void)softmax_within(clear, {1, cols}, encode(pair().in, values), serial_options(variant));
      }
    }
  }
}

#if defined(__x86_64__) && defined(__GLIBC__)
// A caller that traps is not trapped by ours.
TEST_P(FpEnvironmentTest, TrapsDoNotFire) {
  const auto trap = [] { feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); };
  const int threads_tried[] = {1, 2};
  for (const double special : {std::nan(""), HUGE_VAL, -HUGE_VAL, largest(in()), -largest(in())}) {
    for (const std::size_t cols : {1U, 10U, 200U, 40001U}) {
      std::vector<double> values(cols, -HUGE_VAL);
      values[cols / 2] = special;
      for (const int threads : threads_tried) {
        simdsoftmax_options options = serial_options();
        options.num_threads = threads;
        (void)softmax_within(trap, {1, cols}, encode(pair().in, values), options);
      }
    }
  }
}
#endif

INSTANTIATE_TEST_SUITE_P(All, FpEnvironmentTest, ::testing::ValuesIn(accuracy_configs()), name_of_config);

// ---- Every function of the library ----------------------------------------------------------------------------------

// Rows of ordinary logits, subnormal ones, ones whose results are subnormal or nearly, and with an infinity.
Inputs demanding_inputs(const Pair& pair, const Sizes& shape, std::size_t axis) {
  const Format& format = format_of(pair.in);
  Inputs inputs;
  inputs.pair = pair;
  inputs.shape = shape;
  inputs.axis = axis;
  inputs.logits = normal_logits(format, count_of(shape), 4, 54);
  const double to_the_end = std::log(min_normal(format_of(pair.out)));
  for (std::size_t i = 0; i < inputs.logits.size(); ++i) {
    double& logit = inputs.logits[i];
    const std::size_t row = i / (shape.back() * 2) % 4;
    if (row == 1) logit *= min_normal(format) / 16;
    if (row == 2 && i % 2 == 1) logit += to_the_end - 3;
    if (row == 3 && i % 37 == 0) logit = -HUGE_VAL;
  }
  return inputs;
}

std::vector<Mode> all_modes() {
  std::vector<Mode> all(std::begin(modes), std::end(modes));
#if defined(__x86_64__) && defined(__GLIBC__)
  all.push_back({"traps", [] { feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); }});
#endif
  return all;
}

class EveryFunctionTest : public ::testing::TestWithParam<PublicFunction> {
 protected:
  // In every mode the call gives what it gives on one thread in none of them, and leaves the mode as it was.
  static void check(const Pair& pair, const Sizes& shape, std::size_t axis, const simdsoftmax_options& options,
                    const std::string& isa) {
    const std::unique_ptr<Call> call = GetParam().prepare(demanding_inputs(pair, shape, axis));
    if (call == nullptr) return;
    const std::string where = isa + ", " + name_of(pair) + ", " + text_of(shape);
    simdsoftmax_options serial = options;
    serial.num_threads = 1;
    ASSERT_EQ(call->run(serial), SIMDSOFTMAX_OK) << where;
    const std::vector<Bytes> expected = call->results();
    for (const Mode& mode : all_modes()) {
      call->forget_results();
      std::fenv_t outside;
      ASSERT_EQ(std::feholdexcept(&outside), 0);
      mode.enter();
      const State entered = state();
      const simdsoftmax_status status = call->run(options);
      const State left = state();
      std::fesetenv(&outside);
      ASSERT_EQ(status, SIMDSOFTMAX_OK) << where;
      ASSERT_EQ(left, entered) << where << ", " << mode.name;
      ASSERT_TRUE(call->results() == expected) << where << ", " << mode.name;
    }
  }
};

TEST_P(EveryFunctionTest, ModesChangeNoBitAndAreLeftAlone) {
  for (const std::string& isa : runnable_isas()) {
    const ScopedCap cap(isa);
    for (const Pair& pair : pairs()) {
      check(pair, {9, 40}, 1, serial_options(), isa);
      check(pair, {3, 17, 5}, 1, serial_options(), isa);
      simdsoftmax_options options = serial_options();
      options.theta = 0x1p-1050;  // a subnormal number
      check(pair, {2, 20}, 1, options, isa);
    }
    if (slow_machine()) continue;
    simdsoftmax_options options = serial_options();
    options.num_threads = 2;
    check({}, {1, 33000}, 1, options, isa);
    check({}, {110, 300}, 1, options, isa);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryFunctionTest, ::testing::ValuesIn(public_functions()), name_of_function);

#if defined(_OPENMP)
// Some runtimes give their workers the mode of the thread that begins a region (LLVM's does): what a worker had before
// cannot be seen then.
bool workers_keep_their_modes() {
  State entered[2];
  State left[2];
  std::fenv_t outside[2];
#pragma omp parallel num_threads(2)
  {
    const int thread = omp_get_thread_num();
    std::fegetenv(&outside[thread]);
    if (thread != 0) std::fesetround(FE_UPWARD);
    entered[thread] = state();
  }
#pragma omp parallel num_threads(2)
  {
    const int thread = omp_get_thread_num();
    left[thread] = state();
    std::fesetenv(&outside[thread]);
  }
  return left[1] == entered[1];
}

// The threads of OpenMP belong to the process: a worker may compute in any mode between our calls, and again after.
TEST(FpEnvironment, OfWorkersNeitherMattersNorChanges) {
  if (simdsoftmax_has_openmp() == 0) GTEST_SKIP() << "without OpenMP";
  constexpr int threads = 2;
  const bool modes_stay = workers_keep_their_modes();
  for (const PublicFunction& function : public_functions()) {
    for (const Sizes& shape : {Sizes{1, 40001}, Sizes{130, 300}}) {
      const std::unique_ptr<Call> call = function.prepare(demanding_inputs({}, shape, 1));
      if (slow_machine() && call->steps() > 1) continue;
      simdsoftmax_options options = serial_options();
      ASSERT_EQ(call->run(options), SIMDSOFTMAX_OK) << function.name;
      const std::vector<Bytes> expected = call->results();
      options.num_threads = threads;
      call->forget_results();
      std::fenv_t outside[threads];
      State entered[threads];
      State left[threads];
#pragma omp parallel num_threads(threads)
      {
        const int thread = omp_get_thread_num();
        std::fegetenv(&outside[thread]);
        if (thread != 0) {
          std::fesetround(FE_UPWARD);
          set_control(control() | flush_bits);
        }
        entered[thread] = state();
      }
      const simdsoftmax_status status = call->run(options);
#pragma omp parallel num_threads(threads)
      {
        const int thread = omp_get_thread_num();
        left[thread] = state();
        std::fesetenv(&outside[thread]);
      }
      ASSERT_EQ(status, SIMDSOFTMAX_OK) << function.name;
      ASSERT_NE(std::get<0>(entered[1]), std::get<0>(entered[0])) << "one thread alone";
      ASSERT_EQ(left[0], entered[0]) << function.name;
      if (modes_stay) {
        ASSERT_EQ(left[1], entered[1]) << function.name;
      }
      ASSERT_TRUE(call->results() == expected) << function.name << ", " << text_of(shape);
    }
  }
}
#endif

}  // namespace
}  // namespace softmax_test
