// SPDX-License-Identifier: Apache-2.0
#include "isa/cpu.hpp"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace simdsoftmax::detail {

#if defined(__x86_64__)

namespace {

constexpr bool all_set(std::uint32_t bits, std::uint32_t wanted) { return (bits & wanted) == wanted; }
constexpr std::uint32_t bit(int n) { return std::uint32_t{1} << n; }

// Intel SDM volume 1, chapters 14 and 15: the feature bits count only if XCR0 says that the state is saved.
struct Features {
  bool avx2 = false;
  bool avx512 = false;

  Features() {
    std::uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return;
    constexpr std::uint32_t fma = bit(12), osxsave = bit(27), avx = bit(28), f16c = bit(29);
    if (!all_set(ecx, fma | osxsave | avx | f16c)) return;

    std::uint32_t xcr0, xcr0_high;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(xcr0_high) : "c"(0));
    constexpr std::uint32_t sse_state = bit(1), avx_state = bit(2);
    constexpr std::uint32_t opmask = bit(5), zmm_low = bit(6), zmm_high = bit(7);
    if (!all_set(xcr0, sse_state | avx_state)) return;

    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return;
    avx2 = all_set(ebx, bit(5));
    constexpr std::uint32_t f = bit(16), dq = bit(17), cd = bit(28), bw = bit(30), vl = std::uint32_t{1} << 31;
    avx512 = avx2 && all_set(ebx, f | dq | cd | bw | vl) && all_set(xcr0, opmask | zmm_low | zmm_high);
  }
};

const Features& features() {
  static const Features found;
  return found;
}

}  // namespace

bool cpu_has_sse2() { return true; }
bool cpu_has_avx2() { return features().avx2; }
bool cpu_has_avx512() { return features().avx512; }
bool cpu_has_neon() { return false; }

#else

bool cpu_has_sse2() { return false; }
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
#if defined(__aarch64__)
bool cpu_has_neon() { return true; }
#else
bool cpu_has_neon() { return false; }
#endif

#endif

}  // namespace simdsoftmax::detail
