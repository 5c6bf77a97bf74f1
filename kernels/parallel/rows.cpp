// SPDX-License-Identifier: Apache-2.0
#include "parallel/rows.hpp"

#include "parallel/float_environment.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace simdsoftmax::detail {

namespace {

void run_alone(const RowsTask& task, std::size_t first, std::size_t last, RowsKernel kernel) {
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

void run_whole_rows(const RowsTask& task, std::size_t rows, RowsKernel kernel, int threads) {
#pragma omp parallel num_threads(threads)
  {
    const auto index = static_cast<std::size_t>(omp_get_thread_num());
    const auto count = static_cast<std::size_t>(omp_get_num_threads());
    const std::size_t first = share(rows, index, count);
    const std::size_t last = share(rows, index + 1, count);
    if (first < last) run_alone(task, first, last, kernel);
  }
}

void run_split_rows(const RowsTask& task, std::size_t rows, RowsKernel kernel, int threads) {
  TeamBoard board;
#pragma omp parallel num_threads(threads) shared(board)
  {
    const FloatEnvironment environment;
    kernel(task, 0, rows, Team{omp_get_thread_num(), omp_get_num_threads(), &board, team_barrier});
  }
}

#endif

}  // namespace

void run_rows(const RowsTask& task, std::size_t rows, RowsKernel kernel, const Plan& plan) {
#if defined(_OPENMP)
  if (plan.threads > 1 && plan.split_rows) return run_split_rows(task, rows, kernel, plan.threads);
  if (plan.threads > 1) return run_whole_rows(task, rows, kernel, plan.threads);
#else
  static_cast<void>(plan);
#endif
  run_alone(task, 0, rows, kernel);
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
