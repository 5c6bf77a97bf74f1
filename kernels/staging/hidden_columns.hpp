// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/mask_bits.hpp"
#include "simd/source.hpp"
#include "staging/convert.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Operand;

// The bits of n columns: which of them `mask` hides. False if it is a bias that does more than hide.
template <class Element>
SIMDSOFTMAX_NOINLINE bool find_hidden(const Element* mask, std::size_t n, std::uint64_t* bits) {
  HiddenBits<Element> hidden;
  // A mask as large as its logits is not near when they are not: 2048x2048 took 1.27 times as long without.
  const auto find = [&](const Element* at) __attribute__((always_inline)) {
    const auto* const ahead = reinterpret_cast<const char*>(at) + read_ahead_bytes;
    repeat<sizeof(Element)>([&](std::size_t line)
                                __attribute__((always_inline)) { __builtin_prefetch(ahead + 64 * line); });
    return hidden.find(at);
  };
  // Looked at in pieces: what is no mask shows it early.
  constexpr std::size_t piece = 1024;
  std::size_t i = 0;
  while (i + 64 <= n) {
    const std::size_t end = n - i < piece ? n : i + piece;
    for (; i + 64 <= end; i += 64) *bits++ = find(mask + i);
    if (!hidden.is_mask()) return false;
  }
  if (i == n) return true;
  if (n > 64) {  // the last 64, some of them once more
    *bits = hidden.find(mask + n - 64) >> (64 - (n - i));
  } else {
    Element rest[64] = {};
    __builtin_memcpy(rest, mask + i, (n - i) * sizeof(Element));
    *bits = hidden.find(rest);
  }
  return hidden.is_mask();
}

template <class Element>
SIMDSOFTMAX_INLINE bool find_hidden(const char* mask, std::ptrdiff_t stride, std::size_t n, std::uint64_t* bits) {
  if (stride == static_cast<std::ptrdiff_t>(sizeof(Element))) {
    return find_hidden(reinterpret_cast<const Element*>(mask), n, bits);
  }
  alignas(64) char buffer[gathered * sizeof(Element)];
  for (std::size_t i = 0; i < n; i += gathered) {
    const std::size_t m = n - i < gathered ? n - i : gathered;
    gather<sizeof(Element)>(mask + static_cast<std::ptrdiff_t>(i) * stride, stride, m, buffer);
    if (!find_hidden(reinterpret_cast<const Element*>(buffer), m, bits + i / 64)) return false;
  }
  return true;
}

// The same for a row of a bias of any dtype but f64.
SIMDSOFTMAX_NOINLINE bool find_hidden_by_bias(const char* bias, const Operand& operand, std::size_t n,
                                              std::uint64_t* bits) {
  const std::ptrdiff_t stride = operand.axis_stride;
  if (operand.dtype == Dtype::f16) return find_hidden<Half<Dtype::f16>>(bias, stride, n, bits);
  if (operand.dtype == Dtype::bf16) return find_hidden<Half<Dtype::bf16>>(bias, stride, n, bits);
  return find_hidden<float>(bias, stride, n, bits);
}

// And for a boolean mask; added to those that are there already.
SIMDSOFTMAX_NOINLINE void add_hidden_by_mask(const char* mask, const Operand& operand, std::size_t n, bool drops,
                                             std::uint64_t* bits) {
  constexpr std::size_t most = 2048;
  std::uint64_t flagged[most / 64];
  const std::uint64_t inversion = drops ? 0 : ~std::uint64_t{0};
  for (std::size_t i = 0; i < n; i += most) {
    const std::size_t m = n - i < most ? n - i : most;
    find_hidden<Flag>(mask + static_cast<std::ptrdiff_t>(i) * operand.axis_stride, operand.axis_stride, m, flagged);
    for (std::size_t w = 0; w < (m + 63) / 64; ++w) bits[i / 64 + w] |= flagged[w] ^ inversion;
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
