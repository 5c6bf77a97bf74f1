// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_SIMDSOFTMAX_HPP
#define SIMDSOFTMAX_SIMDSOFTMAX_HPP

// The C++17 face of simdsoftmax.h: types instead of tags, vectors instead of pointers, nothing else.
// What each function computes, its errors and its guarantees stand in simdsoftmax.h.

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace simdsoftmax {

enum class Status : simdsoftmax_status {
  ok = SIMDSOFTMAX_OK,
  null_pointer = SIMDSOFTMAX_NULL_POINTER,
  bad_dtype = SIMDSOFTMAX_BAD_DTYPE,
  bad_dtype_pair = SIMDSOFTMAX_BAD_DTYPE_PAIR,
  bad_variant = SIMDSOFTMAX_BAD_VARIANT,
  bad_empty_row = SIMDSOFTMAX_BAD_EMPTY_ROW,
  bad_num_threads = SIMDSOFTMAX_BAD_NUM_THREADS,
  bad_theta = SIMDSOFTMAX_BAD_THETA,
  bad_stride = SIMDSOFTMAX_BAD_STRIDE,
  size_overflow = SIMDSOFTMAX_SIZE_OVERFLOW,
  partial_overlap = SIMDSOFTMAX_PARTIAL_OVERLAP,
  bad_options = SIMDSOFTMAX_BAD_OPTIONS,
  unknown_isa = SIMDSOFTMAX_UNKNOWN_ISA,
  isa_not_compiled = SIMDSOFTMAX_ISA_NOT_COMPILED,
  out_of_range = SIMDSOFTMAX_OUT_OF_RANGE,
};

[[nodiscard]] inline const char* text(Status status) noexcept {
  return simdsoftmax_status_text(static_cast<simdsoftmax_status>(status));
}

enum class Variant : simdsoftmax_variant {
  automatic = SIMDSOFTMAX_AUTO,
  three_pass = SIMDSOFTMAX_THREE_PASS,
  three_pass_recompute = SIMDSOFTMAX_THREE_PASS_RECOMPUTE,
  online = SIMDSOFTMAX_ONLINE,
  anchored = SIMDSOFTMAX_ANCHORED,
};

enum class EmptyRow : simdsoftmax_empty_row {
  nan = SIMDSOFTMAX_EMPTY_ROW_NAN,
  zeros = SIMDSOFTMAX_EMPTY_ROW_ZEROS,
};

// IEEE binary16 and the upper half of a binary32, as raw bits.
struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

template <class T>
struct DtypeOf;  // no definition: not an element type of this library
template <>
struct DtypeOf<float> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_F32;
};
template <>
struct DtypeOf<double> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_F64;
};
template <>
struct DtypeOf<Float16> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_F16;
};
template <>
struct DtypeOf<BFloat16> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_BF16;
};

struct Options {
  double theta = 1.0;
  Variant variant = Variant::automatic;
  EmptyRow empty_row = EmptyRow::nan;
  int num_threads = 0;

  [[nodiscard]] simdsoftmax_options c() const noexcept {
    simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
    options.theta = theta;
    options.variant = static_cast<simdsoftmax_variant>(variant);
    options.empty_row = static_cast<simdsoftmax_empty_row>(empty_row);
    options.num_threads = num_threads;
    return options;
  }
};

// Rows with strides, in elements.
template <class In, class Out>
[[nodiscard]] Status softmax_rows(const In* logits, std::ptrdiff_t logits_stride, Out* output,
                                  std::ptrdiff_t output_stride, std::size_t rows, std::size_t cols,
                                  const Options& options = {}) noexcept {
  const simdsoftmax_options c = options.c();
  return static_cast<Status>(simdsoftmax_softmax_rows(logits, DtypeOf<In>::value, logits_stride, output,
                                                      DtypeOf<Out>::value, output_stride, rows, cols, &c));
}

// Dense rows.
template <class In, class Out>
[[nodiscard]] Status softmax_rows(const In* logits, Out* output, std::size_t rows, std::size_t cols,
                                  const Options& options = {}) noexcept {
  const auto stride = static_cast<std::ptrdiff_t>(cols);
  return softmax_rows(logits, stride, output, stride, rows, cols, options);
}

// In place; the vector holds whole rows of `cols` elements, otherwise nothing is written and bad_stride is returned.
template <class T>
[[nodiscard]] Status softmax_rows(std::vector<T>& values, std::size_t cols, const Options& options = {}) noexcept {
  if (values.empty()) return Status::ok;
  if (cols == 0 || values.size() % cols != 0) return Status::bad_stride;
  return softmax_rows(values.data(), values.data(), values.size() / cols, cols, options);
}

// Out of place; `output` has the size of `logits`, otherwise nothing is written and bad_stride is returned.
template <class In, class Out>
[[nodiscard]] Status softmax_rows(const std::vector<In>& logits, std::vector<Out>& output, std::size_t cols,
                                  const Options& options = {}) noexcept {
  if (output.size() != logits.size()) return Status::bad_stride;
  if (logits.empty()) return Status::ok;
  if (cols == 0 || logits.size() % cols != 0) return Status::bad_stride;
  return softmax_rows(logits.data(), output.data(), logits.size() / cols, cols, options);
}

}  // namespace simdsoftmax

#endif
