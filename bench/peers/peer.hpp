// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_PEERS_PEER_HPP
#define SIMDSOFTMAX_BENCH_PEERS_PEER_HPP

#include <simdsoftmax/simdsoftmax.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

enum class Function { softmax, log_softmax, logsumexp };

// A function of dense logits along an axis; the result of logsumexp has no such axis.
struct Call {
  Function function;
  simdsoftmax_dtype dtype;  // of logits and output
  std::vector<std::size_t> dims;
  std::size_t axis;
  const void* logits;
  void* output;
  int threads;

  std::size_t cols() const { return dims[axis]; }
  // How many times the axis repeats after it, and before it.
  std::size_t inner() const { return product(axis + 1, dims.size()); }
  std::size_t outer() const { return product(0, axis); }
  std::size_t size() const { return product(0, dims.size()); }

 private:
  std::size_t product(std::size_t first, std::size_t last) const {
    std::size_t result = 1;
    for (std::size_t d = first; d < last; ++d) result *= dims[d];
    return result;
  }
};

// Something that users could take instead of this library. Every file of this folder is a module that the benchmark
// loads; it exports one of these under the name below.
struct Peer {
  const char* name;
  // Which release it is; may name the thing that it comes with.
  std::string (*version)();
  // Called before anything else: use no instructions beyond this ISA, which may be the best of this CPU. False where
  // that cannot be had.
  bool (*limit_isa)(const std::string& isa, bool best);
  // Everything that can be done ahead of time; an empty function where the peer has no such call. May throw.
  std::function<void()> (*prepare)(const Call& call);
};

// For those that choose their instructions by themselves, without any say.
inline bool only_best_isa(const std::string&, bool best) { return best; }

}  // namespace bench

// What a module defines.
extern "C" const bench::Peer simdsoftmax_bench_peer;

#endif
