// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "benchmarks.hpp"
#include "operator_reference.hpp"
#include "peers/peer.hpp"
#include "tensor.hpp"

namespace bench {
namespace {

// Rows that are checked are spread over the tensor and hold this many elements.
constexpr std::size_t most_elements_to_check = std::size_t{1} << 20;

constexpr const char* function_names[] = {"softmax", "log_softmax", "logsumexp"};

Function function_from_name(const std::string& name) {
  const auto* const found = std::find(std::begin(function_names), std::end(function_names), name);
  if (found == std::end(function_names)) {
    throw std::invalid_argument("--function: '" + name + "' is none of softmax, log_softmax, logsumexp");
  }
  return static_cast<Function>(found - std::begin(function_names));
}

// One call of the workload, whoever executes it.
struct Problem {
  SharedWorkload work;
  Call call;
  std::string shape;
  Tensor logits;
  Tensor output;
  simdsoftmax_options options;

  Problem(const SharedWorkload& shared, Function function, std::string text, std::vector<std::size_t> dims,
          std::size_t axis)
      : work(shared),
        call{function, work->in.dtype, dims, axis, work->logits.get(), work->output.get(), work->threads},
        shape(std::move(text)),
        logits(work->logits.get(), work->in.dtype, dims),
        output(work->output.get(), work->out.dtype, result_dims(function, dims, axis)),
        options(call_options(*work)) {}

  static std::vector<std::size_t> result_dims(Function function, std::vector<std::size_t> dims, std::size_t axis) {
    if (function == Function::logsumexp) dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
    return dims;
  }

  simdsoftmax_status run() const {
    const auto axis = static_cast<std::int32_t>(call.axis);
    switch (call.function) {
      case Function::log_softmax:
        return simdsoftmax_log_softmax(logits.c(), output.c(), axis, &options);
      case Function::logsumexp:
        return simdsoftmax_logsumexp(logits.c(), output.c(), axis, &options);
      default:
        return simdsoftmax_softmax(logits.c(), output.c(), axis, &options);
    }
  }

  double max_ulp() const {
    const Workload& w = *work;
    RowReference row(w);
    row.z.resize(call.cols());
    const std::size_t rows = call.size() / call.cols();
    const std::size_t step = std::max<std::size_t>(1, call.size() / most_elements_to_check);
    double worst = 0;
    for (std::size_t r = 0; r < rows; r += step) {
      const std::size_t begin = r / call.inner() * call.cols() * call.inner() + r % call.inner();
      for (std::size_t c = 0; c < call.cols(); ++c) row.z[c] = load(w.in, call.logits, begin + c * call.inner());
      row.compute();
      if (call.function == Function::logsumexp) {
        worst = std::max(worst, error(r, row.logsumexp(), std::fabs(row.logsumexp())));
        continue;
      }
      const auto expected = [&](std::size_t c) { return call.function == Function::softmax ? row.p(c) : row.log_p(c); };
      long double largest = 0;
      for (std::size_t c = 0; c < call.cols(); ++c) largest = std::max(largest, std::fabs(expected(c)));
      for (std::size_t c = 0; c < call.cols(); ++c) {
        worst = std::max(worst, error(begin + c * call.inner(), expected(c), largest));
      }
    }
    return worst;
  }

  // What is off by more than 1/16 of the largest number in the row is no result, and counts as infinitely wrong.
  double error(std::size_t index, long double expected, long double largest) const {
    const double value = load(work->out, call.output, index);
    if (!(std::fabs(value - expected) <= largest / 16)) return std::numeric_limits<double>::infinity();
    return ulp_error(work->out, value, expected);
  }
};

Operation operation_of(const std::shared_ptr<const Problem>& problem, const std::string& name) {
  Operation operation(name, *problem->work);
  operation.spoil = [problem] { problem->output.spoil(); };
  operation.max_ulp = [problem] { return problem->max_ulp(); };
  return operation;
}

Operation own_operation(const std::shared_ptr<const Problem>& problem) {
  Operation operation = operation_of(problem, "simdsoftmax");
  operation.label = simdsoftmax_version();
  operation.run = [problem] { return problem->run(); };
  return operation;
}

// One that computes nothing but what it was prepared for.
Operation peer_operation(const std::shared_ptr<const Problem>& problem, const Peer& peer, std::function<void()> run) {
  Operation operation = operation_of(problem, peer.name);
  operation.label = peer.version();
  operation.limit = std::numeric_limits<double>::max();
  operation.run = [run = std::move(run)] {
    run();
    return SIMDSOFTMAX_OK;
  };
  return operation;
}

const Peer& load_peer(const std::string& path) {
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) throw std::runtime_error(dlerror());
  const void* const peer = dlsym(module, "simdsoftmax_bench_peer");
  if (peer == nullptr) throw std::runtime_error(path + " is no peer");
  return *static_cast<const Peer*>(peer);
}

bool is_best(const std::string& isa) {
  simdsoftmax_isa_info info;
  std::string best;
  for (std::size_t i = 0; i < simdsoftmax_isa_count(); ++i) {
    if (simdsoftmax_isa_query(i, &info) == SIMDSOFTMAX_OK && info.compiled != 0 && info.supported != 0)
      best = info.name;
  }
  return isa == best;
}

std::shared_ptr<const Problem> make_problem(const Options& options, const std::string& shape,
                                            const std::vector<std::size_t>& dims, std::size_t axis) {
  const std::size_t rows = std::accumulate(dims.begin(), dims.end(), std::size_t{1}, std::multiplies<>()) / dims[axis];
  return std::make_shared<const Problem>(std::make_shared<Workload>(options, Shape{rows, dims[axis]}),
                                         function_from_name(options.function), shape, dims, axis);
}

}  // namespace

void add_peers(const Options& options) {
  const std::string& isa = options.isas.back();
  std::vector<const Peer*> peers;
  for (const std::string& path : options.peers) {
    const Peer& peer = load_peer(path);
    if (peer.limit_isa(isa, is_best(isa))) peers.push_back(&peer);
  }
  std::vector<std::shared_ptr<const Problem>> problems;
  for (const Shape& shape : options.shapes) {
    const std::string text = std::to_string(shape.rows) + "x" + std::to_string(shape.cols);
    problems.push_back(make_problem(options, text, {shape.rows, shape.cols}, 1));
  }
  for (const TensorShape& tensor : options.tensors) {
    problems.push_back(make_problem(options, tensor.text, tensor.dims, static_cast<std::size_t>(tensor.axis)));
  }
  const std::string family = "peers:" + options.function;
  for (const auto& problem : problems) {
    add_copies(problem->work, problem->shape);
    add_operation(problem->work, family, problem->shape, isa, own_operation(problem));
    for (const Peer* peer : peers) {
      if (auto run = peer->prepare(problem->call)) {
        add_operation(problem->work, family, problem->shape, isa, peer_operation(problem, *peer, std::move(run)));
      }
    }
  }
}

}  // namespace bench
