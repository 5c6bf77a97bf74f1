// SPDX-License-Identifier: Apache-2.0
// Every misuse of the functions on tensors has its status, and a call that is refused writes nothing: what any of them
// may be given wrong in its tensors.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "tensor_call.hpp"

namespace softmax_test {
namespace {

constexpr std::ptrdiff_t huge = std::numeric_limits<std::ptrdiff_t>::max();

// Without this, every refusal below could have another reason.
TEST_P(TensorMisuse, TheUnspoiltCallSucceedsAndWritesItsOutputs) {
  TensorCall call(function());
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK);
  for (View* const view : call.outputs()) {
    EXPECT_NE(std::memcmp(view->data, Bytes(4, poison).data(), 4), 0);
    std::memset(view->data, poison, TensorCall::slot_bytes);
  }
  EXPECT_TRUE(call.wrote_nothing()) << "and nothing else";
}

TEST_P(TensorMisuse, NullPointers) {
  TensorCall sample(function());
  const std::size_t count = sample.tensors().size();
  for (std::size_t i = 0; i < count; ++i) {
    const bool optional = sample.is_optional(sample.tensors()[i]);
    const auto leave_out = [&](TensorCall& call) {
      call.tensors()[i]->given = false;
      if (!call.bias.given) call.pre_ops.max_bias = 0;
    };
    if (optional) {
      accept("without tensor " + std::to_string(i), leave_out);
    } else {
      expect_refused(function(), SIMDSOFTMAX_NULL_POINTER, "tensor " + std::to_string(i), leave_out);
    }
  }
  refuse_each(SIMDSOFTMAX_NULL_POINTER, [](TensorCall&, View& view) { view.data = nullptr; });
  refuse_each(SIMDSOFTMAX_NULL_POINTER, [](TensorCall&, View& view) { view.has_shape = false; });
}

TEST_P(TensorMisuse, Dtypes) {
  for (const simdsoftmax_dtype dtype : {-1, 7, INT32_MIN, INT32_MAX}) {
    refuse_each(SIMDSOFTMAX_BAD_DTYPE, [=](TensorCall&, View& view) { view.dtype = dtype; });
  }
  refuse_each(SIMDSOFTMAX_BAD_DTYPE, [](TensorCall& call, View& view) {
    const bool is_mask = &view == &call.mask;
    view.dtype = is_mask ? SIMDSOFTMAX_I32 : SIMDSOFTMAX_BOOL;
  });
  // Numbers where there are integers, and the other way round.
  refuse_each(SIMDSOFTMAX_BAD_DTYPE, [](TensorCall&, View& view) {
    const bool is_integer = view.dtype == SIMDSOFTMAX_I32;
    view.dtype = is_integer ? SIMDSOFTMAX_F32 : SIMDSOFTMAX_I32;
  });
}

TEST_P(TensorMisuse, RanksAndAxes) {
  refuse_each(SIMDSOFTMAX_BAD_RANK, [](TensorCall&, View& view) { view.rank = -1; });
  refuse_each(SIMDSOFTMAX_BAD_RANK, [](TensorCall&, View& view) { view.rank = SIMDSOFTMAX_MAX_RANK + 1; });
  refuse(SIMDSOFTMAX_BAD_RANK, [](TensorCall& call) { call.tensors()[0]->rank = 0; });
  for (const std::int32_t axis : {3, -4, INT32_MIN, INT32_MAX}) {
    refuse(SIMDSOFTMAX_BAD_AXIS, [=](TensorCall& call) { call.axis = axis; });
  }
  accept("the last axis by its number", [](TensorCall& call) { call.axis = 2; });
}

TEST_P(TensorMisuse, Shapes) {
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](TensorCall&, View& view) { view.shape.back() = 4; });
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](TensorCall&, View& view) { view.shape.front() += 1; });
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](TensorCall& call, View& view) {
    // One dimension more than there may be; the first tensor has one more than the others expect.
    const bool is_first = &view == call.tensors()[0];
    while (view.shape.size() < (is_first ? 3U : 4U)) view.shape.insert(view.shape.begin(), 1);
    if (is_first) view.shape.insert(view.shape.begin(), 2);
  });
}

TEST_P(TensorMisuse, Strides) {
  refuse_each(SIMDSOFTMAX_BAD_STRIDE, [](TensorCall&, View& view) {
    view.strides.assign(view.shape.size(), 16);
    view.strides.back() = -1;
  });
  refuse_each(SIMDSOFTMAX_SIZE_OVERFLOW, [](TensorCall&, View& view) {  // the bytes of one stride wrap
    const std::size_t bytes = bytes_of(view.dtype);
    view.strides.assign(view.shape.size(), 1);
    view.strides.front() = bytes == 1 ? huge : huge / static_cast<std::ptrdiff_t>(bytes) + 1;
  });
  refuse_each(SIMDSOFTMAX_SIZE_OVERFLOW, [](TensorCall&, View& view) {
    view.strides.assign(view.shape.size(), 1);
    view.strides.front() = huge;
  });
  const bool outputs_only = true;
  refuse_each(
      SIMDSOFTMAX_BAD_STRIDE, [](TensorCall&, View& view) { view.strides.assign(view.shape.size(), 1); }, outputs_only);
  refuse_each(
      SIMDSOFTMAX_BAD_STRIDE,
      [](TensorCall&, View& view) {  // one element short of room for the last dimension
        view.strides.assign(view.shape.size(), 1);
        std::ptrdiff_t reach = 0;
        for (std::size_t d = view.shape.size(); d-- > 0;) {
          view.strides[d] = reach + (d > 0 ? 1 : 0);
          reach += static_cast<std::ptrdiff_t>(view.shape[d] - 1) * view.strides[d];
        }
      },
      outputs_only);
}

TEST_P(TensorMisuse, SizesThatOverflow) {
  refuse(SIMDSOFTMAX_SIZE_OVERFLOW, [](TensorCall& call) {
    // Logits that repeat one row have few bytes of their own, but not their outputs; all products wrap to small ones.
    for (View* const view : call.tensors()) {
      for (std::size_t& size : view->shape) {
        if (size == 3) size = std::size_t{1} << 61;
      }
    }
  });
}

TEST_P(TensorMisuse, SharedMemory) {
  TensorCall sample(function());
  const std::size_t outputs = sample.outputs().size();
  const std::size_t tensors = sample.tensors().size();
  for (std::size_t i = 0; i < outputs; ++i) {
    for (std::size_t j = 0; j < tensors; ++j) {
      if (sample.outputs()[i] == sample.tensors()[j]) continue;
      const std::string what = "output " + std::to_string(i) + " and tensor " + std::to_string(j);
      const auto shift_to = [&](std::ptrdiff_t by) {
        return [=](TensorCall& call) {
          call.outputs()[i]->data = static_cast<unsigned char*>(call.tensors()[j]->data) + by;
        };
      };
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what, shift_to(1));
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what, shift_to(-1));
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what + ": the first byte", [=](TensorCall& call) {
        View& output = *call.outputs()[i];
        std::size_t bytes = bytes_of(output.dtype);
        for (const std::size_t size : output.shape) bytes *= size;
        output.data = static_cast<unsigned char*>(call.tensors()[j]->data) - (bytes - 1);
      });
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what + ": the last byte", [=](TensorCall& call) {
        const View& other = *call.tensors()[j];
        std::size_t bytes = bytes_of(other.dtype);
        for (const std::size_t size : other.shape) bytes *= size;
        call.outputs()[i]->data = static_cast<unsigned char*>(other.data) + bytes - 1;
      });
    }
  }
}

// A size of 0 in any dimension: pointers are not looked at, but everything else is.
TEST_P(TensorMisuse, NothingToDoSucceedsWithoutMemory) {
  for (const LogitsSizes& sizes :
       {LogitsSizes{0, 3, 5}, LogitsSizes{2, 0, 5}, LogitsSizes{2, 3, 0}, LogitsSizes{0, 0, 0}}) {
    const auto run = [&](const Spoil& change) {
      TensorCall call(function(), sizes);
      for (View* const view : call.tensors()) view->data = nullptr;
      change(call);
      const simdsoftmax_status status = call.run();
      EXPECT_TRUE(call.wrote_nothing());
      return status;
    };
    EXPECT_EQ(run([](TensorCall&) {}), SIMDSOFTMAX_OK);
    EXPECT_EQ(run([](TensorCall& call) { call.tensors()[1]->dtype = 7; }), SIMDSOFTMAX_BAD_DTYPE);
    EXPECT_EQ(run([](TensorCall& call) { call.tensors()[1]->shape.front() += 3; }), SIMDSOFTMAX_BAD_SHAPE);
    EXPECT_EQ(run([](TensorCall& call) { call.axis = 3; }), SIMDSOFTMAX_BAD_AXIS);
    EXPECT_EQ(run([](TensorCall& call) { call.options.theta = HUGE_VAL; }), SIMDSOFTMAX_BAD_THETA);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TensorMisuse, ::testing::ValuesIn(functions()),
                         [](const ::testing::TestParamInfo<Function>& test) { return name_of(test.param); });

TEST(TensorMisuse, PairsOfDtypes) {
  for (const Function function : {Function::softmax, Function::log_softmax, Function::logsumexp, Function::top_k}) {
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f32 to f64",
                   [](TensorCall& call) { call.output.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f16 to bf16", [](TensorCall& call) {
      call.logits.dtype = SIMDSOFTMAX_F16;
      call.output.dtype = SIMDSOFTMAX_BF16;
    });
  }
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward}) {
    for (std::size_t i = 0; i < 3; ++i) {
      expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "one f64 among f32",
                     [i](TensorCall& call) { call.tensors()[i]->dtype = SIMDSOFTMAX_F64; });
    }
    expect_accepted(function, "all mixed", [](TensorCall& call) {
      call.grad_output.dtype = SIMDSOFTMAX_BF16;
      call.grad_input.dtype = SIMDSOFTMAX_F16;
    });
  }
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 weights",
                   [](TensorCall& call) { call.weights.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 gradient",
                   [](TensorCall& call) { call.grad_logits.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 log-probabilities",
                   [](TensorCall& call) { call.log_probabilities.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f16 loss",
                   [](TensorCall& call) { call.loss.dtype = SIMDSOFTMAX_F16; });
    expect_accepted(function, "f64 loss", [](TensorCall& call) { call.loss.dtype = SIMDSOFTMAX_F64; });
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 labels",
                 [](TensorCall& call) { call.labels.dtype = SIMDSOFTMAX_F64; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "f64 bias of f32 logits",
                 [](TensorCall& call) { call.bias.dtype = SIMDSOFTMAX_F64; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "f16 sinks",
                 [](TensorCall& call) { call.sinks.dtype = SIMDSOFTMAX_F16; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "bf16 logsumexp",
                 [](TensorCall& call) { call.row_logsumexp.dtype = SIMDSOFTMAX_BF16; });
}

// What is unusual and allowed.
TEST(TensorMisuse, IsNotSeenWhereThereIsNone) {
  for (const Function function : functions()) {
    expect_accepted(function, "inputs that repeat", [](TensorCall& call) {
      for (View* const view : call.inputs()) view->strides.assign(view->shape.size(), 0);
    });
    expect_accepted(function, "strides of single elements", [](TensorCall& call) {
      for (View* const view : call.tensors()) {
        if (view->shape.back() != 1) continue;
        view->strides.assign(view->shape.size(), 1);
        view->strides.back() = huge;
        if (view->shape[view->shape.size() - 2] == 1) view->strides[view->shape.size() - 2] = huge;
      }
    });
    expect_accepted(function, "outputs with their dimensions transposed", [](TensorCall& call) {
      for (View* const view : call.outputs()) {
        std::ptrdiff_t stride = 1;
        view->strides.clear();
        for (const std::size_t size : view->shape) {
          view->strides.push_back(stride);
          stride *= static_cast<std::ptrdiff_t>(size);
        }
      }
    });
  }
  for (const Function function : {Function::softmax, Function::log_softmax}) {
    expect_accepted(function, "in place", [](TensorCall& call) { call.output.data = call.logits.data; });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "in place with other strides", [](TensorCall& call) {
      call.output.data = call.logits.data;
      call.output.strides = {18, 6, 1};
    });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "in place of another dtype", [](TensorCall& call) {
      call.output.data = call.logits.data;
      call.output.dtype = SIMDSOFTMAX_F16;
    });
  }
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward}) {
    expect_accepted(function, "in place of the gradient",
                    [](TensorCall& call) { call.grad_input.data = call.grad_output.data; });
    expect_accepted(function, "in place of the output",
                    [](TensorCall& call) { call.grad_input.data = call.output.data; });
  }
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    expect_accepted(function, "gradient in place", [](TensorCall& call) { call.grad_logits.data = call.logits.data; });
    expect_accepted(function, "log-probabilities in place",
                    [](TensorCall& call) { call.log_probabilities.data = call.logits.data; });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "both in place",
                   [](TensorCall& call) { call.grad_logits.data = call.log_probabilities.data = call.logits.data; });
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_PARTIAL_OVERLAP, "gradient in place of labels",
                 [](TensorCall& call) { call.grad_logits.data = call.labels.data; });
}

}  // namespace
}  // namespace softmax_test
