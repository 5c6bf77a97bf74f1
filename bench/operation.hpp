// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_OPERATION_HPP
#define SIMDSOFTMAX_BENCH_OPERATION_HPP

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "workload.hpp"

namespace bench {

// Something that is checked once on each ISA, and then timed beside the plain softmax of as many bytes.
struct Operation {
  std::string name;
  std::function<simdsoftmax_status()> run;
  std::function<void()> spoil;      // makes all outputs wrong
  std::function<double()> max_ulp;  // the largest error that `run` has left, by a reference in a wider type
  double limit = 0;                 // errors above are wrong results
  // What the table is told: the operation of the same process whose time is the unit; of peers, their version.
  std::string label = "softmax";

  Operation(std::string operation_name, const Workload& work) : name(std::move(operation_name)) {
    limit = error_limit(work.out);
  }
};

using SharedWorkload = std::shared_ptr<Workload>;
using Operations = std::vector<Operation>;

// The options of every call.
simdsoftmax_options call_options(const Workload& work);

// softmax_rows on the rows of the workload: the baseline.
Operation plain_softmax(const SharedWorkload& work);

// log_softmax, logsumexp, gradients, argmax.
Operations function_operations(const SharedWorkload& work);

// Registers FAMILY/TYPES/SHAPE/ISA/NAME, which checks the operation and then times it.
void add_operation(const SharedWorkload& work, const std::string& family, const std::string& shape,
                   const std::string& isa, Operation operation);

// What is done to logits by values or masks, one at a time; and by position (causal, window).
Operations pre_op_operations(const SharedWorkload& work);
Operations position_operations(const SharedWorkload& work);

// Both cross entropies, with and without gradient.
Operations loss_operations(const SharedWorkload& work);

// The k largest, beside a softmax that is sorted in part.
Operations top_k_operations(const SharedWorkload& work);

// Each row in two slices whose states are merged.
Operations row_state_operations(const SharedWorkload& work);

// The rows on the thread of the caller, and in equal parts on all threads; the label is what the library would do.
Operations thread_operations(const SharedWorkload& work);

// Softmax along an axis that need not be the last one; the rows of the workload hold as many elements.
Operations axis_operations(const SharedWorkload& work, const TensorShape& tensor);

}  // namespace bench

#endif
