// SPDX-License-Identifier: Apache-2.0
#include "tensor.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace softmax_test {
namespace {

constexpr std::size_t margin = 64;  // bytes before and after the elements

std::size_t last_offset(const Sizes& shape, const Strides& strides) {
  std::size_t last = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 0) last += (shape[d] - 1) * static_cast<std::size_t>(strides[d]);
  }
  return last;
}

bool is_float(simdsoftmax_dtype dtype) { return dtype <= SIMDSOFTMAX_BF16; }

void store_element(simdsoftmax_dtype dtype, double value, unsigned char* to) {
  if (is_float(dtype)) {
    store(format_of(dtype), round_to(format_of(dtype), value), to);
  } else if (dtype == SIMDSOFTMAX_I32) {
    const auto whole = static_cast<std::int32_t>(value);
    std::memcpy(to, &whole, sizeof whole);
  } else if (dtype == SIMDSOFTMAX_I64) {
    const auto whole = static_cast<std::int64_t>(value);
    std::memcpy(to, &whole, sizeof whole);
  } else {
    *to = static_cast<unsigned char>(value);
  }
}

std::int64_t load_integer(simdsoftmax_dtype dtype, const unsigned char* from) {
  if (dtype == SIMDSOFTMAX_I32) {
    std::int32_t whole = 0;
    std::memcpy(&whole, from, sizeof whole);
    return whole;
  }
  if (dtype == SIMDSOFTMAX_I64) {
    std::int64_t whole = 0;
    std::memcpy(&whole, from, sizeof whole);
    return whole;
  }
  return *from;
}

}  // namespace

std::size_t count_of(const Sizes& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1},
                         [](std::size_t a, std::size_t b) { return a * b; });
}

std::string text_of(const Sizes& shape) {
  std::string text;
  for (const std::size_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::size_t bytes_of(simdsoftmax_dtype dtype) {
  if (is_float(dtype)) return format_of(dtype).bytes;
  if (dtype == SIMDSOFTMAX_I32) return 4;
  return dtype == SIMDSOFTMAX_I64 ? 8 : 1;
}

Strides permuted_strides(const Sizes& shape, const std::vector<std::size_t>& order, std::size_t gap) {
  Strides strides(shape.size());
  std::size_t next = gap == 0 ? 1 : gap + 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = static_cast<std::ptrdiff_t>(next);
    next = next * std::max<std::size_t>(shape[order[i]], 1) + gap;
  }
  return strides;
}

Strides padded_strides(const Sizes& shape, std::size_t gap) {
  Strides strides(shape.size());
  std::size_t next = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = static_cast<std::ptrdiff_t>(next);
    next = next * std::max<std::size_t>(shape[d], 1) + gap;
  }
  return strides;
}

Strides stepped_strides(const Sizes& shape, std::size_t gap, std::size_t step) {
  Strides strides = padded_strides(shape, gap);
  for (std::ptrdiff_t& stride : strides) stride *= static_cast<std::ptrdiff_t>(step);
  return strides;
}

Strides dense_strides(const Sizes& shape) { return padded_strides(shape, 0); }

Sizes without_axis(const Sizes& shape, std::size_t axis) {
  Sizes result = shape;
  result.erase(result.begin() + static_cast<std::ptrdiff_t>(axis));
  return result;
}

Sizes with_axis(const Sizes& shape, std::size_t axis, std::size_t size) {
  Sizes result = shape;
  result[axis] = size;
  return result;
}

Tensor::Tensor(simdsoftmax_dtype dtype, Sizes shape, Strides strides)
    : dtype_(dtype), shape_(std::move(shape)), strides_(std::move(strides)), begin_(margin) {
  memory_.assign(2 * margin + (last_offset(shape_, strides_) + 1) * bytes_of(dtype_), gap_byte);
}

Tensor::Tensor(simdsoftmax_dtype dtype, Sizes shape, Strides strides, const std::vector<double>& values)
    : Tensor(dtype, std::move(shape), std::move(strides)) {
  assign(values);
}

void Tensor::misalign(std::size_t bytes) {
  memory_.insert(memory_.begin(), bytes, gap_byte);
  begin_ += bytes;
}

simdsoftmax_tensor Tensor::view() const {
  return {data(), dtype_, static_cast<std::int32_t>(shape_.size()), shape_.data(), strides_.data()};
}

simdsoftmax_tensor Tensor::view_without_strides() const {
  simdsoftmax_tensor result = view();
  result.strides = nullptr;
  return result;
}

std::vector<std::size_t> Tensor::offsets() const {
  std::vector<std::size_t> result(count());
  std::vector<std::size_t> index(shape_.size(), 0);
  std::size_t at = begin_;
  for (std::size_t& offset : result) {
    offset = at;
    for (std::size_t d = shape_.size(); d-- > 0;) {
      const std::size_t step = static_cast<std::size_t>(strides_[d]) * bytes_of(dtype_);
      at += step;
      if (++index[d] < shape_[d]) break;
      at -= step * shape_[d];
      index[d] = 0;
    }
  }
  return result;
}

void Tensor::assign(const std::vector<double>& values) {
  if (is_dense()) {
    unsigned char* to = data();
    for (const double value : values) {
      store_element(dtype_, value, to);
      to += bytes_of(dtype_);
    }
    return;
  }
  const std::vector<std::size_t> at = offsets();
  for (std::size_t i = 0; i < at.size(); ++i) store_element(dtype_, values.at(i), memory_.data() + at[i]);
}

std::vector<double> Tensor::values() const {
  std::vector<double> result;
  for (const std::size_t at : offsets()) {
    result.push_back(is_float(dtype_) ? load(format_of(dtype_), memory_.data() + at)
                                      : static_cast<double>(load_integer(dtype_, memory_.data() + at)));
  }
  return result;
}

std::vector<std::int64_t> Tensor::integers() const {
  std::vector<std::int64_t> result;
  for (const std::size_t at : offsets()) result.push_back(load_integer(dtype_, memory_.data() + at));
  return result;
}

bool Tensor::is_dense() const { return count() > 0 && strides_ == dense_strides(shape_); }

Bytes Tensor::element_bytes() const {
  const std::size_t size = bytes_of(dtype_);
  if (is_dense()) return {data(), data() + count() * size};
  const std::vector<std::size_t> at = offsets();
  Bytes result(at.size() * size);
  for (std::size_t i = 0; i < at.size(); ++i) std::memcpy(result.data() + i * size, memory_.data() + at[i], size);
  return result;
}

void Tensor::assign_bytes(const Bytes& elements) {
  const std::size_t size = bytes_of(dtype_);
  if (is_dense()) {
    std::copy_n(elements.data(), count() * size, data());
    return;
  }
  const std::vector<std::size_t> at = offsets();
  for (std::size_t i = 0; i < at.size(); ++i) std::memcpy(memory_.data() + at[i], elements.data() + i * size, size);
}

bool Tensor::gaps_untouched() const {
  const auto is_gap = [](unsigned char byte) { return byte == gap_byte; };
  const auto size = static_cast<std::ptrdiff_t>(bytes_of(dtype_));
  const auto first = memory_.begin() + static_cast<std::ptrdiff_t>(begin_);
  if (is_dense()) {
    const auto last = first + static_cast<std::ptrdiff_t>(count()) * size;
    return std::all_of(memory_.begin(), first, is_gap) && std::all_of(last, memory_.end(), is_gap);
  }
  Bytes rest = memory_;
  for (const std::size_t at : offsets()) std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(at), size, gap_byte);
  return std::all_of(rest.begin(), rest.end(), is_gap);
}

bool Tensor::untouched() const {
  return std::all_of(memory_.begin(), memory_.end(), [](unsigned char byte) { return byte == gap_byte; });
}

namespace {

Bytes move_axis(const Bytes& elements, std::size_t element, const Sizes& shape, std::size_t axis, bool back) {
  std::size_t inner = 1;
  for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  const std::size_t cols = shape[axis];
  Bytes result(elements.size());
  const std::size_t blocks = elements.empty() ? 0 : elements.size() / element / (cols * inner);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::size_t c = 0; c < cols; ++c) {
      for (std::size_t i = 0; i < inner; ++i) {
        const std::size_t across = ((block * cols + c) * inner + i) * element;
        const std::size_t along = ((block * inner + i) * cols + c) * element;
        std::memcpy(result.data() + (back ? across : along), elements.data() + (back ? along : across), element);
      }
    }
  }
  return result;
}

}  // namespace

Bytes axis_last(const Bytes& elements, std::size_t element, const Sizes& shape, std::size_t axis) {
  return move_axis(elements, element, shape, axis, false);
}

Bytes axis_back(const Bytes& elements, std::size_t element, const Sizes& shape, std::size_t axis) {
  return move_axis(elements, element, shape, axis, true);
}

std::vector<double> broadcast(const std::vector<double>& values, const Sizes& from, const Sizes& to) {
  Strides steps(to.size(), 0);
  const Strides dense = dense_strides(from);
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (from[d] != 1) steps[to.size() - from.size() + d] = dense[d];
  }
  std::vector<double> result(count_of(to));
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::size_t rest = i;
    std::size_t at = 0;
    for (std::size_t d = to.size(); d-- > 0;) {
      at += rest % to[d] * static_cast<std::size_t>(steps[d]);
      rest /= to[d];
    }
    result[i] = values.at(at);
  }
  return result;
}

}  // namespace softmax_test
