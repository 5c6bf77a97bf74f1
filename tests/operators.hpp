// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_OPERATORS_HPP
#define SIMDSOFTMAX_TESTS_OPERATORS_HPP

// softmax, log_softmax and logsumexp as one list: how each is called, and how its rows are judged.

#include <string>
#include <vector>

#include "harness.hpp"
#include "operators_reference.hpp"
#include "tensor.hpp"

namespace softmax_test {

struct Operator {
  const char* name;
  simdsoftmax_status (*run)(const simdsoftmax_tensor* logits, const simdsoftmax_tensor* output, int32_t axis,
                            const simdsoftmax_options* options);
  bool reduces;  // one result a row, and `axis` is 1 in the shape of the output
  // A row of results by the reference, as a multiple of the bound.
  double (*error)(const Pair& pair, const ExactRow& exact, const RowOps& ops, bool empty_row_zeros,
                  const std::vector<double>& got);
};
const std::vector<Operator>& operators();
const Operator& softmax_operator();
const Operator& log_softmax_operator();
const Operator& logsumexp_operator();

Sizes output_shape(const Operator& op, const Sizes& shape, std::size_t axis);

// Into a dense output of its own; a status other than OK is a test failure.
Tensor apply(const Operator& op, const Tensor& logits, simdsoftmax_dtype output_dtype, std::int32_t axis,
             const simdsoftmax_options& options);
// Of dense rows.
Bytes apply_to_rows(const Operator& op, const Pair& pair, const Shape& shape, const Bytes& logits,
                    const simdsoftmax_options& options);

// configs(), on a slow machine with some of the pairs.
std::vector<Config> operator_configs();

simdsoftmax_options options_with(const simdsoftmax_pre_ops& pre_ops);  // serial, and holding on to the pointer

}  // namespace softmax_test

#endif
