// SPDX-License-Identifier: Apache-2.0
#include "isa/registry.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "isa/cpu.hpp"

namespace simdsoftmax::detail {

// Tables are declared by the build's list of ISAs; absent ones are null.
#if defined(SIMDSOFTMAX_HAVE_SSE2)
extern const KernelTable sse2_kernels;
#endif
#if defined(SIMDSOFTMAX_HAVE_AVX2)
extern const KernelTable avx2_kernels;
#endif
#if defined(SIMDSOFTMAX_HAVE_AVX512)
extern const KernelTable avx512_kernels;
#endif
#if defined(SIMDSOFTMAX_HAVE_NEON)
extern const KernelTable neon_kernels;
#endif

namespace {

struct KnownIsa {
  const char* name;
  const KernelTable* kernels;
  bool (*supported)();
};

constexpr KnownIsa known[isa_count] = {
#if defined(SIMDSOFTMAX_HAVE_SSE2)
    {"sse2", &sse2_kernels, cpu_has_sse2},
#else
    {"sse2", nullptr, cpu_has_sse2},
#endif
#if defined(SIMDSOFTMAX_HAVE_AVX2)
    {"avx2", &avx2_kernels, cpu_has_avx2},
#else
    {"avx2", nullptr, cpu_has_avx2},
#endif
#if defined(SIMDSOFTMAX_HAVE_AVX512)
    {"avx512", &avx512_kernels, cpu_has_avx512},
#else
    {"avx512", nullptr, cpu_has_avx512},
#endif
#if defined(SIMDSOFTMAX_HAVE_NEON)
    {"neon", &neon_kernels, cpu_has_neon},
#else
    {"neon", nullptr, cpu_has_neon},
#endif
};

constexpr KernelTable no_kernels_unknown = {};
constexpr KernelTable no_kernels_not_compiled = {};

// Null until the first use. The two empty tables above stand for an error, so that one pointer tells everything.
std::atomic<const KernelTable*> active{nullptr};

const KernelTable* best_up_to(std::size_t last) {
  const KernelTable* best = nullptr;
  for (std::size_t i = 0; i <= last; ++i) {
    if (known[i].kernels != nullptr && known[i].supported()) best = known[i].kernels;
  }
  return best;
}

const KernelTable* choose(const char* cap) {
  if (cap == nullptr) return best_up_to(isa_count - 1);
  for (std::size_t i = 0; i < isa_count; ++i) {
    if (std::strcmp(known[i].name, cap) == 0) {
      return known[i].kernels != nullptr ? best_up_to(i) : &no_kernels_not_compiled;
    }
  }
  return &no_kernels_unknown;
}

// An empty variable is as good as none.
const char* cap_of_environment() {
  const char* const cap = std::getenv("SIMDSOFTMAX_ISA");
  return cap != nullptr && *cap != '\0' ? cap : nullptr;
}

ActiveKernels explained(const KernelTable* chosen) {
  if (chosen == &no_kernels_unknown) return {nullptr, IsaError::unknown};
  if (chosen == &no_kernels_not_compiled) return {nullptr, IsaError::not_compiled};
  return {chosen, IsaError::none};
}

}  // namespace

Isa isa_at(std::size_t index) {
  const KnownIsa& isa = known[index];
  return {isa.name, isa.kernels, isa.supported()};
}

const KernelTable* find_kernels(const char* isa) {
  for (const KnownIsa& k : known) {
    if (std::strcmp(k.name, isa) == 0) return k.kernels != nullptr && k.supported() ? k.kernels : nullptr;
  }
  return nullptr;
}

ActiveKernels active_kernels() {
  const KernelTable* chosen = active.load(std::memory_order_acquire);
  if (chosen == nullptr) {
    const KernelTable* const fresh = choose(cap_of_environment());
    // A cap set meanwhile by another thread stays.
    if (active.compare_exchange_strong(chosen, fresh, std::memory_order_acq_rel)) chosen = fresh;
  }
  return explained(chosen);
}

IsaError cap_isa(const char* name) {
  const KernelTable* const chosen = choose(name != nullptr ? name : cap_of_environment());
  const ActiveKernels result = explained(chosen);
  if (name == nullptr || result.error == IsaError::none) active.store(chosen, std::memory_order_release);
  return name == nullptr ? IsaError::none : result.error;
}

}  // namespace simdsoftmax::detail
