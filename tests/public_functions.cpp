// SPDX-License-Identifier: Apache-2.0
#include "public_functions.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <ostream>

#include "operators.hpp"

namespace softmax_test {
namespace {

using CallPointer = std::unique_ptr<Call>;
using Status = simdsoftmax_status;
using Options = simdsoftmax_options;

std::int32_t axis_of(const Inputs& inputs) { return static_cast<std::int32_t>(inputs.axis); }
std::size_t cols_of(const Inputs& inputs) { return inputs.shape[inputs.axis]; }
bool has_f64(const Pair& pair) { return pair.in == SIMDSOFTMAX_F64; }

const simdsoftmax_tensor* logits_of(Call& call, const Inputs& inputs) {
  return call.input(inputs.pair.in, inputs.shape, inputs.logits);
}

// Small numbers that are exact in every format and differ from column to column.
std::vector<double> pattern(std::size_t count, int modulus, double unit, double from = 0) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<double>(i * 7919 % static_cast<std::size_t>(modulus)) * unit + from;
  }
  return values;
}

// ---- softmax, log_softmax, logsumexp --------------------------------------------------------------------------------

CallPointer softmax_rows_call(const Inputs& inputs) {
  if (inputs.shape.size() != 2 || inputs.axis != 1) return nullptr;
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  const simdsoftmax_tensor* const to = call->output(inputs.pair.out, inputs.shape);
  call->add([=](const Options& options) {
    return simdsoftmax_softmax_rows(from->data, from->dtype, from->strides[0], to->data, to->dtype, to->strides[0],
                                    from->shape[0], from->shape[1], &options);
  });
  return call;
}

template <const Operator& (*op)()>
CallPointer operator_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  const simdsoftmax_tensor* const to = call->output(inputs.pair.out, output_shape(op(), inputs.shape, inputs.axis));
  call->add([=](const Options& options) { return op().run(from, to, axis_of(inputs), &options); });
  return call;
}

// ---- Pre-operations -------------------------------------------------------------------------------------------------

Options with(const Options& options, double theta, const simdsoftmax_pre_ops* pre_ops) {
  Options changed = options;
  changed.theta = theta;
  changed.pre_ops = pre_ops;
  return changed;
}

// Theta and sets of pre-operations that together hold each of them.
struct Before {
  double theta;
  const simdsoftmax_pre_ops* pre_ops;
};
std::vector<Before> pre_operations(Call& call, const Inputs& inputs) {
  const Sizes each = with_axis(inputs.shape, inputs.axis, 1);
  const std::size_t rows = count_of(each);
  const std::size_t cols = cols_of(inputs);
  const simdsoftmax_dtype dtype = inputs.pair.in;
  const Sizes one_row = with_axis(Sizes(inputs.shape.size(), 1), inputs.axis, cols);
  std::vector<Before> all = {{0.7, nullptr}, {-1.0, nullptr}};

  simdsoftmax_pre_ops scaled = SIMDSOFTMAX_PRE_OPS_INIT;
  scaled.scale = 0.3;
  scaled.softcap = 25;
  all.push_back({1, call.keep(scaled)});
  scaled.scale = 0x1.4p-1060;
  scaled.softcap = 0x1p-1065;
  all.push_back({1, call.keep(scaled)});

  simdsoftmax_pre_ops added = SIMDSOFTMAX_PRE_OPS_INIT;
  added.bias = call.input(dtype, one_row, pattern(cols, 13, 0.3125, -2));
  added.mask = call.input(SIMDSOFTMAX_BOOL, one_row, pattern(cols, 5, 1));
  added.sinks = call.input(has_f64(inputs.pair) ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F32, each, pattern(rows, 7, 0.75, -1));
  added.logsumexp = call.output(has_f64(inputs.pair) ? SIMDSOFTMAX_F64 : SIMDSOFTMAX_F32, each);
  all.push_back({0.9, call.keep(added)});

  simdsoftmax_pre_ops hidden = SIMDSOFTMAX_PRE_OPS_INIT;
  std::vector<double> lengths = pattern(rows, 11, 1);
  for (double& length : lengths) length = std::floor(length * static_cast<double>(cols) / 8);
  hidden.lengths = call.input(SIMDSOFTMAX_I32, each, lengths);
  const bool axis_is_last = inputs.axis + 1 == inputs.shape.size();
  if (axis_is_last) {
    hidden.causal = 1;
    hidden.query_offset = static_cast<std::int64_t>(cols / 3);
    hidden.window = static_cast<std::int64_t>(cols / 2 + 2);
  }
  if (axis_is_last && inputs.shape.size() > 2) {
    hidden.max_bias = 8;
    hidden.bias = call.input(dtype, one_row, pattern(cols, 29, -0.5));
  }
  all.push_back({1, call.keep(hidden)});
  return all;
}

template <const Operator& (*op)()>
CallPointer pre_ops_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  for (const Before& before : pre_operations(*call, inputs)) {
    const simdsoftmax_tensor* const to = call->output(inputs.pair.out, output_shape(op(), inputs.shape, inputs.axis));
    call->add([=](const Options& options) {
      const Options changed = with(options, before.theta, before.pre_ops);
      return op().run(from, to, axis_of(inputs), &changed);
    });
  }
  return call;
}

// ---- Winners --------------------------------------------------------------------------------------------------------

void add_top_k(Call& call, const Inputs& inputs, const simdsoftmax_tensor* from, std::size_t k,
               simdsoftmax_normalization normalization, const Before* before) {
  const Sizes shape = with_axis(inputs.shape, inputs.axis, k);
  const simdsoftmax_tensor* const probabilities = call.output(inputs.pair.out, shape);
  const simdsoftmax_tensor* const indices = call.output(SIMDSOFTMAX_I64, shape);
  const bool plain = before == nullptr;
  const Before kept = plain ? Before{1, nullptr} : *before;
  call.add([=](const Options& options) {
    const Options changed = plain ? options : with(options, kept.theta, kept.pre_ops);
    return simdsoftmax_softmax_top_k(from, probabilities, indices, axis_of(inputs), normalization, &changed);
  });
}

CallPointer top_k_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  for (const simdsoftmax_normalization normalization : {SIMDSOFTMAX_OVER_ROW, SIMDSOFTMAX_OVER_TOP_K}) {
    for (const std::size_t k : {1U, 5U, 40U}) {
      add_top_k(*call, inputs, from, std::min(k, cols_of(inputs)), normalization, nullptr);
    }
  }
  return call;
}

CallPointer top_k_pre_ops_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  for (const Before& before : pre_operations(*call, inputs)) {
    add_top_k(*call, inputs, from, std::min<std::size_t>(3, cols_of(inputs)), SIMDSOFTMAX_OVER_ROW, &before);
  }
  return call;
}

CallPointer argmax_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  const Sizes shape = with_axis(inputs.shape, inputs.axis, 1);
  const simdsoftmax_tensor* const probabilities = call->output(inputs.pair.out, shape);
  const simdsoftmax_tensor* const indices = call->output(SIMDSOFTMAX_I32, shape);
  call->add([=](const Options& options) {
    return simdsoftmax_argmax(from, probabilities, indices, axis_of(inputs), &options);
  });
  return call;
}

// ---- Gradients ------------------------------------------------------------------------------------------------------

// From what `forward` gives for the logits, and a gradient of small numbers.
template <const Operator& (*forward)(), auto backward>
CallPointer backward_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  const Tensor results = apply(forward(), Tensor(inputs.pair.in, inputs.shape, inputs.logits), inputs.pair.out,
                               axis_of(inputs), serial_options());
  const simdsoftmax_tensor* const y = call->input(inputs.pair.out, inputs.shape, results.values());
  const simdsoftmax_tensor* const g =
      call->input(inputs.pair.in, inputs.shape, pattern(inputs.logits.size(), 31, 0.125, -1.5));
  for (const double theta : {1.0, 0.7}) {
    const simdsoftmax_tensor* const to = call->output(theta == 1.0 ? inputs.pair.in : inputs.pair.out, inputs.shape);
    call->add([=](const Options& options) {
      const Options changed = with(options, theta, nullptr);
      return backward(g, y, to, axis_of(inputs), &changed);
    });
  }
  return call;
}

// ---- Cross entropy --------------------------------------------------------------------------------------------------

using CrossEntropy = Status (*)(const simdsoftmax_tensor*, const simdsoftmax_tensor*, const simdsoftmax_tensor*,
                                std::int32_t, const simdsoftmax_cross_entropy_options*, const simdsoftmax_options*);

// Every reduction, with and without weights and smoothing, each with its gradient and the log-probabilities.
CallPointer cross_entropy_call(const Inputs& inputs, CrossEntropy function, bool dense) {
  auto call = std::make_unique<Call>(inputs);
  const Pair& pair = inputs.pair;
  const Sizes each = with_axis(inputs.shape, inputs.axis, 1);
  const std::size_t cols = cols_of(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  std::vector<double> classes = pattern(count_of(each), 97, 1);
  for (double& label : classes) label = std::fmod(label, static_cast<double>(cols));
  const simdsoftmax_tensor* const labels =
      dense ? call->input(pair.in, inputs.shape, pattern(inputs.logits.size(), 9, 0.0625))
            : call->input(SIMDSOFTMAX_I64, each, classes);
  for (const simdsoftmax_reduction reduction :
       {SIMDSOFTMAX_REDUCE_NONE, SIMDSOFTMAX_REDUCE_SUM, SIMDSOFTMAX_REDUCE_MEAN}) {
    for (const bool weighted : {false, true}) {
      if (weighted && reduction == SIMDSOFTMAX_REDUCE_NONE) continue;
      simdsoftmax_cross_entropy_options loss = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
      loss.reduction = reduction;
      loss.use_ignore_index = dense ? 0 : 1;
      loss.ignore_index = 3;
      if (dense) loss.label_smoothing = 0x1p-1060;
      if (weighted) {
        loss.label_smoothing = 0.1;
        loss.class_weights = call->input(pair.in, {cols}, pattern(cols, 5, 0.25, 0.5));
      }
      loss.grad_logits = call->output(pair.out, inputs.shape);
      loss.log_probabilities = call->output(pair.out, inputs.shape);
      const simdsoftmax_cross_entropy_options* const kept = call->keep(loss);
      const simdsoftmax_tensor* const to = call->output(pair.in, reduction == SIMDSOFTMAX_REDUCE_NONE ? each : Sizes{});
      call->add([=](const Options& options) { return function(from, labels, to, axis_of(inputs), kept, &options); });
    }
  }
  return call;
}

CallPointer dense_loss_call(const Inputs& inputs) {
  return cross_entropy_call(inputs, simdsoftmax_softmax_cross_entropy, true);
}
CallPointer sparse_loss_call(const Inputs& inputs) {
  return cross_entropy_call(inputs, simdsoftmax_sparse_softmax_cross_entropy, false);
}

// ---- A row in slices ------------------------------------------------------------------------------------------------

// Each row is taken in two slices with states of their own, merged, and finished in two other slices.
Status softmax_in_slices(const char* from, char* to, const Pair& pair, std::size_t cols, simdsoftmax_row_state* states,
                         double* logsumexp, const Options& options) {
  const std::size_t part = simdsoftmax_row_part_length(cols);
  const std::size_t cut = std::min(cols, (cols / part / 2 + 1) * part);
  const std::size_t in_bytes = bytes_of(pair.in);
  const std::size_t out_bytes = bytes_of(pair.out);
  const std::size_t middle = cols / 3;
  Status status = simdsoftmax_row_state_init(&states[0], pair.in, cols, &options);
  if (!status) status = simdsoftmax_row_state_init(&states[1], pair.in, cols, &options);
  if (!status) status = simdsoftmax_row_state_add(&states[0], from, 0, cut);
  if (!status) status = simdsoftmax_row_state_add(&states[1], from + cut * in_bytes, cut, cols - cut);
  if (!status) status = simdsoftmax_row_state_merge(&states[1], &states[0]);
  if (!status) status = simdsoftmax_row_state_logsumexp(&states[1], logsumexp);
  if (!status) status = simdsoftmax_row_state_softmax(&states[1], from, 0, middle, to, pair.out, &options);
  if (!status) {
    status = simdsoftmax_row_state_softmax(&states[1], from + middle * in_bytes, middle, cols - middle,
                                           to + middle * out_bytes, pair.out, &options);
  }
  return status;
}

CallPointer row_state_call(const Inputs& inputs) {
  if (inputs.shape.size() != 2 || inputs.axis != 1) return nullptr;
  auto call = std::make_unique<Call>(inputs);
  const simdsoftmax_tensor* const from = logits_of(*call, inputs);
  const simdsoftmax_tensor* const to = call->output(inputs.pair.out, inputs.shape);
  const simdsoftmax_tensor* const logs = call->output(SIMDSOFTMAX_F64, {inputs.shape[0], 1});
  auto* const states = call->keep(std::vector<simdsoftmax_row_state>(2));
  call->add([=](const Options& options) {
    for (std::size_t r = 0; r < from->shape[0]; ++r) {
      const auto row = static_cast<std::ptrdiff_t>(r);
      const auto at = [row](const simdsoftmax_tensor* tensor) {
        return static_cast<char*>(tensor->data) +
               row * tensor->strides[0] * static_cast<std::ptrdiff_t>(bytes_of(tensor->dtype));
      };
      double log = 0;
      const Status status =
          softmax_in_slices(at(from), at(to), inputs.pair, from->shape[1], states->data(), &log, options);
      if (status != SIMDSOFTMAX_OK) return status;
      std::memcpy(at(logs), &log, sizeof log);
    }
    return Status{SIMDSOFTMAX_OK};
  });
  return call;
}

// ---- What computes nothing ------------------------------------------------------------------------------------------

CallPointer queries_call(const Inputs& inputs) {
  auto call = std::make_unique<Call>(inputs);
  simdsoftmax_plan* const plan = call->keep(simdsoftmax_plan{});
  const std::size_t rows = inputs.logits.size() / cols_of(inputs);
  call->add([=](const Options& options) {
    return simdsoftmax_plan_rows(inputs.pair.in, inputs.pair.out, rows, cols_of(inputs), 0, &options, plan);
  });
  call->add([](const Options&) {
    simdsoftmax_isa_info isa{};
    simdsoftmax_variant variant = 0;
    simdsoftmax_accuracy accuracy = 0;
    simdsoftmax_set_verbose(0);
    const bool known = simdsoftmax_version() != nullptr && simdsoftmax_status_text(SIMDSOFTMAX_OK) != nullptr &&
                       simdsoftmax_variant_count() > 1 && simdsoftmax_accuracy_count() > 1 &&
                       simdsoftmax_isa_count() > 0 && simdsoftmax_has_openmp() >= 0;
    Status status = known ? simdsoftmax_isa_query(0, &isa) : SIMDSOFTMAX_OUT_OF_RANGE;
    if (!status) status = simdsoftmax_variant_from_name(simdsoftmax_variant_name(1), &variant);
    if (!status) status = simdsoftmax_accuracy_from_name(simdsoftmax_accuracy_name(1), &accuracy);
    for (std::size_t i = 0; !status && i < simdsoftmax_isa_count(); ++i) {
      status = simdsoftmax_isa_query(i, &isa);
      if (!status && isa.active != 0) return simdsoftmax_cap_isa(isa.name);
    }
    return status;
  });
  return call;
}

}  // namespace

simdsoftmax_status Call::run(const simdsoftmax_options& options) const {
  for (const Step& step : steps_) {
    if (const simdsoftmax_status status = step(options)) return status;
  }
  return SIMDSOFTMAX_OK;
}

void Call::forget_results() {
  for (Tensor* const tensor : outputs_) tensor->forget();
}

std::vector<Bytes> Call::results() const {
  std::vector<Bytes> all;
  for (const Tensor* const tensor : outputs_) {
    EXPECT_TRUE(tensor->gaps_untouched());
    Bytes bytes = tensor->element_bytes();
    const bool is_index = tensor->dtype() == SIMDSOFTMAX_I32 || tensor->dtype() == SIMDSOFTMAX_I64;
    if (!is_index) {
      const Format& format = format_of(tensor->dtype());
      for (std::size_t i = 0; i < bytes.size(); i += format.bytes) {
        if (std::isnan(load(format, &bytes[i]))) store(format, std::numeric_limits<double>::quiet_NaN(), &bytes[i]);
      }
    }
    all.push_back(std::move(bytes));
  }
  return all;
}

const simdsoftmax_tensor* Call::place(Tensor* tensor) {
  tensor->misalign(offset_);
  return keep(tensor->view());
}
const simdsoftmax_tensor* Call::input(simdsoftmax_dtype dtype, const Sizes& shape, const std::vector<double>& values) {
  return place(keep(Tensor(dtype, shape, padded_strides(shape, gap_), values)));
}
const simdsoftmax_tensor* Call::output(simdsoftmax_dtype dtype, const Sizes& shape) {
  Tensor* const tensor = keep(Tensor(dtype, shape, padded_strides(shape, gap_)));
  outputs_.push_back(tensor);
  return place(tensor);
}

const std::vector<PublicFunction>& public_functions() {
  static const std::vector<PublicFunction> all = {
      {"softmax_rows", {"softmax_rows"}, true, true, softmax_rows_call},
      {"softmax", {"softmax"}, true, true, operator_call<softmax_operator>},
      {"log_softmax", {"log_softmax"}, true, true, operator_call<log_softmax_operator>},
      {"logsumexp", {"logsumexp"}, true, true, operator_call<logsumexp_operator>},
      {"softmax_with_pre_ops", {"softmax"}, true, false, pre_ops_call<softmax_operator>},
      {"log_softmax_with_pre_ops", {"log_softmax"}, true, false, pre_ops_call<log_softmax_operator>},
      {"logsumexp_with_pre_ops", {"logsumexp"}, true, false, pre_ops_call<logsumexp_operator>},
      {"softmax_backward",
       {"softmax_backward"},
       true,
       false,
       backward_call<softmax_operator, simdsoftmax_softmax_backward>},
      {"log_softmax_backward",
       {"log_softmax_backward"},
       true,
       false,
       backward_call<log_softmax_operator, simdsoftmax_log_softmax_backward>},
      {"softmax_cross_entropy", {"softmax_cross_entropy"}, true, false, dense_loss_call},
      {"sparse_softmax_cross_entropy", {"sparse_softmax_cross_entropy"}, true, false, sparse_loss_call},
      {"softmax_top_k", {"softmax_top_k"}, true, true, top_k_call},
      {"softmax_top_k_with_pre_ops", {"softmax_top_k"}, true, false, top_k_pre_ops_call},
      {"argmax", {"argmax"}, true, true, argmax_call},
      {"row_state",
       {"row_part_length", "row_state_init", "row_state_add", "row_state_merge", "row_state_softmax",
        "row_state_logsumexp"},
       true,
       true,
       row_state_call},
      {"queries",
       {"plan_rows", "version", "status_text", "variant_count", "variant_name", "variant_from_name", "accuracy_count",
        "accuracy_name", "accuracy_from_name", "isa_count", "isa_query", "cap_isa", "has_openmp", "set_verbose"},
       false,
       false,
       queries_call}};
  return all;
}

std::string name_of_function(const ::testing::TestParamInfo<PublicFunction>& info) { return info.param.name; }
void PrintTo(const PublicFunction& function, std::ostream* stream) { *stream << function.name; }

}  // namespace softmax_test
