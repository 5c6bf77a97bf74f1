// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <new>
#include <stdexcept>
#include <thread>

#include "benchmarks.hpp"

namespace bench {

namespace {

// Threads of a pool look for more work for a while before they sleep; whoever comes next would share a core with them,
// and says so if they never do.
void wait_for_sleep_of_others(const benchmark::State&) {
  constexpr std::chrono::milliseconds nap(5);
  constexpr int most_naps = 400;
  for (int i = 0; i < most_naps; ++i) {
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(nap);
    if (std::clock() - before < CLOCKS_PER_SEC / 2000) return;
  }
  std::fputs("simdsoftmax_bench: threads of others do not sleep; this turn shares the cores with them\n", stderr);
}

}  // namespace

void add_benchmark(const SharedWorkload& work, const std::string& family, const std::string& isa,
                   const std::string& name, std::function<void(benchmark::State&)> run) {
  const std::string shape = std::to_string(work->shape.rows) + "x" + std::to_string(work->shape.cols);
  add_benchmark(*work, family, shape, isa, name, std::move(run));
}

void add_benchmark(const Workload& work, const std::string& family, const std::string& shape, const std::string& isa,
                   const std::string& name, std::function<void(benchmark::State&)> run) {
  const std::string types = &work.in == &work.out ? work.in.name : std::string(work.in.name) + ":" + work.out.name;
  const std::string full_name = family + "/" + types + "/" + shape + "/" + isa + "/" + name;
  auto* registered = benchmark::RegisterBenchmark(full_name.c_str(), std::move(run));
  if (work.threads > 1) registered->UseRealTime()->Setup(wait_for_sleep_of_others);
}

void count_elements(benchmark::State& state, const Workload& work) {
  const auto iterations = static_cast<std::int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<std::int64_t>(work.size()));
  state.SetBytesProcessed(iterations * static_cast<std::int64_t>(work.bytes()));
}

bool accept_error(benchmark::State& state, double limit, double max_ulp) {
  if (!(max_ulp <= limit)) {
    const std::string message = "wrong result: off by " + std::to_string(max_ulp) + " ULP";
    state.SkipWithError(message.c_str());
    return false;
  }
  state.counters["max_ulp"] = max_ulp;
  return true;
}

namespace {

void add_variants(const Options& options) {
  for (const Shape& shape : options.shapes) {
    const auto work = std::make_shared<Workload>(options, shape);
    if (!options.output_file.empty()) write_output(work, options);
    add_memcpy(work);
    for (const std::string& isa : options.isas) {
      add_exp_only(work, isa);
      add_softmax(work, isa, options);
      add_passes(work, isa);
    }
  }
}

void run(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  if (options.suite == variants_suite) {
    add_variants(options);
  } else {
    options.suite == peers_suite ? add_peers(options) : add_suite(options);
  }
  benchmark::AddCustomContext("simdsoftmax_version", simdsoftmax_version());
  benchmark::AddCustomContext("simdsoftmax_openmp", simdsoftmax_has_openmp() != 0 ? "yes" : "no");
#ifdef __clang__
  benchmark::AddCustomContext("simdsoftmax_compiler", "clang " __clang_version__);
#else
  benchmark::AddCustomContext("simdsoftmax_compiler", "gcc " __VERSION__);
#endif
  benchmark::AddCustomContext("simdsoftmax_threads", std::to_string(options.threads));
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  int status = 1;
  try {
    benchmark::Initialize(&argc, argv);
    bench::run(argc, argv);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "simdsoftmax_bench: %s\n", error.what());
    status = 2;
  } catch (const std::bad_alloc&) {
    std::fputs("simdsoftmax_bench: not enough memory for this shape\n", stderr);
    status = 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simdsoftmax_bench: %s\n", error.what());
  }
  return status;
}
