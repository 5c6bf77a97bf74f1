// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_SIMDSOFTMAX_HPP
#define SIMDSOFTMAX_SIMDSOFTMAX_HPP

// The C++17 face of simdsoftmax.h: types instead of tags, vectors instead of pointers, nothing else.
// What each function computes, its errors and its guarantees stand in the headers of the C ABI.

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <type_traits>
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
  bad_rank = SIMDSOFTMAX_BAD_RANK,
  bad_axis = SIMDSOFTMAX_BAD_AXIS,
  bad_shape = SIMDSOFTMAX_BAD_SHAPE,
  bad_pre_ops = SIMDSOFTMAX_BAD_PRE_OPS,
  bad_label = SIMDSOFTMAX_BAD_LABEL,
  bad_reduction = SIMDSOFTMAX_BAD_REDUCTION,
  bad_smoothing = SIMDSOFTMAX_BAD_SMOOTHING,
  bad_k = SIMDSOFTMAX_BAD_K,
  bad_normalization = SIMDSOFTMAX_BAD_NORMALIZATION,
  bad_slice = SIMDSOFTMAX_BAD_SLICE,
  bad_state = SIMDSOFTMAX_BAD_STATE,
  bad_accuracy = SIMDSOFTMAX_BAD_ACCURACY,
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
  narrow = SIMDSOFTMAX_NARROW,
  streaming = SIMDSOFTMAX_STREAMING,
};

enum class Accuracy : simdsoftmax_accuracy {
  balanced = SIMDSOFTMAX_BALANCED,
  exact = SIMDSOFTMAX_EXACT,
  fast = SIMDSOFTMAX_FAST,
};

enum class EmptyRow : simdsoftmax_empty_row {
  nan = SIMDSOFTMAX_EMPTY_ROW_NAN,
  zeros = SIMDSOFTMAX_EMPTY_ROW_ZEROS,
};

enum class MaskMeaning : simdsoftmax_mask_meaning {
  keeps = SIMDSOFTMAX_MASK_KEEPS,
  drops = SIMDSOFTMAX_MASK_DROPS,
};

enum class Reduction : simdsoftmax_reduction {
  none = SIMDSOFTMAX_REDUCE_NONE,
  sum = SIMDSOFTMAX_REDUCE_SUM,
  mean = SIMDSOFTMAX_REDUCE_MEAN,
};

enum class Normalization : simdsoftmax_normalization {
  over_row = SIMDSOFTMAX_OVER_ROW,
  over_top_k = SIMDSOFTMAX_OVER_TOP_K,
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

template <>
struct DtypeOf<std::int32_t> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_I32;
};
template <>
struct DtypeOf<std::int64_t> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_I64;
};
template <>
struct DtypeOf<bool> {
  static constexpr simdsoftmax_dtype value = SIMDSOFTMAX_BOOL;
};

// A view of elements that are only read. Shape and strides (in elements; none: dense) are copied, the elements are not.
// More dimensions than SIMDSOFTMAX_MAX_RANK, or strides for other than all of them, are bad_rank in every call.
class ConstTensor {
 public:
  template <class T>
  ConstTensor(const T* data, std::initializer_list<std::size_t> shape,
              std::initializer_list<std::ptrdiff_t> strides = {}) noexcept
      : ConstTensor(data, shape.begin(), shape.size(), strides.begin(), strides.size()) {}

  template <class T>
  ConstTensor(const T* data, const std::vector<std::size_t>& shape,
              const std::vector<std::ptrdiff_t>& strides = {}) noexcept
      : ConstTensor(data, shape.data(), shape.size(), strides.data(), strides.size()) {}

  // Points into this object.
  [[nodiscard]] simdsoftmax_tensor c() const noexcept {
    return {data_, dtype_, rank_, shape_, is_dense_ ? nullptr : strides_};
  }

 private:
  template <class T>
  ConstTensor(const T* data, const std::size_t* shape, std::size_t rank, const std::ptrdiff_t* strides,
              std::size_t stride_count) noexcept
      : data_(const_cast<T*>(data)), dtype_(DtypeOf<T>::value), is_dense_(stride_count == 0) {
    if (rank > SIMDSOFTMAX_MAX_RANK || (stride_count != 0 && stride_count != rank)) return;
    rank_ = static_cast<std::int32_t>(rank);
    for (std::size_t d = 0; d < rank; ++d) shape_[d] = shape[d];
    for (std::size_t d = 0; d < stride_count; ++d) strides_[d] = strides[d];
  }

  void* data_;
  simdsoftmax_dtype dtype_;
  std::int32_t rank_ = -1;
  bool is_dense_;
  std::size_t shape_[SIMDSOFTMAX_MAX_RANK];
  std::ptrdiff_t strides_[SIMDSOFTMAX_MAX_RANK];
};

// A view of elements that are written, or read as well.
class Tensor : public ConstTensor {
 public:
  template <class T, class = std::enable_if_t<!std::is_const_v<T>>>
  Tensor(T* data, std::initializer_list<std::size_t> shape, std::initializer_list<std::ptrdiff_t> strides = {}) noexcept
      : ConstTensor(data, shape, strides) {}

  template <class T, class = std::enable_if_t<!std::is_const_v<T>>>
  Tensor(T* data, const std::vector<std::size_t>& shape, const std::vector<std::ptrdiff_t>& strides = {}) noexcept
      : ConstTensor(data, shape, strides) {}
};

struct PreOps {
  double scale = 1.0;
  double softcap = 0.0;
  double max_bias = 0.0;
  std::optional<ConstTensor> bias = {};
  std::optional<ConstTensor> mask = {};
  MaskMeaning mask_meaning = MaskMeaning::keeps;
  bool causal = false;
  std::int64_t query_offset = 0;
  std::int64_t window = 0;
  std::optional<ConstTensor> lengths = {};
  std::optional<ConstTensor> sinks = {};
  std::optional<Tensor> logsumexp = {};
};

struct Options {
  double theta = 1.0;
  Variant variant = Variant::automatic;
  EmptyRow empty_row = EmptyRow::nan;
  int num_threads = 0;
  const PreOps* pre_ops = nullptr;
  Accuracy accuracy = Accuracy::balanced;

  // Without the pre-operations.
  [[nodiscard]] simdsoftmax_options c() const noexcept {
    simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
    options.theta = theta;
    options.variant = static_cast<simdsoftmax_variant>(variant);
    options.empty_row = static_cast<simdsoftmax_empty_row>(empty_row);
    options.num_threads = num_threads;
    options.accuracy = static_cast<simdsoftmax_accuracy>(accuracy);
    return options;
  }
};

struct CrossEntropyOptions {
  Reduction reduction = Reduction::none;
  std::optional<std::int64_t> ignore_index = {};
  double label_smoothing = 0.0;
  std::optional<ConstTensor> class_weights = {};
  std::optional<Tensor> grad_logits = {};
  std::optional<Tensor> log_probabilities = {};
  std::size_t* bad_row = nullptr;
};

// Structs of the C ABI that point at others, for the length of a call.
namespace c_abi {

// Null for what is not there.
class OptionalTensor {
 public:
  template <class View>
  const simdsoftmax_tensor* operator()(const std::optional<View>& view) noexcept {
    if (!view) return nullptr;
    tensor_ = view->c();
    return &tensor_;
  }

 private:
  simdsoftmax_tensor tensor_;
};

class CallOptions {
 public:
  explicit CallOptions(const Options& options) noexcept : c_(options.c()) {
    if (options.pre_ops != nullptr) set(*options.pre_ops);
  }
  CallOptions(const CallOptions&) = delete;
  CallOptions& operator=(const CallOptions&) = delete;

  const simdsoftmax_options* get() const noexcept { return &c_; }

 private:
  void set(const PreOps& from) noexcept {
    pre_ops_ = SIMDSOFTMAX_PRE_OPS_INIT;
    pre_ops_.scale = from.scale;
    pre_ops_.softcap = from.softcap;
    pre_ops_.max_bias = from.max_bias;
    pre_ops_.bias = bias_(from.bias);
    pre_ops_.mask = mask_(from.mask);
    pre_ops_.mask_meaning = static_cast<simdsoftmax_mask_meaning>(from.mask_meaning);
    pre_ops_.causal = from.causal ? 1 : 0;
    pre_ops_.query_offset = from.query_offset;
    pre_ops_.window = from.window;
    pre_ops_.lengths = lengths_(from.lengths);
    pre_ops_.sinks = sinks_(from.sinks);
    pre_ops_.logsumexp = logsumexp_(from.logsumexp);
    c_.pre_ops = &pre_ops_;
  }

  simdsoftmax_options c_;
  simdsoftmax_pre_ops pre_ops_;
  OptionalTensor bias_;
  OptionalTensor mask_;
  OptionalTensor lengths_;
  OptionalTensor sinks_;
  OptionalTensor logsumexp_;
};

class LossOptions {
 public:
  explicit LossOptions(const CrossEntropyOptions& from) noexcept {
    c_.reduction = static_cast<simdsoftmax_reduction>(from.reduction);
    c_.use_ignore_index = from.ignore_index ? 1 : 0;
    c_.ignore_index = from.ignore_index.value_or(0);
    c_.label_smoothing = from.label_smoothing;
    c_.class_weights = class_weights_(from.class_weights);
    c_.grad_logits = grad_logits_(from.grad_logits);
    c_.log_probabilities = log_probabilities_(from.log_probabilities);
    c_.bad_row = from.bad_row;
  }
  LossOptions(const LossOptions&) = delete;
  LossOptions& operator=(const LossOptions&) = delete;

  const simdsoftmax_cross_entropy_options* get() const noexcept { return &c_; }

 private:
  simdsoftmax_cross_entropy_options c_ = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
  OptionalTensor class_weights_;
  OptionalTensor grad_logits_;
  OptionalTensor log_probabilities_;
};

}  // namespace c_abi

// Rows with strides, in elements.
template <class In, class Out>
[[nodiscard]] Status softmax_rows(const In* logits, std::ptrdiff_t logits_stride, Out* output,
                                  std::ptrdiff_t output_stride, std::size_t rows, std::size_t cols,
                                  const Options& options = {}) noexcept {
  const c_abi::CallOptions c(options);
  return static_cast<Status>(simdsoftmax_softmax_rows(logits, DtypeOf<In>::value, logits_stride, output,
                                                      DtypeOf<Out>::value, output_stride, rows, cols, c.get()));
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

[[nodiscard]] inline Status softmax(const ConstTensor& logits, const Tensor& output, int axis,
                                    const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor to = output.c();
  return static_cast<Status>(simdsoftmax_softmax(&from, &to, axis, c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status log_softmax(const ConstTensor& logits, const Tensor& output, int axis,
                                        const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor to = output.c();
  return static_cast<Status>(simdsoftmax_log_softmax(&from, &to, axis, c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status logsumexp(const ConstTensor& logits, const Tensor& output, int axis,
                                      const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor to = output.c();
  return static_cast<Status>(simdsoftmax_logsumexp(&from, &to, axis, c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status softmax_backward(const ConstTensor& grad_output, const ConstTensor& output,
                                             const Tensor& grad_input, int axis, const Options& options = {}) noexcept {
  const simdsoftmax_tensor grad = grad_output.c();
  const simdsoftmax_tensor probabilities = output.c();
  const simdsoftmax_tensor to = grad_input.c();
  return static_cast<Status>(
      simdsoftmax_softmax_backward(&grad, &probabilities, &to, axis, c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status log_softmax_backward(const ConstTensor& grad_output, const ConstTensor& output,
                                                 const Tensor& grad_input, int axis,
                                                 const Options& options = {}) noexcept {
  const simdsoftmax_tensor grad = grad_output.c();
  const simdsoftmax_tensor log_probabilities = output.c();
  const simdsoftmax_tensor to = grad_input.c();
  return static_cast<Status>(
      simdsoftmax_log_softmax_backward(&grad, &log_probabilities, &to, axis, c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status softmax_cross_entropy(const ConstTensor& logits, const ConstTensor& labels,
                                                  const Tensor& loss, int axis,
                                                  const CrossEntropyOptions& loss_options = {},
                                                  const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor distribution = labels.c();
  const simdsoftmax_tensor to = loss.c();
  return static_cast<Status>(simdsoftmax_softmax_cross_entropy(
      &from, &distribution, &to, axis, c_abi::LossOptions(loss_options).get(), c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status sparse_softmax_cross_entropy(const ConstTensor& logits, const ConstTensor& labels,
                                                         const Tensor& loss, int axis,
                                                         const CrossEntropyOptions& loss_options = {},
                                                         const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor classes = labels.c();
  const simdsoftmax_tensor to = loss.c();
  return static_cast<Status>(simdsoftmax_sparse_softmax_cross_entropy(
      &from, &classes, &to, axis, c_abi::LossOptions(loss_options).get(), c_abi::CallOptions(options).get()));
}

// probabilities: null where they are not wanted.
[[nodiscard]] inline Status softmax_top_k(const ConstTensor& logits, const Tensor* probabilities, const Tensor& indices,
                                          int axis, Normalization normalization = Normalization::over_row,
                                          const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor values = probabilities != nullptr ? probabilities->c() : simdsoftmax_tensor{};
  const simdsoftmax_tensor columns = indices.c();
  return static_cast<Status>(simdsoftmax_softmax_top_k(&from, probabilities != nullptr ? &values : nullptr, &columns,
                                                       axis, static_cast<simdsoftmax_normalization>(normalization),
                                                       c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline Status argmax(const ConstTensor& logits, const Tensor* probabilities, const Tensor& indices,
                                   int axis, const Options& options = {}) noexcept {
  const simdsoftmax_tensor from = logits.c();
  const simdsoftmax_tensor values = probabilities != nullptr ? probabilities->c() : simdsoftmax_tensor{};
  const simdsoftmax_tensor columns = indices.c();
  return static_cast<Status>(simdsoftmax_argmax(&from, probabilities != nullptr ? &values : nullptr, &columns, axis,
                                                c_abi::CallOptions(options).get()));
}

[[nodiscard]] inline std::size_t row_part_length(std::size_t cols) noexcept {
  return simdsoftmax_row_part_length(cols);
}

// The state of a row in slices; T: the type of its logits. Plain data as that of the C ABI is.
template <class T>
struct RowState {
  simdsoftmax_row_state c;  // not initialised before init()

  [[nodiscard]] Status init(std::size_t cols, const Options& options = {}) noexcept {
    return static_cast<Status>(
        simdsoftmax_row_state_init(&c, DtypeOf<T>::value, cols, c_abi::CallOptions(options).get()));
  }

  [[nodiscard]] Status add(const T* logits, std::size_t first, std::size_t count) noexcept {
    return static_cast<Status>(simdsoftmax_row_state_add(&c, logits, first, count));
  }

  [[nodiscard]] Status merge(const RowState& from) noexcept {
    return static_cast<Status>(simdsoftmax_row_state_merge(&c, &from.c));
  }

  template <class Out>
  [[nodiscard]] Status softmax(const T* logits, std::size_t first, std::size_t count, Out* output,
                               const Options& options = {}) const noexcept {
    return static_cast<Status>(simdsoftmax_row_state_softmax(&c, logits, first, count, output, DtypeOf<Out>::value,
                                                             c_abi::CallOptions(options).get()));
  }

  [[nodiscard]] Status logsumexp(double& result) const noexcept {
    return static_cast<Status>(simdsoftmax_row_state_logsumexp(&c, &result));
  }
};

}  // namespace simdsoftmax

#endif
