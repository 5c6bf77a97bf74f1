// SPDX-License-Identifier: Apache-2.0
#include <simdsoftmax/simdsoftmax.h>

#include <cstdint>
#include <cstring>

#include "isa/registry.hpp"
#include "parallel/rows.hpp"

using namespace simdsoftmax::detail;

#define SIMDSOFTMAX_STRING_OF(token) #token
#define SIMDSOFTMAX_STRING(macro) SIMDSOFTMAX_STRING_OF(macro)

namespace {

constexpr const char* variant_names[variant_count] = {
    "auto", "three_pass", "three_pass_recompute", "online", "anchored", "narrow", "streaming"};

constexpr const char* accuracy_names[accuracy_count] = {"balanced", "exact", "fast"};

constexpr const char* status_texts[] = {
    "success",
    "a pointer is null although the shape has elements",
    "a dtype is none of the library's, or not one that belongs here",
    "this input dtype cannot be combined with this output dtype",
    "the variant is not one that the library has",
    "empty_row is neither nan nor zeros",
    "num_threads is negative",
    "theta is not finite in the type the rows are computed in",
    "a stride is negative, or elements of an output would share memory",
    "the bytes of a buffer do not fit ptrdiff_t",
    "an output shares memory with another tensor without being the same elements",
    "a struct_size is too small, or a field that this version lacks is set",
    "not the name of an ISA (argument, or environment variable SIMDSOFTMAX_ISA)",
    "this ISA is not part of this build",
    "an index is not below the matching count",
    "a rank is negative, above 8, or 0 where there is an axis",
    "the axis is not in [-rank, rank)",
    "the shape of a tensor does not fit the shape of the logits",
    "a pre-operation has an impossible value, or is not possible here",
    "a label is not a class and not ignore_index",
    "the reduction is none of none, sum, mean",
    "label_smoothing is not in [0, 1]",
    "k is above 1024 or above the number of columns",
    "the normalization is neither over the row nor over the top k",
    "a slice does not lie in the row, or is cut where rows may not be cut",
    "a row state is not initialised, incomplete, or not of the same row and arithmetic",
    "the accuracy is none of balanced, exact, fast",
};

// The place of a name in a list.
template <std::size_t count>
bool find_name(const char* const (&names)[count], const char* name, std::int32_t& place) {
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strcmp(names[i], name) != 0) continue;
    place = static_cast<std::int32_t>(i);
    return true;
  }
  return false;
}

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
  return find_name(variant_names, name, *variant) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_VARIANT;
}

size_t simdsoftmax_accuracy_count(void) { return accuracy_count; }

const char* simdsoftmax_accuracy_name(simdsoftmax_accuracy accuracy) {
  return accuracy >= 0 && accuracy < accuracy_count ? accuracy_names[accuracy] : nullptr;
}

simdsoftmax_status simdsoftmax_accuracy_from_name(const char* name, simdsoftmax_accuracy* accuracy) {
  if (name == nullptr || accuracy == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  return find_name(accuracy_names, name, *accuracy) ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_ACCURACY;
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
