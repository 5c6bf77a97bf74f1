// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_PEERS_INSTRUCTIONS_HPP
#define SIMDSOFTMAX_BENCH_PEERS_INSTRUCTIONS_HPP

#include <cstddef>
#include <string>

// For peers that are compiled with the benchmark, once for each ISA: SIMDSOFTMAX_PEER_ISA is its name.
namespace peer {

inline bool is_compiled_isa(const std::string& isa, bool) { return isa == SIMDSOFTMAX_PEER_ISA; }

template <class Body>
void for_each([[maybe_unused]] int threads, std::size_t count, Body body) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
#endif
  for (std::size_t i = 0; i < count; ++i) body(i);
}

}  // namespace peer

#endif
