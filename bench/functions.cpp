// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

#include "operation.hpp"
#include "operator_reference.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

// The tensors that most functions take.
struct Rows {
  SharedWorkload work;
  Tensor logits;
  Tensor output;
  simdsoftmax_options options;

  explicit Rows(const SharedWorkload& shared)
      : work(shared),
        logits(work->logits.get(), work->in.dtype, {work->shape.rows, work->shape.cols}),
        output(work->output.get(), work->out.dtype, {work->shape.rows, work->shape.cols}),
        options(call_options(*work)) {}
};

Operation log_softmax(const SharedWorkload& work) {
  const auto rows = std::make_shared<Rows>(work);
  Operation operation("log_softmax", *work);
  operation.run = [rows] { return simdsoftmax_log_softmax(rows->logits.c(), rows->output.c(), 1, &rows->options); };
  operation.spoil = [rows] { rows->output.spoil(); };
  operation.max_ulp = [rows] {
    const Workload& w = *rows->work;
    RowReference row(w);
    double worst = 0;
    for (std::size_t r = 0; r < w.shape.rows; ++r) {
      load_row(w, r, row.z);
      row.compute();
      for (std::size_t c = 0; c < w.shape.cols; ++c) {
        const double value = load(w.out, rows->output.data(), r * w.shape.cols + c);
        worst = std::max(worst, ulp_error(w.out, value, row.log_p(c)));
      }
    }
    return worst;
  };
  return operation;
}

Operation logsumexp(const SharedWorkload& work) {
  const auto rows = std::make_shared<Rows>(work);
  const auto result = std::make_shared<Tensor>(work->out.dtype, std::vector<std::size_t>{work->shape.rows});
  Operation operation("logsumexp", *work);
  operation.run = [rows, result] { return simdsoftmax_logsumexp(rows->logits.c(), result->c(), 1, &rows->options); };
  operation.spoil = [result] { result->spoil(); };
  operation.max_ulp = [rows, result] {
    const Workload& w = *rows->work;
    RowReference row(w);
    double worst = 0;
    for (std::size_t r = 0; r < w.shape.rows; ++r) {
      load_row(w, r, row.z);
      row.compute();
      worst = std::max(worst, ulp_error(w.out, load(w.out, result->data(), r), row.logsumexp()));
    }
    return worst;
  };
  return operation;
}

using Forward = decltype(simdsoftmax_softmax);
using Backward = decltype(simdsoftmax_softmax_backward);

struct Gradient : Rows {
  Tensor grad_output;
  Tensor result;  // of the function whose gradient this is

  Gradient(const SharedWorkload& shared, Forward* forward)
      : Rows(shared),
        grad_output(work->in.dtype, {work->shape.rows, work->shape.cols}),
        result(work->out.dtype, {work->shape.rows, work->shape.cols}) {
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < work->size(); ++i) store(work->in, grad_output.data(), i, normal(random));
    if (forward(logits.c(), result.c(), 1, &options) != SIMDSOFTMAX_OK) throw std::runtime_error("softmax failed");
  }
};

// The definition, from the stored result of the forward function; errors as the header bounds them.
double gradient_error(const Gradient& gradient, bool of_logs) {
  const Workload& w = *gradient.work;
  const RowReference row(w);
  const std::size_t cols = w.shape.cols;
  std::vector<long double> y(cols);
  std::vector<long double> g(cols);
  double worst = 0;
  for (std::size_t r = 0; r < w.shape.rows; ++r) {
    long double sum = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      g[c] = load(w.in, gradient.grad_output.data(), r * cols + c);
      y[c] = load(w.out, gradient.result.data(), r * cols + c);
      if (of_logs) y[c] = row.exp(y[c]);
      sum += of_logs ? g[c] : g[c] * y[c];
    }
    for (std::size_t c = 0; c < cols; ++c) {
      const long double expected = of_logs ? g[c] - y[c] * sum : y[c] * (g[c] - sum);
      const long double scale =
          of_logs ? std::max(std::fabs(g[c]), std::fabs(y[c] * sum)) : y[c] * std::max(std::fabs(g[c]), std::fabs(sum));
      const double value = load(w.out, gradient.output.data(), r * cols + c);
      worst = std::max(worst, ulp_error(w.out, value, expected, scale));
    }
  }
  return worst;
}

Operation gradient(const SharedWorkload& work, const char* name, Forward* forward, Backward* backward, bool of_logs) {
  const auto tensors = std::make_shared<Gradient>(work, forward);
  Operation operation(name, *work);
  operation.run = [tensors, backward] {
    return backward(tensors->grad_output.c(), tensors->result.c(), tensors->output.c(), 1, &tensors->options);
  };
  operation.spoil = [tensors] { tensors->output.spoil(); };
  operation.max_ulp = [tensors, of_logs] { return gradient_error(*tensors, of_logs); };
  return operation;
}

// Two states, as two threads of a caller would have them, one after the other here.
simdsoftmax_status slice_rows(const Rows& rows, std::size_t cut) {
  const Workload& w = *rows.work;
  simdsoftmax_row_state first;
  simdsoftmax_row_state second;
  simdsoftmax_status status = SIMDSOFTMAX_OK;
  const auto keep = [&status](simdsoftmax_status next) { status = status == SIMDSOFTMAX_OK ? next : status; };
  for (std::size_t r = 0; r < w.shape.rows; ++r) {
    const char* in = rows.logits.as<char>() + r * w.shape.cols * w.in.size;
    char* out = rows.output.as<char>() + r * w.shape.cols * w.out.size;
    const char* in_second = in + cut * w.in.size;
    const std::size_t rest = w.shape.cols - cut;
    keep(simdsoftmax_row_state_init(&first, w.in.dtype, w.shape.cols, &rows.options));
    keep(simdsoftmax_row_state_init(&second, w.in.dtype, w.shape.cols, &rows.options));
    keep(simdsoftmax_row_state_add(&first, in, 0, cut));
    keep(simdsoftmax_row_state_add(&second, in_second, cut, rest));
    keep(simdsoftmax_row_state_merge(&first, &second));
    keep(simdsoftmax_row_state_softmax(&first, in, 0, cut, out, w.out.dtype, &rows.options));
    keep(simdsoftmax_row_state_softmax(&first, in_second, cut, rest, out + cut * w.out.size, w.out.dtype,
                                       &rows.options));
  }
  return status;
}

}  // namespace

Operations function_operations(const SharedWorkload& work) {
  Operations operations;
  operations.push_back(log_softmax(work));
  operations.push_back(logsumexp(work));
  operations.push_back(gradient(work, "softmax_backward", simdsoftmax_softmax, simdsoftmax_softmax_backward, false));
  operations.push_back(
      gradient(work, "log_softmax_backward", simdsoftmax_log_softmax, simdsoftmax_log_softmax_backward, true));
  return operations;
}

Operations row_state_operations(const SharedWorkload& work) {
  const auto rows = std::make_shared<Rows>(work);
  const std::size_t cols = work->shape.cols;
  const std::size_t part = simdsoftmax_row_part_length(cols);
  const std::size_t cut = std::min(cols, (cols / 2 + part - 1) / part * part);
  Operation operation("row_state_two_slices", *work);
  operation.run = [rows, cut] { return slice_rows(*rows, cut); };
  operation.spoil = [rows] { rows->output.spoil(); };
  operation.max_ulp = [work] { return work->max_ulp(work->output.get()); };
  return {operation};
}

}  // namespace bench
