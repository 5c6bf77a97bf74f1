// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>

#include "operation.hpp"
#include "operator_reference.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

constexpr std::size_t most_elements_to_spread = std::size_t{1} << 23;

std::size_t product(const std::size_t* first, const std::size_t* last) {
  return std::accumulate(first, last, std::size_t{1}, std::multiplies<>());
}

// The logits of a workload seen with another shape; with a step, spread over as many times the memory.
struct Axis {
  SharedWorkload work;
  std::int32_t axis;
  std::size_t cols;
  std::size_t inner;  // elements between neighbours along the axis
  std::size_t step;   // between neighbours along the last dimension
  std::unique_ptr<Tensor> logits;
  std::unique_ptr<Tensor> output;
  simdsoftmax_options options;

  Axis(const SharedWorkload& shared, const TensorShape& tensor)
      : Axis(shared, tensor, 1, std::make_unique<Tensor>(shared->logits.get(), shared->in.dtype, tensor.dims),
             std::make_unique<Tensor>(shared->output.get(), shared->out.dtype, tensor.dims)) {}

  Axis(const SharedWorkload& shared, const TensorShape& tensor, std::size_t last_step)
      : Axis(shared, tensor, last_step,
             std::make_unique<Tensor>(shared->in.dtype, tensor.dims, strides(tensor.dims, last_step)),
             std::make_unique<Tensor>(shared->out.dtype, tensor.dims, strides(tensor.dims, last_step))) {
    for (std::size_t i = 0; i < work->size(); ++i) {
      std::memcpy(logits->as<char>() + i * step * work->in.size,
                  static_cast<const char*>(work->logits.get()) + i * work->in.size, work->in.size);
    }
  }

  Axis(const SharedWorkload& shared, const TensorShape& tensor, std::size_t last_step, std::unique_ptr<Tensor> from,
       std::unique_ptr<Tensor> to)
      : work(shared),
        axis(tensor.axis),
        cols(tensor.dims[static_cast<std::size_t>(axis)]),
        inner(product(tensor.dims.data() + axis + 1, tensor.dims.data() + tensor.dims.size())),
        step(last_step),
        logits(std::move(from)),
        output(std::move(to)),
        options(call_options(*work)) {}

  static std::vector<std::ptrdiff_t> strides(const std::vector<std::size_t>& dims, std::size_t step) {
    std::vector<std::ptrdiff_t> result(dims.size());
    std::size_t stride = step;
    for (std::size_t d = dims.size(); d-- > 0; stride *= dims[d]) result[d] = static_cast<std::ptrdiff_t>(stride);
    return result;
  }

  template <class Expected>
  double max_ulp(Expected expected) const {
    const Workload& w = *work;
    RowReference row(w);
    row.z.resize(cols);
    double worst = 0;
    for (std::size_t r = 0; r < w.size() / cols; ++r) {
      const std::size_t begin = r / inner * cols * inner + r % inner;
      for (std::size_t c = 0; c < cols; ++c) row.z[c] = load(w.in, w.logits.get(), begin + c * inner);
      row.compute();
      for (std::size_t c = 0; c < cols; ++c) {
        const double value = load(w.out, output->data(), (begin + c * inner) * step);
        worst = std::max(worst, ulp_error(w.out, value, expected(row, c)));
      }
    }
    return worst;
  }
};

Operation axis_operation(const std::string& name, const std::shared_ptr<Axis>& axis, bool logs) {
  Operation operation(name, *axis->work);
  operation.run = [axis, function = logs ? simdsoftmax_log_softmax : simdsoftmax_softmax] {
    return function(axis->logits->c(), axis->output->c(), axis->axis, &axis->options);
  };
  operation.spoil = [axis] { axis->output->spoil(); };
  operation.max_ulp = [axis, logs] {
    return logs ? axis->max_ulp([](const RowReference& row, std::size_t c) { return row.log_p(c); })
                : axis->max_ulp([](const RowReference& row, std::size_t c) { return row.p(c); });
  };
  return operation;
}

}  // namespace

Operations axis_operations(const SharedWorkload& work, const TensorShape& tensor) {
  const std::string name = "axis_" + std::to_string(tensor.axis);
  const auto dense = std::make_shared<Axis>(work, tensor);
  Operations operations;
  operations.push_back(axis_operation(name, dense, false));
  operations.push_back(axis_operation(name + "_log_softmax", dense, true));
  if (work->size() <= most_elements_to_spread) {
    operations.push_back(axis_operation(name + "_step_2", std::make_shared<Axis>(work, tensor, 2), false));
  }
  return operations;
}

}  // namespace bench
