// SPDX-License-Identifier: Apache-2.0
// No access outside of a buffer: pages that trap lie directly before and directly after each one.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "inputs.hpp"
#include "operators.hpp"

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

class GuardTest : public AccuracyConfigTest {
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

// Tensors of the functions on tensors, each in pages of its own: dense, with both ends of the memory guarded in turn.
class Guarded {
 public:
  explicit Guarded(const Tensor& tensor) : tensor_(tensor), pages_(tensor.element_bytes().size() + 1) {}

  simdsoftmax_tensor at(End end) {
    const Bytes elements = tensor_.element_bytes();
    unsigned char* const data = pages_.place(elements.size(), end);
    std::copy(elements.begin(), elements.end(), data);
    simdsoftmax_tensor view = tensor_.view_without_strides();
    view.data = data;
    return view;
  }
  bool holds(const Bytes& expected, End end) const {
    return std::equal(expected.begin(), expected.end(), pages_.place(expected.size(), end));
  }

 private:
  Tensor tensor_;
  GuardedPages pages_;
};

constexpr End ends[] = {End::front, End::back};

TEST_P(GuardTest, AnyAxis) {
  for (const Sizes& shape :
       {Sizes{3, 5, 7}, Sizes{2, 65, 17}, Sizes{1, 129, 33}, Sizes{2, 3, 100}, Sizes{1, 1025, 3}}) {
    if (slow_machine() && count_of(shape) > 1000) continue;
    Guarded logits(Tensor(pair().in, shape, normal_logits(in(), count_of(shape), 4, 32)));
    for (std::int32_t axis = 0; axis < 3; ++axis) {
      for (const Operator& op : operators()) {
        const Tensor output(pair().out, output_shape(op, shape, static_cast<std::size_t>(axis)));
        const simdsoftmax_options options = serial_options();
        Tensor copy(pair().in, shape);
        copy.assign_bytes(encode(pair().in, normal_logits(in(), count_of(shape), 4, 32)));
        const Bytes expected = apply(op, copy, pair().out, axis, options).element_bytes();
        Guarded guarded(output);
        for (const End end : ends) {
          const simdsoftmax_tensor from = logits.at(end);
          const simdsoftmax_tensor to = guarded.at(end);
          ASSERT_EQ(op.run(&from, &to, axis, &options), SIMDSOFTMAX_OK);
          ASSERT_TRUE(guarded.holds(expected, end)) << op.name << ", " << text_of(shape) << ", axis " << axis;
        }
      }
    }
  }
}

// All that pre-operations read and write.
TEST_P(GuardTest, PreOps) {
  for (const std::size_t cols : {1U, 2U, 7U, 16U, 17U, 63U, 65U, 129U, 300U, 4097U}) {
    if (slow_machine() && cols > 65) continue;
    const Sizes shape = {2, 3, cols};
    const Tensor x(pair().in, shape, normal_logits(in(), count_of(shape), 4, 33));
    Guarded logits(x);
    for (const simdsoftmax_dtype bias_dtype : {SIMDSOFTMAX_F32, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16}) {
      Guarded bias(Tensor(bias_dtype, {3, cols}, normal_logits(format_of(bias_dtype), 3 * cols, 1, 34)));
      Guarded mask(Tensor(SIMDSOFTMAX_BOOL, {2, 1, cols}, std::vector<double>(2 * cols, 1)));
      Guarded lengths(Tensor(SIMDSOFTMAX_I32, {2, 1, 1}, {static_cast<double>(cols), 1}));
      Guarded sinks(Tensor(SIMDSOFTMAX_F32, {3, 1}, {0, 1, 2}));
      Guarded logsumexp(Tensor(SIMDSOFTMAX_F32, {2, 3, 1}));
      Guarded output(Tensor(pair().out, shape));
      Bytes first;
      for (const End end : ends) {
        const simdsoftmax_tensor bias_view = bias.at(end);
        const simdsoftmax_tensor mask_view = mask.at(end);
        const simdsoftmax_tensor lengths_view = lengths.at(end);
        const simdsoftmax_tensor sinks_view = sinks.at(end);
        const simdsoftmax_tensor logsumexp_view = logsumexp.at(end);
        simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
        pre_ops.scale = 0.5;
        pre_ops.bias = &bias_view;
        pre_ops.mask = &mask_view;
        pre_ops.lengths = &lengths_view;
        pre_ops.sinks = &sinks_view;
        pre_ops.logsumexp = &logsumexp_view;
        const simdsoftmax_options options = options_with(pre_ops);
        const simdsoftmax_tensor from = logits.at(end);
        for (const Operator& op : operators()) {
          Guarded to(Tensor(pair().out, output_shape(op, shape, 2)));
          const simdsoftmax_tensor to_view = to.at(end);
          const Bytes expected = apply(op, x, pair().out, 2, options).element_bytes();
          ASSERT_EQ(op.run(&from, &to_view, 2, &options), SIMDSOFTMAX_OK);
          ASSERT_TRUE(to.holds(expected, end)) << op.name << " of " << cols;
        }
      }
    }
  }
}

// Masks of rows that are not staged, of which the last columns take no part.
TEST_P(GuardTest, Masks) {
  for (const std::size_t cols : {2U, 15U, 16U, 63U, 64U, 65U, 130U, 1000U, 2112U}) {
    if (slow_machine() && cols > 65) continue;
    for (const std::size_t visible : {cols, cols - 1, cols / 2 + 1}) {
      const Sizes shape = {3, cols};
      const Tensor x(pair().in, shape, normal_logits(in(), count_of(shape), 4, 37));
      Guarded logits(x);
      const Tensor length(SIMDSOFTMAX_I32, {1}, {static_cast<double>(visible)});
      const simdsoftmax_tensor length_view = length.view();
      std::vector<double> hidden(3 * cols, 0);
      for (std::size_t i = 0; i < hidden.size(); i += 3) hidden[i] = -HUGE_VAL;
      for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_BOOL, SIMDSOFTMAX_F16, SIMDSOFTMAX_BF16, SIMDSOFTMAX_F32}) {
        std::vector<double> values = hidden;
        for (double& value : values) value = dtype == SIMDSOFTMAX_BOOL ? (value < 0 ? 1 : 0) : value;
        Guarded mask(Tensor(dtype, shape, values));
        for (const End end : ends) {
          const simdsoftmax_tensor from = logits.at(end);
          const simdsoftmax_tensor mask_view = mask.at(end);
          simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
          (dtype == SIMDSOFTMAX_BOOL ? pre_ops.mask : pre_ops.bias) = &mask_view;
          pre_ops.mask_meaning = SIMDSOFTMAX_MASK_DROPS;
          pre_ops.lengths = &length_view;
          const simdsoftmax_options options = options_with(pre_ops);
          const Bytes expected = apply(softmax_operator(), x, pair().out, 1, options).element_bytes();
          Guarded to(Tensor(pair().out, shape));
          const simdsoftmax_tensor to_view = to.at(end);
          ASSERT_EQ(simdsoftmax_softmax(&from, &to_view, 1, &options), SIMDSOFTMAX_OK);
          ASSERT_TRUE(to.holds(expected, end)) << cols << " columns, " << visible << " of them";
        }
      }
    }
  }
}

// Columns outside of causal, window and lengths are not read: most of each row lies beyond the end of the memory, or
// before its beginning.
TEST_P(GuardTest, ColumnsThatTakeNoPartAreNotRead) {
  for (const std::size_t visible : {1U, 2U, 5U, 16U, 31U, 64U, 100U, 129U, 1000U, 4097U}) {
    if (slow_machine() && visible > 64) continue;
    for (int more = 0; more < 3; ++more) {
      const bool at_the_end = more == 1;
      const std::size_t cols = 3 * visible + (more == 2 ? 50 : 10000);
      const std::size_t hidden = cols - visible;
      const Tensor x(pair().in, {1, visible}, normal_logits(in(), visible, 4, 35));
      const Tensor b(SIMDSOFTMAX_F16, {1, visible}, normal_logits(format_of(SIMDSOFTMAX_F16), visible, 1, 36));
      const Tensor m(SIMDSOFTMAX_BOOL, {1, visible}, std::vector<double>(visible, 1));
      const Tensor length(SIMDSOFTMAX_I64, {1, 1}, {static_cast<double>(visible)});
      const simdsoftmax_tensor length_view = length.view();
      Guarded logits(x);
      Guarded bias(b);
      Guarded mask(m);
      const End end = at_the_end ? End::front : End::back;  // where the hidden ones are not
      simdsoftmax_tensor from = logits.at(end);
      simdsoftmax_tensor bias_view = bias.at(end);
      simdsoftmax_tensor mask_view = mask.at(end);
      const Sizes shape = {1, cols};
      for (simdsoftmax_tensor* view : {&from, &bias_view, &mask_view}) {
        view->shape = shape.data();
        if (at_the_end) view->data = static_cast<unsigned char*>(view->data) - hidden * bytes_of(view->dtype);
      }
      simdsoftmax_pre_ops small = SIMDSOFTMAX_PRE_OPS_INIT;  // the same without the hidden columns
      const simdsoftmax_tensor small_bias = b.view();
      if (more != 2) small.bias = &small_bias;
      for (int how = 0; how < 3; ++how) {
        simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
        if (more != 2) pre_ops.bias = &bias_view;
        pre_ops.mask = &mask_view;
        if (at_the_end) {
          if (how != 0) continue;
          pre_ops.window = static_cast<std::int64_t>(visible);
          pre_ops.query_offset = static_cast<std::int64_t>(cols) - 1;
        } else if (how == 0) {
          pre_ops.lengths = &length_view;
        } else {
          pre_ops.causal = 1;
          pre_ops.query_offset = static_cast<std::int64_t>(visible) - 1;
          pre_ops.window = how == 2 ? static_cast<std::int64_t>(cols) : 0;
        }
        const simdsoftmax_options options = options_with(pre_ops);
        for (const Operator& op : operators()) {
          const std::vector<double> want = apply(op, x, pair().out, 1, options_with(small)).values();
          const Tensor output(pair().out, output_shape(op, shape, 1));
          const simdsoftmax_tensor to = output.view();
          ASSERT_EQ(op.run(&from, &to, 1, &options), SIMDSOFTMAX_OK);
          const std::vector<double> got = output.values();
          const double nothing = &op == &softmax_operator() ? 0 : -HUGE_VAL;
          for (std::size_t c = 0; c < got.size(); ++c) {
            const std::size_t shift = at_the_end && !op.reduces ? hidden : 0;
            const bool hides = !op.reduces && (c < shift || c >= shift + visible);
            // The sums are added up in another order than those of the short row.
            if (hides) {
              ASSERT_EQ(got[c], nothing) << op.name << ", column " << c << " of " << cols;
            } else {
              ASSERT_NEAR(got[c], want[c - shift], 0.01 * std::fabs(want[c - shift])) << op.name;
            }
          }
        }
        const Tensor index(SIMDSOFTMAX_I32, {1, 1});
        const simdsoftmax_tensor index_view = index.view();
        ASSERT_EQ(simdsoftmax_softmax_top_k(&from, nullptr, &index_view, 1, SIMDSOFTMAX_OVER_ROW, &options),
                  SIMDSOFTMAX_OK);
      }
    }
  }
}

TEST_P(GuardTest, TopK) {
  for (const std::size_t cols : {1U, 5U, 16U, 63U, 129U, 300U, 8193U}) {
    const std::size_t k = std::min<std::size_t>(cols, 5);
    Guarded logits(Tensor(pair().in, {2, cols}, normal_logits(in(), 2 * cols, 4, 37)));
    Guarded probabilities(Tensor(pair().out, {2, k}));
    Guarded indices(Tensor(SIMDSOFTMAX_I64, {2, k}));
    for (const End end : ends) {
      const simdsoftmax_tensor x = logits.at(end);
      const simdsoftmax_tensor p = probabilities.at(end);
      const simdsoftmax_tensor i = indices.at(end);
      const simdsoftmax_options options = serial_options();
      for (const simdsoftmax_normalization normalization : {SIMDSOFTMAX_OVER_ROW, SIMDSOFTMAX_OVER_TOP_K}) {
        ASSERT_EQ(simdsoftmax_softmax_top_k(&x, &p, &i, 1, normalization, &options), SIMDSOFTMAX_OK);
      }
    }
  }
}

TEST_P(GuardTest, GradientsAndLosses) {
  const bool f64 = pair().in == SIMDSOFTMAX_F64;
  for (const Sizes& shape : {Sizes{3, 1}, Sizes{2, 5}, Sizes{3, 17}, Sizes{2, 65}, Sizes{1, 129}, Sizes{2, 300}}) {
    Guarded x(Tensor(pair().in, shape, normal_logits(in(), count_of(shape), 2, 38)));
    Guarded y(Tensor(pair().in, shape, std::vector<double>(count_of(shape), 0.25)));
    Guarded gradient(Tensor(pair().out, shape));
    Guarded log_probabilities(Tensor(pair().out, shape));
    Guarded labels(Tensor(SIMDSOFTMAX_I32, {shape[0]}, std::vector<double>(shape[0], 0)));
    Guarded weights(Tensor(f64 ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F16, {shape[1]}, std::vector<double>(shape[1], 0.5)));
    Guarded loss(Tensor(SIMDSOFTMAX_F32, {shape[0]}));
    for (const End end : ends) {
      const simdsoftmax_tensor x_view = x.at(end);
      const simdsoftmax_tensor y_view = y.at(end);
      const simdsoftmax_tensor gradient_view = gradient.at(end);
      const simdsoftmax_tensor log_view = log_probabilities.at(end);
      const simdsoftmax_tensor labels_view = labels.at(end);
      const simdsoftmax_tensor weights_view = weights.at(end);
      const simdsoftmax_tensor loss_view = loss.at(end);
      const simdsoftmax_options options = serial_options();
      ASSERT_EQ(simdsoftmax_softmax_backward(&x_view, &y_view, &gradient_view, 1, &options), SIMDSOFTMAX_OK);
      ASSERT_EQ(simdsoftmax_log_softmax_backward(&x_view, &y_view, &gradient_view, 1, &options), SIMDSOFTMAX_OK);
      simdsoftmax_cross_entropy_options loss_options = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
      loss_options.label_smoothing = 0.1;
      loss_options.class_weights = &weights_view;
      loss_options.grad_logits = &gradient_view;
      loss_options.log_probabilities = &log_view;
      ASSERT_EQ(simdsoftmax_sparse_softmax_cross_entropy(&x_view, &labels_view, &loss_view, 1, &loss_options, &options),
                SIMDSOFTMAX_OK);
      ASSERT_EQ(simdsoftmax_softmax_cross_entropy(&x_view, &y_view, &loss_view, 1, &loss_options, &options),
                SIMDSOFTMAX_OK);
    }
  }
}

TEST_P(GuardTest, RowState) {
  for (const std::size_t cols : {1U, 7U, 129U, 8193U, 16385U}) {
    Guarded logits(Tensor(pair().in, {cols}, normal_logits(in(), cols, 4, 39)));
    Guarded output(Tensor(pair().out, {cols}));
    const simdsoftmax_options options = serial_options();
    for (const End end : ends) {
      const simdsoftmax_tensor x = logits.at(end);
      const simdsoftmax_tensor y = output.at(end);
      simdsoftmax_row_state state;
      ASSERT_EQ(simdsoftmax_row_state_init(&state, pair().in, cols, &options), SIMDSOFTMAX_OK);
      ASSERT_EQ(simdsoftmax_row_state_add(&state, x.data, 0, cols), SIMDSOFTMAX_OK);
      ASSERT_EQ(simdsoftmax_row_state_softmax(&state, x.data, 0, cols, y.data, pair().out, &options), SIMDSOFTMAX_OK);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GuardTest, ::testing::ValuesIn(accuracy_configs()), name_of_config);

}  // namespace
}  // namespace softmax_test
