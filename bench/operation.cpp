// SPDX-License-Identifier: Apache-2.0
#include "operation.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "benchmarks.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

bool select_isa(const std::string& isa) {
  simdsoftmax_plan plan;
  return simdsoftmax_cap_isa(isa.c_str()) == SIMDSOFTMAX_OK &&
         simdsoftmax_plan_rows(SIMDSOFTMAX_F32, SIMDSOFTMAX_F32, 1, 1, 0, nullptr, &plan) == SIMDSOFTMAX_OK &&
         plan.isa == isa;
}

struct Timing {
  SharedWorkload work;
  std::shared_ptr<const Operation> operation;
  std::string isa;
  std::optional<double> max_ulp;

  void operator()(benchmark::State& state) {
    if (!select_isa(isa)) return state.SkipWithError("the ISA is not in use");
    if (!max_ulp) {
      operation->spoil();
      const simdsoftmax_status status = operation->run();
      if (status != SIMDSOFTMAX_OK) return state.SkipWithError(simdsoftmax_status_text(status));
      max_ulp = operation->max_ulp();
    }
    if (!accept_error(state, operation->limit, *max_ulp)) return;
    for (auto _ : state) {
      benchmark::DoNotOptimize(operation->run());
      benchmark::ClobberMemory();
    }
    count_elements(state, *work);
    state.SetLabel(operation->label);
  }
};

}  // namespace

simdsoftmax_options call_options(const Workload& work) {
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  options.num_threads = work.threads;
  return options;
}

void add_operation(const SharedWorkload& work, const std::string& family, const std::string& shape,
                   const std::string& isa, Operation operation) {
  const auto shared = std::make_shared<const Operation>(std::move(operation));
  add_benchmark(*work, family, shape, isa, shared->name, Timing{work, shared, isa, {}});
}

Operation plain_softmax(const SharedWorkload& work) {
  Operation operation("softmax", *work);
  operation.run = [work] {
    const simdsoftmax_options options = call_options(*work);
    const auto stride = static_cast<std::ptrdiff_t>(work->shape.cols);
    return simdsoftmax_softmax_rows(work->logits.get(), work->in.dtype, stride, work->output.get(), work->out.dtype,
                                    stride, work->shape.rows, work->shape.cols, &options);
  };
  operation.spoil = [work] { Tensor(work->output.get(), work->out.dtype, {work->size()}).spoil(); };
  operation.max_ulp = [work] { return work->max_ulp(work->output.get()); };
  return operation;
}

namespace {

// Registers SUITE/TYPES/SHAPE/ISA/NAME for each ISA; the label is the baseline.
void add_operations(const SharedWorkload& work, const Options& options, const std::string& shape,
                    Operations operations) {
  operations.insert(operations.begin(), plain_softmax(work));
  for (const std::string& isa : options.isas) {
    for (const Operation& operation : operations) add_operation(work, options.suite, shape, isa, operation);
  }
}

struct Suite {
  const char* name;
  Operations (*operations)(const SharedWorkload& work);
};

constexpr Suite suites[] = {{"functions", function_operations}, {"pre_ops", pre_op_operations},
                            {"positions", position_operations}, {"losses", loss_operations},
                            {"top_k", top_k_operations},        {"row_state", row_state_operations},
                            {"threads", thread_operations}};

}  // namespace

void add_suite(const Options& options) {
  for (const TensorShape& tensor : options.tensors) {
    const std::size_t cols = tensor.dims[static_cast<std::size_t>(tensor.axis)];
    const auto elements = std::accumulate(tensor.dims.begin(), tensor.dims.end(), std::size_t{1}, std::multiplies<>());
    const auto work = std::make_shared<Workload>(options, Shape{elements / cols, cols});
    add_operations(work, options, tensor.text, axis_operations(work, tensor));
  }
  const auto* const suite = std::find_if(std::begin(suites), std::end(suites),
                                         [&options](const Suite& s) { return options.suite == s.name; });
  if (suite == std::end(suites)) {
    if (options.suite == axes_suite) return;
    throw std::invalid_argument("--suite: there is no '" + options.suite + "'");
  }
  for (const Shape& shape : options.shapes) {
    const auto work = std::make_shared<Workload>(options, shape);
    add_operations(work, options, std::to_string(shape.rows) + "x" + std::to_string(shape.cols),
                   suite->operations(work));
  }
}

}  // namespace bench
