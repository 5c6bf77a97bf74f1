// SPDX-License-Identifier: Apache-2.0
#include <ggml-cpu.h>
#include <ggml.h>

#include <memory>
#include <stdexcept>

#include "peer.hpp"

namespace {

using bench::Call;
using bench::Function;

// A graph of one node on the memory of the caller.
class Softmax {
 public:
  explicit Softmax(const Call& call) {
    constexpr std::size_t nodes = 8;
    context_.reset(
        ggml_init({nodes * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes, false), nullptr, true}));
    ggml_context* const context = context_.get();
    ggml_tensor* const logits = ggml_new_tensor_2d(context, GGML_TYPE_F32, static_cast<std::int64_t>(call.cols()),
                                                   static_cast<std::int64_t>(call.outer()));
    logits->data = const_cast<void*>(call.logits);
    ggml_tensor* const output = ggml_soft_max(context, logits);
    output->data = call.output;
    graph_ = ggml_new_graph_custom(context, nodes, false);
    ggml_build_forward_expand(graph_, output);
    if (call.threads > 1) {
      ggml_threadpool_params threads = ggml_threadpool_params_default(call.threads);
      pool_.reset(ggml_threadpool_new(&threads));
    }
    plan_ = ggml_graph_plan(graph_, call.threads, pool_.get());
    work_.resize(plan_.work_size);
    plan_.work_data = work_.data();
  }

  void run() {
    if (ggml_graph_compute(graph_, &plan_) != GGML_STATUS_SUCCESS) throw std::runtime_error("ggml failed");
  }

 private:
  struct Delete {
    void operator()(ggml_context* context) const { ggml_free(context); }
    void operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }
  };
  std::unique_ptr<ggml_context, Delete> context_;
  std::unique_ptr<ggml_threadpool, Delete> pool_;
  ggml_cgraph* graph_ = nullptr;
  ggml_cplan plan_ = {};
  std::vector<std::uint8_t> work_;
};

std::function<void()> prepare(const Call& call) {
  if (call.function != Function::softmax || call.inner() != 1 || call.dtype != SIMDSOFTMAX_F32) return {};
  ggml_cpu_init();
  const auto softmax = std::make_shared<Softmax>(call);
  return [softmax] { softmax->run(); };
}

std::string version() { return ggml_version(); }

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"ggml", version, bench::only_best_isa, prepare};
