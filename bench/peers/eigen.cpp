// SPDX-License-Identifier: Apache-2.0
// Softmax as its formula is written with Eigen's arrays, compiled for the ISA of the module.
#include <Eigen/Core>

#include "instructions.hpp"
#include "peer.hpp"

namespace {

using bench::Call;
using bench::Function;

template <class T>
using Row = Eigen::Array<T, 1, Eigen::Dynamic>;
template <class T>
using Matrix = Eigen::Array<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
void run_row(const Call& call, std::size_t r) {
  const auto cols = static_cast<Eigen::Index>(call.cols());
  const Eigen::Map<const Row<T>> x(static_cast<const T*>(call.logits) + r * call.cols(), cols);
  T* const out = static_cast<T*>(call.output);
  const T max = x.maxCoeff();
  if (call.function == Function::logsumexp) {
    out[r] = max + std::log((x - max).exp().sum());
    return;
  }
  Eigen::Map<Row<T>> y(out + r * call.cols(), cols);
  if (call.function == Function::log_softmax) {
    y = x - (max + std::log((x - max).exp().sum()));
  } else {
    y = (x - max).exp();
    y *= 1 / y.sum();
  }
}

// Softmax along the first axis of a matrix.
template <class T>
void run_columns(const Call& call, std::size_t i) {
  const auto cols = static_cast<Eigen::Index>(call.cols());
  const auto inner = static_cast<Eigen::Index>(call.inner());
  const std::size_t begin = i * call.cols() * call.inner();
  const Eigen::Map<const Matrix<T>> x(static_cast<const T*>(call.logits) + begin, cols, inner);
  Eigen::Map<Matrix<T>> y(static_cast<T*>(call.output) + begin, cols, inner);
  const Row<T> max = x.colwise().maxCoeff();
  y = (x.rowwise() - max).exp();
  const Row<T> factor = y.colwise().sum().inverse();
  y.rowwise() *= factor;
}

template <class T>
std::function<void()> prepare_for(const Call& call) {
  if (call.inner() == 1) {
    return [call] { peer::for_each(call.threads, call.outer(), [&call](std::size_t r) { run_row<T>(call, r); }); };
  }
  if (call.function != Function::softmax) return {};
  return [call] { peer::for_each(call.threads, call.outer(), [&call](std::size_t i) { run_columns<T>(call, i); }); };
}

std::function<void()> prepare(const Call& call) {
  if (call.dtype == SIMDSOFTMAX_F32) return prepare_for<float>(call);
  if (call.dtype == SIMDSOFTMAX_F64) return prepare_for<double>(call);
  return {};
}

std::string version() {
  return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
         std::to_string(EIGEN_MINOR_VERSION);
}

}  // namespace

const bench::Peer simdsoftmax_bench_peer = {"Eigen", version, peer::is_compiled_isa, prepare};
