// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "benchmarks.hpp"
#include "isa/registry.hpp"

namespace bench {
namespace {

using simdsoftmax::detail::PassTable;

// The passes alone are for rows without NaN whose maximum is finite and not huge; a variant sees to all others itself.
bool is_ordinary(const Workload& work) {
  const auto* logits = static_cast<const float*>(work.logits.get());
  for (std::size_t r = 0; r < work.shape.rows; ++r) {
    const float* row = logits + r * work.shape.cols;
    const float* end = row + work.shape.cols;
    if (!(std::fabs(*std::max_element(row, end)) < 65536.0F)) return false;
    if (std::any_of(row, end, [](float x) { return std::isnan(x); })) return false;
  }
  return true;
}

// The passes of one ISA over the rows of a workload.
struct Passes {
  const Workload& work;
  const PassTable& table;
  std::vector<float> row_max;

  Passes(const Workload& workload, const PassTable& passes)
      : work(workload), table(passes), row_max(workload.shape.rows) {
    max();
  }

  const float* logits(std::size_t row) const {
    return static_cast<const float*>(work.logits.get()) + row * work.shape.cols;
  }
  float* output(std::size_t row) const { return static_cast<float*>(work.output.get()) + row * work.shape.cols; }

  void max() {
    for (std::size_t r = 0; r < work.shape.rows; ++r) row_max[r] = table.max(logits(r), work.shape.cols);
  }
  void exp_sum() {
    for (std::size_t r = 0; r < work.shape.rows; ++r) {
      benchmark::DoNotOptimize(table.exp_sum(logits(r), work.shape.cols, row_max[r]));
    }
  }
  void exp_sum_store() {
    for (std::size_t r = 0; r < work.shape.rows; ++r) {
      benchmark::DoNotOptimize(table.exp_sum_store(logits(r), output(r), work.shape.cols, row_max[r]));
    }
  }
  // By 1, so that the values stay what they are however often this runs.
  void scale() {
    for (std::size_t r = 0; r < work.shape.rows; ++r) table.scale(output(r), work.shape.cols, 1.0);
  }

  double max_ulp() {
    for (std::size_t r = 0; r < work.shape.rows; ++r) {
      const double sum = table.exp_sum_store(logits(r), output(r), work.shape.cols, row_max[r]);
      table.scale(output(r), work.shape.cols, sum);
    }
    return work.max_ulp(work.output.get());
  }
};

struct Pass {
  const char* name;
  void (Passes::*run)();
};
constexpr Pass all_passes[] = {{"max", &Passes::max},
                               {"exp_sum", &Passes::exp_sum},
                               {"exp_sum_store", &Passes::exp_sum_store},
                               {"scale", &Passes::scale}};

}  // namespace

void add_passes(const SharedWorkload& work, const std::string& isa) {
  const auto* kernels = simdsoftmax::detail::find_kernels(isa.c_str());
  const bool f32 = work->in.dtype == SIMDSOFTMAX_F32 && work->out.dtype == SIMDSOFTMAX_F32;
  if (!f32 || work->threads != 1 || kernels == nullptr || !is_ordinary(*work)) return;
  const auto passes = std::make_shared<Passes>(*work, kernels->passes);
  const auto max_ulp = std::make_shared<std::optional<double>>();
  for (const Pass& pass : all_passes) {
    add_benchmark(work, "pass", isa, pass.name, [work, passes, max_ulp, &pass](benchmark::State& state) {
      if (!*max_ulp) *max_ulp = passes->max_ulp();
      if (!accept_error(state, error_limit(work->out), **max_ulp)) return;
      for (auto _ : state) {
        (*passes.*pass.run)();
        benchmark::ClobberMemory();
      }
      state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(work->size()));
    });
  }
}

}  // namespace bench
