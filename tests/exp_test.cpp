// SPDX-License-Identifier: Apache-2.0
// The error of the exponentials alone, as the kernels give them: every float of their range with --exhaustive, and else
// every 101st, of rows of each accuracy; for f64 many at random and where the reduction of the argument is
// hardest.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>

#include "harness.hpp"
#include "inputs.hpp"
#include "isa/registry.hpp"
#include "operators_reference.hpp"

namespace softmax_test {
namespace {

using simdsoftmax::detail::Dtype;
using simdsoftmax::detail::KernelTable;
using simdsoftmax::detail::RowState;
using simdsoftmax::detail::SliceTask;

float float_of_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

const KernelTable& kernels(const std::string& isa) { return *simdsoftmax::detail::find_kernels(isa.c_str()); }

// Rows with larger logits are taken relative to their maximum, so that no exponential of such is ever asked for.
float float_limit(const std::string& isa) { return has_fma(isa) ? 0x1p15F : 0x1p8F; }
double double_limit(const std::string& isa) { return has_fma(isa) ? 0x1p30 : 0x1p11; }

// The largest errors found, over every float and over 10^8 doubles, and a little.
struct Bounds {
  double floats;              // in units of 2^-24, about the factor that fits best
  double floats_times_theta;  // the same
  double log_of_float;        // in units of 2^-24, about the declared factor
  double doubles;             // in ULP
  double exact;               // of floats, for exact rows: relative to e^x itself
};
constexpr double fast_bound = 7.8e-5;  // of floats within 60 of one another, about the factor that fits best
Bounds bounds(const std::string& isa) {
  return has_fma(isa) ? Bounds{1.244, 1.246, 1.25, 1.03, 3.25e-13} : Bounds{1.479, 1.6, 1.485, 0.99, 3.25e-13};
}

// x - n ln 2, rounded once for the integers and arguments here: n times the upper part is exact.
Wide reduced(Wide x, Wide n) {
  constexpr Wide ln2_high = 0x1.62e42fefp-1L;         // 32 bits
  constexpr Wide ln2_low = 0x1.473de6af278ece6p-34L;  // ln 2 - ln2_high
  return (x - n * ln2_high) - n * ln2_low;
}

// The least and the greatest of what e / e^x is, up to a power of two. Exponentials of a kernel carry a common factor,
// which cancels in the division by their sum. So an error is judged about the factor that fits best: half of what lies
// between the two, in units of 2^-24. Half an ULP is 0.5 to 1 of these.
struct Ratios {
  double least = std::numeric_limits<double>::infinity();
  double greatest = 0;

  void add(double ratio) {
    least = std::min(least, ratio);
    greatest = std::max(greatest, ratio);
  }
  void merge(const Ratios& other) {
    least = std::min(least, other.least);
    greatest = std::max(greatest, other.greatest);
  }
  double error() const { return std::ldexp(relative_error(), 24); }
  double relative_error() const { return (greatest - least) / (greatest + least); }
  double error_about_one() const { return std::max(greatest - 1, 1 - least); }
};

// The pass of a row that gives its exponentials, and whether log2(e) is a single float there: it is off by a factor,
// which makes one of exponentials that lie far from each other, but hardly of those of a row.
template <class E>
struct ExpPass {
  double (*run)(const float* x, E* e, std::size_t n, float max);
  bool row_by_row;
};

// A batch of exponentials, floats or doubles, within a factor of e^60 of one another: nothing is out of the range of
// their anchor.
template <class E>
class FloatBatch {
 public:
  FloatBatch(const ExpPass<E>& pass, Ratios& ratios) : pass_(pass), ratios_(ratios) {}
  ~FloatBatch() { judge(); }
  FloatBatch(const FloatBatch&) = delete;
  FloatBatch& operator=(const FloatBatch&) = delete;

  void add(float x) {
    if (size_ == capacity || (size_ > 0 && std::fabs(x - x_[0]) > 60)) judge();
    x_[size_++] = x;
  }

 private:
  static constexpr std::size_t capacity = 4096;

  void judge() {
    if (size_ == 0) return;
    const float max = std::max(x_[0], x_[size_ - 1]);  // they come in order
    (void)pass_.run(x_, e_, size_, max);
    Ratios batch;
    const double n = std::floor(static_cast<double>(max) / 0.6931471805599453);
    int power = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      // In f64: the sum is off by 2^-47, which is 2^-23 of the unit, and a fiftieth of the bound of exact rows.
      const auto x = static_cast<double>(x_[i]);
      const double exact = std::exp((x - n * 0x1.62e42ffp-1) + n * 0x1.718432a1b0e26p-35);
      const double ratio = static_cast<double>(e_[i]) / exact;
      if (i == 0) power = static_cast<int>(std::lround(std::log2(ratio)));
      batch.add(ratio * std::ldexp(1.0, -power));
    }
    const double middle = pass_.row_by_row ? (batch.least + batch.greatest) / 2 : 1;
    ratios_.add(batch.least / middle);
    ratios_.add(batch.greatest / middle);
    size_ = 0;
  }

  const ExpPass<E> pass_;
  Ratios& ratios_;
  float x_[capacity];
  E e_[capacity];
  std::size_t size_ = 0;
};

// Of all floats below the limit in magnitude, every `step`-th.
template <class E>
Ratios sweep(const std::string& isa, const ExpPass<E>& pass) {
  const std::uint32_t step = exhaustive() ? 1 : slow_machine() ? 100003 : 101;
  constexpr std::uint32_t run = std::uint32_t{1} << 22;
  std::uint32_t end = 0;
  const float limit = float_limit(isa);
  std::memcpy(&end, &limit, sizeof end);
  Ratios all;
  std::mutex mutex;
  std::atomic<std::uint32_t> next{0};
  const auto work = [&] {
    Ratios mine;
    for (std::uint32_t unit = next++; unit < 2 * (end / run); unit = next++) {
      const std::uint32_t sign = (unit & 1U) << 31;
      const std::uint32_t begin = unit / 2 * run;
      FloatBatch<E> batch(pass, mine);
      for (std::uint32_t bits = (begin + step - 1) / step * step; bits < begin + run; bits += step) {
        batch.add(float_of_bits(bits | sign));
      }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    all.merge(mine);
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; exhaustive() && i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return all;
}

// The states of rows of one logit each: what the sum of such a row holds is its exponential.
template <class T>
std::vector<RowState> exponentials(const std::string& isa, const std::vector<T>& x, double theta = 1) {
  constexpr bool f64 = sizeof(T) == sizeof(double);
  std::vector<RowState> states(x.size());
  const SliceTask task = {x.data(), f64 ? Dtype::f64 : Dtype::f32, x.size(), 1, 0, x.size(), theta};
  kernels(isa).slice_states[f64 ? 1 : 0](task, states.data());
  return states;
}

class ExpTest : public IsaTest {};

TEST_P(ExpTest, EveryFloat) {
  const Ratios ratios = sweep<float>(GetParam(), {kernels(GetParam()).passes.exp_sum_store, false});
  RecordProperty("worst_relative_error_2_24", std::to_string(ratios.error()));
  EXPECT_LE(ratios.error(), bounds(GetParam()).floats);
}

TEST_P(ExpTest, EveryFloatOfExactRows) {
  const Ratios ratios = sweep<double>(GetParam(), {kernels(GetParam()).passes.exp_sum_store_exact, false});
  RecordProperty("worst_relative_error_2_42", std::to_string(std::ldexp(ratios.error_about_one(), 42)));
  EXPECT_LE(ratios.error_about_one(), bounds(GetParam()).exact);
}

TEST_P(ExpTest, EveryFloatOfFastRows) {
  const auto pass = kernels(GetParam()).passes.exp_sum_store_fast;
  ASSERT_EQ(pass != nullptr, has_fma(GetParam()));
  if (pass == nullptr) GTEST_SKIP() << "rows are balanced without fma";
  const Ratios ratios = sweep<float>(GetParam(), {pass, true});
  RecordProperty("worst_relative_error_2_12", std::to_string(std::ldexp(ratios.relative_error(), 12)));
  EXPECT_LE(ratios.relative_error(), fast_bound);
}

// theta * x is not rounded: its rounding error is added to the reduced argument.
TEST_P(ExpTest, FloatsTimesTheta) {
  Ratios ratios;
  const Format& f32 = format_named("f32");
  for (const double theta : {0.1, 1 / 3.0, 0.7071067811865476, 3.3, -1.7}) {
    const std::vector<double> x = normal_logits(f32, slow_machine() ? 1000 : 100000, 8, 101);
    const std::vector<RowState> states = exponentials(GetParam(), std::vector<float>(x.begin(), x.end()), theta);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Wide t = reduced(static_cast<Wide>(x[i]) * static_cast<Wide>(theta), static_cast<Wide>(states[i].anchor));
      ratios.add(static_cast<double>(std::ldexp(static_cast<Wide>(states[i].sum.high), -32) / std::exp(t)));
    }
  }
  RecordProperty("worst_relative_error_2_24", std::to_string(ratios.error()));
  EXPECT_LE(ratios.error(), bounds(GetParam()).floats_times_theta);
}

// The declared factor is the one that exponentials have: the log of the sum of one is the logit itself.
TEST_P(ExpTest, LogOfOneExponential) {
  const Format& f32 = format_named("f32");
  const std::vector<double> x = normal_logits(f32, slow_machine() ? 1000 : 100000, 8, 102);
  const std::vector<RowState> states = exponentials(GetParam(), std::vector<float>(x.begin(), x.end()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::fabs(kernels(GetParam()).logsumexp[0](states[i]) - x[i]));
  }
  RecordProperty("worst_error_2_24", std::to_string(std::ldexp(worst, 24)));
  EXPECT_LE(std::ldexp(worst, 24), bounds(GetParam()).log_of_float);
}

// Doubles: at random over the range and over its exponents, and beside the multiples of ln 2 / 2, where the reduced
// argument is longest or cancels most. The reference has 64 bits of significand: it is off by 0.001 ULP.
std::vector<double> hard_doubles(const std::string& isa, std::size_t count, unsigned seed) {
  Random random(seed);
  const double limit = double_limit(isa);
  std::vector<double> x;
  const auto any = [&] { return uniform(random) + uniform(random) * 0x1p-32; };
  for (std::size_t i = 0; i < count; ++i) {
    x.push_back((any() * 2 - 1) * 740);
    x.push_back((any() * 2 - 1) * 1.5);
    x.push_back((any() * 2 - 1) * limit);
    x.push_back(std::ldexp(any() + 1, static_cast<int>(random() % 60) - 50) * (random() % 2 == 0 ? 1 : -1));
    const double halves = static_cast<double>(random() % 4096) - 2048;
    const double beside = std::ldexp(any() * 2 - 1, -static_cast<int>(random() % 54));
    x.push_back(halves * 0.34657359027997264 * (1 + beside));
  }
  const auto beyond = [&](double value) { return !(std::fabs(value) < limit); };
  x.erase(std::remove_if(x.begin(), x.end(), beyond), x.end());
  return x;
}

TEST_P(ExpTest, Doubles) {
  double worst = 0;
  double where = 0;
  const unsigned rounds = exhaustive() ? 2000 : slow_machine() ? 1 : 20;
  for (unsigned round = 0; round < rounds; ++round) {
    const std::vector<double> x = hard_doubles(GetParam(), slow_machine() ? 500 : 4000, 103 + round);
    const std::vector<RowState> states = exponentials(GetParam(), x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Wide exact = std::exp(reduced(static_cast<Wide>(x[i]), static_cast<Wide>(states[i].anchor)));
      const Wide got = std::ldexp(static_cast<Wide>(states[i].sum.high), -64);
      const auto error = static_cast<double>(std::fabs(got - exact) / last_place(format_named("f64"), exact));
      if (error > worst) {
        worst = error;
        where = x[i];
      }
      ASSERT_EQ(states[i].sum.low, 0);
      ASSERT_EQ(states[i].shift.high, 0);
    }
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LE(worst, bounds(GetParam()).doubles) << where;
}

INSTANTIATE_TEST_SUITE_P(All, ExpTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
