// SPDX-License-Identifier: Apache-2.0
#include "parallel/rows.hpp"

#include "parallel/float_environment.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace simdsoftmax::detail {

namespace {

void run_alone(Kernel kernel, const void* task, std::size_t first, std::size_t last) {
  const FloatEnvironment environment;
  kernel(task, first, last, Team{0, 1, nullptr, nullptr});
}

#if defined(_OPENMP)

void team_barrier(){
#pragma omp barrier
}

// begin(i) of n things cut into `parts` nearly equal runs; n * parts may exceed size_t.
std::size_t share(std::size_t n, std::size_t i, std::size_t parts) {
  return n / parts * i + n % parts * i / parts;
}

void run_whole_units(Kernel kernel, const void* task, std::size_t units, int threads) {
#pragma omp parallel num_threads(threads)
  {
    const auto index = static_cast<std::size_t>(omp_get_thread_num());
    const auto count = static_cast<std::size_t>(omp_get_num_threads());
    const std::size_t first = share(units, index, count);
    const std::size_t last = share(units, index + 1, count);
    if (first < last) run_alone(kernel, task, first, last);
  }
}

void run_split_units(Kernel kernel, const void* task, std::size_t units, int threads) {
  TeamBoard board;
#pragma omp parallel num_threads(threads) shared(board)
  {
    const FloatEnvironment environment;
    kernel(task, 0, units, Team{omp_get_thread_num(), omp_get_num_threads(), &board, team_barrier});
  }
}

#endif

}  // namespace

void run_rows(Kernel kernel, const void* task, std::size_t units, const Plan& plan) {
#if defined(_OPENMP)
  if (plan.threads > 1 && plan.split_rows) return run_split_units(kernel, task, units, plan.threads);
  if (plan.threads > 1) return run_whole_units(kernel, task, units, plan.threads);
#else
  static_cast<void>(plan);
#endif
  run_alone(kernel, task, 0, units);
}

#if defined(_OPENMP)
int granted_threads(int wanted) {
  if (omp_in_parallel()) return 1;
  return wanted == 0 ? omp_get_max_threads() : wanted;
}
bool has_openmp() { return true; }
#else
int granted_threads(int) { return 1; }
bool has_openmp() { return false; }
#endif

}  // namespace simdsoftmax::detail
