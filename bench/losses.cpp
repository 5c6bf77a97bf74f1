// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <stdexcept>

#include "operation.hpp"
#include "operator_reference.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

// f16 and bf16 logits have losses of their type.
struct Loss {
  SharedWorkload work;
  bool sparse;
  bool reduced;  // mean and gradient, as training takes them; else a loss for each row
  Tensor logits;
  Tensor labels;
  Tensor losses;
  Tensor grad_logits;
  simdsoftmax_cross_entropy_options loss_options;
  simdsoftmax_options options;

  Loss(const SharedWorkload& shared, bool with_classes, bool with_gradient)
      : work(shared),
        sparse(with_classes),
        reduced(with_gradient),
        logits(work->logits.get(), work->in.dtype, {work->shape.rows, work->shape.cols}),
        labels(sparse ? SIMDSOFTMAX_I64 : work->in.dtype, {work->shape.rows, sparse ? 1 : work->shape.cols}),
        losses(work->in.dtype, {reduced ? 1 : work->shape.rows, 1}),
        grad_logits(work->output.get(), work->out.dtype, {work->shape.rows, work->shape.cols}),
        loss_options(SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT),
        options(call_options(*work)) {
    sparse ? make_classes() : make_distributions();
    if (reduced) {
      loss_options.reduction = SIMDSOFTMAX_REDUCE_MEAN;
      loss_options.grad_logits = grad_logits.c();
    }
  }

  void make_classes() const {
    std::mt19937_64 random(2);
    std::uniform_int_distribution<std::int64_t> any_class(0, static_cast<std::int64_t>(work->shape.cols) - 1);
    for (std::size_t r = 0; r < work->shape.rows; ++r) labels.as<std::int64_t>()[r] = any_class(random);
  }

  void make_distributions() const {
    std::mt19937_64 random(3);
    std::uniform_real_distribution<double> uniform(0, 2.0 / static_cast<double>(work->shape.cols));
    for (std::size_t i = 0; i < work->size(); ++i) store(work->in, labels.data(), i, uniform(random));
  }

  simdsoftmax_status run() const {
    const auto function = sparse ? simdsoftmax_sparse_softmax_cross_entropy : simdsoftmax_softmax_cross_entropy;
    return function(logits.c(), labels.c(), losses.c(), 1, &loss_options, &options);
  }

  void spoil() const {
    losses.spoil();
    if (reduced) grad_logits.spoil();
  }

  long double label(std::size_t r, std::size_t c) const {
    if (!sparse) return load(work->in, labels.data(), r * work->shape.cols + c);
    return static_cast<std::size_t>(labels.as<std::int64_t>()[r]) == c ? 1 : 0;
  }

  // Of the losses as they are; of the gradient in units of the larger of its two terms.
  double max_ulp() const {
    const Workload& w = *work;
    RowReference row(w);
    const auto rows = static_cast<long double>(w.shape.rows);
    long double total = 0;
    double worst = 0;
    for (std::size_t r = 0; r < w.shape.rows; ++r) {
      load_row(w, r, row.z);
      row.compute();
      long double loss = 0;
      long double mass = 0;
      for (std::size_t c = 0; c < w.shape.cols; ++c) {
        loss -= label(r, c) * row.log_p(c);
        mass += label(r, c);
      }
      total += loss;
      if (!reduced) {
        worst = std::max(worst, ulp_error(w.in, load(w.in, losses.data(), r), loss));
        continue;
      }
      for (std::size_t c = 0; c < w.shape.cols; ++c) {
        const long double pull = row.p(c) * mass;
        const double value = load(w.out, grad_logits.data(), r * w.shape.cols + c);
        worst =
            std::max(worst, ulp_error(w.out, value, (pull - label(r, c)) / rows, std::max(pull, label(r, c)) / rows));
      }
    }
    return reduced ? std::max(worst, ulp_error(w.in, load(w.in, losses.data(), 0), total / rows)) : worst;
  }
};

Operation loss_operation(const char* name, const SharedWorkload& work, bool sparse, bool reduced) {
  const auto loss = std::make_shared<Loss>(work, sparse, reduced);
  Operation operation(name, *work);
  operation.run = [loss] { return loss->run(); };
  operation.spoil = [loss] { loss->spoil(); };
  operation.max_ulp = [loss] { return loss->max_ulp(); };
  return operation;
}

}  // namespace

Operations loss_operations(const SharedWorkload& work) {
  Operations operations;
  operations.push_back(loss_operation("softmax_cross_entropy", work, false, false));
  operations.push_back(loss_operation("softmax_cross_entropy_grad", work, false, true));
  operations.push_back(loss_operation("sparse_softmax_cross_entropy", work, true, false));
  operations.push_back(loss_operation("sparse_softmax_cross_entropy_grad", work, true, true));
  return operations;
}

}  // namespace bench
