// SPDX-License-Identifier: Apache-2.0
#include "tensor_call.hpp"

#include <cstring>

namespace softmax_test {
namespace {

simdsoftmax_status status_of(Function function, const Spoil& change, bool& wrote) {
  TensorCall call(function);
  change(call);
  const simdsoftmax_status status = call.run();
  wrote = !call.wrote_nothing();
  EXPECT_EQ(call.bad_row == 77, status != SIMDSOFTMAX_BAD_LABEL);
  return status;
}

}  // namespace

const simdsoftmax_tensor* View::c() {
  tensor = {data, dtype, rank == -2 ? static_cast<std::int32_t>(shape.size()) : rank,
            has_shape ? shape.data() : nullptr, strides.empty() ? nullptr : strides.data()};
  return given ? &tensor : nullptr;
}

const std::vector<Function>& functions() {
  static const std::vector<Function> all = {Function::softmax,
                                            Function::log_softmax,
                                            Function::logsumexp,
                                            Function::softmax_backward,
                                            Function::log_softmax_backward,
                                            Function::cross_entropy,
                                            Function::sparse_cross_entropy,
                                            Function::top_k,
                                            Function::argmax};
  return all;
}

std::string name_of(Function function) {
  static constexpr const char* names[] = {"softmax",
                                          "log_softmax",
                                          "logsumexp",
                                          "softmax_backward",
                                          "log_softmax_backward",
                                          "cross_entropy",
                                          "sparse_cross_entropy",
                                          "top_k",
                                          "argmax"};
  return names[static_cast<int>(function)];
}

TensorCall::TensorCall(Function f, const LogitsSizes& sizes) : function(f) {
  const auto [heads, queries, cols] = sizes;
  const Sizes full = {heads, queries, cols};
  const Sizes rows = {heads, queries};
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
    Sizes winners = rows;
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

bool TensorCall::has_pre_ops() const {
  return function <= Function::logsumexp || function == Function::top_k || function == Function::argmax;
}
bool TensorCall::has_loss() const {
  return function == Function::cross_entropy || function == Function::sparse_cross_entropy;
}
bool TensorCall::has_indices() const { return function == Function::top_k || function == Function::argmax; }

simdsoftmax_status TensorCall::run() {
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
      return simdsoftmax_sparse_softmax_cross_entropy(logits.c(), classes.c(), loss.c(), axis, &loss_options, &options);
    case Function::top_k:
      return simdsoftmax_softmax_top_k(logits.c(), output.c(), indices.c(), axis, normalization, &options);
    case Function::argmax:
      return simdsoftmax_argmax(logits.c(), output.c(), indices.c(), axis, &options);
  }
  return -1;
}

std::vector<View*> TensorCall::inputs() {
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

std::vector<View*> TensorCall::outputs() {
  if (function == Function::softmax_backward || function == Function::log_softmax_backward) return {&grad_input};
  if (has_loss()) return {&loss, &grad_logits, &log_probabilities};
  if (has_indices()) return {&output, &indices, &row_logsumexp};
  return {&output, &row_logsumexp};
}

std::vector<View*> TensorCall::tensors() {
  std::vector<View*> all = inputs();
  for (View* const view : outputs()) all.push_back(view);
  return all;
}

bool TensorCall::is_optional(const View* view) const {
  return view == &weights || view == &grad_logits || view == &log_probabilities || view == &bias || view == &mask ||
         view == &lengths || view == &sinks || view == &row_logsumexp || (has_indices() && view == &output);
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

void TensorMisuse::refuse_each(simdsoftmax_status expected, const std::function<void(TensorCall&, View&)>& spoil,
                               bool outputs_only) {
  TensorCall sample(function());
  const std::size_t count = outputs_only ? sample.outputs().size() : sample.tensors().size();
  for (std::size_t i = 0; i < count; ++i) {
    expect_refused(function(), expected, "tensor " + std::to_string(i),
                   [&](TensorCall& call) { spoil(call, outputs_only ? *call.outputs()[i] : *call.tensors()[i]); });
  }
}

void TensorMisuse::refuse(simdsoftmax_status expected, const Spoil& spoil) {
  expect_refused(function(), expected, name_of(function()), spoil);
}

void TensorMisuse::accept(const std::string& what, const Spoil& change) { expect_accepted(function(), what, change); }

}  // namespace softmax_test
