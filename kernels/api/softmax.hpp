// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

// softmax, log_softmax or logsumexp of tensors; `options` has been read.
simdsoftmax_status softmax_of_tensors(Function function, const simdsoftmax_tensor* logits,
                                      const simdsoftmax_tensor* output, std::int32_t axis,
                                      const simdsoftmax_options& options);

// What simdsoftmax_softmax_rows is given.
// (Sizes that lie side by side are read as a vector, which has to wait until both are in the cache.)
struct DenseRows {
  std::size_t rows;
  const void* logits;
  simdsoftmax_dtype logits_dtype;
  std::ptrdiff_t logits_stride;
  void* output;
  simdsoftmax_dtype output_dtype;
  std::ptrdiff_t output_stride;
  std::size_t cols;
};

// Softmax of a call that is one short row, with nothing amiss and hardly an option. False for any other, of which
// nothing has been written. (Options, plan, task and all else that belongs to batches take longer than such a row.)
bool softmax_of_single_row(const DenseRows& dense, const simdsoftmax_options* given);

// Softmax without pre-operations; `options` has been read.
simdsoftmax_status softmax_of_rows(const DenseRows& dense, const simdsoftmax_options& options);

}  // namespace simdsoftmax::detail
