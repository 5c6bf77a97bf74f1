// SPDX-License-Identifier: Apache-2.0
// What `auto` takes, by the sizes of a machine's caches: the table of variants in the README.

#include "plan/plan.hpp"

#include <gtest/gtest.h>

namespace {

using simdsoftmax::detail::Accuracy;
using simdsoftmax::detail::CacheSizes;
using simdsoftmax::detail::Dtype;
using simdsoftmax::detail::plan_rows;
using simdsoftmax::detail::Shape;
using simdsoftmax::detail::Variant;

constexpr std::size_t mebi = std::size_t{1} << 20;
constexpr CacheSizes caches = {mebi, 32 * mebi};

Variant chosen(const Shape& shape, const CacheSizes& sizes = caches) {
  const auto plan = plan_rows(shape, Variant::automatic, 1, sizes);
  EXPECT_NE(plan.reason, nullptr);
  return plan.variant;
}

Shape f32_rows(std::size_t rows, std::size_t cols) { return {rows, cols, Dtype::f32, Dtype::f32, false}; }

TEST(AutomaticVariant, ShortRowsGoTogether) {
  for (const std::size_t cols : {1U, 8U, 1000U, 8192U}) EXPECT_EQ(chosen(f32_rows(100, cols)), Variant::narrow) << cols;
  EXPECT_EQ(chosen(f32_rows(100, 8193)), Variant::anchored);
  EXPECT_EQ(chosen({100, 4096, Dtype::f64, Dtype::f64, false}), Variant::narrow);
  EXPECT_EQ(chosen({100, 4097, Dtype::f64, Dtype::f64, false}), Variant::anchored);
}

TEST(AutomaticVariant, BatchesOfMoreThanHalfOfTheCachesAreStreamed) {
  constexpr std::size_t half = 16 * mebi / 8;  // elements, of logits and results
  for (const std::size_t cols : {256U, 4096U, 32768U}) {
    EXPECT_NE(chosen(f32_rows(half / cols, cols)), Variant::streaming) << cols;
    EXPECT_EQ(chosen(f32_rows(half / cols + 1, cols)), Variant::streaming) << cols;
    EXPECT_NE(chosen(f32_rows(half / cols + 1, cols), {mebi, 64 * mebi}), Variant::streaming) << cols;
  }
  EXPECT_EQ(chosen(f32_rows(half, 128)), Variant::narrow) << "too short to fill lines";
  Shape in_place = f32_rows(half, 1024);
  in_place.in_place = true;
  EXPECT_EQ(chosen(in_place), Variant::narrow) << "the lines of the results are there already";
}

// Long rows are exponentiated twice when they are streamed.
TEST(AutomaticVariant, RowsThatAreDearToExponentiateAreNotTwice) {
  const Shape huge = f32_rows(1, 40000000);
  EXPECT_EQ(chosen(huge), Variant::streaming);
  Shape staged = huge;
  staged.is_staged = true;
  EXPECT_EQ(chosen(staged), Variant::anchored);
  Shape without_fma = huge;
  without_fma.has_fma = false;
  EXPECT_EQ(chosen(without_fma), Variant::anchored);
  without_fma.rows = 10000;
  without_fma.cols = 4000;
  EXPECT_EQ(chosen(without_fma), Variant::streaming) << "short rows once anyway";
  const Shape halves = {1000, 40000, Dtype::f16, Dtype::f16, false};
  EXPECT_EQ(chosen(halves), Variant::anchored);
  EXPECT_EQ(chosen({1, 40000000, Dtype::f16, Dtype::f16, false}), Variant::streaming);
  EXPECT_EQ(chosen({1, 40000000, Dtype::f32, Dtype::f32, false, Accuracy::exact}), Variant::streaming);
}

TEST(AutomaticVariant, InPlaceTheRowIsKeptWhereItCanBe) {
  for (const std::size_t cols : {10000U, 40000000U}) {
    EXPECT_EQ(chosen({1, cols, Dtype::f32, Dtype::f32, true}), Variant::three_pass);
    EXPECT_EQ(chosen({1, cols, Dtype::f64, Dtype::f64, true}), Variant::three_pass);
    EXPECT_EQ(chosen({1, 2 * cols, Dtype::f16, Dtype::f16, true}), Variant::anchored);
    EXPECT_EQ(chosen({1, cols, Dtype::f32, Dtype::f32, true, Accuracy::exact}), Variant::anchored);
  }
}

}  // namespace
