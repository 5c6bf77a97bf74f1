// SPDX-License-Identifier: Apache-2.0
#include "tensor.hpp"

#include <cstring>

namespace bench {
namespace {

std::size_t element_size(simdsoftmax_dtype dtype) {
  switch (dtype) {
    case SIMDSOFTMAX_BOOL:
      return 1;
    case SIMDSOFTMAX_I32:
      return 4;
    case SIMDSOFTMAX_I64:
      return 8;
    default:
      return element_type(dtype).size;
  }
}

}  // namespace

Tensor::Tensor(simdsoftmax_dtype dtype, std::vector<std::size_t> shape, std::vector<std::ptrdiff_t> strides)
    : shape_(std::move(shape)), strides_(std::move(strides)) {
  set_view(nullptr, dtype);
  memory_ = allocate(bytes(), 1);
  view_.data = memory_.get();
}

Tensor::Tensor(void* data, simdsoftmax_dtype dtype, std::vector<std::size_t> shape) : shape_(std::move(shape)) {
  set_view(data, dtype);
}

void Tensor::set_view(void* data, simdsoftmax_dtype dtype) {
  view_ = {data, dtype, static_cast<std::int32_t>(shape_.size()), shape_.data(),
           strides_.empty() ? nullptr : strides_.data()};
}

std::size_t Tensor::bytes() const {
  std::size_t elements = 1;
  for (std::size_t d = 0; d < shape_.size(); ++d) {
    if (strides_.empty()) {
      elements *= shape_[d];
    } else {
      elements += (shape_[d] - 1) * static_cast<std::size_t>(strides_[d]);
    }
  }
  return elements * element_size(view_.dtype);
}

void Tensor::spoil() const { std::memset(view_.data, 0xff, bytes()); }

}  // namespace bench
