// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// A copy past the caches, a line at a time. Others see it after stream_fence().
struct LineCopy {
  const char* from;
  char* to;
  std::size_t lines;

  SIMDSOFTMAX_INLINE void next() {
    if (lines == 0) return;
    stream_line(from, to);
    from += 64;
    to += 64;
    --lines;
  }
  SIMDSOFTMAX_INLINE void finish() {
    while (lines > 0) next();
  }
};

SIMDSOFTMAX_INLINE std::size_t bytes_to_line(const void* p) {
  return (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64;
}

// Lines that are not covered are copied at once.
SIMDSOFTMAX_INLINE LineCopy line_copy(const char* from, char* to, std::size_t bytes) {
  const std::size_t to_line = bytes_to_line(to);
  const std::size_t before = to_line < bytes ? to_line : bytes;
  const std::size_t lines = (bytes - before) / 64;
  const std::size_t end = before + lines * 64;
  __builtin_memcpy(to, from, before);
  __builtin_memcpy(to + end, from + end, bytes - end);
  return {from + before, to + before, lines};
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
