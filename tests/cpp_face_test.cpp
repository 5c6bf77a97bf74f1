// SPDX-License-Identifier: Apache-2.0
// The C++ face gives what the C ABI gives.

#include <gtest/gtest.h>
#include <simdsoftmax/simdsoftmax.hpp>

#include <cstring>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

namespace ss = simdsoftmax;

template <class T>
std::vector<T> typed(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

template <class T>
Bytes raw(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <class In, class Out>
void expect_same_as_c() {
  const Pair pair{ss::DtypeOf<In>::value, ss::DtypeOf<Out>::value};
  const Shape shape{4, 33};
  const Bytes logits = encode(pair.in, normal_logits(format_of(pair.in), shape.rows * shape.cols, 4, 61));
  const Bytes expected = softmax(pair, shape, logits, serial_options());
  const std::vector<In> values = typed<In>(logits);
  std::vector<Out> output(values.size());
  EXPECT_EQ(ss::softmax_rows(values, output, shape.cols), ss::Status::ok);
  EXPECT_EQ(raw(output), expected) << "vectors, " << name_of(pair);
  output.assign(values.size(), Out{});
  EXPECT_EQ(ss::softmax_rows(values.data(), output.data(), shape.rows, shape.cols), ss::Status::ok);
  EXPECT_EQ(raw(output), expected) << "pointers, " << name_of(pair);
  if constexpr (std::is_same_v<In, Out>) {
    std::vector<In> in_place = values;
    EXPECT_EQ(ss::softmax_rows(in_place, shape.cols), ss::Status::ok);
    EXPECT_EQ(raw(in_place), expected) << "in place, " << name_of(pair);
  }
}

TEST(CppFace, GivesWhatTheCAbiGives) {
  expect_same_as_c<float, float>();
  expect_same_as_c<double, double>();
  expect_same_as_c<ss::Float16, ss::Float16>();
  expect_same_as_c<ss::BFloat16, ss::BFloat16>();
  expect_same_as_c<ss::Float16, float>();
  expect_same_as_c<ss::BFloat16, float>();
  expect_same_as_c<float, ss::Float16>();
  expect_same_as_c<float, ss::BFloat16>();
}

TEST(CppFace, PassesEveryOptionOn) {
  const std::vector<float> logits = {1, 2, 3, -HUGE_VALF, -HUGE_VALF, -HUGE_VALF};
  ss::Options options;
  options.theta = -2;
  options.variant = ss::Variant::online;
  options.empty_row = ss::EmptyRow::zeros;
  options.num_threads = 3;
  const simdsoftmax_options c = options.c();
  EXPECT_EQ(c.struct_size, sizeof c);
  EXPECT_EQ(c.theta, -2);
  EXPECT_EQ(c.variant, SIMDSOFTMAX_ONLINE);
  EXPECT_EQ(c.empty_row, SIMDSOFTMAX_EMPTY_ROW_ZEROS);
  EXPECT_EQ(c.num_threads, 3);
  options.theta = 2;
  std::vector<float> output(6, -1.0F);
  EXPECT_EQ(ss::softmax_rows(logits, output, 3, options), ss::Status::ok);
  EXPECT_LT(output[0], output[2]);
  EXPECT_EQ(std::vector<float>(output.begin() + 3, output.end()), std::vector<float>(3, 0.0F));
  options.theta = HUGE_VAL;
  EXPECT_EQ(ss::softmax_rows(logits, output, 3, options), ss::Status::bad_theta);
}

TEST(CppFace, VectorsMustHoldWholeRows) {
  std::vector<float> values(7, 2.0F);
  EXPECT_EQ(ss::softmax_rows(values, 3), ss::Status::bad_stride);
  EXPECT_EQ(ss::softmax_rows(values, 0), ss::Status::bad_stride);
  std::vector<float> output(6, 2.0F);
  EXPECT_EQ(ss::softmax_rows(values, output, 7), ss::Status::bad_stride);
  EXPECT_EQ(values, std::vector<float>(7, 2.0F));
  EXPECT_EQ(output, std::vector<float>(6, 2.0F));
  std::vector<float> empty;
  EXPECT_EQ(ss::softmax_rows(empty, 3), ss::Status::ok);
  EXPECT_EQ(ss::softmax_rows(empty, empty, 0), ss::Status::ok);
}

TEST(CppFace, StatusHasItsText) {
  EXPECT_STREQ(ss::text(ss::Status::bad_theta), simdsoftmax_status_text(SIMDSOFTMAX_BAD_THETA));
}

}  // namespace
}  // namespace softmax_test
