// SPDX-License-Identifier: Apache-2.0
// Every misuse of the functions on tensors has its status, and a call that is refused writes nothing. One valid call
// for each function, with all its optional tensors, spoilt in one place at a time.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "harness.hpp"

namespace softmax_test {
namespace {

constexpr std::ptrdiff_t huge = std::numeric_limits<std::ptrdiff_t>::max();

// A tensor that a test can spoil; without strides it is dense.
struct View {
  void* data = nullptr;
  simdsoftmax_dtype dtype = SIMDSOFTMAX_F32;
  std::vector<std::size_t> shape;
  std::vector<std::ptrdiff_t> strides = {};
  std::int32_t rank = -2;  // -2: that of the shape
  bool given = true;
  bool has_shape = true;
  simdsoftmax_tensor tensor = {};

  const simdsoftmax_tensor* c() {
    tensor = {data, dtype, rank == -2 ? static_cast<std::int32_t>(shape.size()) : rank,
              has_shape ? shape.data() : nullptr, strides.empty() ? nullptr : strides.data()};
    return given ? &tensor : nullptr;
  }
};

std::size_t bytes_of(simdsoftmax_dtype dtype) {
  switch (dtype) {
    case SIMDSOFTMAX_F64:
    case SIMDSOFTMAX_I64:
      return 8;
    case SIMDSOFTMAX_F16:
    case SIMDSOFTMAX_BF16:
      return 2;
    case SIMDSOFTMAX_BOOL:
      return 1;
    default:
      return 4;
  }
}

enum class Function {
  softmax,
  log_softmax,
  logsumexp,
  softmax_backward,
  log_softmax_backward,
  cross_entropy,
  sparse_cross_entropy,
  top_k,
  argmax
};
constexpr const char* names[] = {"softmax",
                                 "log_softmax",
                                 "logsumexp",
                                 "softmax_backward",
                                 "log_softmax_backward",
                                 "cross_entropy",
                                 "sparse_cross_entropy",
                                 "top_k",
                                 "argmax"};
const Function functions[] = {Function::softmax,
                              Function::log_softmax,
                              Function::logsumexp,
                              Function::softmax_backward,
                              Function::log_softmax_backward,
                              Function::cross_entropy,
                              Function::sparse_cross_entropy,
                              Function::top_k,
                              Function::argmax};

// The sizes of the logits, whose last dimension is the axis.
struct Sizes {
  std::size_t heads = 2;
  std::size_t queries = 3;
  std::size_t cols = 5;
};

struct Call {
  static constexpr std::size_t slot_bytes = 512;
  static constexpr std::size_t slots = 15;

  explicit Call(Function f, const Sizes& sizes = {}) : function(f) {
    const auto [heads, queries, cols] = sizes;
    const std::vector<std::size_t> full = {heads, queries, cols};
    const std::vector<std::size_t> rows = {heads, queries};
    logits = {slot(0), SIMDSOFTMAX_F32, full};
    output = {slot(1), SIMDSOFTMAX_F32, f == Function::logsumexp ? rows : full};
    grad_output = {slot(2), SIMDSOFTMAX_F32, full};
    grad_input = {slot(3), SIMDSOFTMAX_F32, full};
    labels = {slot(4), SIMDSOFTMAX_F32, full};
    classes = {slot(5), SIMDSOFTMAX_I32, rows};
    loss = {slot(6), SIMDSOFTMAX_F32, rows};
    weights = {slot(7), SIMDSOFTMAX_F32, {cols}};
    grad_logits = {slot(8), SIMDSOFTMAX_F32, full};
    log_probabilities = {slot(9), SIMDSOFTMAX_F32, full};
    bias = {slot(10), SIMDSOFTMAX_F32, {queries, cols}};
    mask = {slot(11), SIMDSOFTMAX_BOOL, full};
    lengths = {slot(12), SIMDSOFTMAX_I32, {queries, 1}};
    sinks = {slot(13), SIMDSOFTMAX_F32, {heads, 1, 1}};
    row_logsumexp = {slot(14), SIMDSOFTMAX_F32, rows};
    if (f == Function::top_k || f == Function::argmax) {
      std::vector<std::size_t> winners = rows;
      if (f == Function::top_k) winners.push_back(cols < 2 ? cols : 2);
      output = {slot(1), SIMDSOFTMAX_F32, winners};
      indices = {slot(2), SIMDSOFTMAX_I32, winners};
    }
    std::memset(classes.data, 0, slot_bytes);
    const std::int32_t lengths_of_queries[] = {3, 4, 5};
    std::memcpy(lengths.data, lengths_of_queries, sizeof lengths_of_queries);
    before = memory;

    pre_ops.softcap = 50;
    pre_ops.max_bias = 8;
    pre_ops.causal = 1;
    pre_ops.query_offset = 2;
    pre_ops.window = 4;
    loss_options.use_ignore_index = f == Function::sparse_cross_entropy ? 1 : 0;
    loss_options.ignore_index = -100;
    loss_options.label_smoothing = 0.25;
    loss_options.bad_row = &bad_row;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool has_pre_ops() const {
    return function <= Function::logsumexp || function == Function::top_k || function == Function::argmax;
  }
  bool has_loss() const { return function == Function::cross_entropy || function == Function::sparse_cross_entropy; }
  bool has_indices() const { return function == Function::top_k || function == Function::argmax; }

  simdsoftmax_status run() {
    pre_ops.bias = bias.c();
    pre_ops.mask = mask.c();
    pre_ops.lengths = lengths.c();
    pre_ops.sinks = sinks.c();
    pre_ops.logsumexp = row_logsumexp.c();
    if (has_pre_ops() && with_pre_ops) options.pre_ops = &pre_ops;
    loss_options.class_weights = weights.c();
    loss_options.grad_logits = grad_logits.c();
    loss_options.log_probabilities = log_probabilities.c();
    switch (function) {
      case Function::softmax:
        return simdsoftmax_softmax(logits.c(), output.c(), axis, &options);
      case Function::log_softmax:
        return simdsoftmax_log_softmax(logits.c(), output.c(), axis, &options);
      case Function::logsumexp:
        return simdsoftmax_logsumexp(logits.c(), output.c(), axis, &options);
      case Function::softmax_backward:
        return simdsoftmax_softmax_backward(grad_output.c(), output.c(), grad_input.c(), axis, &options);
      case Function::log_softmax_backward:
        return simdsoftmax_log_softmax_backward(grad_output.c(), output.c(), grad_input.c(), axis, &options);
      case Function::cross_entropy:
        return simdsoftmax_softmax_cross_entropy(logits.c(), labels.c(), loss.c(), axis, &loss_options, &options);
      case Function::sparse_cross_entropy:
        return simdsoftmax_sparse_softmax_cross_entropy(logits.c(), classes.c(), loss.c(), axis, &loss_options,
                                                        &options);
      case Function::top_k:
        return simdsoftmax_softmax_top_k(logits.c(), output.c(), indices.c(), axis, normalization, &options);
      case Function::argmax:
        return simdsoftmax_argmax(logits.c(), output.c(), indices.c(), axis, &options);
    }
    return -1;
  }

  bool wrote_nothing() const { return memory == before; }

  // The tensors of the call, the one that gives the shape first.
  std::vector<View*> inputs() {
    std::vector<View*> all = {&logits};
    if (function == Function::softmax_backward || function == Function::log_softmax_backward) {
      return {&grad_output, &output};
    }
    if (function == Function::cross_entropy) all.push_back(&labels);
    if (function == Function::sparse_cross_entropy) all.push_back(&classes);
    if (has_loss()) all.push_back(&weights);
    if (has_pre_ops()) all.insert(all.end(), {&bias, &mask, &lengths, &sinks});
    return all;
  }
  std::vector<View*> outputs() {
    if (function == Function::softmax_backward || function == Function::log_softmax_backward) return {&grad_input};
    if (has_loss()) return {&loss, &grad_logits, &log_probabilities};
    if (has_indices()) return {&output, &indices, &row_logsumexp};
    return {&output, &row_logsumexp};
  }
  std::vector<View*> tensors() {
    std::vector<View*> all = inputs();
    for (View* const view : outputs()) all.push_back(view);
    return all;
  }
  bool is_optional(const View* view) const {
    return view == &weights || view == &grad_logits || view == &log_probabilities || view == &bias || view == &mask ||
           view == &lengths || view == &sinks || view == &row_logsumexp || (has_indices() && view == &output);
  }

  Function function;
  Bytes memory = Bytes(slots * slot_bytes, poison);
  Bytes before;
  View logits, output, grad_output, grad_input, labels, classes, loss, weights, grad_logits, log_probabilities, bias,
      mask, lengths, sinks, row_logsumexp, indices;
  std::int32_t axis = -1;
  simdsoftmax_normalization normalization = SIMDSOFTMAX_OVER_ROW;
  bool with_pre_ops = true;
  simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  simdsoftmax_cross_entropy_options loss_options = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  std::size_t bad_row = 77;

 private:
  void* slot(std::size_t index) { return memory.data() + index * slot_bytes; }
};

using Spoil = std::function<void(Call&)>;

simdsoftmax_status status_of(Function function, const Spoil& change, bool& wrote) {
  Call call(function);
  change(call);
  const simdsoftmax_status status = call.run();
  wrote = !call.wrote_nothing();
  EXPECT_EQ(call.bad_row == 77, status != SIMDSOFTMAX_BAD_LABEL);
  return status;
}

void expect_refused(Function function, simdsoftmax_status expected, const std::string& what, const Spoil& spoil) {
  bool wrote = false;
  EXPECT_EQ(status_of(function, spoil, wrote), expected) << what;
  EXPECT_FALSE(wrote) << what;
}

void expect_accepted(Function function, const std::string& what, const Spoil& change) {
  bool wrote = false;
  EXPECT_EQ(status_of(function, change, wrote), SIMDSOFTMAX_OK) << what;
  EXPECT_TRUE(wrote) << what;
}

class TensorMisuse : public ::testing::TestWithParam<Function> {
 protected:
  static Function function() { return GetParam(); }

  // spoil(call, view) for each tensor of the call in turn.
  static void refuse_each(simdsoftmax_status expected, const std::function<void(Call&, View&)>& spoil,
                          bool outputs_only = false) {
    Call sample(function());
    const std::size_t count = outputs_only ? sample.outputs().size() : sample.tensors().size();
    for (std::size_t i = 0; i < count; ++i) {
      expect_refused(function(), expected, "tensor " + std::to_string(i),
                     [&](Call& call) { spoil(call, outputs_only ? *call.outputs()[i] : *call.tensors()[i]); });
    }
  }
  static void refuse(simdsoftmax_status expected, const Spoil& spoil) {
    expect_refused(function(), expected, names[static_cast<int>(function())], spoil);
  }
  static void accept(const std::string& what, const Spoil& change) { expect_accepted(function(), what, change); }
};

// Without this, every refusal below could have another reason.
TEST_P(TensorMisuse, TheUnspoiltCallSucceedsAndWritesItsOutputs) {
  Call call(function());
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK);
  for (View* const view : call.outputs()) {
    EXPECT_NE(std::memcmp(view->data, Bytes(4, poison).data(), 4), 0);
    std::memset(view->data, poison, Call::slot_bytes);
  }
  EXPECT_TRUE(call.wrote_nothing()) << "and nothing else";
}

TEST_P(TensorMisuse, NullPointers) {
  Call sample(function());
  const std::size_t count = sample.tensors().size();
  for (std::size_t i = 0; i < count; ++i) {
    const bool optional = sample.is_optional(sample.tensors()[i]);
    const auto leave_out = [&](Call& call) {
      call.tensors()[i]->given = false;
      if (!call.bias.given) call.pre_ops.max_bias = 0;
    };
    if (optional) {
      accept("without tensor " + std::to_string(i), leave_out);
    } else {
      expect_refused(function(), SIMDSOFTMAX_NULL_POINTER, "tensor " + std::to_string(i), leave_out);
    }
  }
  refuse_each(SIMDSOFTMAX_NULL_POINTER, [](Call&, View& view) { view.data = nullptr; });
  refuse_each(SIMDSOFTMAX_NULL_POINTER, [](Call&, View& view) { view.has_shape = false; });
}

TEST_P(TensorMisuse, Dtypes) {
  for (const simdsoftmax_dtype dtype : {-1, 7, INT32_MIN, INT32_MAX}) {
    refuse_each(SIMDSOFTMAX_BAD_DTYPE, [=](Call&, View& view) { view.dtype = dtype; });
  }
  refuse_each(SIMDSOFTMAX_BAD_DTYPE, [](Call& call, View& view) {
    const bool is_mask = &view == &call.mask;
    view.dtype = is_mask ? SIMDSOFTMAX_I32 : SIMDSOFTMAX_BOOL;
  });
  // Numbers where there are integers, and the other way round.
  refuse_each(SIMDSOFTMAX_BAD_DTYPE, [](Call&, View& view) {
    const bool is_integer = view.dtype == SIMDSOFTMAX_I32;
    view.dtype = is_integer ? SIMDSOFTMAX_F32 : SIMDSOFTMAX_I32;
  });
}

TEST_P(TensorMisuse, RanksAndAxes) {
  refuse_each(SIMDSOFTMAX_BAD_RANK, [](Call&, View& view) { view.rank = -1; });
  refuse_each(SIMDSOFTMAX_BAD_RANK, [](Call&, View& view) { view.rank = SIMDSOFTMAX_MAX_RANK + 1; });
  refuse(SIMDSOFTMAX_BAD_RANK, [](Call& call) { call.tensors()[0]->rank = 0; });
  for (const std::int32_t axis : {3, -4, INT32_MIN, INT32_MAX}) {
    refuse(SIMDSOFTMAX_BAD_AXIS, [=](Call& call) { call.axis = axis; });
  }
  accept("the last axis by its number", [](Call& call) { call.axis = 2; });
}

TEST_P(TensorMisuse, Shapes) {
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](Call&, View& view) { view.shape.back() = 4; });
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](Call&, View& view) { view.shape.front() += 1; });
  refuse_each(SIMDSOFTMAX_BAD_SHAPE, [](Call& call, View& view) {
    // One dimension more than there may be; the first tensor has one more than the others expect.
    const bool is_first = &view == call.tensors()[0];
    while (view.shape.size() < (is_first ? 3U : 4U)) view.shape.insert(view.shape.begin(), 1);
    if (is_first) view.shape.insert(view.shape.begin(), 2);
  });
}

TEST_P(TensorMisuse, Strides) {
  refuse_each(SIMDSOFTMAX_BAD_STRIDE, [](Call&, View& view) {
    view.strides.assign(view.shape.size(), 16);
    view.strides.back() = -1;
  });
  refuse_each(SIMDSOFTMAX_SIZE_OVERFLOW, [](Call&, View& view) {  // the bytes of one stride wrap
    const std::size_t bytes = bytes_of(view.dtype);
    view.strides.assign(view.shape.size(), 1);
    view.strides.front() = bytes == 1 ? huge : huge / static_cast<std::ptrdiff_t>(bytes) + 1;
  });
  refuse_each(SIMDSOFTMAX_SIZE_OVERFLOW, [](Call&, View& view) {
    view.strides.assign(view.shape.size(), 1);
    view.strides.front() = huge;
  });
  const bool outputs_only = true;
  refuse_each(
      SIMDSOFTMAX_BAD_STRIDE, [](Call&, View& view) { view.strides.assign(view.shape.size(), 1); }, outputs_only);
  refuse_each(
      SIMDSOFTMAX_BAD_STRIDE,
      [](Call&, View& view) {  // one element short of room for the last dimension
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
  refuse(SIMDSOFTMAX_SIZE_OVERFLOW, [](Call& call) {
    // Logits that repeat one row have few bytes of their own, but not their outputs; all products wrap to small ones.
    for (View* const view : call.tensors()) {
      for (std::size_t& size : view->shape) {
        if (size == 3) size = std::size_t{1} << 61;
      }
    }
  });
}

TEST_P(TensorMisuse, SharedMemory) {
  Call sample(function());
  const std::size_t outputs = sample.outputs().size();
  const std::size_t tensors = sample.tensors().size();
  for (std::size_t i = 0; i < outputs; ++i) {
    for (std::size_t j = 0; j < tensors; ++j) {
      if (sample.outputs()[i] == sample.tensors()[j]) continue;
      const std::string what = "output " + std::to_string(i) + " and tensor " + std::to_string(j);
      const auto shift_to = [&](std::ptrdiff_t by) {
        return [=](Call& call) { call.outputs()[i]->data = static_cast<unsigned char*>(call.tensors()[j]->data) + by; };
      };
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what, shift_to(1));
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what, shift_to(-1));
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what + ": the first byte", [=](Call& call) {
        View& output = *call.outputs()[i];
        std::size_t bytes = bytes_of(output.dtype);
        for (const std::size_t size : output.shape) bytes *= size;
        output.data = static_cast<unsigned char*>(call.tensors()[j]->data) - (bytes - 1);
      });
      expect_refused(function(), SIMDSOFTMAX_PARTIAL_OVERLAP, what + ": the last byte", [=](Call& call) {
        const View& other = *call.tensors()[j];
        std::size_t bytes = bytes_of(other.dtype);
        for (const std::size_t size : other.shape) bytes *= size;
        call.outputs()[i]->data = static_cast<unsigned char*>(other.data) + bytes - 1;
      });
    }
  }
}

TEST_P(TensorMisuse, Options) {
  refuse(SIMDSOFTMAX_BAD_OPTIONS, [](Call& call) { call.options.struct_size = 0; });
  refuse(SIMDSOFTMAX_BAD_OPTIONS, [](Call& call) { --call.options.struct_size; });
  refuse(SIMDSOFTMAX_BAD_ACCURACY, [](Call& call) { call.options.accuracy = 3; });
  refuse(SIMDSOFTMAX_BAD_ACCURACY, [](Call& call) { call.options.accuracy = -1; });
  refuse(SIMDSOFTMAX_BAD_VARIANT,
         [](Call& call) { call.options.variant = static_cast<simdsoftmax_variant>(simdsoftmax_variant_count()); });
  refuse(SIMDSOFTMAX_BAD_VARIANT, [](Call& call) { call.options.variant = -1; });
  refuse(SIMDSOFTMAX_BAD_EMPTY_ROW, [](Call& call) { call.options.empty_row = 2; });
  refuse(SIMDSOFTMAX_BAD_NUM_THREADS, [](Call& call) { call.options.num_threads = -1; });
  refuse(SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = std::nan(""); });
  refuse(SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = HUGE_VAL; });
  refuse(SIMDSOFTMAX_BAD_THETA, [](Call& call) { call.options.theta = 1e39; });
}

// A size of 0 in any dimension: pointers are not looked at, but everything else is.
TEST_P(TensorMisuse, NothingToDoSucceedsWithoutMemory) {
  for (const Sizes& sizes : {Sizes{0, 3, 5}, Sizes{2, 0, 5}, Sizes{2, 3, 0}, Sizes{0, 0, 0}}) {
    const auto run = [&](const Spoil& change) {
      Call call(function(), sizes);
      for (View* const view : call.tensors()) view->data = nullptr;
      change(call);
      const simdsoftmax_status status = call.run();
      EXPECT_TRUE(call.wrote_nothing());
      return status;
    };
    EXPECT_EQ(run([](Call&) {}), SIMDSOFTMAX_OK);
    EXPECT_EQ(run([](Call& call) { call.tensors()[1]->dtype = 7; }), SIMDSOFTMAX_BAD_DTYPE);
    EXPECT_EQ(run([](Call& call) { call.tensors()[1]->shape.front() += 3; }), SIMDSOFTMAX_BAD_SHAPE);
    EXPECT_EQ(run([](Call& call) { call.axis = 3; }), SIMDSOFTMAX_BAD_AXIS);
    EXPECT_EQ(run([](Call& call) { call.options.theta = HUGE_VAL; }), SIMDSOFTMAX_BAD_THETA);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TensorMisuse, ::testing::ValuesIn(functions),
                         [](const ::testing::TestParamInfo<Function>& test) {
                           return std::string(names[static_cast<int>(test.param)]);
                         });

TEST(TensorMisuse, PairsOfDtypes) {
  for (const Function function : {Function::softmax, Function::log_softmax, Function::logsumexp, Function::top_k}) {
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f32 to f64",
                   [](Call& call) { call.output.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f16 to bf16", [](Call& call) {
      call.logits.dtype = SIMDSOFTMAX_F16;
      call.output.dtype = SIMDSOFTMAX_BF16;
    });
  }
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward}) {
    for (std::size_t i = 0; i < 3; ++i) {
      expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "one f64 among f32",
                     [i](Call& call) { call.tensors()[i]->dtype = SIMDSOFTMAX_F64; });
    }
    expect_accepted(function, "all mixed", [](Call& call) {
      call.grad_output.dtype = SIMDSOFTMAX_BF16;
      call.grad_input.dtype = SIMDSOFTMAX_F16;
    });
  }
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 weights",
                   [](Call& call) { call.weights.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 gradient",
                   [](Call& call) { call.grad_logits.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 log-probabilities",
                   [](Call& call) { call.log_probabilities.dtype = SIMDSOFTMAX_F64; });
    expect_refused(function, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f16 loss",
                   [](Call& call) { call.loss.dtype = SIMDSOFTMAX_F16; });
    expect_accepted(function, "f64 loss", [](Call& call) { call.loss.dtype = SIMDSOFTMAX_F64; });
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_BAD_DTYPE_PAIR, "f64 labels",
                 [](Call& call) { call.labels.dtype = SIMDSOFTMAX_F64; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "f64 bias of f32 logits",
                 [](Call& call) { call.bias.dtype = SIMDSOFTMAX_F64; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "f16 sinks",
                 [](Call& call) { call.sinks.dtype = SIMDSOFTMAX_F16; });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_DTYPE, "bf16 logsumexp",
                 [](Call& call) { call.row_logsumexp.dtype = SIMDSOFTMAX_BF16; });
}

TEST(TensorMisuse, PreOps) {
  for (const Function function :
       {Function::softmax, Function::log_softmax, Function::logsumexp, Function::top_k, Function::argmax}) {
    const auto refuse = [function](simdsoftmax_status expected, const std::string& what, const Spoil& spoil) {
      expect_refused(function, expected, what, spoil);
    };
    constexpr simdsoftmax_status bad = SIMDSOFTMAX_BAD_PRE_OPS;
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size 0", [](Call& call) { call.pre_ops.struct_size = 0; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size", [](Call& call) { --call.pre_ops.struct_size; });
    refuse(bad, "scale NaN", [](Call& call) { call.pre_ops.scale = std::nan(""); });
    refuse(bad, "scale inf", [](Call& call) { call.pre_ops.scale = -HUGE_VAL; });
    refuse(bad, "scale beyond f32", [](Call& call) { call.pre_ops.scale = 1e39; });
    refuse(bad, "scale * theta beyond f32", [](Call& call) { call.pre_ops.scale = call.options.theta = 1e20; });
    refuse(bad, "softcap < 0", [](Call& call) { call.pre_ops.softcap = -1; });
    refuse(bad, "softcap inf", [](Call& call) { call.pre_ops.softcap = HUGE_VAL; });
    refuse(bad, "softcap NaN", [](Call& call) { call.pre_ops.softcap = std::nan(""); });
    refuse(bad, "max_bias < 0", [](Call& call) { call.pre_ops.max_bias = -1; });
    refuse(bad, "max_bias inf", [](Call& call) { call.pre_ops.max_bias = HUGE_VAL; });
    refuse(bad, "max_bias without bias", [](Call& call) { call.bias.given = false; });
    refuse(bad, "mask_meaning 2", [](Call& call) { call.pre_ops.mask_meaning = 2; });
    refuse(bad, "mask_meaning -1", [](Call& call) { call.pre_ops.mask_meaning = -1; });
    refuse(bad, "causal 2", [](Call& call) { call.pre_ops.causal = 2; });
    refuse(bad, "window < 0", [](Call& call) { call.pre_ops.window = -1; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "lengths along the axis", [](Call& call) { call.lengths.shape = {5}; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "sinks along the axis", [](Call& call) { call.sinks.shape = {2, 1, 5}; });
  }
}

// Softmax along another axis than the last, or of fewer dimensions than there are positions to ask for.
TEST(TensorMisuse, PreOpsWithPositionsNeedTheirDimensions) {
  const auto inner_axis = [](Call& call) {
    call.axis = 1;
    call.bias.shape = {2, 3, 5};
    call.lengths.given = call.sinks.given = call.row_logsumexp.given = false;
    call.pre_ops.causal = 0;
    call.pre_ops.window = 0;
    call.pre_ops.max_bias = 0;
  };
  expect_accepted(Function::softmax, "an inner axis", inner_axis);
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "causal", [&](Call& call) {
    inner_axis(call);
    call.pre_ops.causal = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "window", [&](Call& call) {
    inner_axis(call);
    call.pre_ops.window = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "max_bias", [&](Call& call) {
    inner_axis(call);
    call.pre_ops.max_bias = 1;
  });
  const auto with_rank = [&](std::size_t rank) {
    return [=](Call& call) {
      inner_axis(call);
      call.axis = -1;
      for (View* const view : {&call.logits, &call.output, &call.bias, &call.mask}) {
        view->shape.erase(view->shape.begin(), view->shape.end() - static_cast<std::ptrdiff_t>(rank));
      }
    };
  };
  expect_accepted(Function::softmax, "one dimension", with_rank(1));
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "causal of one dimension", [&](Call& call) {
    with_rank(1)(call);
    call.pre_ops.causal = 1;
  });
  expect_accepted(Function::softmax, "causal of two dimensions", [&](Call& call) {
    with_rank(2)(call);
    call.pre_ops.causal = 1;
  });
  expect_refused(Function::softmax, SIMDSOFTMAX_BAD_PRE_OPS, "heads of two dimensions", [&](Call& call) {
    with_rank(2)(call);
    call.pre_ops.max_bias = 1;
  });
}

TEST(TensorMisuse, PreOpsWhereThereAreNone) {
  const simdsoftmax_pre_ops defaults = SIMDSOFTMAX_PRE_OPS_INIT;
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward, Function::cross_entropy,
                                  Function::sparse_cross_entropy}) {
    expect_refused(function, SIMDSOFTMAX_BAD_PRE_OPS, names[static_cast<int>(function)],
                   [&](Call& call) { call.options.pre_ops = &defaults; });
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
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size 0", [](Call& call) { call.loss_options.struct_size = 0; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "size", [](Call& call) { --call.loss_options.struct_size; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "ignore 2", [](Call& call) { call.loss_options.use_ignore_index = 2; });
    refuse(SIMDSOFTMAX_BAD_OPTIONS, "ignore -1", [](Call& call) { call.loss_options.use_ignore_index = -1; });
    refuse(SIMDSOFTMAX_BAD_REDUCTION, "3", [](Call& call) { call.loss_options.reduction = 3; });
    refuse(SIMDSOFTMAX_BAD_REDUCTION, "-1", [](Call& call) { call.loss_options.reduction = -1; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "above 1", [](Call& call) { call.loss_options.label_smoothing = 1.5; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "below 0", [](Call& call) { call.loss_options.label_smoothing = -0.5; });
    refuse(SIMDSOFTMAX_BAD_SMOOTHING, "NaN", [](Call& call) { call.loss_options.label_smoothing = std::nan(""); });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "a loss for each row of a sum",
           [](Call& call) { call.loss_options.reduction = SIMDSOFTMAX_REDUCE_SUM; });
    refuse(SIMDSOFTMAX_BAD_SHAPE, "weights of rank 2", [](Call& call) { call.weights.shape = {1, 5}; });
    for (const std::vector<std::size_t>& one : {std::vector<std::size_t>{}, {1}, {1, 1, 1, 1, 1, 1, 1, 1}}) {
      expect_accepted(function, "a sum of rank " + std::to_string(one.size()), [&](Call& call) {
        call.loss_options.reduction = SIMDSOFTMAX_REDUCE_SUM;
        call.loss.shape = one;
      });
    }
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_BAD_OPTIONS, "ignore_index of distributions",
                 [](Call& call) { call.loss_options.use_ignore_index = 1; });
}

TEST(TensorMisuse, LabelsThatAreNoClasses) {
  for (const std::int64_t label : {std::int64_t{5}, std::int64_t{-1}, std::int64_t{-101}, std::int64_t{INT32_MIN}}) {
    for (const simdsoftmax_dtype dtype : {SIMDSOFTMAX_I32, SIMDSOFTMAX_I64}) {
      for (std::size_t row = 0; row < 6; ++row) {
        Call call(Function::sparse_cross_entropy);
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
  Call call(Function::sparse_cross_entropy);
  call.classes.strides = {1, 2};  // transposed
  const std::int32_t bad = 9;
  std::memcpy(static_cast<char*>(call.classes.data) + 1 * 4, &bad, 4);  // labels[1][0]: row 3
  std::memcpy(static_cast<char*>(call.classes.data) + 4 * 4, &bad, 4);  // labels[0][2]: row 2
  EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_LABEL);
  EXPECT_EQ(call.bad_row, 2U);
}

TEST(TensorMisuse, TopK) {
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_NORMALIZATION, "2", [](Call& call) { call.normalization = 2; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_NORMALIZATION, "-1", [](Call& call) { call.normalization = -1; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_K, "k above the columns",
                 [](Call& call) { call.output.shape.back() = call.indices.shape.back() = 6; });
  expect_refused(Function::top_k, SIMDSOFTMAX_BAD_SHAPE, "two values of k",
                 [](Call& call) { call.indices.shape.back() = 3; });
  expect_accepted(Function::top_k, "k is all columns",
                  [](Call& call) { call.output.shape.back() = call.indices.shape.back() = 5; });

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

// What is unusual and allowed.
TEST(TensorMisuse, IsNotSeenWhereThereIsNone) {
  for (const Function function : functions) {
    expect_accepted(function, "inputs that repeat", [](Call& call) {
      for (View* const view : call.inputs()) view->strides.assign(view->shape.size(), 0);
    });
    expect_accepted(function, "strides of single elements", [](Call& call) {
      for (View* const view : call.tensors()) {
        if (view->shape.back() != 1) continue;
        view->strides.assign(view->shape.size(), 1);
        view->strides.back() = huge;
        if (view->shape[view->shape.size() - 2] == 1) view->strides[view->shape.size() - 2] = huge;
      }
    });
    expect_accepted(function, "outputs with their dimensions transposed", [](Call& call) {
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
    expect_accepted(function, "in place", [](Call& call) { call.output.data = call.logits.data; });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "in place with other strides", [](Call& call) {
      call.output.data = call.logits.data;
      call.output.strides = {18, 6, 1};
    });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "in place of another dtype", [](Call& call) {
      call.output.data = call.logits.data;
      call.output.dtype = SIMDSOFTMAX_F16;
    });
  }
  for (const Function function : {Function::softmax_backward, Function::log_softmax_backward}) {
    expect_accepted(function, "in place of the gradient",
                    [](Call& call) { call.grad_input.data = call.grad_output.data; });
    expect_accepted(function, "in place of the output", [](Call& call) { call.grad_input.data = call.output.data; });
  }
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    expect_accepted(function, "gradient in place", [](Call& call) { call.grad_logits.data = call.logits.data; });
    expect_accepted(function, "log-probabilities in place",
                    [](Call& call) { call.log_probabilities.data = call.logits.data; });
    expect_refused(function, SIMDSOFTMAX_PARTIAL_OVERLAP, "both in place",
                   [](Call& call) { call.grad_logits.data = call.log_probabilities.data = call.logits.data; });
  }
  expect_refused(Function::cross_entropy, SIMDSOFTMAX_PARTIAL_OVERLAP, "gradient in place of labels",
                 [](Call& call) { call.grad_logits.data = call.labels.data; });
}

// A batch without rows has a sum and a mean.
TEST(TensorMisuse, ReducedLossOfNoRows) {
  for (const Function function : {Function::cross_entropy, Function::sparse_cross_entropy}) {
    for (const Sizes& sizes : {Sizes{0, 3, 5}, Sizes{2, 0, 5}, Sizes{0, 3, 0}}) {
      const auto run = [&](simdsoftmax_reduction reduction, bool with_loss, float& loss) {
        Call call(function, sizes);
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

template <class Struct>
struct Later {
  Struct known;
  std::uint8_t unknown[24];
};

// Structs of callers that were built against other versions.
TEST(StructVersions, OptionsBeforePreOps) {
  Call call(Function::softmax);
  call.with_pre_ops = false;
  simdsoftmax_pre_ops impossible = SIMDSOFTMAX_PRE_OPS_INIT;
  impossible.window = -1;
  call.options.pre_ops = &impossible;
  EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_PRE_OPS);
  call.options.struct_size = offsetof(simdsoftmax_options, pre_ops);
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK) << "what lies behind the struct is not looked at";
  for (std::size_t size = 0; size < sizeof(simdsoftmax_options); ++size) {
    if (size == offsetof(simdsoftmax_options, pre_ops)) continue;
    call.options.struct_size = size;
    EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_OPTIONS) << size;
  }
}

TEST(StructVersions, LongerStructsMustEndInZeros) {
  Call call(Function::softmax);
  call.with_pre_ops = false;
  Later<simdsoftmax_pre_ops> pre_ops = {SIMDSOFTMAX_PRE_OPS_INIT, {}};
  pre_ops.known.struct_size = sizeof pre_ops;
  call.options.pre_ops = &pre_ops.known;
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK);
  for (std::uint8_t& byte : pre_ops.unknown) {
    byte = 1;
    EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_OPTIONS);
    byte = 0;
  }

  Call loss(Function::cross_entropy);
  Later<simdsoftmax_cross_entropy_options> loss_options = {SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT, {}};
  loss_options.known.struct_size = sizeof loss_options;
  const auto run = [&] {
    return simdsoftmax_softmax_cross_entropy(loss.logits.c(), loss.labels.c(), loss.loss.c(), 2, &loss_options.known,
                                             nullptr);
  };
  EXPECT_EQ(run(), SIMDSOFTMAX_OK);
  for (std::uint8_t& byte : loss_options.unknown) {
    byte = 1;
    EXPECT_EQ(run(), SIMDSOFTMAX_BAD_OPTIONS);
    byte = 0;
  }
}

}  // namespace
}  // namespace softmax_test
