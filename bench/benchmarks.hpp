// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_BENCHMARKS_HPP
#define SIMDSOFTMAX_BENCH_BENCHMARKS_HPP

#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "operation.hpp"
#include "workload.hpp"

namespace bench {

// Registers FAMILY/TYPES/SHAPE/ISA/NAME; "any" is the ISA of code that does not depend on it. Without a shape it is
// the ROWSxCOLS of the workload.
void add_benchmark(const SharedWorkload& work, const std::string& family, const std::string& isa,
                   const std::string& name, std::function<void(benchmark::State&)> run);
void add_benchmark(const Workload& work, const std::string& family, const std::string& shape, const std::string& isa,
                   const std::string& name, std::function<void(benchmark::State&)> run);

// Items are elements of the rows; bytes are those of Workload::bytes() unless said otherwise.
void count_elements(benchmark::State& state, const Workload& work);

// Reports the error as the counter max_ulp; false, with the benchmark made an error, if it is beyond the limit.
bool accept_error(benchmark::State& state, double limit, double max_ulp);

// limit/: what nothing can beat. memcpy of as many bytes; and a loop of load, exp and add over as many elements in L1,
// in f32, which is what all types but f64 compute in.
void add_memcpy(const SharedWorkload& work);
// The same beside a tensor, and a copy that goes past the caches where this CPU has one.
void add_copies(const SharedWorkload& work, const std::string& shape);
void add_exp_only(const SharedWorkload& work, const std::string& isa);

// softmax/: the public function. The label of `auto` is the variant that it picks, and the label of that one is `auto`.
// Names end in the accuracy, if it is not balanced: anchored:exact.
void add_softmax(const SharedWorkload& work, const std::string& isa, const Options& options);

// pass/: the sweeps over a row that three_pass consists of, alone. For f32, one thread, and
// rows that need no special care.
void add_passes(const SharedWorkload& work, const std::string& isa);

// The operations of a suite by name, on all shapes of the options; throws std::invalid_argument for an unknown one.
void add_suite(const Options& options);

// This library and the peers of the options, on all shapes of the options and the best of its ISAs.
void add_peers(const Options& options);

// Softmax by the first of the variants and accuracies on the last of the ISAs, into the file of the options.
void write_output(const SharedWorkload& work, const Options& options);

}  // namespace bench

#endif
