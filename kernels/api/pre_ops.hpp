// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include "api/tensors.hpp"

namespace simdsoftmax::detail {

// The pre-operations of a call, from the caller's struct to that of the kernels. In this order, between the steps of
// Tensors: read, check_dtypes, add_to; after read_ranks check_dimensions; after make_grid kernel_pre_ops.
class CallPreOps {
 public:
  // Null: none.
  simdsoftmax_status read(const simdsoftmax_pre_ops* given);

  // Also gives theta * scale, what the kernels multiply by.
  simdsoftmax_status check_dtypes(simdsoftmax_dtype logits, const simdsoftmax_options& options, double& factor);

  void add_to(Tensors& tensors);
  simdsoftmax_status check_dimensions(Tensors& tensors) const;

  // Whether there is more to do than a multiplication.
  bool any() const;
  PreOps kernel_pre_ops(const Tensors& tensors) const;

 private:
  bool needs_query() const { return given_.causal != 0 || given_.window != 0; }

  simdsoftmax_pre_ops given_;
  double factor_low_ = 0;  // where it counts: what is computed in f32 does not see it
  int bias_;
  int mask_;
  int lengths_;
  int sinks_;
  int logsumexp_;
};

}  // namespace simdsoftmax::detail
