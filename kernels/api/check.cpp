// SPDX-License-Identifier: Apache-2.0
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "api/call.hpp"
#include "isa/registry.hpp"
#include "parallel/rows.hpp"
#include "plan/caches.hpp"

namespace simdsoftmax::detail {

namespace {

constexpr std::size_t oldest_options_size = sizeof(simdsoftmax_options);

bool all_zero(const unsigned char* bytes, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

bool is_dtype(simdsoftmax_dtype dtype) { return dtype >= 0 && dtype < dtype_count; }

bool is_half(simdsoftmax_dtype dtype) { return dtype == SIMDSOFTMAX_F16 || dtype == SIMDSOFTMAX_BF16; }

// Bytes from the first to behind the last element of rows that lie `stride` bytes apart; false if ptrdiff_t overflows.
bool extent(std::size_t rows, std::size_t row_bytes, std::size_t stride, std::size_t& bytes) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  if (row_bytes > most) return false;
  if (stride != 0 && rows - 1 > (most - row_bytes) / stride) return false;
  bytes = (rows - 1) * stride + row_bytes;
  return true;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a);
  const auto b_begin = reinterpret_cast<std::uintptr_t>(b);
  return a_begin < b_begin + b_bytes && b_begin < a_begin + a_bytes;
}

}  // namespace

simdsoftmax_status read_options(const simdsoftmax_options* given, simdsoftmax_options& options) {
  options = SIMDSOFTMAX_OPTIONS_INIT;
  if (given == nullptr) return SIMDSOFTMAX_OK;
  if (given->struct_size < oldest_options_size) return SIMDSOFTMAX_BAD_OPTIONS;
  // A caller built against a newer header may set only what this library knows.
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  if (!all_zero(bytes + sizeof options, given->struct_size - sizeof options)) return SIMDSOFTMAX_BAD_OPTIONS;
  std::memcpy(&options, given, sizeof options);
  if (options.reserved != 0) return SIMDSOFTMAX_BAD_OPTIONS;
  if (options.variant < 0 || options.variant >= variant_count) return SIMDSOFTMAX_BAD_VARIANT;
  if (options.empty_row < SIMDSOFTMAX_EMPTY_ROW_NAN || options.empty_row > SIMDSOFTMAX_EMPTY_ROW_ZEROS) {
    return SIMDSOFTMAX_BAD_EMPTY_ROW;
  }
  if (options.num_threads < 0) return SIMDSOFTMAX_BAD_NUM_THREADS;
  if (!std::isfinite(options.theta)) return SIMDSOFTMAX_BAD_THETA;
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status check_dtypes(simdsoftmax_dtype logits, simdsoftmax_dtype output, double theta) {
  if (!is_dtype(logits) || !is_dtype(output)) return SIMDSOFTMAX_BAD_DTYPE;
  const bool offered = logits == output || (is_half(logits) && output == SIMDSOFTMAX_F32) ||
                       (logits == SIMDSOFTMAX_F32 && is_half(output));
  if (!offered) return SIMDSOFTMAX_BAD_DTYPE_PAIR;
  if (logits != SIMDSOFTMAX_F64 && std::fabs(theta) > static_cast<double>(FLT_MAX)) return SIMDSOFTMAX_BAD_THETA;
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status check_size(const Shape& shape) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(double);
  return shape.rows != 0 && shape.cols > most / shape.rows ? SIMDSOFTMAX_SIZE_OVERFLOW : SIMDSOFTMAX_OK;
}

simdsoftmax_status check_layout(RowsLayout& layout, Dtype logits, Dtype output, std::size_t rows, std::size_t cols) {
  if (layout.logits_stride < 0 || layout.output_stride < 0) return SIMDSOFTMAX_BAD_STRIDE;
  if (rows == 0 || cols == 0) return SIMDSOFTMAX_OK;
  if (layout.logits == nullptr || layout.output == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (rows > 1 && static_cast<std::size_t>(layout.output_stride) < cols) return SIMDSOFTMAX_BAD_STRIDE;

  const std::size_t in_size = dtype_size(logits);
  const std::size_t out_size = dtype_size(output);
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  // One row has no use for its strides, whatever they are.
  const std::size_t in_stride = rows > 1 ? static_cast<std::size_t>(layout.logits_stride) : 0;
  const std::size_t out_stride = rows > 1 ? static_cast<std::size_t>(layout.output_stride) : 0;
  if (cols > most / 8 || in_stride > most / 8 || out_stride > most / 8) return SIMDSOFTMAX_SIZE_OVERFLOW;

  std::size_t in_bytes;
  std::size_t out_bytes;
  if (!extent(rows, cols * in_size, in_stride * in_size, in_bytes) ||
      !extent(rows, cols * out_size, out_stride * out_size, out_bytes)) {
    return SIMDSOFTMAX_SIZE_OVERFLOW;
  }
  layout.in_place = layout.logits == layout.output && logits == output && in_stride == out_stride;
  if (!layout.in_place && overlap(layout.logits, in_bytes, layout.output, out_bytes)) {
    return SIMDSOFTMAX_PARTIAL_OVERLAP;
  }
  layout.logits_stride = static_cast<std::ptrdiff_t>(in_stride * in_size);
  layout.output_stride = static_cast<std::ptrdiff_t>(out_stride * out_size);
  return SIMDSOFTMAX_OK;
}

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

Plan plan_call(const Shape& shape, const simdsoftmax_options& options) {
  // One thread never asks OpenMP anything.
  const int limit = options.num_threads == 1 ? 1 : granted_threads(options.num_threads);
  return plan_rows(shape, static_cast<Variant>(options.variant), limit, machine_caches());
}

}  // namespace simdsoftmax::detail
