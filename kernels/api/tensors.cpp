// SPDX-License-Identifier: Apache-2.0
#include "api/tensors.hpp"

#include <cstdint>
#include <limits>

#include "plan/plan.hpp"

namespace simdsoftmax::detail {

namespace {

constexpr auto most_bytes = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
constexpr std::size_t most_elements = most_bytes / sizeof(double);

bool is_output(const Argument& argument) {
  return argument.access == Access::output || argument.access == Access::replacing;
}

std::size_t size_of_element(const Argument& argument) { return dtype_size(static_cast<Dtype>(argument.tensor->dtype)); }

bool has_negative_stride(const simdsoftmax_tensor& tensor) {
  if (tensor.strides == nullptr) return false;
  for (int d = 0; d < tensor.rank; ++d) {
    if (tensor.strides[d] < 0) return true;
  }
  return false;
}

// Bytes from the first to behind the last element; false if they exceed ptrdiff_t.
bool reach(const std::size_t* shape, const std::size_t* strides, int rank, std::size_t element, std::size_t& bytes) {
  std::size_t last = 0;
  for (int d = 0; d < rank; ++d) {
    std::size_t steps;
    if (__builtin_mul_overflow(shape[d] - 1, strides[d], &steps)) return false;
    if (__builtin_add_overflow(last, steps, &last)) return false;
  }
  if (last >= most_bytes || __builtin_mul_overflow(last + 1, element, &bytes)) return false;
  return bytes <= most_bytes;
}

// Whether elements are apart, by the rule of softmax.h. Reaches do not overflow.
bool elements_apart(const std::size_t* shape, const std::size_t* strides, int rank) {
  bool taken[max_rank] = {};
  std::size_t reached = 0;
  for (int step = 0; step < rank; ++step) {
    int least = -1;
    for (int d = 0; d < rank; ++d) {
      if (!taken[d] && shape[d] > 1 && (least < 0 || strides[d] < strides[least])) least = d;
    }
    if (least < 0) return true;
    if (strides[least] <= reached) return false;
    taken[least] = true;
    reached += (shape[least] - 1) * strides[least];
  }
  return true;
}

bool share_memory(const Argument& a, const Argument& b) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a.tensor->data);
  const auto b_begin = reinterpret_cast<std::uintptr_t>(b.tensor->data);
  return a_begin < b_begin + b.extent && b_begin < a_begin + a.extent;
}

}  // namespace

int Tensors::add(const simdsoftmax_tensor* tensor, Fit fit, Access access) {
  if (tensor == nullptr) return -1;
  arguments_[count_].tensor = tensor;
  arguments_[count_].fit = fit;
  arguments_[count_].access = access;
  return count_++;
}

simdsoftmax_status Tensors::read_ranks(std::int32_t axis) {
  for (int i = 0; i < count_; ++i) {
    const simdsoftmax_tensor& tensor = *arguments_[i].tensor;
    if (tensor.rank < (i == 0 ? 1 : 0) || tensor.rank > max_rank) return SIMDSOFTMAX_BAD_RANK;
  }
  const simdsoftmax_tensor& first = *arguments_[0].tensor;
  rank_ = first.rank;
  if (axis < -rank_ || axis >= rank_) return SIMDSOFTMAX_BAD_AXIS;
  axis_ = axis < 0 ? axis + rank_ : axis;
  for (int i = 0; i < count_; ++i) {
    const simdsoftmax_tensor& tensor = *arguments_[i].tensor;
    if (tensor.rank > 0 && tensor.shape == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  }
  for (int d = 0; d < rank_; ++d) shape_[d] = first.shape[d];
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status Tensors::match_shapes() {
  for (int i = 0; i < count_; ++i) {
    if (const auto status = match(arguments_[i])) return status;
  }
  return SIMDSOFTMAX_OK;
}

// Where each dimension of the argument lies among those of the first tensor is not kept: set_strides finds it again.
simdsoftmax_status Tensors::match(Argument& argument) const {
  const simdsoftmax_tensor& tensor = *argument.tensor;
  const auto ok_if = [](bool fits) { return fits ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_SHAPE; };
  argument.axis_size = 1;
  switch (argument.fit) {
    case Fit::one_element:
      for (int d = 0; d < tensor.rank; ++d) {
        if (tensor.shape[d] != 1) return SIMDSOFTMAX_BAD_SHAPE;
      }
      return SIMDSOFTMAX_OK;
    case Fit::along_axis:
      argument.axis_size = cols();
      return ok_if(tensor.rank == 1 && tensor.shape[0] == cols());
    case Fit::broadcast:
    case Fit::broadcast_rows: {
      if (tensor.rank > rank_) return SIMDSOFTMAX_BAD_SHAPE;
      const int missing = rank_ - tensor.rank;
      for (int d = 0; d < tensor.rank; ++d) {
        const bool repeatable = argument.fit == Fit::broadcast || d + missing != axis_;
        if (tensor.shape[d] != 1 && !(repeatable && tensor.shape[d] == shape_[d + missing])) {
          return SIMDSOFTMAX_BAD_SHAPE;
        }
      }
      if (axis_ >= missing) argument.axis_size = tensor.shape[axis_ - missing];
      return SIMDSOFTMAX_OK;
    }
    case Fit::same:
    case Fit::per_row:
    case Fit::other_axis:
      break;
  }
  const bool without_axis = argument.fit == Fit::per_row && tensor.rank == rank_ - 1;
  if (tensor.rank != rank_ && !without_axis) return SIMDSOFTMAX_BAD_SHAPE;
  for (int d = 0; d < tensor.rank; ++d) {
    const int along = without_axis && d >= axis_ ? d + 1 : d;
    if (along != axis_ && tensor.shape[d] != shape_[along]) return SIMDSOFTMAX_BAD_SHAPE;
  }
  if (!without_axis) argument.axis_size = tensor.shape[axis_];
  if (argument.fit == Fit::other_axis) return SIMDSOFTMAX_OK;
  return ok_if(argument.axis_size == (argument.fit == Fit::same ? cols() : 1));
}

bool Tensors::no_rows() const {
  for (int d = 0; d < rank_; ++d) {
    if (d != axis_ && shape_[d] == 0) return true;
  }
  return false;
}

bool Tensors::empty() const {
  if (cols() == 0 || no_rows()) return true;
  for (int i = 0; i < count_; ++i) {
    if (arguments_[i].axis_size == 0) return true;
  }
  return false;
}

bool Tensors::in_place() const { return in_place_; }

simdsoftmax_status Tensors::lay_out() {
  for (int i = 0; i < count_; ++i) {
    if (has_negative_stride(*arguments_[i].tensor)) return SIMDSOFTMAX_BAD_STRIDE;
  }
  if (empty()) return SIMDSOFTMAX_OK;
  std::size_t elements = 1;
  for (int d = 0; d < rank_; ++d) {
    if (__builtin_mul_overflow(elements, shape_[d], &elements)) return SIMDSOFTMAX_SIZE_OVERFLOW;
  }
  if (elements > most_elements) return SIMDSOFTMAX_SIZE_OVERFLOW;
  for (int i = 0; i < count_; ++i) {
    if (const auto status = set_strides(arguments_[i])) return status;
  }
  for (int i = 0; i < count_; ++i) {
    if (arguments_[i].tensor->data == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  }
  for (int i = 0; i < count_; ++i) {
    if (!is_output(arguments_[i])) continue;
    for (int j = 0; j < count_; ++j) {
      if (j == i || !share_memory(arguments_[i], arguments_[j])) continue;
      const bool replaces = arguments_[i].access == Access::replacing && arguments_[j].access == Access::replaceable;
      if (!replaces || !same_elements(arguments_[i], arguments_[j])) return SIMDSOFTMAX_PARTIAL_OVERLAP;
      if (j == 0) in_place_ = true;
    }
  }
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status Tensors::set_strides(Argument& argument) const {
  const simdsoftmax_tensor& tensor = *argument.tensor;
  const std::size_t element = size_of_element(argument);
  std::size_t strides[max_rank] = {};
  std::size_t dense = 1;  // fits: no argument has more elements than the first tensor
  for (int d = tensor.rank - 1; d >= 0; --d) {
    strides[d] = tensor.strides != nullptr ? static_cast<std::size_t>(tensor.strides[d]) : dense;
    dense *= tensor.shape[d];
  }
  if (!reach(tensor.shape, strides, tensor.rank, element, argument.extent)) return SIMDSOFTMAX_SIZE_OVERFLOW;
  if (is_output(argument) && !elements_apart(tensor.shape, strides, tensor.rank)) return SIMDSOFTMAX_BAD_STRIDE;

  for (int d = 0; d < rank_; ++d) argument.strides[d] = 0;
  const bool without_axis = argument.fit == Fit::per_row && tensor.rank == rank_ - 1;
  const bool broadcast = argument.fit == Fit::broadcast || argument.fit == Fit::broadcast_rows;
  const int missing = broadcast ? rank_ - tensor.rank : 0;
  for (int d = 0; d < tensor.rank; ++d) {
    if (tensor.shape[d] == 1) continue;  // whatever its stride
    const int along = argument.fit == Fit::along_axis ? axis_ : without_axis && d >= axis_ ? d + 1 : d + missing;
    argument.strides[along] = static_cast<std::ptrdiff_t>(strides[d] * element);
  }
  return SIMDSOFTMAX_OK;
}

bool Tensors::same_elements(const Argument& a, const Argument& b) const {
  if (a.tensor->data != b.tensor->data || a.tensor->dtype != b.tensor->dtype || a.axis_size != b.axis_size) {
    return false;
  }
  for (int d = 0; d < rank_; ++d) {
    if (a.strides[d] != b.strides[d]) return false;
  }
  return true;
}

// Whether a step along the last dimension of the grid is, for all arguments, as many steps along this one as it has.
bool Tensors::may_merge(int dimension) const {
  const int last = grid_.rank - 1;
  // size * stride may exceed ptrdiff_t, but not size_t.
  const auto one_run = [size = shape_[dimension]](std::ptrdiff_t outer, std::ptrdiff_t inner) {
    return static_cast<std::size_t>(outer) == static_cast<std::size_t>(inner) * size;
  };
  for (int i = 0; i < count_; ++i) {
    if (!one_run(arguments_[i].row_strides[last], arguments_[i].strides[dimension])) return false;
  }
  for (int i = 0; i < position_count_; ++i) {
    if (!one_run(positions_[i].row_strides[last], positions_[i].dimension == dimension)) return false;
  }
  return true;
}

void Tensors::make_grid() {
  grid_.rank = 0;
  rows_ = 1;
  for (int d = 0; d < rank_; ++d) {
    if (d == axis_ || shape_[d] == 1) continue;
    rows_ *= shape_[d];
    if (grid_.rank > 0 && may_merge(d)) {
      grid_.dims[grid_.rank - 1] *= shape_[d];
    } else {
      grid_.dims[grid_.rank++] = shape_[d];
    }
    for (int i = 0; i < count_; ++i) arguments_[i].row_strides[grid_.rank - 1] = arguments_[i].strides[d];
    for (int i = 0; i < position_count_; ++i) {
      positions_[i].row_strides[grid_.rank - 1] = positions_[i].dimension == d ? 1 : 0;
    }
  }
  if (grid_.rank > 0) return;
  grid_.dims[grid_.rank++] = 1;  // one row
  for (int i = 0; i < count_; ++i) arguments_[i].row_strides[0] = 0;
  for (int i = 0; i < position_count_; ++i) positions_[i].row_strides[0] = 0;
}

Operand Tensors::operand(int argument) const {
  Operand operand = {};
  if (argument < 0) return operand;
  const Argument& from = arguments_[argument];
  operand.data = static_cast<char*>(from.tensor->data);
  operand.dtype = static_cast<Dtype>(from.tensor->dtype);
  // A single column has no stride of its own, and counts as dense.
  operand.axis_stride = cols() == 1 ? static_cast<std::ptrdiff_t>(size_of_element(from)) : from.strides[axis_];
  for (int d = 0; d < grid_.rank; ++d) operand.row_strides[d] = from.row_strides[d];
  return operand;
}

Position Tensors::position(int dimension) const {
  Position position = {};
  for (int i = 0; i < position_count_; ++i) {
    if (positions_[i].dimension != dimension) continue;
    for (int d = 0; d < grid_.rank; ++d) position.row_strides[d] = positions_[i].row_strides[d];
  }
  return position;
}

}  // namespace simdsoftmax::detail
