// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_TENSOR_HPP
#define SIMDSOFTMAX_TESTS_TENSOR_HPP

// Tensors of any dtype, shape and layout, with a pattern in the memory between their elements that is NaN in every
// floating-point type: whoever reads there shows it, and whoever writes there is found.

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "formats.hpp"

namespace softmax_test {

using Sizes = std::vector<std::size_t>;
using Strides = std::vector<std::ptrdiff_t>;

std::size_t count_of(const Sizes& shape);
std::string text_of(const Sizes& shape);
std::size_t bytes_of(simdsoftmax_dtype dtype);

Strides dense_strides(const Sizes& shape);
// Dense but for `gap` elements behind each index of each dimension.
Strides padded_strides(const Sizes& shape, std::size_t gap);
// The same, all `step` times as large.
Strides stepped_strides(const Sizes& shape, std::size_t gap, std::size_t step);
// As if the dimensions had been in this order (slowest first) and were then transposed.
Strides permuted_strides(const Sizes& shape, const std::vector<std::size_t>& order, std::size_t gap);
Sizes without_axis(const Sizes& shape, std::size_t axis);
Sizes with_axis(const Sizes& shape, std::size_t axis, std::size_t size);

class Tensor {
 public:
  static constexpr unsigned char gap_byte = 0xff;

  Tensor() = default;
  Tensor(simdsoftmax_dtype dtype, Sizes shape) : Tensor(dtype, shape, dense_strides(shape)) {}
  // All elements are the gap until they are written.
  Tensor(simdsoftmax_dtype dtype, Sizes shape, Strides strides);
  // Rounded to the dtype; in row-major order of the shape whatever the strides.
  Tensor(simdsoftmax_dtype dtype, Sizes shape, Strides strides, const std::vector<double>& values);
  Tensor(simdsoftmax_dtype dtype, const Sizes& shape, const std::vector<double>& values)
      : Tensor(dtype, shape, dense_strides(shape), values) {}
  Tensor(simdsoftmax_dtype dtype, const Sizes& shape, std::initializer_list<double> values)
      : Tensor(dtype, shape, std::vector<double>(values)) {}

  // Moves the elements so many bytes off where they are. Views that were taken before are lost.
  void misalign(std::size_t bytes);

  // What the C ABI takes; points into this object, whose data it may change. With `strides` null if they are dense and
  // it does not matter.
  simdsoftmax_tensor view() const;
  simdsoftmax_tensor view_without_strides() const;

  simdsoftmax_dtype dtype() const { return dtype_; }
  const Sizes& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  std::size_t count() const { return count_of(shape_); }

  void assign(const std::vector<double>& values);
  void forget() { memory_.assign(memory_.size(), gap_byte); }
  std::vector<double> values() const;
  std::vector<std::int64_t> integers() const;
  Bytes element_bytes() const;  // of the elements in row-major order
  void assign_bytes(const Bytes& elements);
  const Bytes& memory() const { return memory_; }
  unsigned char* data() const { return memory_.data() + begin_; }

  // Whether all bytes that belong to no element are still what they were.
  bool gaps_untouched() const;
  bool untouched() const;  // elements included: as after construction without values

 private:
  bool is_dense() const;
  std::vector<std::size_t> offsets() const;  // of all elements, in bytes from the beginning of the memory

  simdsoftmax_dtype dtype_ = SIMDSOFTMAX_F32;
  Sizes shape_;
  Strides strides_;
  std::size_t begin_ = 0;
  mutable Bytes memory_;
};

// Rows along an axis, numbered by the other dimensions, the last one fastest.
template <class T>
std::vector<std::vector<T>> rows_along(const std::vector<T>& values, const Sizes& shape, std::size_t axis) {
  std::size_t inner = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  const std::size_t cols = shape[axis];
  const std::size_t total = count_of(shape);
  std::vector<std::vector<T>> rows;
  if (total == 0) return rows;
  for (std::size_t outer = 0; outer < total / (cols * inner); ++outer) {
    for (std::size_t i = 0; i < inner; ++i) {
      std::vector<T> row(cols);
      for (std::size_t c = 0; c < cols; ++c) row[c] = values[(outer * cols + c) * inner + i];
      rows.push_back(row);
    }
  }
  return rows;
}

// The elements of a dense tensor, moved so that `axis` becomes the last one; and back.
Bytes axis_last(const Bytes& elements, std::size_t element, const Sizes& shape, std::size_t axis);
Bytes axis_back(const Bytes& elements, std::size_t element, const Sizes& shape, std::size_t axis);

// Repeats the values of a tensor of shape `from` (sizes 1 repeat, dimensions are matched from the last) over `to`.
std::vector<double> broadcast(const std::vector<double>& values, const Sizes& from, const Sizes& to);

}  // namespace softmax_test

#endif
