// SPDX-License-Identifier: Apache-2.0
#include <simdsoftmax/simdsoftmax.h>

#include <cstring>

#include "isa/registry.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

#define SIMDSOFTMAX_STRING_OF(token) #token
#define SIMDSOFTMAX_STRING(macro) SIMDSOFTMAX_STRING_OF(macro)

namespace {

constexpr const char* variant_names[variant_count] = {"auto", "three_pass", "three_pass_recompute", "online",
                                                      "anchored"};

constexpr const char* status_texts[] = {
    "success",
    "a pointer is null although the shape has elements",
    "a dtype is not one of f32, f64, f16, bf16",
    "this input dtype cannot be combined with this output dtype",
    "the variant is not one that the library has",
    "empty_row is neither nan nor zeros",
    "num_threads is negative",
    "theta is not finite in the type the rows are computed in",
    "a stride is negative, or output rows of that stride would overlap",
    "the bytes of a buffer do not fit ptrdiff_t",
    "input and output share memory without being the same rows",
    "options.struct_size is too small, or a field that this version lacks is set",
    "not the name of an ISA (argument, or environment variable SIMDSOFTMAX_ISA)",
    "this ISA is not part of this build",
    "an index is not below the matching count",
};

simdsoftmax_status status_of(IsaError error) {
  switch (error) {
    case IsaError::none:
      return SIMDSOFTMAX_OK;
    case IsaError::unknown:
      return SIMDSOFTMAX_UNKNOWN_ISA;
    case IsaError::not_compiled:
      break;
  }
  return SIMDSOFTMAX_ISA_NOT_COMPILED;
}

}  // namespace

const char* simdsoftmax_status_text(simdsoftmax_status status) {
  constexpr auto count = static_cast<simdsoftmax_status>(sizeof status_texts / sizeof *status_texts);
  return status >= 0 && status < count ? status_texts[status] : "not a status of this library";
}

const char* simdsoftmax_version(void) {
  return SIMDSOFTMAX_STRING(SIMDSOFTMAX_VERSION_MAJOR) "." SIMDSOFTMAX_STRING(
      SIMDSOFTMAX_VERSION_MINOR) "." SIMDSOFTMAX_STRING(SIMDSOFTMAX_VERSION_PATCH);
}

size_t simdsoftmax_variant_count(void) { return variant_count; }

const char* simdsoftmax_variant_name(simdsoftmax_variant variant) {
  return variant >= 0 && variant < variant_count ? variant_names[variant] : nullptr;
}

simdsoftmax_status simdsoftmax_variant_from_name(const char* name, simdsoftmax_variant* variant) {
  if (name == nullptr || variant == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  for (int v = 0; v < variant_count; ++v) {
    if (std::strcmp(variant_names[v], name) == 0) {
      *variant = v;
      return SIMDSOFTMAX_OK;
    }
  }
  return SIMDSOFTMAX_BAD_VARIANT;
}

size_t simdsoftmax_isa_count(void) { return isa_count; }

simdsoftmax_status simdsoftmax_isa_query(size_t index, simdsoftmax_isa_info* info) {
  if (info == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (index >= isa_count) return SIMDSOFTMAX_OUT_OF_RANGE;
  const Isa isa = isa_at(index);
  const bool active = isa.kernels != nullptr && isa.kernels == active_kernels().kernels;
  *info = {isa.name, isa.kernels != nullptr, isa.supported, active};
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_cap_isa(const char* name) { return status_of(cap_isa(name)); }

int simdsoftmax_has_openmp(void) { return has_openmp() ? 1 : 0; }
