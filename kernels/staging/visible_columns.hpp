// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/batch.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::PreOps;

// The columns [first, last) of a row that take part.
struct VisibleColumns {
  std::size_t first;
  std::size_t last;
};

SIMDSOFTMAX_INLINE std::int64_t clamped(std::int64_t value, std::size_t most) {
  return value < 0 ? 0 : value < static_cast<std::int64_t>(most) ? value : static_cast<std::int64_t>(most);
}

// By position, window and length; `length`: where the row has its own, if the call has any.
[[maybe_unused]] inline VisibleColumns visible_columns(const PreOps& pre_ops, std::int64_t query, const char* length_at,
                                                       std::size_t cols) {
  VisibleColumns visible = {0, cols};
  if (pre_ops.causal || pre_ops.window != 0) {
    // |query| is at most the elements of a tensor, so only the offset can overflow.
    std::int64_t position;
    if (__builtin_add_overflow(query, pre_ops.query_offset, &position)) position = std::int64_t{1} << 62;
    if (pre_ops.causal && position < static_cast<std::int64_t>(cols)) {
      visible.last = static_cast<std::size_t>(clamped(position + 1, cols));
    }
    std::int64_t before;
    if (pre_ops.window != 0 && !__builtin_sub_overflow(position, pre_ops.window, &before)) {
      visible.first = before < 0 ? 0 : static_cast<std::size_t>(clamped(before, cols - 1)) + 1;
    }
  }
  if (length_at != nullptr) {
    std::int64_t length;
    std::int32_t narrow_length;
    if (pre_ops.lengths.dtype == Dtype::i64) {
      __builtin_memcpy(&length, length_at, sizeof length);
    } else {
      __builtin_memcpy(&narrow_length, length_at, sizeof narrow_length);
      length = narrow_length;
    }
    visible.last = static_cast<std::size_t>(clamped(length, visible.last));
  }
  if (visible.first > visible.last) visible.first = visible.last;
  return visible;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
