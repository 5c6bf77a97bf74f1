// SPDX-License-Identifier: Apache-2.0
#include "api/options.hpp"

#include "api/doubles.hpp"
#include "isa/kernel_table.hpp"

namespace simdsoftmax::detail {

bool all_zero(const unsigned char* bytes, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

simdsoftmax_status read_options(const simdsoftmax_options* given, simdsoftmax_options& options) {
  options = SIMDSOFTMAX_OPTIONS_INIT;
  if (given == nullptr) return SIMDSOFTMAX_OK;
  // 0.1 had no pre_ops.
  if (const auto status = read_struct(*given, offsetof(simdsoftmax_options, pre_ops), options)) return status;
  if (options.variant < 0 || options.variant >= variant_count) return SIMDSOFTMAX_BAD_VARIANT;
  if (options.empty_row < SIMDSOFTMAX_EMPTY_ROW_NAN || options.empty_row > SIMDSOFTMAX_EMPTY_ROW_ZEROS) {
    return SIMDSOFTMAX_BAD_EMPTY_ROW;
  }
  if (options.accuracy < 0 || options.accuracy >= accuracy_count) return SIMDSOFTMAX_BAD_ACCURACY;
  if (options.num_threads < 0) return SIMDSOFTMAX_BAD_NUM_THREADS;
  if (!is_finite(options.theta)) return SIMDSOFTMAX_BAD_THETA;
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status read_plain_options(const simdsoftmax_options* given, simdsoftmax_options& options) {
  if (const auto status = read_options(given, options)) return status;
  return options.pre_ops == nullptr ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_PRE_OPS;
}

}  // namespace simdsoftmax::detail
