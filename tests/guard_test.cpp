// SPDX-License-Identifier: Apache-2.0
// No access outside of a buffer: pages that trap lie directly before and directly after each one.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

enum class End { front, back };

class GuardedPages {
 public:
  explicit GuardedPages(std::size_t capacity) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    size_ = (capacity + page - 1) / page * page;
    mapped_ = size_ + 2 * page;
    void* const base = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<unsigned char*>(base);
    data_ = base_ + page;
    if (mprotect(data_, size_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  ~GuardedPages() { munmap(base_, mapped_); }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  // Memory that touches the guard at this end.
  unsigned char* place(std::size_t bytes, End end) const { return end == End::front ? data_ : data_ + size_ - bytes; }

 private:
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
  unsigned char* base_ = nullptr;
  unsigned char* data_ = nullptr;
};

class GuardTest : public ConfigTest {
 protected:
  void check(const Shape& shape) {
    const Bytes logits = encode(pair().in, normal_logits(in(), shape.rows * shape.cols, 4, 31));
    const Bytes expected = softmax(pair(), shape, logits, serial_options());
    const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
    for (const End end : {End::front, End::back}) {
      unsigned char* const input = input_.place(logits.size(), end);
      unsigned char* const output = output_.place(expected.size(), end);
      for (const simdsoftmax_variant variant : variants()) {
        const simdsoftmax_options options = serial_options(variant);
        std::copy(logits.begin(), logits.end(), input);
        ASSERT_EQ(simdsoftmax_softmax_rows(input, pair().in, stride, output, pair().out, stride, shape.rows, shape.cols,
                                           &options),
                  SIMDSOFTMAX_OK);
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), output)) << shape.rows << " x " << shape.cols;
        if (pair().in != pair().out) continue;
        ASSERT_EQ(simdsoftmax_softmax_rows(input, pair().in, stride, input, pair().out, stride, shape.rows, shape.cols,
                                           &options),
                  SIMDSOFTMAX_OK);
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), input)) << shape.rows << " x " << shape.cols;
      }
    }
  }

 private:
  static constexpr std::size_t capacity = 200000;
  GuardedPages input_{capacity};
  GuardedPages output_{capacity};
};

TEST_P(GuardTest, OneRow) {
  for (const std::size_t cols : small_sizes()) check({1, cols});
  for (const std::size_t cols : {511U, 1025U, 8191U, 8193U, 16385U}) check({1, cols});
}

TEST_P(GuardTest, SeveralRows) {
  for (const std::size_t cols : {1U, 2U, 3U, 8U, 10U, 15U, 31U, 63U, 65U, 100U, 129U}) {
    for (const std::size_t rows : {2U, 3U, 7U, 16U, 17U, 33U}) check({rows, cols});
  }
}

INSTANTIATE_TEST_SUITE_P(All, GuardTest, ::testing::ValuesIn(configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
