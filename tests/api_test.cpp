// SPDX-License-Identifier: Apache-2.0
// Pure functions below the C ABI: conversions of single elements, the grid of rows, blocks of columns.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "api/dtypes.hpp"
#include "api/tensors.hpp"
#include "formats.hpp"
#include "plan/plan.hpp"

namespace softmax_test {
namespace {

namespace detail = simdsoftmax::detail;

TEST(Elements, EveryHalfIsReadAndWrittenBack) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
    const Format& format = format_of(dtype);
    const auto of_library = static_cast<detail::Dtype>(dtype);
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const auto word = static_cast<std::uint16_t>(bits);
      char memory[2];
      std::memcpy(memory, &word, 2);
      const double expected = load(format, memory);
      const double found = detail::load_real(memory, of_library);
      ASSERT_TRUE(std::memcmp(&found, &expected, 8) == 0 || (std::isnan(found) && std::isnan(expected))) << bits;
      char back[2];
      detail::store_real(expected, back, of_library);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(load(format, back))) << bits;
      } else {
        ASSERT_EQ(std::memcmp(back, memory, 2), 0) << bits;
      }
    }
  }
}

// Neighbours of a half, and what lies between them: the middle goes to the even one.
TEST(Elements, RoundToNearestEven) {
  for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
    const Format& format = format_of(dtype);
    const auto of_library = static_cast<detail::Dtype>(dtype);
    const auto stored = [&](double value) {
      std::uint16_t word;
      detail::store_real(value, reinterpret_cast<char*>(&word), of_library);
      return word;
    };
    const auto value_of = [&](std::uint32_t bits) {
      const auto word = static_cast<std::uint16_t>(bits);
      return load(format, &word);
    };
    const auto infinity = static_cast<std::uint32_t>(stored(HUGE_VAL));
    for (std::uint32_t bits = 0; bits < infinity; ++bits) {
      const double low = value_of(bits);
      const double high = bits + 1 < infinity ? value_of(bits + 1) : std::ldexp(1.0, format.max_exponent + 1);
      const double middle = low + (high - low) / 2;
      ASSERT_EQ(stored(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
      ASSERT_EQ(stored(std::nextafter(middle, 0.0)), bits);
      ASSERT_EQ(stored(std::nextafter(middle, HUGE_VAL)), bits + 1);
      ASSERT_EQ(stored(-middle), stored(middle) | 0x8000U);
    }
    EXPECT_EQ(stored(1e300), infinity);
    EXPECT_EQ(stored(-1e300), infinity | 0x8000U);
    EXPECT_EQ(stored(1e-300), 0U);
    EXPECT_EQ(stored(-1e-320), 0x8000U);
  }
}

// The rows of two tensors of one shape; no strides: dense. position: a dimension whose index matters, or -1.
class Grid {
 public:
  Grid(std::vector<std::size_t> shape, std::int32_t axis, std::vector<std::ptrdiff_t> first,
       std::vector<std::ptrdiff_t> second = {}, int position = -1)
      : shape_(std::move(shape)), strides_{std::move(first), std::move(second)} {
    for (int i = 0; i < 2; ++i) {
      views_[i] = {memory_, SIMDSOFTMAX_F32, static_cast<std::int32_t>(shape_.size()), shape_.data(),
                   strides_[i].empty() ? nullptr : strides_[i].data()};
      tensors_.add(&views_[i], detail::Fit::same, detail::Access::input);
    }
    if (position >= 0) tensors_.use_position(position);
    EXPECT_EQ(tensors_.read_ranks(axis), SIMDSOFTMAX_OK);
    EXPECT_EQ(tensors_.match_shapes(), SIMDSOFTMAX_OK);
    EXPECT_EQ(tensors_.lay_out(), SIMDSOFTMAX_OK);
    tensors_.make_grid();
  }
  Grid(const Grid&) = delete;
  Grid& operator=(const Grid&) = delete;

  const detail::Tensors* operator->() const { return &tensors_; }

  std::vector<std::size_t> dims() const {
    const detail::RowGrid& grid = tensors_.grid();
    return {grid.dims, grid.dims + grid.rank};
  }
  std::vector<std::ptrdiff_t> row_strides(int argument) const {
    const detail::Operand operand = tensors_.operand(argument);
    return {operand.row_strides, operand.row_strides + tensors_.grid().rank};
  }

 private:
  float memory_[1];
  std::vector<std::size_t> shape_;
  std::vector<std::ptrdiff_t> strides_[2];
  simdsoftmax_tensor views_[2];
  detail::Tensors tensors_;
};

using Dims = std::vector<std::size_t>;
using Strides = std::vector<std::ptrdiff_t>;

TEST(RowGrid, DenseDimensionsAreOneRun) {
  const Grid last({2, 3, 4, 5}, 3, {});
  EXPECT_EQ(last.dims(), (Dims{24}));
  EXPECT_EQ(last.row_strides(0), (Strides{20}));
  EXPECT_EQ(last->operand(0).axis_stride, 4);
  EXPECT_EQ(last->rows(), 24U);

  const Grid inner({2, 3, 4, 5}, 1, {});
  EXPECT_EQ(inner.dims(), (Dims{2, 20}));
  EXPECT_EQ(inner.row_strides(0), (Strides{240, 4}));
  EXPECT_EQ(inner->operand(0).axis_stride, 80);

  const Grid outer({2, 3, 4, 5}, -4, {});
  EXPECT_EQ(outer.dims(), (Dims{60}));
  EXPECT_EQ(outer.row_strides(0), (Strides{4}));
}

TEST(RowGrid, AVectorIsOneRow) {
  const Grid tensors({7}, 0, {});
  EXPECT_EQ(tensors.dims(), (Dims{1}));
  EXPECT_EQ(tensors->rows(), 1U);
}

TEST(RowGrid, SingleElementsHaveNoDimension) {
  EXPECT_EQ(Grid({1, 3, 1, 5, 1}, 3, {99, 5, 99, 1, 99}).dims(), (Dims{3}));
  const Grid one_column({3, 1}, 1, {8, 77});
  EXPECT_EQ(one_column->operand(0).axis_stride, 4) << "a single column counts as dense";
}

TEST(RowGrid, WhatOneArgumentHasApartStaysApart) {
  const Grid padded({2, 3, 4, 5}, 3, {}, {70, 20, 5, 1});
  EXPECT_EQ(padded.dims(), (Dims{2, 12}));
  EXPECT_EQ(padded.row_strides(0), (Strides{240, 20}));
  EXPECT_EQ(padded.row_strides(1), (Strides{280, 20}));
  // Rows keep their order, so a transposed operand merges nothing.
  EXPECT_EQ(Grid({2, 3, 4}, 2, {}, {4, 8, 1}).dims(), (Dims{2, 3}));
  // What is repeated along both dimensions is one run, along one of them it is not.
  EXPECT_EQ(Grid({2, 3, 4}, 2, {}, {0, 0, 1}).dims(), (Dims{6}));
  EXPECT_EQ(Grid({2, 3, 4}, 2, {}, {0, 4, 1}).dims(), (Dims{2, 3}));
}

TEST(RowGrid, APositionKeepsItsDimension) {
  const Grid tensors({2, 3, 4, 5}, 3, {}, {}, 2);
  EXPECT_EQ(tensors.dims(), (Dims{6, 4}));
  const detail::Position position = tensors->position(2);
  EXPECT_EQ(position.row_strides[0], 0);
  EXPECT_EQ(position.row_strides[1], 1);
  // Of one element: always at 0.
  const Grid single({2, 3, 1, 5}, 3, {}, {}, 2);
  EXPECT_EQ(single.dims(), (Dims{6}));
  EXPECT_EQ(single->position(2).row_strides[0], 0);
}

TEST(Columns, BlocksAreLongAndEnoughForTheThreads) {
  EXPECT_EQ(detail::columns_block(1, 1 << 18, sizeof(float), 1), 512U);
  EXPECT_EQ(detail::columns_block(1, 1 << 18, sizeof(double), 1), 256U);
  for (const std::size_t size : {sizeof(float), sizeof(double)}) {
    for (std::size_t inner = 8; inner < 3000; inner += 61) {
      for (const int threads : {1, 2, 7, 64}) {
        const std::size_t block = detail::columns_block(3, inner, size, threads);
        ASSERT_EQ(block * size % 64, 0U);
        ASSERT_GT(block, 0U);
        ASSERT_LE(block * size, detail::columns_run_bytes);
        const std::size_t blocks = 3 * ((inner + block - 1) / block);
        ASSERT_TRUE(blocks >= static_cast<std::size_t>(threads) || block * size == 64);
      }
    }
  }
}

TEST(Threads, AreNoMoreThanUnitsOrWorthIt) {
  EXPECT_EQ(detail::plan_units(1000, 1000, 7, 64).threads, 7);
  EXPECT_EQ(detail::plan_units(1000, 1000, 1000, 64).threads, 61) << "16384 elements for each";
  EXPECT_EQ(detail::plan_units(10, 10, 10, 64).threads, 1);
  EXPECT_EQ(detail::plan_units(1, 1000000, 1, 64).threads, 1);
  EXPECT_FALSE(detail::plan_units(1, 1000000, 1, 64).split_rows);
  EXPECT_TRUE(detail::plan_shared_rows(1, 1000000, 4).split_rows);
  EXPECT_EQ(detail::plan_shared_rows(1, 1000000, 4).threads, 4);
  EXPECT_FALSE(detail::plan_shared_rows(1000, 1000, 4).split_rows);
}

}  // namespace
}  // namespace softmax_test
