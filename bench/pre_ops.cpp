// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "operation.hpp"
#include "operator_reference.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

constexpr long double minus_infinity = -std::numeric_limits<long double>::infinity();
constexpr std::uint16_t f16_minus_infinity = 0xfc00;

// Rows are heads x queries, like the scores of attention.
struct Attention {
  SharedWorkload work;
  std::size_t heads;
  std::size_t queries;
  std::size_t cols;
  Tensor logits;
  Tensor output;
  std::vector<std::unique_ptr<Tensor>> inputs;  // of the pre-operations
  std::unique_ptr<Tensor> logsumexp;
  simdsoftmax_pre_ops pre_ops;
  simdsoftmax_options options;
  // What they mean, written once more: the logits of a row after them, and the sink of a head.
  std::function<long double(std::size_t row, std::size_t column, long double x)> expected_logit;
  std::function<long double(std::size_t head)> expected_sink;

  explicit Attention(const SharedWorkload& shared)
      : work(shared),
        heads(work->shape.rows % 8 == 0 ? 8 : 1),
        queries(work->shape.rows / heads),
        cols(work->shape.cols),
        logits(work->logits.get(), work->in.dtype, {heads, queries, cols}),
        output(work->output.get(), work->out.dtype, {heads, queries, cols}),
        pre_ops(SIMDSOFTMAX_PRE_OPS_INIT),
        options(call_options(*work)),
        expected_logit([](std::size_t, std::size_t, long double x) { return x; }),
        expected_sink([](std::size_t) { return no_sink; }) {
    options.pre_ops = &pre_ops;
  }
  Attention(const Attention&) = delete;
  Attention& operator=(const Attention&) = delete;

  const Tensor& add_input(simdsoftmax_dtype dtype, std::vector<std::size_t> shape) {
    inputs.push_back(std::make_unique<Tensor>(dtype, std::move(shape)));
    return *inputs.back();
  }

  double max_ulp() const {
    RowReference row(*work);
    double worst = 0;
    for (std::size_t r = 0; r < work->shape.rows; ++r) {
      load_row(*work, r, row.z);
      for (std::size_t c = 0; c < cols; ++c) row.z[c] = expected_logit(r, c, row.z[c]);
      row.compute(expected_sink(r / queries));
      for (std::size_t c = 0; c < cols; ++c) {
        worst = std::max(worst, ulp_error(work->out, load(work->out, output.data(), r * cols + c), row.p(c)));
      }
      if (logsumexp != nullptr) {
        const ElementType& f64 = element_type(SIMDSOFTMAX_F64);
        // Promised to 2^-21 for f32, f16 and bf16 rows: judged in units of f32.
        const ElementType& judge = work->in.dtype == SIMDSOFTMAX_F64 ? f64 : element_type(SIMDSOFTMAX_F32);
        worst = std::max(worst, ulp_error(judge, load(f64, logsumexp->data(), r), row.logsumexp()));
      }
    }
    return worst;
  }
};

using Setup = void (*)(Attention&);

void set_nothing(Attention&) {}

void set_scale(Attention& a) {
  a.pre_ops.scale = 0.125;
  a.expected_logit = [](std::size_t, std::size_t, long double x) { return 0.125L * x; };
}

void set_softcap(Attention& a) {
  a.pre_ops.softcap = 30;
  a.expected_logit = [row = RowReference(*a.work)](std::size_t, std::size_t, long double x) {
    return 30 * row.tanh(x / 30);
  };
}

// Every second column of every row or so, but never the first; the same ones for all heads where it is shared.
void fill_f16_mask(const Tensor& mask, std::size_t count, std::size_t cols) {
  std::mt19937_64 random(4);
  for (std::size_t i = 0; i < count; ++i) {
    mask.as<std::uint16_t>()[i] = i % cols != 0 && random() % 2 != 0 ? f16_minus_infinity : 0;
  }
}

void set_f16_mask(Attention& a, bool shared) {
  const std::size_t count = (shared ? a.queries : a.work->shape.rows) * a.cols;
  const Tensor& mask = a.add_input(SIMDSOFTMAX_F16, {shared ? 1 : a.heads, a.queries, a.cols});
  fill_f16_mask(mask, count, a.cols);
  a.pre_ops.bias = mask.c();
  a.expected_logit = [&mask, count, cols = a.cols](std::size_t row, std::size_t column, long double x) {
    return mask.as<std::uint16_t>()[(row * cols + column) % count] != 0 ? minus_infinity : x;
  };
}

void set_f16_mask_of_each_head(Attention& a) { set_f16_mask(a, false); }
void set_f16_mask_of_all_heads(Attention& a) { set_f16_mask(a, true); }

void set_f16_bias(Attention& a) {
  const ElementType& f16 = element_type(SIMDSOFTMAX_F16);
  const Tensor& bias = a.add_input(SIMDSOFTMAX_F16, {a.heads, a.queries, a.cols});
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(-4, 4);
  for (std::size_t i = 0; i < a.work->size(); ++i) store(f16, bias.data(), i, uniform(random));
  a.pre_ops.bias = bias.c();
  a.expected_logit = [&bias, &f16, cols = a.cols](std::size_t row, std::size_t column, long double x) {
    return x + load(f16, bias.data(), row * cols + column);
  };
}

void set_bool_mask(Attention& a) {
  const Tensor& mask = a.add_input(SIMDSOFTMAX_BOOL, {a.heads, a.queries, a.cols});
  std::mt19937_64 random(6);
  for (std::size_t i = 0; i < a.work->size(); ++i) mask.as<std::uint8_t>()[i] = i % a.cols == 0 || random() % 2 != 0;
  a.pre_ops.mask = mask.c();
  a.expected_logit = [&mask, cols = a.cols](std::size_t row, std::size_t column, long double x) {
    return mask.as<std::uint8_t>()[row * cols + column] != 0 ? x : minus_infinity;
  };
}

void set_lengths(Attention& a) {
  const std::size_t length = (a.cols + 1) / 2;
  const Tensor& lengths = a.add_input(SIMDSOFTMAX_I32, {a.heads, a.queries, 1});
  std::fill_n(lengths.as<std::int32_t>(), a.work->shape.rows, static_cast<std::int32_t>(length));
  a.pre_ops.lengths = lengths.c();
  a.expected_logit = [length](std::size_t, std::size_t column, long double x) {
    return column < length ? x : minus_infinity;
  };
}

// Distances to the last column as the bias, shared by all queries; slopes 2^-1 to 2^-8 for 8 heads.
void set_alibi(Attention& a) {
  const ElementType& f32 = element_type(SIMDSOFTMAX_F32);
  const Tensor& bias = a.add_input(SIMDSOFTMAX_F32, {1, 1, a.cols});
  for (std::size_t c = 0; c < a.cols; ++c) store(f32, bias.data(), c, -static_cast<double>(a.cols - 1 - c));
  a.pre_ops.max_bias = 8;
  a.pre_ops.bias = bias.c();
  a.expected_logit = [queries = a.queries, heads = a.heads, cols = a.cols](std::size_t row, std::size_t column,
                                                                           long double x) {
    const auto head = static_cast<long double>(row / queries);
    const long double slope = std::exp2(-8 * (head + 1) / static_cast<long double>(heads));
    return x - slope * static_cast<long double>(cols - 1 - column);
  };
}

void set_sinks(Attention& a) {
  const Tensor& sinks = a.add_input(SIMDSOFTMAX_F32, {a.heads, 1, 1});
  for (std::size_t h = 0; h < a.heads; ++h) sinks.as<float>()[h] = static_cast<float>(h) + 0.5F;
  a.pre_ops.sinks = sinks.c();
  a.expected_sink = [](std::size_t head) { return static_cast<long double>(head) + 0.5L; };
}

void set_logsumexp(Attention& a) {
  a.logsumexp = std::make_unique<Tensor>(SIMDSOFTMAX_F64, std::vector<std::size_t>{a.heads, a.queries, 1});
  a.pre_ops.logsumexp = a.logsumexp->c();
}

// The last query sees all columns.
void set_window(Attention& a, std::int64_t window) {
  const auto offset = static_cast<std::int64_t>(a.cols) - static_cast<std::int64_t>(a.queries);
  a.pre_ops.causal = 1;
  a.pre_ops.query_offset = std::max<std::int64_t>(offset, 0);
  a.pre_ops.window = window;
  a.expected_logit = [queries = a.queries, last = a.pre_ops.query_offset, window](std::size_t row, std::size_t column,
                                                                                  long double x) {
    const std::int64_t query = static_cast<std::int64_t>(row % queries) + last;
    const auto c = static_cast<std::int64_t>(column);
    return c <= query && (window == 0 || c > query - window) ? x : minus_infinity;
  };
}

void set_causal(Attention& a) { set_window(a, 0); }
void set_causal_window(Attention& a) { set_window(a, 256); }

Operation pre_op_operation(const char* name, const std::shared_ptr<Attention>& attention) {
  Operation operation(name, *attention->work);
  operation.run = [attention] {
    return simdsoftmax_softmax(attention->logits.c(), attention->output.c(), 2, &attention->options);
  };
  operation.spoil = [attention] {
    attention->output.spoil();
    if (attention->logsumexp != nullptr) attention->logsumexp->spoil();
  };
  operation.max_ulp = [attention] { return attention->max_ulp(); };
  return operation;
}

struct NamedSetup {
  const char* name;
  Setup setup;
};

Operation make(const SharedWorkload& work, const NamedSetup& named) {
  const auto attention = std::make_shared<Attention>(work);
  named.setup(*attention);
  Operation operation = pre_op_operation(named.name, attention);
  if (work->out.dtype == SIMDSOFTMAX_F64) {
    operation.limit += std::ldexp(attention->pre_ops.softcap, 3);  // 2^-50 of the cap
  }
  return operation;
}

}  // namespace

Operations pre_op_operations(const SharedWorkload& work) {
  constexpr NamedSetup setups[] = {{"no_pre_op", set_nothing},
                                   {"scale", set_scale},
                                   {"softcap", set_softcap},
                                   {"f16_mask", set_f16_mask_of_each_head},
                                   {"f16_mask_of_all_heads", set_f16_mask_of_all_heads},
                                   {"f16_bias", set_f16_bias},
                                   {"bool_mask", set_bool_mask},
                                   {"lengths_half", set_lengths},
                                   {"alibi", set_alibi},
                                   {"sinks", set_sinks},
                                   {"logsumexp_output", set_logsumexp}};
  Operations operations;
  for (const NamedSetup& named : setups) operations.push_back(make(work, named));
  return operations;
}

Operations position_operations(const SharedWorkload& work) {
  Operations operations;
  operations.push_back(make(work, {"causal", set_causal}));
  operations.push_back(make(work, {"causal_window_256", set_causal_window}));
  return operations;
}

}  // namespace bench
