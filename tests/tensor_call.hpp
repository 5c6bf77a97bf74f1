// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_TENSOR_CALL_HPP
#define SIMDSOFTMAX_TESTS_TENSOR_CALL_HPP

// One valid call for each function on tensors, with all its optional tensors, to be spoilt in one place at a time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness.hpp"
#include "tensor.hpp"

namespace softmax_test {

// A tensor that a test can spoil; without strides it is dense.
struct View {
  void* data = nullptr;
  simdsoftmax_dtype dtype = SIMDSOFTMAX_F32;
  Sizes shape;
  Strides strides = {};
  std::int32_t rank = -2;  // -2: that of the shape
  bool given = true;
  bool has_shape = true;
  simdsoftmax_tensor tensor = {};

  const simdsoftmax_tensor* c();  // null if it is not given
};

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
const std::vector<Function>& functions();
std::string name_of(Function function);

// The sizes of the logits, whose last dimension is the axis.
struct LogitsSizes {
  std::size_t heads = 2;
  std::size_t queries = 3;
  std::size_t cols = 5;
};

struct TensorCall {
  static constexpr std::size_t slot_bytes = 512;
  static constexpr std::size_t slots = 15;

  explicit TensorCall(Function f, const LogitsSizes& sizes = {});
  TensorCall(const TensorCall&) = delete;
  TensorCall& operator=(const TensorCall&) = delete;

  simdsoftmax_status run();
  bool wrote_nothing() const { return memory == before; }

  // The tensors of the call, the one that gives the shape first.
  std::vector<View*> inputs();
  std::vector<View*> outputs();
  std::vector<View*> tensors();
  bool is_optional(const View* view) const;

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
  bool has_pre_ops() const;
  bool has_loss() const;
  bool has_indices() const;
};

using Spoil = std::function<void(TensorCall&)>;

// A call that is refused writes nothing.
void expect_refused(Function function, simdsoftmax_status expected, const std::string& what, const Spoil& spoil);
void expect_accepted(Function function, const std::string& what, const Spoil& change);

// One test per function; tensor_status_test.cpp instantiates them, those of other files too.
class TensorMisuse : public ::testing::TestWithParam<Function> {
 protected:
  static Function function() { return GetParam(); }

  // spoil(call, view) for each tensor of the call in turn.
  static void refuse_each(simdsoftmax_status expected, const std::function<void(TensorCall&, View&)>& spoil,
                          bool outputs_only = false);
  static void refuse(simdsoftmax_status expected, const Spoil& spoil);
  static void accept(const std::string& what, const Spoil& change);
};

}  // namespace softmax_test

#endif
