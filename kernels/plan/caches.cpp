// SPDX-License-Identifier: Apache-2.0
#include "plan/caches.hpp"

#include <unistd.h>

namespace simdsoftmax::detail {

namespace {

std::size_t known_or(long bytes, std::size_t otherwise) {
  return bytes > 0 ? static_cast<std::size_t>(bytes) : otherwise;
}

CacheSizes ask_system() {
  constexpr std::size_t usual_l2 = std::size_t{1} << 20;
  constexpr std::size_t usual_last_level = std::size_t{16} << 20;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const std::size_t l2 = known_or(sysconf(_SC_LEVEL2_CACHE_SIZE), usual_l2);
  const std::size_t l3 = known_or(sysconf(_SC_LEVEL3_CACHE_SIZE), usual_last_level);
#else
  const std::size_t l2 = usual_l2;
  const std::size_t l3 = usual_last_level;
#endif
  return {l2, l3 > l2 ? l3 : l2};
}

}  // namespace

CacheSizes machine_caches() {
  static const CacheSizes caches = ask_system();
  return caches;
}

}  // namespace simdsoftmax::detail
