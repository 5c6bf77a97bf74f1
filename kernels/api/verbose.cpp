// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "api/call.hpp"

namespace simdsoftmax::detail {

namespace {

// -1 until the environment has been read.
std::atomic<int> verbose_switch{-1};

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 32);
}

// A set of 64-bit fingerprints; without locks, and never full in earnest: beyond its size, shapes are taken as seen.
constexpr std::size_t slots = 4096;
std::atomic<std::uint64_t> seen[slots];

bool first_time(std::uint64_t fingerprint) {
  const std::uint64_t key = fingerprint != 0 ? fingerprint : 1;
  for (std::size_t probe = 0; probe < slots; ++probe) {
    auto& slot = seen[(key + probe) % slots];
    std::uint64_t found = 0;
    if (slot.compare_exchange_strong(found, key)) return true;
    if (found == key) return false;
  }
  return false;
}

const char* dtype_name(Dtype dtype) {
  constexpr const char* names[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "bool"};
  return names[static_cast<int>(dtype)];
}

}  // namespace

bool reports_calls() {
  int value = verbose_switch.load(std::memory_order_relaxed);
  if (value < 0) {
    const char* const text = std::getenv("SIMDSOFTMAX_VERBOSE");
    const int fresh = text != nullptr && *text != '\0' && std::strcmp(text, "0") != 0;
    // A switch set meanwhile stays.
    if (verbose_switch.compare_exchange_strong(value, fresh)) value = fresh;
  }
  return value != 0;
}

void report_call(const char* function, const char* isa, const Shape& shape, const Plan& plan) {
  if (!reports_calls()) return;
  std::uint64_t fingerprint = mix(mix(0, shape.rows), shape.cols);
  fingerprint =
      mix(fingerprint, static_cast<std::uint64_t>(shape.logits) * 8 + static_cast<std::uint64_t>(shape.output));
  fingerprint = mix(fingerprint, static_cast<std::uint64_t>(plan.variant) * 2 + shape.in_place);
  fingerprint = mix(fingerprint, static_cast<std::uint64_t>(plan.threads) * 2 + plan.split_rows);
  fingerprint = mix(fingerprint, static_cast<std::uint64_t>(shape.accuracy));
  for (const char* name : {function, isa}) {
    for (const char* c = name; *c != '\0'; ++c) fingerprint = mix(fingerprint, static_cast<std::uint64_t>(*c));
  }
  if (!first_time(fingerprint)) return;
  const bool has_variant = plan.variant != Variant::automatic;
  const bool is_balanced = shape.accuracy == Accuracy::balanced;
  std::fprintf(stderr, "simdsoftmax: %s %zux%zu %s->%s%s: isa %s%s%s%s%s, %d thread%s%s%s%s%s\n", function, shape.rows,
               shape.cols, dtype_name(shape.logits), dtype_name(shape.output), shape.in_place ? " in place" : "", isa,
               has_variant ? ", variant " : "",
               has_variant ? simdsoftmax_variant_name(static_cast<simdsoftmax_variant>(plan.variant)) : "",
               is_balanced ? "" : ", accuracy ",
               is_balanced ? "" : simdsoftmax_accuracy_name(static_cast<simdsoftmax_accuracy>(shape.accuracy)),
               plan.threads, plan.threads == 1 ? "" : "s", plan.split_rows ? " on each row" : "",
               plan.reason != nullptr ? " (" : "", plan.reason != nullptr ? plan.reason : "",
               plan.reason != nullptr ? ")" : "");
}

}  // namespace simdsoftmax::detail

void simdsoftmax_set_verbose(int verbose) { simdsoftmax::detail::verbose_switch.store(verbose != 0); }
