// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdsoftmax/simdsoftmax.h>

#include <cstring>

namespace simdsoftmax::detail {

bool all_zero(const unsigned char* bytes, std::size_t n);

// Copies a struct that begins with its size. `oldest`: its size in the first version that had it. What a caller built
// against an older header does not have keeps the value it has in `copy`, and one built against a newer header may set
// only what this library knows.
template <class Struct>
simdsoftmax_status read_struct(const Struct& given, std::size_t oldest, Struct& copy) {
  const std::size_t size = given.struct_size;
  if (size < sizeof copy) {
    if (size != oldest) return SIMDSOFTMAX_BAD_OPTIONS;
    std::memcpy(&copy, &given, size);
    return SIMDSOFTMAX_OK;
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  if (!all_zero(bytes + sizeof copy, size - sizeof copy)) return SIMDSOFTMAX_BAD_OPTIONS;
  std::memcpy(&copy, &given, sizeof copy);
  return SIMDSOFTMAX_OK;
}

// The caller's options, or the defaults for null, checked as far as they do not depend on dtypes. What pre_ops points
// at is not looked at.
simdsoftmax_status read_options(const simdsoftmax_options* given, simdsoftmax_options& options);

// The same for functions without pre-operations: BAD_PRE_OPS if there are any.
simdsoftmax_status read_plain_options(const simdsoftmax_options* given, simdsoftmax_options& options);

}  // namespace simdsoftmax::detail
