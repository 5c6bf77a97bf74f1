// SPDX-License-Identifier: Apache-2.0
#include "api/call.hpp"

#include "isa/registry.hpp"
#include "parallel/rows.hpp"

namespace simdsoftmax::detail {

simdsoftmax_status current_kernels(const KernelTable*& kernels) {
  const ActiveKernels active = active_kernels();
  kernels = active.kernels;
  switch (active.error) {
    case IsaError::none:
      break;
    case IsaError::unknown:
      return SIMDSOFTMAX_UNKNOWN_ISA;
    case IsaError::not_compiled:
      return SIMDSOFTMAX_ISA_NOT_COMPILED;
  }
  return kernels != nullptr ? SIMDSOFTMAX_OK : SIMDSOFTMAX_ISA_NOT_COMPILED;
}

int thread_limit(const simdsoftmax_options& options) {
  // One thread never asks OpenMP anything.
  return options.num_threads == 1 ? 1 : granted_threads(options.num_threads);
}

}  // namespace simdsoftmax::detail
