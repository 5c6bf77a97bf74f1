// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_TENSOR_HPP
#define SIMDSOFTMAX_BENCH_TENSOR_HPP

#include <vector>

#include "element_type.hpp"
#include "workload.hpp"

namespace bench {

// A shape with memory, its own or borrowed, as the C ABI takes it.
class Tensor {
 public:
  Tensor(simdsoftmax_dtype dtype, std::vector<std::size_t> shape, std::vector<std::ptrdiff_t> strides = {});
  Tensor(void* data, simdsoftmax_dtype dtype, std::vector<std::size_t> shape);
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  const simdsoftmax_tensor* c() const { return &view_; }
  void* data() const { return view_.data; }
  template <class T>
  T* as() const {
    return static_cast<T*>(view_.data);
  }

  // Fills the memory with bits that are NaN in every floating-point format and no valid index.
  void spoil() const;

 private:
  void set_view(void* data, simdsoftmax_dtype dtype);
  std::size_t bytes() const;

  std::vector<std::size_t> shape_;
  std::vector<std::ptrdiff_t> strides_;
  simdsoftmax_tensor view_ = {};
  Buffer memory_;
};

}  // namespace bench

#endif
