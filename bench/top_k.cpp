// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <numeric>

#include "operation.hpp"
#include "operator_reference.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

// Columns of the k largest values, the largest first, the lower column first where they are equal.
template <class T>
void sort_top(const T* values, std::vector<std::int64_t>& columns, std::size_t k) {
  std::iota(columns.begin(), columns.end(), std::int64_t{0});
  std::partial_sort(
      columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(k), columns.end(),
      [values](std::int64_t a, std::int64_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
}

struct TopK {
  SharedWorkload work;
  std::size_t k;
  Tensor logits;
  Tensor probabilities;
  Tensor indices;
  simdsoftmax_options options;

  TopK(const SharedWorkload& shared, std::size_t winners)
      : work(shared),
        k(winners),
        logits(work->logits.get(), work->in.dtype, {work->shape.rows, work->shape.cols}),
        probabilities(work->out.dtype, {work->shape.rows, k}),
        indices(SIMDSOFTMAX_I64, {work->shape.rows, k}),
        options(call_options(*work)) {}

  void spoil() const {
    probabilities.spoil();
    indices.spoil();
  }

  // Infinity for a wrong column. Those of equal probabilities are not compared where the logits are not known.
  double max_ulp(bool by_logits) const {
    RowReference row(*work);
    std::vector<std::int64_t> columns(work->shape.cols);
    double worst = 0;
    for (std::size_t r = 0; r < work->shape.rows; ++r) {
      load_row(*work, r, row.z);
      row.compute();
      sort_top(row.z.data(), columns, k);
      for (std::size_t i = 0; i < k; ++i) {
        const std::int64_t found = indices.as<std::int64_t>()[r * k + i];
        if (by_logits && found != columns[i]) return std::numeric_limits<double>::infinity();
        const auto column = static_cast<std::size_t>(columns[i]);
        worst = std::max(worst, ulp_error(work->out, load(work->out, probabilities.data(), r * k + i), row.p(column)));
      }
    }
    return worst;
  }
};

Operation top_k_operation(const std::string& name, const std::shared_ptr<TopK>& top) {
  Operation operation(name, *top->work);
  operation.run = [top] {
    return simdsoftmax_softmax_top_k(top->logits.c(), top->probabilities.c(), top->indices.c(), 1, SIMDSOFTMAX_OVER_ROW,
                                     &top->options);
  };
  operation.spoil = [top] { top->spoil(); };
  operation.max_ulp = [top] { return top->max_ulp(true); };
  return operation;
}

Operation argmax_operation(const SharedWorkload& work) {
  const auto top = std::make_shared<TopK>(work, 1);
  Operation operation = top_k_operation("argmax", top);
  operation.run = [top] {
    return simdsoftmax_argmax(top->logits.c(), top->probabilities.c(), top->indices.c(), 1, &top->options);
  };
  return operation;
}

// What users write: a softmax, and std::partial_sort of the columns by probability.
template <class T>
Operation sort_operation(const std::string& name, const std::shared_ptr<TopK>& top) {
  Operation operation(name, *top->work);
  operation.run = [top, softmax = plain_softmax(top->work).run,
                   columns = std::make_shared<std::vector<std::int64_t>>(top->work->shape.cols)] {
    const simdsoftmax_status status = softmax();
    const Workload& w = *top->work;
    for (std::size_t r = 0; r < w.shape.rows; ++r) {
      const T* row = static_cast<const T*>(w.output.get()) + r * w.shape.cols;
      sort_top(row, *columns, top->k);
      for (std::size_t i = 0; i < top->k; ++i) {
        top->probabilities.template as<T>()[r * top->k + i] = row[(*columns)[i]];
        top->indices.template as<std::int64_t>()[r * top->k + i] = (*columns)[i];
      }
    }
    return status;
  };
  operation.spoil = [top] { top->spoil(); };
  operation.max_ulp = [top] { return top->max_ulp(false); };
  return operation;
}

}  // namespace

Operations top_k_operations(const SharedWorkload& work) {
  Operations operations;
  operations.push_back(argmax_operation(work));
  for (const std::size_t k : {std::size_t{1}, std::size_t{8}, std::size_t{50}, std::size_t{1024}}) {
    if (k > work->shape.cols) continue;
    const auto top = std::make_shared<TopK>(work, k);
    const std::string sorted = "softmax_partial_sort_" + std::to_string(k);
    operations.push_back(top_k_operation("softmax_top_k_" + std::to_string(k), top));
    const bool f32 = work->out.dtype == SIMDSOFTMAX_F32;
    if (!f32 && work->out.dtype != SIMDSOFTMAX_F64) continue;  // sorting 16-bit words would take a decoder
    operations.back().label = sorted;
    operations.push_back(f32 ? sort_operation<float>(sorted, top) : sort_operation<double>(sorted, top));
  }
  return operations;
}

}  // namespace bench
