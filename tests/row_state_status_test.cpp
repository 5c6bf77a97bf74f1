// SPDX-License-Identifier: Apache-2.0
// Misuse of row states has its status and writes nothing.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "harness.hpp"

namespace softmax_test {
namespace {

constexpr std::size_t part = 8192;
constexpr std::size_t cols = 3 * part + 100;

Bytes bytes_of(const simdsoftmax_row_state& state) {
  Bytes bytes(sizeof state);
  std::memcpy(bytes.data(), &state, sizeof state);
  return bytes;
}

const std::vector<float>& logits() {
  static const std::vector<float> values(cols, 0.5F);
  return values;
}

// Of a row whose first `parts` parts have been taken.
simdsoftmax_row_state state_of(std::size_t parts) {
  simdsoftmax_row_state state;
  EXPECT_EQ(simdsoftmax_row_state_init(&state, SIMDSOFTMAX_F32, cols, nullptr), SIMDSOFTMAX_OK);
  const std::size_t count = parts * part < cols ? parts * part : cols;
  EXPECT_EQ(simdsoftmax_row_state_add(&state, logits().data(), 0, count), SIMDSOFTMAX_OK);
  return state;
}

TEST(RowStateMisuse, PartLengths) {
  EXPECT_EQ(simdsoftmax_row_part_length(0), part);
  EXPECT_EQ(simdsoftmax_row_part_length(1), part);
  EXPECT_EQ(simdsoftmax_row_part_length(256 * part), part);
  EXPECT_EQ(simdsoftmax_row_part_length(256 * part + 1), 2 * part);
  EXPECT_EQ(simdsoftmax_row_part_length(512 * part), 2 * part);
  EXPECT_EQ(simdsoftmax_row_part_length(512 * part + 1), 3 * part);
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  const std::size_t length = simdsoftmax_row_part_length(most);
  EXPECT_EQ(length % part, 0U);
  EXPECT_LE((most - 1) / length + 1, 256U);
}

TEST(RowStateMisuse, Init) {
  simdsoftmax_row_state state;
  std::memset(&state, poison, sizeof state);
  const Bytes before = bytes_of(state);
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  const auto init = [&](simdsoftmax_dtype dtype, std::size_t n) {
    return simdsoftmax_row_state_init(&state, dtype, n, &options);
  };
  EXPECT_EQ(simdsoftmax_row_state_init(nullptr, SIMDSOFTMAX_F32, 10, nullptr), SIMDSOFTMAX_NULL_POINTER);
  for (const simdsoftmax_dtype dtype : {-1, 4, 5, 6, 7}) {
    EXPECT_EQ(init(dtype, 10), SIMDSOFTMAX_BAD_DTYPE);
  }
  EXPECT_EQ(init(SIMDSOFTMAX_F32, std::numeric_limits<std::size_t>::max() / 8), SIMDSOFTMAX_SIZE_OVERFLOW);
  options.theta = 1e39;
  EXPECT_EQ(init(SIMDSOFTMAX_BF16, 10), SIMDSOFTMAX_BAD_THETA);
  options.theta = std::nan("");
  EXPECT_EQ(init(SIMDSOFTMAX_F64, 10), SIMDSOFTMAX_BAD_THETA);
  options.theta = 1;
  const simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  options.pre_ops = &pre_ops;
  EXPECT_EQ(init(SIMDSOFTMAX_F32, 10), SIMDSOFTMAX_BAD_PRE_OPS);
  options.pre_ops = nullptr;
  options.struct_size = 1;
  EXPECT_EQ(init(SIMDSOFTMAX_F32, 10), SIMDSOFTMAX_BAD_OPTIONS);
  EXPECT_EQ(bytes_of(state), before);

  options = SIMDSOFTMAX_OPTIONS_INIT;
  for (const simdsoftmax_accuracy accuracy : {SIMDSOFTMAX_BALANCED, SIMDSOFTMAX_EXACT, SIMDSOFTMAX_FAST}) {
    options.accuracy = accuracy;
    EXPECT_EQ(init(SIMDSOFTMAX_BF16, 10), SIMDSOFTMAX_OK);
    EXPECT_EQ(state.accuracy, accuracy == SIMDSOFTMAX_EXACT ? SIMDSOFTMAX_EXACT : SIMDSOFTMAX_BALANCED);
    EXPECT_EQ(init(SIMDSOFTMAX_F64, 10), SIMDSOFTMAX_OK);
    EXPECT_EQ(state.accuracy, SIMDSOFTMAX_BALANCED);
  }
  options.theta = -3;
  EXPECT_EQ(init(SIMDSOFTMAX_F64, 10), SIMDSOFTMAX_OK);
  EXPECT_EQ(state.cols, 10U);
  EXPECT_EQ(state.theta, -3);
  EXPECT_EQ(state.dtype, SIMDSOFTMAX_F64);
  EXPECT_EQ(state.present[0] | state.present[1] | state.present[2] | state.present[3], 0U);
}

TEST(RowStateMisuse, SlicesThatAreAdded) {
  simdsoftmax_row_state state = state_of(1);
  const Bytes before = bytes_of(state);
  const auto add = [&](std::size_t first, std::size_t count) {
    return simdsoftmax_row_state_add(&state, logits().data(), first, count);
  };
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(add(1, part), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(0, part - 1), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(part, part + 1), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(3 * part, 99), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(3 * part, 101), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(3 * part, part), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(4 * part, 0), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(part, most - part + 1), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(add(5, 0), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(simdsoftmax_row_state_add(&state, nullptr, part, part), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(simdsoftmax_row_state_add(nullptr, logits().data(), part, part), SIMDSOFTMAX_NULL_POINTER);
  // Slices of no columns are fine, and add nothing.
  EXPECT_EQ(simdsoftmax_row_state_add(&state, nullptr, part, 0), SIMDSOFTMAX_OK);
  EXPECT_EQ(add(cols, 0), SIMDSOFTMAX_OK);
  EXPECT_EQ(bytes_of(state), before);
  EXPECT_EQ(add(3 * part, 100), SIMDSOFTMAX_OK);
  EXPECT_EQ(state.present[0], 0b1001U);
  EXPECT_EQ(add(part, 2 * part), SIMDSOFTMAX_OK);
  EXPECT_EQ(state.present[0], 0b1111U);
}

TEST(RowStateMisuse, StatesThatAreNone) {
  using Spoil = std::function<void(simdsoftmax_row_state&)>;
  const Spoil spoils[] = {
      [](simdsoftmax_row_state& state) { std::memset(&state, 0, sizeof state); },
      [](simdsoftmax_row_state& state) { std::memset(&state, 0xFF, sizeof state); },
      [](simdsoftmax_row_state& state) { state.arithmetic = 3; },
      [](simdsoftmax_row_state& state) { state.arithmetic = 3 - state.arithmetic; },  // of another kind of ISA
      [](simdsoftmax_row_state& state) { state.accuracy = SIMDSOFTMAX_FAST; },
      [](simdsoftmax_row_state& state) { state.dtype = SIMDSOFTMAX_I32; },
      [](simdsoftmax_row_state& state) { state.theta = HUGE_VAL; },
      [](simdsoftmax_row_state& state) { state.theta = 1e39; },
      [](simdsoftmax_row_state& state) { state.cols = std::numeric_limits<std::size_t>::max(); },
      [](simdsoftmax_row_state& state) { state.present[0] |= 1U << 4; },  // a part the row does not have
      [](simdsoftmax_row_state& state) { state.present[3] |= 1; },
  };
  for (const Spoil& spoil : spoils) {
    simdsoftmax_row_state state = state_of(4);
    spoil(state);
    const Bytes before = bytes_of(state);
    std::vector<float> output(cols, -1.0F);
    double result = -1;
    EXPECT_EQ(simdsoftmax_row_state_add(&state, logits().data(), 0, part), SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(simdsoftmax_row_state_softmax(&state, logits().data(), 0, cols, output.data(), SIMDSOFTMAX_F32, nullptr),
              SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(simdsoftmax_row_state_logsumexp(&state, &result), SIMDSOFTMAX_BAD_STATE);
    simdsoftmax_row_state good = state_of(4);
    const Bytes good_before = bytes_of(good);
    EXPECT_EQ(simdsoftmax_row_state_merge(&good, &state), SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(simdsoftmax_row_state_merge(&state, &good), SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(bytes_of(state), before);
    EXPECT_EQ(bytes_of(good), good_before);
    EXPECT_EQ(output, std::vector<float>(cols, -1.0F));
    EXPECT_EQ(result, -1);
  }
}

TEST(RowStateMisuse, StatesOfOtherRowsAreNotMerged) {
  const simdsoftmax_row_state state = state_of(1);
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  options.theta = 2;
  simdsoftmax_options exact = SIMDSOFTMAX_OPTIONS_INIT;
  exact.accuracy = SIMDSOFTMAX_EXACT;
  simdsoftmax_row_state others[4];
  ASSERT_EQ(simdsoftmax_row_state_init(&others[0], SIMDSOFTMAX_F16, cols, nullptr), SIMDSOFTMAX_OK);
  ASSERT_EQ(simdsoftmax_row_state_init(&others[1], SIMDSOFTMAX_F32, cols + 1, nullptr), SIMDSOFTMAX_OK);
  ASSERT_EQ(simdsoftmax_row_state_init(&others[2], SIMDSOFTMAX_F32, cols, &options), SIMDSOFTMAX_OK);
  ASSERT_EQ(simdsoftmax_row_state_init(&others[3], SIMDSOFTMAX_F32, cols, &exact), SIMDSOFTMAX_OK);
  for (simdsoftmax_row_state& other : others) {
    const Bytes before = bytes_of(other);
    EXPECT_EQ(simdsoftmax_row_state_merge(&other, &state), SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(bytes_of(other), before);
  }
  simdsoftmax_row_state copy = state;
  EXPECT_EQ(simdsoftmax_row_state_merge(nullptr, &state), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(simdsoftmax_row_state_merge(&copy, nullptr), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(simdsoftmax_row_state_merge(&copy, &copy), SIMDSOFTMAX_OK);
  EXPECT_EQ(bytes_of(copy), bytes_of(state));
}

TEST(RowStateMisuse, MissingParts) {
  for (std::size_t missing = 0; missing < 4; ++missing) {
    simdsoftmax_row_state state = state_of(4);
    state.present[0] &= ~(std::uint64_t{1} << missing);
    std::vector<float> output(cols, -1.0F);
    double result = -1;
    EXPECT_EQ(simdsoftmax_row_state_softmax(&state, logits().data(), 0, cols, output.data(), SIMDSOFTMAX_F32, nullptr),
              SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(simdsoftmax_row_state_logsumexp(&state, &result), SIMDSOFTMAX_BAD_STATE);
    EXPECT_EQ(output, std::vector<float>(cols, -1.0F));
    EXPECT_EQ(result, -1);
  }
}

TEST(RowStateMisuse, SlicesThatAreFinished) {
  const simdsoftmax_row_state state = state_of(4);
  std::vector<float> memory(3 * cols, -1.0F);
  const std::vector<float> before = memory;
  float* const x = memory.data();
  float* const y = memory.data() + 2 * cols;
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  const auto finish = [&](const void* from, std::size_t first, std::size_t count, void* to,
                          simdsoftmax_dtype dtype = SIMDSOFTMAX_F32) {
    return simdsoftmax_row_state_softmax(&state, from, first, count, to, dtype, &options);
  };
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(finish(x, cols + 1, 0, y), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(finish(x, 0, cols + 1, y), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(finish(x, 10, cols - 9, y), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(finish(x, 10, most - 9, y), SIMDSOFTMAX_BAD_SLICE);
  EXPECT_EQ(finish(nullptr, 10, 1, y), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(finish(x, 10, 1, nullptr), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(finish(x, 10, 100, y, SIMDSOFTMAX_I32), SIMDSOFTMAX_BAD_DTYPE);
  EXPECT_EQ(finish(x, 10, 100, y, SIMDSOFTMAX_F64), SIMDSOFTMAX_BAD_DTYPE_PAIR);
  EXPECT_EQ(finish(x, 10, 100, x + 1), SIMDSOFTMAX_PARTIAL_OVERLAP);
  EXPECT_EQ(finish(x, 10, 100, x + 99), SIMDSOFTMAX_PARTIAL_OVERLAP);
  EXPECT_EQ(finish(x + 99, 10, 100, x), SIMDSOFTMAX_PARTIAL_OVERLAP);
  EXPECT_EQ(finish(x, 10, 100, x, SIMDSOFTMAX_F16), SIMDSOFTMAX_PARTIAL_OVERLAP);
  EXPECT_EQ(finish(x, 10, 100, const_cast<double*>(&state.theta)), SIMDSOFTMAX_PARTIAL_OVERLAP);
  EXPECT_EQ(simdsoftmax_row_state_softmax(nullptr, x, 0, 1, y, SIMDSOFTMAX_F32, &options), SIMDSOFTMAX_NULL_POINTER);
  options.empty_row = 2;
  EXPECT_EQ(finish(x, 0, 1, y), SIMDSOFTMAX_BAD_EMPTY_ROW);
  options = SIMDSOFTMAX_OPTIONS_INIT;
  const simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  options.pre_ops = &pre_ops;
  EXPECT_EQ(finish(x, 0, 1, y), SIMDSOFTMAX_BAD_PRE_OPS);
  options.pre_ops = nullptr;
  EXPECT_EQ(finish(nullptr, 10, 0, nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(memory, before);
  EXPECT_EQ(finish(x, 10, 100, x + 100), SIMDSOFTMAX_OK);
  EXPECT_EQ(finish(x, 10, 100, x), SIMDSOFTMAX_OK);
  EXPECT_NE(memory, before);
}

TEST(RowStateMisuse, LogsumexpPointers) {
  const simdsoftmax_row_state state = state_of(4);
  double result = -1;
  EXPECT_EQ(simdsoftmax_row_state_logsumexp(nullptr, &result), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(simdsoftmax_row_state_logsumexp(&state, nullptr), SIMDSOFTMAX_NULL_POINTER);
  EXPECT_EQ(result, -1);
}

TEST(RowStateMisuse, ARowOfNoColumnsIsComplete) {
  simdsoftmax_row_state state;
  ASSERT_EQ(simdsoftmax_row_state_init(&state, SIMDSOFTMAX_F32, 0, nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(simdsoftmax_row_state_add(&state, nullptr, 0, 0), SIMDSOFTMAX_OK);
  EXPECT_EQ(simdsoftmax_row_state_softmax(&state, nullptr, 0, 0, nullptr, SIMDSOFTMAX_F32, nullptr), SIMDSOFTMAX_OK);
  double result = 1;
  EXPECT_EQ(simdsoftmax_row_state_logsumexp(&state, &result), SIMDSOFTMAX_OK);
  EXPECT_EQ(result, -HUGE_VAL);
}

// A state goes on only where the ISA in use computes as the one it was made with.
TEST(RowStateMisuse, ArithmeticOfAnotherIsa) {
  const std::vector<std::string> isas = runnable_isas();
  for (const std::string& made_by : isas) {
    simdsoftmax_row_state state;
    {
      const ScopedCap cap(made_by);
      state = state_of(1);
    }
    EXPECT_EQ(state.arithmetic, has_fma(made_by) ? 1 : 2);
    for (const std::string& used_by : isas) {
      const ScopedCap cap(used_by);
      EXPECT_EQ(simdsoftmax_row_state_add(&state, logits().data(), part, part),
                has_fma(made_by) == has_fma(used_by) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_STATE);
    }
  }
}

}  // namespace
}  // namespace softmax_test
