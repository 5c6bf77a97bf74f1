// SPDX-License-Identifier: Apache-2.0
// What a call is given beside its tensors, or may ask of them: misuse of the options, of pre-operations, of the options
// and labels of losses, and of k.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tensor_call.hpp"

namespace softmax_test {
namespace {

TEST_P(TensorMisuse, Options) {
  refuse(SIMDSOFTMAX_BAD_OPTIONS, [](TensorCall& call) { call.options.struct_size = 0; });
  refuse(SIMDSOFTMAX_BAD_OPTIONS, [](TensorCall& call) { --call.options.struct_size; });
  refuse(SIMDSOFTMAX_BAD_ACCURACY, [](TensorCall& call) { call.options.accuracy = 3; });
  refuse(SIMDSOFTMAX_BAD_ACCURACY, [](TensorCall& call) { call.options.accuracy = -1; });
  refuse(SIMDSOFTMAX_BAD_VARIANT, [](TensorCall& call) {
    call.options.variant = static_cast<simdsoftmax_variant>(simdsoftmax_variant_count());
  });
  refuse(SIMDSOFTMAX_BAD_VARIANT, [](TensorCall& call) { call.options.variant = -1; });
  refuse(SIMDSOFTMAX_BAD_EMPTY_ROW, [](TensorCall& call) { call.options.empty_row = 2; });
  refuse(SIMDSOFTMAX_BAD_NUM_THREADS, [](TensorCall& call) { call.options.num_threads = -1; });
  refuse(SIMDSOFTMAX_BAD_THETA, [](TensorCall& call) { call.options.theta = std::nan(""); });
  refuse(SIMDSOFTMAX_BAD_THETA, [](TensorCall& call) { call.options.theta = HUGE_VAL; });
  refuse(SIMDSOFTMAX_BAD_THETA, [](TensorCall& call) { call.options.theta = 1e39; });
}

TEST(TensorMisuse, PreOps) {
  for (const Function function :
       {Function::softmax, Function::log_softmax, Function::logsumexp, Function::top_k, Function::argmax}) {
    const auto refuse = [function](simdsoftmax_status expected, const std::string& what, const Spoil& spoil) {
      expect_refused(function, expected, what, spoil);
    };
    constexpr simdsoftmax_status bad = SIMDSOFTMAX_BAD_PRE_OPS;
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size 0", [](TensorCall& call) { call.pre_ops.struct_size = 0; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size", [](TensorCall& call) { --call.pre_ops.struct_size; });
    refuse(bad, "scale NaN", [](TensorCall& call) { call.pre_ops.scale = std::nan(""); });
    refuse(bad, "scale inf", [](TensorCall& call) { call.pre_ops.scale = -HUGE_VAL; });
    refuse(bad, "scale beyond f32", [](TensorCall& call) { call.pre_ops.scale = 1e39; });
    refuse(bad, "scale * theta beyond f32", [](TensorCall& call) { call.pre_ops.scale = call.options.theta = 1e20; });
    refuse(bad, "softcap < 0", [](TensorCall& call) { call.pre_ops.softcap = -1; });
    refuse(bad, "softcap inf", [](TensorCall& call) { call.pre_ops.softcap = HUGE_VAL; });
    refuse(bad, "softcap NaN", [](TensorCall& call) { call.pre_ops.softcap = std::nan(""); });
    refuse(bad, "max_bias < 0", [](TensorCall& call) { call.pre_ops.max_bias = -1; });
    refuse(bad, "max_bias inf", [](TensorCall& call) { call.pre_ops.max_bias = HUGE_VAL; });
    refuse(bad, "max_bias without bias", [](TensorCall& call) { call.bias.given = false; });
    refuse(bad, "mask_meaning 2", [](TensorCall& call) { call.pre_ops.mask_meaning = 2; });
    refuse(bad, "mask_meaning -1", [](TensorCall& call) { call.pre_ops.mask_meaning = -1; });
    refuse(bad, "causal 2", [](TensorCall& call) { call.pre_ops.causal = 2; });
    refuse(bad, "window < 0", [](TensorCall& call) { call.pre_ops.window = -1; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "lengths along the axis", [](TensorCall& call) { call.lengths.shape = {5}; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "sinks along the axis", [](TensorCall& call) { call.sinks.shape = {2, 1, 5}; });
  }
}

// Softmax along another axis than the last, or of fewer dimensions than there are positions to ask for.
TEST(TensorMisuse, PreOpsWithPositionsNeedTheirDimensions) {
  const auto inner_axis = [](TensorCall& call) {
    call.axis = 1;
    call.bias.shape = {2, 3, 5};
    call.lengths.given = call.sinks.given = call.row_logsumexp.given = false;
    call.pre_ops.causal = 0;
    call.pre_ops.window = 0;
    call.pre_ops.max_bias = 0;
  };
  expect_accepted(Function::softmax, "an inner axis", inner_axis);
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "causal", [&](TensorCall& call) {
    inner_axis(call);
    call.pre_ops.causal = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "window", [&](TensorCall& call) {
    inner_axis(call);
    call.pre_ops.window = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "max_bias", [&](TensorCall& call) {
    inner_axis(call);
    call.pre_ops.max_bias = 1;
  });
  const auto with_rank = [&](std::size_t rank) {
    return [=](TensorCall& call) {
      inner_axis(call);
      call.axis = -1;
      for (View* const view : {&call.logits, &call.output, &call.bias, &call.mask}) {
        view->shape.erase(view->shape.begin(), view->shape.end() - static_cast<std::ptrdiff_t>(rank));
      }
    };
  };
  expect_accepted(Function::softmax, "one dimension", with_rank(1));
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "causal of one dimension", [&](TensorCall& call) {
    with_rank(1)(call);
    call.pre_ops.causal = 1;
  });
  expect_accepted(Function::softmax, "causal of two dimensions", [&](TensorCall& call) {
    with_rank(2)(call);
    call.pre_ops.causal = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "heads of two dimensions", [&](TensorCall& call) {
    with_rank(2)(call);
    call.pre_ops.max_bias = 1;
  });
}

TEST(TensorMisuse, PreOpsWhereThereAreNone) {
  const simdsoftmax_pre_ops defaults = SIMDSOFTMAX_PRE_OPS_INIT;
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward, Function::cross_entropy,
                                  Function::sparse_cross_entropy}) {
    expect_refused(function, SIMDSOFTMAX_BAD_PRE_OPS, name_of(function),
                   [&](TensorCall& call) { call.options.pre_ops = &defaults; });
  }
}

TEST(TensorMisuse, PreOpsOfRows) {
  Bytes memory(1024, poison);
  bool mask[5] = {true, true, true, true, true};
  std::size_t shape[] = {5};
  const simdsoftmax_tensor mask_tensor = {mask, SIMDSOFTMAX_BOOL, 1, shape, nullptr};
  simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  pre_ops.mask = &mask_tensor;
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  options.pre_ops = &pre_ops;
  const auto run = [&](simdsoftmax_dtype output_dtype, std::ptrdiff_t output_stride) {
    return simdsoftmax_softmax_rows(memory.data(), SIMDSOFTMAX_F32, 5, memory.data() + 512, output_dtype, output_stride,
                                    3, 5, &options);
  };
  EXPECT_EQ(run(SIMDSOFTMAX_F64, 5), SIMDSOFTMAX_BAD_DTYPE_PAIR);
  EXPECT_EQ(run(SIMDSOFTMAX_F32, 4), SIMDSOFTMAX_BAD_STRIDE);
  EXPECT_EQ(run(SIMDSOFTMAX_F32, -5), SIMDSOFTMAX_BAD_STRIDE);
  shape[0] = 4;
  EXPECT_EQ(run(SIMDSOFTMAX_F32, 5), SIMDSOFTMAX_BAD_SHAPE);
  shape[0] = 5;
  pre_ops.window = -1;
  EXPECT_EQ(run(SIMDSOFTMAX_F32, 5), SIMDSOFTMAX_BAD_PRE_OPS);
  simdsoftmax_plan plan;
  EXPECT_EQ(simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 3, 5, 0, &options, &plan), SIMDSOFTMAX_BAD_PRE_OPS);
  EXPECT_EQ(memory, Bytes(1024, poison));
  pre_ops.window = 0;
  EXPECT_EQ(run(SIMDSOFTMAX_F32, 5), SIMDSOFTMAX_OK);
  EXPECT_NE(memory, Bytes(1024, poison));
}

TEST(TensorMisuse, LossOptions) {
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    const auto refuse = [function](simdsoftmax_status expected, const std::string& what, const Spoil& spoil) {
      expect_refused(function, expected, what, spoil);
    };
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size 0", [](TensorCall& call) { call.loss_options.struct_size = 0; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size", [](TensorCall& call) { --call.loss_options.struct_size; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "ignore 2", [](TensorCall& call) { call.loss_options.use_ignore_index = 2; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "ignore -1", [](TensorCall& call) { call.loss_options.use_ignore_index = -1; });
    refuse(SIMDSOFTMAX_BAD_REDUCTION, "3", [](TensorCall& call) { call.loss_options.reduction = 3; });
    refuse(SIMDSOFTMAX_BAD_REDUCTION, "-1", [](TensorCall& call) { call.loss_options.reduction = -1; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "above 1", [](TensorCall& call) { call.loss_options.label_smoothing = 1.5; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "below 0", [](TensorCall& call) { call.loss_options.label_smoothing = -0.5; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "NaN",
           [](TensorCall& call) { call.loss_options.label_smoothing = std::nan(""); });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "a loss for each row of a sum",
           [](TensorCall& call) { call.loss_options.reduction = SIMDSOFTMAX_REDUCE_SUM; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "weights of rank 2", [](TensorCall& call) { call.weights.shape = {1, 5}; });
    for (const std::vector<std::size_t>& one : {std::vector<std::size_t>{}, {1}, {1, 1, 1, 1, 1, 1, 1, 1}}) {
      expect_accepted(function, "a sum of rank " + std::to_string(one.size()), [&](TensorCall& call) {
        call.loss_options.reduction = SIMDSOFTMAX_REDUCE_SUM;
        call.loss.shape = one;
      });
    }
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_BAD_OPTIONS, "ignore_index of distributions",
                 [](TensorCall& call) { call.loss_options.use_ignore_index = 1; });
}

TEST(TensorMisuse, LabelsThatAreNoClasses) {
  for (const std::int64_t label : {std::int64_t{5}, std::int64_t{-1}, std::int64_t{-101}, std::int64_t{INT32_MIN}}) {
    for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_I32, SIMDSOFTMAX_I64}) {
      for (std::size_t row = 0; row < 6; ++row) {
        TensorCall call(Function::sparse_cross_entropy);
        call.classes.dtype = dtype;
        const auto narrow = static_cast<std::int32_t>(label);
        char* const at = static_cast<char*>(call.classes.data) + row * bytes_of(dtype);
        std::memcpy(at, dtype == SIMDSOFTMAX_I32 ? static_cast<const void*>(&narrow) : &label, bytes_of(dtype));
        call.before = call.memory;
        EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_LABEL) << label;
        EXPECT_EQ(call.bad_row, row);
        EXPECT_TRUE(call.wrote_nothing());
        call.loss_options.ignore_index = label;
        EXPECT_EQ(call.run(), SIMDSOFTMAX_OK) << label;
        call.loss_options.use_ignore_index = 0;
        call.loss_options.bad_row = nullptr;
        EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_LABEL) << label;
      }
    }
  }
}

// Rows count in the order of the labels' dimensions, whatever their strides.
TEST(TensorMisuse, TheBadRowIsTheFirstOfTheShape) {
  TensorCall call(Function::sparse_cross_entropy);
  call.classes.strides = {1, 2};  // transposed
  const std::int32_t bad = 9;
  std::memcpy(static_cast<char*>(call.classes.data) + 1 * 4, &bad, 4);  // labels[1][0]: row 3
  std::memcpy(static_cast<char*>(call.classes.data) + 4 * 4, &bad, 4);  // labels[0][2]: row 2
  EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_LABEL);
  EXPECT_EQ(call.bad_row, 2U);
}

// A batch without rows has a sum and a mean.
TEST(TensorMisuse, ReducedLossOfNoRows) {
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    for (const LogitsSizes& sizes : {LogitsSizes{0, 3, 5}, LogitsSizes{2, 0, 5}, LogitsSizes{0, 3, 0}}) {
      const auto run = [&](simdsoftmax_reduction reduction, bool with_loss, float& loss) {
        TensorCall call(function, sizes);
        call.loss_options.reduction = reduction;
        call.loss.shape = {};
        if (!with_loss) call.loss.data = nullptr;
        const simdsoftmax_status status = call.run();
        if (with_loss) std::memcpy(&loss, call.loss.data, sizeof loss);
        return status;
      };
      float loss = -1;
      EXPECT_EQ(run(SIMDSOFTMAX_REDUCE_SUM, true, loss), SIMDSOFTMAX_OK);
      EXPECT_EQ(loss, 0.0F);
      EXPECT_EQ(run(SIMDSOFTMAX_REDUCE_MEAN, true, loss), SIMDSOFTMAX_OK);
      EXPECT_TRUE(std::isnan(loss));
      EXPECT_EQ(run(SIMDSOFTMAX_REDUCE_SUM, false, loss), SIMDSOFTMAX_NULL_POINTER);
    }
  }
}

TEST(TensorMisuse, TopK) {
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_NORMALIZATION, "2", [](TensorCall& call) { call.normalization = 2; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_NORMALIZATION, "-1",
                 [](TensorCall& call) { call.normalization = -1; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_K, "k above the columns",
                 [](TensorCall& call) { call.output.shape.back() = call.indices.shape.back() = 6; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_SHAPE, "two values of k",
                 [](TensorCall& call) { call.indices.shape.back() = 3; });
  expect_accepted(Function::top_k, "k is all columns",
                  [](TensorCall& call) { call.output.shape.back() = call.indices.shape.back() = 5; });

  std::vector<float> logits(1025);
  std::vector<std::int64_t> indices(1025, -7);
  const std::size_t cols = 1025;
  std::size_t k = 1025;
  const simdsoftmax_tensor from = {logits.data(), SIMDSOFTMAX_F32, 1, &cols, nullptr};
  const simdsoftmax_tensor to = {indices.data(), SIMDSOFTMAX_I64, 1, &k, nullptr};
  EXPECT_EQ(simdsoftmax_softmax_top_k(&from, nullptr, &to, 0, SIMDSOFTMAX_OVER_ROW, nullptr), SIMDSOFTMAX_BAD_K);
  EXPECT_EQ(indices, std::vector<std::int64_t>(1025, -7));
  k = 1024;
  EXPECT_EQ(simdsoftmax_softmax_top_k(&from, nullptr, &to, 0, SIMDSOFTMAX_OVER_ROW, nullptr), SIMDSOFTMAX_OK);
}

}  // namespace
}  // namespace softmax_test
