// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

// softmax, log_softmax or logsumexp of tensors; `options` has been read.
simdsoftmax_status softmax_of_tensors(Function function, const simdsoftmax_tensor* logits,
                                      const simdsoftmax_tensor* output, std::int32_t axis,
                                      const simdsoftmax_options& options);

}  // namespace simdsoftmax::detail
