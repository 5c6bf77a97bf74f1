// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "benchmarks.hpp"
#include "isa/registry.hpp"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace bench {
namespace {

constexpr std::size_t l1_elements = 4096;

// Without OpenMP the library runs on one thread too, so the ratios stay comparable.
template <class Body>
void parallel_for([[maybe_unused]] int threads, std::size_t count, Body body) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
#endif
  for (std::size_t i = 0; i < count; ++i) body(i);
}

using Copy = void(void* to, const void* from, std::size_t bytes);

void cached_copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

#ifdef __SSE2__
void streaming_copy(void* to, const void* from, std::size_t bytes) {
  const std::size_t vectors = bytes / sizeof(__m128i);
  for (std::size_t i = 0; i < vectors; ++i) {
    _mm_stream_si128(static_cast<__m128i*>(to) + i, _mm_loadu_si128(static_cast<const __m128i*>(from) + i));
  }
  _mm_sfence();
  const std::size_t done = vectors * sizeof(__m128i);
  std::memcpy(static_cast<char*>(to) + done, static_cast<const char*>(from) + done, bytes - done);
}
#endif

void time_copy(benchmark::State& state, const Workload& work, Copy* copy) {
  const std::size_t bytes = work.bytes() / 2;
  const Buffer from = allocate(bytes, 1);
  const Buffer to = allocate(bytes, 1);
  const auto slices = static_cast<std::size_t>(work.threads);
  for (auto _ : state) {
    parallel_for(work.threads, slices, [&](std::size_t i) {
      const std::size_t begin = bytes / slices / 64 * 64 * i;
      const std::size_t end = i + 1 == slices ? bytes : begin + bytes / slices / 64 * 64;
      copy(static_cast<char*>(to.get()) + begin, static_cast<const char*>(from.get()) + begin, end - begin);
      benchmark::ClobberMemory();
    });
  }
  count_elements(state, work);
}

void time_exp_only(benchmark::State& state, const Workload& work, const simdsoftmax::detail::PassTable& passes) {
  const std::size_t block = std::min(work.size(), l1_elements);
  const Buffer logits = seeded_logits(*find_element_type("f32"), block);
  const auto* x = static_cast<const float*>(logits.get());
  const float max = passes.max(x, block);
  const std::size_t blocks = (work.size() + block - 1) / block;
  for (auto _ : state) {
    parallel_for(work.threads, blocks, [&](std::size_t i) {
      benchmark::DoNotOptimize(passes.exp_sum(x, std::min(block, work.size() - i * block), max));
    });
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(work.size()));
}

}  // namespace

void add_memcpy(const SharedWorkload& work) {
  add_benchmark(work, "limit", "any", "memcpy",
                [work](benchmark::State& state) { time_copy(state, *work, cached_copy); });
}

void add_copies(const SharedWorkload& work, const std::string& shape) {
  const auto add = [&](const char* name, Copy* copy) {
    add_benchmark(*work, "limit", shape, "any", name,
                  [work, copy](benchmark::State& state) { time_copy(state, *work, copy); });
  };
  add("memcpy", cached_copy);
#ifdef __SSE2__
  add("nt_copy", streaming_copy);
#endif
}

void add_exp_only(const SharedWorkload& work, const std::string& isa) {
  const auto* kernels = simdsoftmax::detail::find_kernels(isa.c_str());
  if (work->in.dtype == SIMDSOFTMAX_F64 || kernels == nullptr) return;
  add_benchmark(work, "limit", isa, "exp_only",
                [work, kernels](benchmark::State& state) { time_exp_only(state, *work, kernels->passes); });
}

}  // namespace bench
