// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "benchmarks.hpp"

namespace bench {
namespace {

// One way to compute the output of a workload.
struct Softmax {
  SharedWorkload work;
  std::string isa;
  simdsoftmax_options options;

  Softmax(SharedWorkload shared, std::string isa_name, simdsoftmax_variant variant, simdsoftmax_accuracy accuracy)
      : work(std::move(shared)), isa(std::move(isa_name)), options(SIMDSOFTMAX_OPTIONS_INIT) {
    options.variant = variant;
    options.accuracy = accuracy;
    options.num_threads = work->threads;
  }

  // Makes calls use the ISA; false if they do not.
  bool select_isa() const {
    return simdsoftmax_cap_isa(isa.c_str()) == SIMDSOFTMAX_OK && plan(options.variant).isa == isa;
  }

  simdsoftmax_plan plan(simdsoftmax_variant variant) const {
    simdsoftmax_options asked = options;
    asked.variant = variant;
    simdsoftmax_plan answer;
    if (simdsoftmax_plan_rows(work->in.dtype, work->out.dtype, work->shape.rows, work->shape.cols, 0, &asked,
                              &answer) != SIMDSOFTMAX_OK) {
      throw std::runtime_error("there is no plan for this shape");
    }
    return answer;
  }

  // For auto the variant that it picks; for that variant, "auto".
  const char* label() const {
    const simdsoftmax_variant picked = plan(SIMDSOFTMAX_AUTO).variant;
    if (options.variant == SIMDSOFTMAX_AUTO) return simdsoftmax_variant_name(picked);
    return options.variant == picked ? simdsoftmax_variant_name(SIMDSOFTMAX_AUTO) : "";
  }

  simdsoftmax_status run() const {
    const auto stride = static_cast<std::ptrdiff_t>(work->shape.cols);
    return simdsoftmax_softmax_rows(work->logits.get(), work->in.dtype, stride, work->output.get(), work->out.dtype,
                                    stride, work->shape.rows, work->shape.cols, &options);
  }

  double error_limit() const { return bench::error_limit(work->out, options.accuracy); }

  // The error of a run into an output that held only NaN.
  double measure_error() const {
    std::memset(work->output.get(), 0xff, work->size() * work->out.size);
    if (run() != SIMDSOFTMAX_OK) throw std::runtime_error("softmax failed");
    return work->max_ulp(work->output.get());
  }
};

void add_one(const Softmax& one) {
  const auto time_it = [softmax = one, max_ulp = std::optional<double>()](benchmark::State& state) mutable {
    if (!softmax.select_isa()) return state.SkipWithError("the ISA is not in use");
    if (!max_ulp) max_ulp = softmax.measure_error();
    if (!accept_error(state, softmax.error_limit(), *max_ulp)) return;
    for (auto _ : state) {
      benchmark::DoNotOptimize(softmax.run());
      benchmark::ClobberMemory();
    }
    count_elements(state, *softmax.work);
    state.SetLabel(softmax.label());
  };
  std::string name = simdsoftmax_variant_name(one.options.variant);
  if (one.options.accuracy != SIMDSOFTMAX_BALANCED)
    name += std::string(":") + simdsoftmax_accuracy_name(one.options.accuracy);
  add_benchmark(one.work, "softmax", one.isa, name, time_it);
}

}  // namespace

void add_softmax(const SharedWorkload& work, const std::string& isa, const Options& options) {
  for (const simdsoftmax_variant variant : options.variants) {
    for (const simdsoftmax_accuracy accuracy : options.accuracies) add_one(Softmax(work, isa, variant, accuracy));
  }
}

void write_output(const SharedWorkload& work, const Options& options) {
  const Softmax softmax(work, options.isas.back(), options.variants.front(), options.accuracies.front());
  if (!softmax.select_isa() || !(softmax.measure_error() <= softmax.error_limit())) {
    throw std::runtime_error("the result is wrong; nothing was written");
  }
  std::ofstream file(options.output_file, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(work->size() * work->out.size);
  if (!file.write(static_cast<const char*>(work->output.get()), bytes).flush()) {
    throw std::runtime_error("cannot write " + options.output_file);
  }
}

}  // namespace bench
