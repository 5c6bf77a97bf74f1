// SPDX-License-Identifier: Apache-2.0
#include "operators.hpp"

namespace softmax_test {

const std::vector<Operator>& operators() {
  static const std::vector<Operator> all = {
      {"softmax", simdsoftmax_softmax, false,
       [](const Pair& pair, const ExactRow& exact, const RowOps& ops, bool zeros, const std::vector<double>& got) {
         return softmax_error(format_of(pair.out), exact, zeros, ops.softcap, got);
       }},
      {"log_softmax", simdsoftmax_log_softmax, false,
       [](const Pair& pair, const ExactRow& exact, const RowOps& ops, bool zeros, const std::vector<double>& got) {
         return log_softmax_error(format_of(pair.in), format_of(pair.out), exact, zeros, ops.softcap, got);
       }},
      {"logsumexp", simdsoftmax_logsumexp, true,
       [](const Pair& pair, const ExactRow& exact, const RowOps& ops, bool, const std::vector<double>& got) {
         return logsumexp_error(format_of(pair.in), format_of(pair.out), exact, ops.softcap, got.at(0));
       }}};
  return all;
}

const Operator& softmax_operator() { return operators()[0]; }
const Operator& log_softmax_operator() { return operators()[1]; }
const Operator& logsumexp_operator() { return operators()[2]; }

Sizes output_shape(const Operator& op, const Sizes& shape, std::size_t axis) {
  return op.reduces ? with_axis(shape, axis, 1) : shape;
}

Tensor apply(const Operator& op, const Tensor& logits, simdsoftmax_dtype output_dtype, std::int32_t axis,
             const simdsoftmax_options& options) {
  const auto rank = static_cast<std::int32_t>(logits.shape().size());
  const auto dimension = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  Tensor output(output_dtype, output_shape(op, logits.shape(), dimension));
  const simdsoftmax_tensor from = logits.view();
  const simdsoftmax_tensor to = output.view();
  EXPECT_EQ(op.run(&from, &to, axis, &options), SIMDSOFTMAX_OK) << op.name << " of " << text_of(logits.shape());
  EXPECT_TRUE(output.gaps_untouched()) << op.name << " of " << text_of(logits.shape());
  return output;
}

Bytes apply_to_rows(const Operator& op, const Pair& pair, const Shape& shape, const Bytes& logits,
                    const simdsoftmax_options& options) {
  const Sizes sizes = {shape.rows, shape.cols};
  const Sizes output_sizes = output_shape(op, sizes, 1);
  Bytes input = logits;
  Bytes output(count_of(output_sizes) * bytes_of(pair.out), poison);
  const simdsoftmax_tensor from = {input.data(), pair.in, 2, sizes.data(), nullptr};
  const simdsoftmax_tensor to = {output.data(), pair.out, 2, output_sizes.data(), nullptr};
  EXPECT_EQ(op.run(&from, &to, 1, &options), SIMDSOFTMAX_OK) << op.name << " of " << text_of(sizes);
  return output;
}

std::vector<Config> operator_configs() {
  std::vector<Config> some;
  for (const Config& config : configs()) {
    if (!slow_machine() || (config.pair.in == config.pair.out && config.pair.in != SIMDSOFTMAX_BF16)) {
      some.push_back(config);
    }
  }
  return some;
}

simdsoftmax_options options_with(const simdsoftmax_pre_ops& pre_ops) {
  simdsoftmax_options options = serial_options();
  options.pre_ops = &pre_ops;
  return options;
}

}  // namespace softmax_test
