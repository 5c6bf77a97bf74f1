// SPDX-License-Identifier: Apache-2.0
// Recent releases of XNNPACK have no installed headers but their functions are exported by ExecuTorch, so what is used
// of them is declared here.
#include <memory>
#include <stdexcept>

#include "peer.hpp"

extern "C" {
struct xnn_operator;
struct pthreadpool;
int xnn_initialize(const void* allocator);
int xnn_create_softmax_nc_f32(std::uint32_t flags, xnn_operator** created);
int xnn_create_softmax_nc_f16(std::uint32_t flags, xnn_operator** created);
int xnn_reshape_softmax_nc_f32(xnn_operator* softmax, std::size_t channels, std::size_t input_stride,
                               std::size_t output_stride, std::size_t batch, pthreadpool* pool);
int xnn_reshape_softmax_nc_f16(xnn_operator* softmax, std::size_t channels, std::size_t input_stride,
                               std::size_t output_stride, std::size_t batch, pthreadpool* pool);
int xnn_setup_softmax_nc_f32(xnn_operator* softmax, const float* input, float* output);
int xnn_setup_softmax_nc_f16(xnn_operator* softmax, const void* input, void* output);
int xnn_run_operator(xnn_operator* op, pthreadpool* pool);
int xnn_delete_operator(xnn_operator* op);
pthreadpool* pthreadpool_create(std::size_t threads);
void pthreadpool_destroy(pthreadpool* pool);
}

namespace {

using bench::Call;
using bench::Function;

void check(int status) {
  if (status != 0) throw std::runtime_error("XNNPACK: status " + std::to_string(status));
}

class Softmax {
 public:
  explicit Softmax(const Call& call) {
    check(xnn_initialize(nullptr));
    if (call.threads > 1) pool_.reset(pthreadpool_create(static_cast<std::size_t>(call.threads)));
    const bool f32 = call.dtype == SIMDSOFTMAX_F32;
    xnn_operator* created = nullptr;
    check((f32 ? xnn_create_softmax_nc_f32 : xnn_create_softmax_nc_f16)(0, &created));
    operator_.reset(created);
    check((f32 ? xnn_reshape_softmax_nc_f32 : xnn_reshape_softmax_nc_f16)(created, call.cols(), call.cols(),
                                                                          call.cols(), call.outer(), pool_.get()));
    check(f32 ? xnn_setup_softmax_nc_f32(created, static_cast<const float*>(call.logits),
                                         static_cast<float*>(call.output))
              : xnn_setup_softmax_nc_f16(created, call.logits, call.output));
  }

  void run() const { check(xnn_run_operator(operator_.get(), pool_.get())); }

 private:
  struct Delete {
    void operator()(xnn_operator* op) const { xnn_delete_operator(op); }
    void operator()(pthreadpool* pool) const { pthreadpool_destroy(pool); }
  };
  std::unique_ptr<pthreadpool, Delete> pool_;
  std::unique_ptr<xnn_operator, Delete> operator_;
};

std::function<void()> prepare(const Call& call) {
  if (call.function != Function::softmax || call.inner() != 1) return {};
  if (call.dtype != SIMDSOFTMAX_F32 && call.dtype != SIMDSOFTMAX_F16) return {};
  const auto softmax = std::make_shared<const Softmax>(call);
  return [softmax] { softmax->run(); };
}

std::string version() { return SIMDSOFTMAX_PEER_VERSION; }

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"XNNPACK", version, bench::only_best_isa, prepare};
