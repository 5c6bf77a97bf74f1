// SPDX-License-Identifier: Apache-2.0
// A row in slices has the bits of simdsoftmax_softmax over the whole row, however it is cut, merged and finished.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

class RowStateTest : public ConfigTest {
 protected:
  using State = std::unique_ptr<simdsoftmax_row_state>;

  State empty_state(std::size_t cols, const simdsoftmax_options& options) {
    State state = std::make_unique<simdsoftmax_row_state>();
    std::memset(state.get(), poison, sizeof *state);
    EXPECT_EQ(simdsoftmax_row_state_init(state.get(), pair().in, cols, &options), SIMDSOFTMAX_OK);
    return state;
  }

  const unsigned char* column(const Bytes& logits, std::size_t first) { return logits.data() + first * in().bytes; }

  // Cuts the row at some of the places where it may be cut, gives every slice a state of its own, and merges them in a
  // random order and grouping.
  State random_state(const Bytes& logits, const simdsoftmax_options& options, std::size_t slices, Random& random) {
    const std::size_t cols = logits.size() / in().bytes;
    const std::size_t part = simdsoftmax_row_part_length(cols);
    const std::size_t parts = (cols + part - 1) / part;
    std::vector<std::size_t> cuts = {0, cols};
    for (std::size_t i = 1; i < slices && parts > 1; ++i) cuts.push_back((1 + random() % (parts - 1)) * part);
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<State> states;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      // Some states take two slices one after the other.
      if (states.empty() || random() % 3 != 0) states.push_back(empty_state(cols, options));
      const std::size_t count = cuts[i + 1] - cuts[i];
      EXPECT_EQ(
          simdsoftmax_row_state_add(states[random() % states.size()].get(), column(logits, cuts[i]), cuts[i], count),
          SIMDSOFTMAX_OK);
    }
    while (states.size() > 1) {
      const std::size_t from = random() % states.size();
      const std::size_t into = (from + 1 + random() % (states.size() - 1)) % states.size();
      EXPECT_EQ(simdsoftmax_row_state_merge(states[into].get(), states[from].get()), SIMDSOFTMAX_OK);
      states.erase(states.begin() + static_cast<std::ptrdiff_t>(from));
    }
    return std::move(states.front());
  }

  // The probabilities, finished in arbitrary slices.
  Bytes finish(const simdsoftmax_row_state& state, const Bytes& logits, const simdsoftmax_options& options,
               std::size_t slices, Random& random) {
    const std::size_t cols = logits.size() / in().bytes;
    std::vector<std::size_t> cuts = {0, cols};
    for (std::size_t i = 1; i < slices; ++i) cuts.push_back(random() % (cols + 1));
    std::sort(cuts.begin(), cuts.end());
    Bytes output(cols * out().bytes, poison);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      EXPECT_EQ(simdsoftmax_row_state_softmax(&state, column(logits, cuts[i]), cuts[i], cuts[i + 1] - cuts[i],
                                              output.data() + cuts[i] * out().bytes, pair().out, &options),
                SIMDSOFTMAX_OK);
    }
    return output;
  }

  void check(const std::vector<double>& values, const std::string& name,
             simdsoftmax_options options = serial_options()) {
    check_slices(values, name, options, {1U, 2U, 7U, 40U});
    options.accuracy = SIMDSOFTMAX_EXACT;
    if (!HasFatalFailure() && pair().in != SIMDSOFTMAX_F64) check_slices(values, "exact, " + name, options, {5U});
  }

  void check_slices(const std::vector<double>& values, const std::string& name, const simdsoftmax_options& options,
                    const std::vector<std::size_t>& slice_counts) {
    const Bytes logits = encode(pair().in, values);
    const Bytes expected = apply_to_rows(softmax_operator(), pair(), {1, values.size()}, logits, options);
    Random random(171);
    for (const std::size_t slices : slice_counts) {
      if (slow_machine() && slices % 2 == 0) continue;
      const State state = random_state(logits, options, slices, random);
      const Bytes got = finish(*state, logits, options, slices, random);
      if (got == expected) continue;
      const std::vector<double> want = decode(pair().out, expected);
      const std::vector<double> have = decode(pair().out, got);
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_TRUE(have[i] == want[i] || (std::isnan(have[i]) && std::isnan(want[i])))
            << name << ", " << slices << " slices, column " << i << " of " << want.size() << ": " << have[i] << ", not "
            << want[i];
      }
    }
  }

  std::vector<std::size_t> sizes() {
    if (slow_machine()) return {1, 5, 8193};
    return {1, 5, 300, 8191, 8192, 8193, 16384, 20001, 100003};
  }
};

TEST_P(RowStateTest, AnyPartitionHasTheBitsOfTheWhole) {
  for (const std::size_t cols : sizes()) {
    ASSERT_NO_FATAL_FAILURE(check(normal_logits(in(), cols, 4, 172), "normal"));
  }
}

TEST_P(RowStateTest, VeryLongRow) {
  if (slow_machine() || pair().in != pair().out) return;
  const std::size_t cols = (std::size_t{1} << 21) + 12345;
  EXPECT_GT(simdsoftmax_row_part_length(cols), simdsoftmax_row_part_length(8192));
  std::vector<double> values = normal_logits(in(), 4096, 4, 173);
  for (std::size_t c = 4096; c < cols; ++c) values.push_back(values[(c * 7919) % 4096]);
  ASSERT_NO_FATAL_FAILURE(check(values, "very long"));
}

TEST_P(RowStateTest, Theta) {
  for (const double theta : {0.5, -1.0, 1.0 / 3, 0.0}) {
    simdsoftmax_options options = serial_options();
    options.theta = theta;
    for (const std::size_t cols : {5U, slow_machine() ? 8193U : 20001U}) {
      ASSERT_NO_FATAL_FAILURE(check(normal_logits(in(), cols, 4, 174), "theta " + std::to_string(theta), options));
    }
  }
}

// Parts that differ in what they hold: huge logits, -inf, a climb, a lone giant.
TEST_P(RowStateTest, PartsOfDifferentKinds) {
  const std::size_t cols = 20001;
  const std::vector<double> plain = normal_logits(in(), cols, 4, 175);
  for (const std::size_t part : {std::size_t{0}, std::size_t{1}, cols / 8192}) {
    if (slow_machine() && part != 1) continue;
    const auto first = static_cast<std::ptrdiff_t>(part * 8192);
    const auto last = std::min(first + 8192, static_cast<std::ptrdiff_t>(cols));
    const auto with = [&](double shift, bool elsewhere) {
      std::vector<double> values = plain;
      for (std::ptrdiff_t c = 0; c < static_cast<std::ptrdiff_t>(cols); ++c) {
        const bool inside = c >= first && c < last;
        double& x = values[static_cast<std::size_t>(c)];
        if (inside != elsewhere) x = std::isinf(shift) ? shift : round_to(in(), x + shift);
      }
      return values;
    };
    for (const double shift :
         {100.0, -100.0, 3000.0, 60000.0, -60000.0, 70000.0, -70000.0, 1e6, 1e30, -1e30, -infinity}) {
      if (std::fabs(shift) > largest(in()) && !std::isinf(shift)) continue;
      if (slow_machine() && shift != 100 && shift != 70000 && !std::isinf(shift)) continue;
      const std::string name = std::to_string(shift) + " in part " + std::to_string(part);
      ASSERT_NO_FATAL_FAILURE(check(with(shift, false), name));
      ASSERT_NO_FATAL_FAILURE(check(with(shift, true), name + ", in the others"));
    }
    std::vector<double> giant = plain;
    giant[static_cast<std::size_t>(last) - 1] = largest(in());
    ASSERT_NO_FATAL_FAILURE(check(giant, "one giant in part " + std::to_string(part)));
  }
}

TEST_P(RowStateTest, NanAndEmptyRows) {
  const std::size_t cols = 20001;
  for (const bool zeros : {false, true}) {
    simdsoftmax_options options = serial_options();
    options.empty_row = zeros ? SIMDSOFTMAX_EMPTY_ROW_ZEROS : SIMDSOFTMAX_EMPTY_ROW_NAN;
    for (const double special : {nan_value, infinity}) {
      std::vector<double> values = normal_logits(in(), cols, 4, 176);
      values[9000] = special;
      ASSERT_NO_FATAL_FAILURE(check(values, "special value", options));
    }
    ASSERT_NO_FATAL_FAILURE(check(std::vector<double>(cols, -infinity), "nothing but -inf", options));
    std::vector<double> one(cols, -infinity);
    one[cols - 1] = 3;
    ASSERT_NO_FATAL_FAILURE(check(one, "one column", options));
  }
}

TEST_P(RowStateTest, Logsumexp) {
  for (const std::size_t cols : sizes()) {
    for (const double theta : {1.0, 0.4}) {
      for (const double shift : {0.0, 1000.0, -20000.0}) {
        if (cols > (slow_machine() ? 1000U : 9000U) && (theta != 1 || shift != 0)) continue;
        std::vector<double> values = normal_logits(in(), cols, 4, 177);

        for (double& value : values) value = round_to(in(), value + shift);
        simdsoftmax_options options = serial_options();
        options.theta = theta;
        RowOps ops;
        ops.theta = theta;
        const Wide exact = exact_row(values, ops).logsumexp;
        Random random(178);
        const State state = random_state(encode(pair().in, values), options, 5, random);
        double got = 0;
        ASSERT_EQ(simdsoftmax_row_state_logsumexp(state.get(), &got), SIMDSOFTMAX_OK);
        const Wide place = last_place(format_of(SIMDSOFTMAX_F64), exact);
        const Wide bound = in().dtype == SIMDSOFTMAX_F64 ? std::ldexp(std::max<Wide>(1, std::fabs(exact)), -50)
                                                         : std::ldexp(static_cast<Wide>(1), -21) + place;
        EXPECT_LE(std::fabs(static_cast<Wide>(got) - exact), bound)
            << cols << " columns about " << shift << ", theta " << theta << ": " << got;
      }
    }
  }
  double got = 0;
  Random random(179);
  const Bytes empty = encode(pair().in, std::vector<double>(20001, -infinity));
  ASSERT_EQ(simdsoftmax_row_state_logsumexp(random_state(empty, serial_options(), 3, random).get(), &got),
            SIMDSOFTMAX_OK);
  EXPECT_EQ(got, -infinity);
  std::vector<double> values(20001, 1);
  values[15000] = nan_value;
  const Bytes spoilt = encode(pair().in, values);
  ASSERT_EQ(simdsoftmax_row_state_logsumexp(random_state(spoilt, serial_options(), 3, random).get(), &got),
            SIMDSOFTMAX_OK);
  EXPECT_TRUE(std::isnan(got));
}

TEST_P(RowStateTest, InPlace) {
  if (pair().in != pair().out) return;
  const Bytes logits = encode(pair().in, normal_logits(in(), 20001, 4, 180));
  const simdsoftmax_options options = serial_options();
  Random random(181);
  const State state = random_state(logits, options, 3, random);
  Bytes memory = logits;
  for (const std::size_t first : {std::size_t{0}, std::size_t{7777}}) {
    const std::size_t count = first == 0 ? 7777 : 20001 - 7777;
    unsigned char* const at = memory.data() + first * in().bytes;
    ASSERT_EQ(simdsoftmax_row_state_softmax(state.get(), at, first, count, at, pair().out, &options), SIMDSOFTMAX_OK);
  }
  EXPECT_TRUE(memory == apply_to_rows(softmax_operator(), pair(), {1, 20001}, logits, options));
}

// Parts that are not present need not be sent: whatever their memory holds, nothing depends on it.
TEST_P(RowStateTest, AbsentPartsDoNotCount) {
  const std::size_t cols = 20001;
  const Bytes logits = encode(pair().in, normal_logits(in(), cols, 4, 182));
  const simdsoftmax_options options = serial_options();
  const std::size_t part = simdsoftmax_row_part_length(cols);
  State first = empty_state(cols, options);
  State second = empty_state(cols, options);
  ASSERT_EQ(simdsoftmax_row_state_add(first.get(), column(logits, 0), 0, part), SIMDSOFTMAX_OK);
  ASSERT_EQ(simdsoftmax_row_state_add(second.get(), column(logits, part), part, cols - part), SIMDSOFTMAX_OK);
  for (simdsoftmax_row_state* state : {first.get(), second.get()}) {
    for (std::size_t p = 0; p < SIMDSOFTMAX_ROW_PARTS; ++p) {
      const bool present = (state->present[p / 64] >> (p % 64) & 1) != 0;
      EXPECT_EQ(present, p * part < cols && (p == 0) == (state == first.get())) << "part " << p;
      if (!present) std::memset(&state->parts[p], 0xff, sizeof state->parts[p]);
    }
  }
  ASSERT_EQ(simdsoftmax_row_state_merge(first.get(), second.get()), SIMDSOFTMAX_OK);
  Random random(183);
  EXPECT_TRUE(finish(*first, logits, options, 4, random) ==
              apply_to_rows(softmax_operator(), pair(), {1, cols}, logits, options));
}

INSTANTIATE_TEST_SUITE_P(All, RowStateTest, ::testing::ValuesIn(operator_configs()), name_of_config);

// A row that began on one ISA with fma may end on another.
TEST(RowState, TravelsBetweenIsasWithFma) {
  const std::size_t cols = 20001;
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F64}) {
    const Pair pair{dtype, dtype};
    const std::size_t size = format_of(dtype).bytes;
    const Bytes logits = encode(dtype, normal_logits(format_of(dtype), cols, 4, 184));
    const std::size_t part = simdsoftmax_row_part_length(cols);
    for (const std::string& begin : runnable_isas()) {
      for (const std::string& end : runnable_isas()) {
        auto here = std::make_unique<simdsoftmax_row_state>();
        auto there = std::make_unique<simdsoftmax_row_state>();
        {
          const ScopedCap cap(begin);
          ASSERT_EQ(simdsoftmax_row_state_init(here.get(), dtype, cols, nullptr), SIMDSOFTMAX_OK);
          ASSERT_EQ(simdsoftmax_row_state_add(here.get(), logits.data(), 0, part), SIMDSOFTMAX_OK);
        }
        const ScopedCap cap(end);
        ASSERT_EQ(simdsoftmax_row_state_init(there.get(), dtype, cols, nullptr), SIMDSOFTMAX_OK);
        ASSERT_EQ(simdsoftmax_row_state_add(there.get(), logits.data() + part * size, part, cols - part),
                  SIMDSOFTMAX_OK);
        const simdsoftmax_status status = simdsoftmax_row_state_merge(there.get(), here.get());
        if (has_fma(begin) != has_fma(end)) {
          EXPECT_EQ(status, SIMDSOFTMAX_BAD_STATE) << begin << ", " << end;
          continue;
        }
        ASSERT_EQ(status, SIMDSOFTMAX_OK) << begin << ", " << end;
        Bytes output(logits.size(), poison);
        const simdsoftmax_options options = serial_options();
        ASSERT_EQ(simdsoftmax_row_state_softmax(there.get(), logits.data(), 0, cols, output.data(), dtype, &options),
                  SIMDSOFTMAX_OK);
        EXPECT_TRUE(output == apply_to_rows(softmax_operator(), pair, {1, cols}, logits, options))
            << begin << ", " << end;
      }
    }
  }
}

}  // namespace
}  // namespace softmax_test
