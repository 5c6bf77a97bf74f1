// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "operation.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

// The rows in as many parts as there are threads, each by a call that stays on its thread.
simdsoftmax_status share_rows(const Workload& w, int threads) {
  simdsoftmax_options options = call_options(w);
  options.num_threads = 1;
  const auto parts = static_cast<std::size_t>(threads);
  const std::size_t cols = w.shape.cols;
  const auto stride = static_cast<std::ptrdiff_t>(cols);
  int worst = SIMDSOFTMAX_OK;
  const auto run_part = [&](std::size_t part) {
    const std::size_t begin = w.shape.rows * part / parts;
    const std::size_t rows = w.shape.rows * (part + 1) / parts - begin;
    const char* const x = static_cast<const char*>(w.logits.get()) + begin * cols * w.in.size;
    char* const y = static_cast<char*>(w.output.get()) + begin * cols * w.out.size;
    return static_cast<int>(
        simdsoftmax_softmax_rows(x, w.in.dtype, stride, y, w.out.dtype, stride, rows, cols, &options));
  };
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static) reduction(max : worst) if (threads > 1)
#endif
  for (std::size_t part = 0; part < parts; ++part) worst = std::max(worst, run_part(part));
  return static_cast<simdsoftmax_status>(worst);
}

Operation sharing(const SharedWorkload& work, const char* name, int threads) {
  Operation operation = plain_softmax(work);
  operation.name = name;
  operation.run = [work, threads] { return share_rows(*work, threads); };
  return operation;
}

}  // namespace

Operations thread_operations(const SharedWorkload& work) {
  const simdsoftmax_options options = call_options(*work);
  simdsoftmax_plan plan;
  const simdsoftmax_status status =
      simdsoftmax_plan_rows(work->in.dtype, work->out.dtype, work->shape.rows, work->shape.cols, 0, &options, &plan);
  Operations operations = {sharing(work, "one_thread", 1), sharing(work, "shared", work->threads)};
  const char* const picked = status == SIMDSOFTMAX_OK && plan.num_threads > 1 ? "shared" : "one_thread";
  for (Operation& operation : operations) operation.label = picked;
  return operations;
}

}  // namespace bench
