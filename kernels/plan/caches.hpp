// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/plan.hpp"

namespace simdsoftmax::detail {

// What the operating system says of this machine's caches; typical sizes where it says nothing.
CacheSizes machine_caches();

}  // namespace simdsoftmax::detail
