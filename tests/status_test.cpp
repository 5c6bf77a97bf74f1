// SPDX-License-Identifier: Apache-2.0
// Every misuse has its status, and a call that is refused writes nothing.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>

#include "harness.hpp"

namespace softmax_test {
namespace {

constexpr std::size_t buffer_bytes = 4096;

// A valid call of 3 x 5 f32, for a test to spoil in one place.
struct Call {
  Bytes memory = Bytes(2 * buffer_bytes, poison);
  void* logits = memory.data();
  void* output = memory.data() + buffer_bytes;
  simdsoftmax_dtype logits_dtype = SIMDSOFTMAX_F32;
  simdsoftmax_dtype output_dtype = SIMDSOFTMAX_F32;
  std::ptrdiff_t logits_stride = 5;
  std::ptrdiff_t output_stride = 5;
  std::size_t rows = 3;
  std::size_t cols = 5;
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;

  simdsoftmax_status run() const {
    return simdsoftmax_softmax_rows(logits, logits_dtype, logits_stride, output, output_dtype, output_stride, rows,
                                    cols, &options);
  }
};

struct Misuse {
  const char* name;
  simdsoftmax_status status;
  void (*spoil)(Call& call);
};

void PrintTo(const Misuse& misuse, std::ostream* stream) { *stream << misuse.name; }

constexpr std::ptrdiff_t huge = std::numeric_limits<std::ptrdiff_t>::max();

const Misuse misuses[] = {
    {"null_logits", SIMDSOFTMAX_NULL_POINTER, [](Call& call) { call.logits = nullptr; }},
    {"null_output", SIMDSOFTMAX_NULL_POINTER, [](Call& call) { call.output = nullptr; }},
    {"both_null", SIMDSOFTMAX_NULL_POINTER, [](Call& call) { call.logits = call.output = nullptr; }},
    {"logits_dtype_4", SIMDSOFTMAX_BAD_DTYPE, [](Call& call) { call.logits_dtype = 4; }},
    {"logits_dtype_negative", SIMDSOFTMAX_BAD_DTYPE, [](Call& call) { call.logits_dtype = -1; }},
    {"output_dtype_4", SIMDSOFTMAX_BAD_DTYPE, [](Call& call) { call.output_dtype = 4; }},
    {"output_dtype_lowest", SIMDSOFTMAX_BAD_DTYPE, [](Call& call) { call.output_dtype = INT32_MIN; }},
    {"variant_past_the_end", SIMDSOFTMAX_BAD_VARIANT,
     [](Call& call) { call.options.variant = static_cast<simdsoftmax_variant>(simdsoftmax_variant_count()); }},
    {"variant_negative", SIMDSOFTMAX_BAD_VARIANT, [](Call& call) { call.options.variant = -1; }},
    {"empty_row_2", SIMDSOFTMAX_BAD_EMPTY_ROW, [](Call& call) { call.options.empty_row = 2; }},
    {"empty_row_negative", SIMDSOFTMAX_BAD_EMPTY_ROW, [](Call& call) { call.options.empty_row = -1; }},
    {"accuracy_past_the_end", SIMDSOFTMAX_BAD_ACCURACY,
     [](Call& call) { call.options.accuracy = static_cast<simdsoftmax_accuracy>(simdsoftmax_accuracy_count()); }},
    {"accuracy_negative", SIMDSOFTMAX_BAD_ACCURACY, [](Call& call) { call.options.accuracy = -1; }},
    {"num_threads_negative", SIMDSOFTMAX_BAD_NUM_THREADS, [](Call& call) { call.options.num_threads = -1; }},
    {"theta_nan", SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = std::nan(""); }},
    {"theta_infinite", SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = -HUGE_VAL; }},
    {"theta_beyond_f32", SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = 1e39; }},
    {"logits_stride_negative", SIMDSOFTMAX_BAD_STRIDE, [](Call& call) { call.logits_stride = -5; }},
    {"output_stride_negative", SIMDSOFTMAX_BAD_STRIDE, [](Call& call) { call.output_stride = -5; }},
    {"output_rows_overlap", SIMDSOFTMAX_BAD_STRIDE, [](Call& call) { call.output_stride = 4; }},
    {"output_rows_coincide", SIMDSOFTMAX_BAD_STRIDE, [](Call& call) { call.output_stride = 0; }},
    {"bytes_of_a_row", SIMDSOFTMAX_SIZE_OVERFLOW,
     [](Call& call) {
       call.rows = 1;
       call.cols = std::numeric_limits<std::size_t>::max() / 4 + 2;  // times 4 bytes wraps to 4
     }},
    {"rows_times_stride", SIMDSOFTMAX_SIZE_OVERFLOW,
     [](Call& call) {
       call.rows = std::size_t{1} << 32;
       call.cols = std::size_t{1} << 30;  // times 4 bytes wraps to 0
       call.logits_stride = call.output_stride = std::ptrdiff_t{1} << 30;
     }},
    {"rows_alone", SIMDSOFTMAX_SIZE_OVERFLOW, [](Call& call) { call.rows = std::numeric_limits<std::size_t>::max(); }},
    {"logits_stride_in_bytes", SIMDSOFTMAX_SIZE_OVERFLOW, [](Call& call) { call.logits_stride = huge / 4 + 1; }},
    {"output_stride_in_bytes", SIMDSOFTMAX_SIZE_OVERFLOW, [](Call& call) { call.output_stride = huge; }},
    {"output_one_element_later", SIMDSOFTMAX_PARTIAL_OVERLAP,
     [](Call& call) { call.output = static_cast<unsigned char*>(call.logits) + 4; }},
    {"output_one_element_earlier", SIMDSOFTMAX_PARTIAL_OVERLAP,
     [](Call& call) { call.logits = static_cast<unsigned char*>(call.output) + 4; }},
    {"output_begins_in_the_last_row", SIMDSOFTMAX_PARTIAL_OVERLAP,
     [](Call& call) { call.output = static_cast<unsigned char*>(call.logits) + 14 * 4; }},
    {"same_pointer_other_stride", SIMDSOFTMAX_PARTIAL_OVERLAP,
     [](Call& call) { call.output = call.logits, call.output_stride = 6; }},
    {"same_pointer_other_dtype", SIMDSOFTMAX_PARTIAL_OVERLAP,
     [](Call& call) { call.output = call.logits, call.output_dtype = SIMDSOFTMAX_F16; }},
    {"struct_size_zero", SIMDSOFTMAX_BAD_OPTIONS, [](Call& call) { call.options.struct_size = 0; }},
    {"struct_size_too_small", SIMDSOFTMAX_BAD_OPTIONS, [](Call& call) { --call.options.struct_size; }},
};

class MisuseTest : public ::testing::TestWithParam<Misuse> {};

TEST_P(MisuseTest, HasItsStatusAndWritesNothing) {
  Call call;
  GetParam().spoil(call);
  EXPECT_EQ(call.run(), GetParam().status);
  EXPECT_EQ(call.memory, Bytes(2 * buffer_bytes, poison));
}

INSTANTIATE_TEST_SUITE_P(All, MisuseTest, ::testing::ValuesIn(misuses),
                         [](const ::testing::TestParamInfo<Misuse>& test) { return test.param.name; });

// Without this, every refusal above could have another reason.
TEST(Misuse, TheUnspoiltCallSucceedsAndWrites) {
  const Call call;
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK);
  EXPECT_NE(call.memory, Bytes(2 * buffer_bytes, poison));
}

TEST(Misuse, ExactlyThePairsOfTheDocumentation) {
  std::set<std::pair<simdsoftmax_dtype, simdsoftmax_dtype>> offered;
  for (const Pair& pair : pairs()) offered.emplace(pair.in, pair.out);
  for (const Format& in : formats()) {
    for (const Format& out : formats()) {
      Call call;
      call.logits_dtype = in.dtype;
      call.output_dtype = out.dtype;
      const bool is_offered = offered.count({in.dtype, out.dtype}) != 0;
      EXPECT_EQ(call.run(), is_offered ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_DTYPE_PAIR) << in.name << " to " << out.name;
      EXPECT_EQ(call.memory == Bytes(2 * buffer_bytes, poison), !is_offered);
    }
  }
}

// What is unusual and allowed.
TEST(Misuse, IsNotSeenWhereThereIsNone) {
  const auto succeeds = [](void (*change)(Call & call)) {
    Call call;
    change(call);
    return call.run() == SIMDSOFTMAX_OK;
  };
  EXPECT_TRUE(succeeds([](Call& call) { call.logits_stride = 0; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.logits_stride = 2; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.rows = 1, call.output_stride = 0; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.output = static_cast<unsigned char*>(call.logits) + 15 * 4; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.logits = static_cast<unsigned char*>(call.output) + 15 * 4; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.output = call.logits; }));
  EXPECT_TRUE(succeeds([](Call& call) { call.options.num_threads = 1000; }));
  EXPECT_TRUE(succeeds([](Call& call) {
    call.logits_dtype = call.output_dtype = SIMDSOFTMAX_F64;
    call.options.theta = 1e39;
  }));
}

TEST(Misuse, NullOptionsAreTheDefaults) {
  Call call;
  const Call with_options;
  EXPECT_EQ(simdsoftmax_softmax_rows(call.logits, call.logits_dtype, call.logits_stride, call.output, call.output_dtype,
                                     call.output_stride, call.rows, call.cols, nullptr),
            SIMDSOFTMAX_OK);
  EXPECT_EQ(with_options.run(), SIMDSOFTMAX_OK);
  EXPECT_EQ(call.memory, with_options.memory);
}

// A caller built against a later version: fields that this library does not know are fine while they are zero.
TEST(Misuse, LongerOptionsMustEndInZeros) {
  struct LaterOptions {
    simdsoftmax_options known = SIMDSOFTMAX_OPTIONS_INIT;
    std::uint8_t unknown[40] = {};
  };
  LaterOptions later;
  later.known.struct_size = sizeof later;
  const auto run = [&later] {
    Call call;
    const simdsoftmax_status status =
        simdsoftmax_softmax_rows(call.logits, call.logits_dtype, call.logits_stride, call.output, call.output_dtype,
                                 call.output_stride, call.rows, call.cols, &later.known);
    EXPECT_EQ(status == SIMDSOFTMAX_OK, call.memory != Bytes(2 * buffer_bytes, poison));
    return status;
  };
  EXPECT_EQ(run(), SIMDSOFTMAX_OK);
  for (std::uint8_t& byte : later.unknown) {
    byte = 1;
    EXPECT_EQ(run(), SIMDSOFTMAX_BAD_OPTIONS) << "byte " << (&byte - later.unknown);
    byte = 0;
  }
}

TEST(StatusText, IsASentenceOfItsOwnForEveryStatus) {
  std::set<std::string> texts;
  for (simdsoftmax_status status = SIMDSOFTMAX_OK; status <= SIMDSOFTMAX_BAD_ACCURACY; ++status) {
    const char* const text = simdsoftmax_status_text(status);
    ASSERT_NE(text, nullptr);
    EXPECT_GT(std::strlen(text), 1U);
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
  for (const simdsoftmax_status status : {-1, SIMDSOFTMAX_BAD_ACCURACY + 1, INT32_MIN, INT32_MAX}) {
    ASSERT_NE(simdsoftmax_status_text(status), nullptr);
    EXPECT_EQ(texts.count(simdsoftmax_status_text(status)), 0U);
  }
}

}  // namespace
}  // namespace softmax_test
