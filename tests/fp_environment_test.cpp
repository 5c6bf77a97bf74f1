// SPDX-License-Identifier: Apache-2.0
// The caller's floating-point environment is neither used nor changed: rounding mode, flush to zero, exception flags,
// traps.

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "harness.hpp"
#include "inputs.hpp"

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

class FpEnvironmentTest : public ConfigTest {
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

INSTANTIATE_TEST_SUITE_P(All, FpEnvironmentTest, ::testing::ValuesIn(configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
