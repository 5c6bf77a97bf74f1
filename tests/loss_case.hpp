// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_LOSS_CASE_HPP
#define SIMDSOFTMAX_TESTS_LOSS_CASE_HPP

// A call of one of the cross entropies: its tensors, what comes out by the definition, and the check.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operators.hpp"

namespace softmax_test {

struct LossResult {
  simdsoftmax_status status = SIMDSOFTMAX_OK;
  Tensor loss;
  Tensor grad_logits;
  Tensor log_probabilities;
  std::size_t bad_row = 999999;  // unless written
};

class LossCase {
 public:
  // Random logits, and labels that are classes; dense: random distributions.
  LossCase(simdsoftmax_dtype dtype, Sizes shape, std::size_t axis, bool dense, unsigned seed = 151);

  double theta = 1;
  double label_smoothing = 0;
  simdsoftmax_reduction reduction = SIMDSOFTMAX_REDUCE_NONE;
  std::optional<std::int64_t> ignore_index;
  std::vector<double> weights;  // empty: none
  std::vector<double> logits;
  std::vector<double> labels;  // of the rows, or in the order of the logits
  simdsoftmax_dtype loss_dtype;
  simdsoftmax_dtype labels_dtype;
  simdsoftmax_dtype weights_dtype;
  simdsoftmax_dtype grad_dtype;
  simdsoftmax_dtype log_dtype;
  bool keeps_axis = false;  // labels and losses have 1 in the place of the axis, or leave it out
  bool wants_grad = true;
  bool wants_log = true;
  bool grad_in_place = false;
  bool log_in_place = false;
  std::int32_t num_threads = 1;
  std::size_t gap = 0;   // in the strides of everything
  std::size_t step = 1;  // between elements of the shape of the logits

  LossResult run() const;
  void check(const std::string& name) const;

 private:
  struct Exact;
  Exact exact() const;

  simdsoftmax_dtype dtype_;
  Sizes shape_;
  std::size_t axis_;
  bool dense_;
};

}  // namespace softmax_test

#endif
