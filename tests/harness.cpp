// SPDX-License-Identifier: Apache-2.0
#include "harness.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <ostream>

namespace softmax_test {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string(value) != "0";
}

std::vector<simdsoftmax_isa_info> query_isas() {
  std::vector<simdsoftmax_isa_info> all(simdsoftmax_isa_count());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(simdsoftmax_isa_query(i, &all[i]), SIMDSOFTMAX_OK);
  return all;
}

}  // namespace

bool slow_machine() { return is_set("SIMDSOFTMAX_SLOW_MACHINE"); }
bool exhaustive() { return is_set("SIMDSOFTMAX_EXHAUSTIVE"); }

const std::vector<simdsoftmax_isa_info>& isas() {
  static const std::vector<simdsoftmax_isa_info> all = query_isas();
  return all;
}

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  for (const simdsoftmax_isa_info& isa : isas()) {
    if (isa.compiled != 0 && isa.supported != 0) names.emplace_back(isa.name);
  }
  return names;
}

bool has_fma(const std::string& isa) { return isa != "sse2"; }

std::vector<simdsoftmax_variant> variants() {
  std::vector<simdsoftmax_variant> all(simdsoftmax_variant_count());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<simdsoftmax_variant>(i);
  return all;
}

std::vector<simdsoftmax_accuracy> accuracies() {
  std::vector<simdsoftmax_accuracy> all(simdsoftmax_accuracy_count());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<simdsoftmax_accuracy>(i);
  return all;
}

std::string active_isa() {
  std::string name;
  for (const simdsoftmax_isa_info& isa : query_isas()) {
    if (isa.active == 0) continue;
    EXPECT_EQ(name, "") << "two ISAs are active, the other one is " << isa.name;
    name = isa.name;
  }
  return name;
}

std::set<std::string>& exercised_isas() {
  static std::set<std::string> names;
  return names;
}

ScopedCap::ScopedCap(const std::string& isa) {
  EXPECT_EQ(simdsoftmax_cap_isa(isa.c_str()), SIMDSOFTMAX_OK);
  EXPECT_EQ(active_isa(), isa);
  exercised_isas().insert(active_isa());
}

ScopedCap::~ScopedCap() { EXPECT_EQ(simdsoftmax_cap_isa(nullptr), SIMDSOFTMAX_OK); }

simdsoftmax_options serial_options(simdsoftmax_variant variant) {
  simdsoftmax_options options = SIMDSOFTMAX_OPTIONS_INIT;
  options.variant = variant;
  options.num_threads = 1;
  return options;
}

Bytes softmax(const Pair& pair, const Shape& shape, const Bytes& logits, const simdsoftmax_options& options) {
  Bytes output(shape.rows * shape.cols * format_of(pair.out).bytes, poison);
  const auto stride = static_cast<std::ptrdiff_t>(shape.cols);
  EXPECT_EQ(logits.size(), shape.rows * shape.cols * format_of(pair.in).bytes);
  EXPECT_EQ(simdsoftmax_softmax_rows(logits.data(), pair.in, stride, output.data(), pair.out, stride, shape.rows,
                                     shape.cols, &options),
            SIMDSOFTMAX_OK);
  return output;
}

void PrintTo(const Config& config, std::ostream* stream) {
  *stream << config.isa << ' ' << name_of(config.pair) << ' ' << simdsoftmax_accuracy_name(config.accuracy);
}

std::vector<Config> configs() {
  std::vector<Config> all;
  for (const std::string& isa : runnable_isas()) {
    for (const Pair& pair : pairs()) all.push_back({isa, pair});
  }
  return all;
}

std::vector<Config> accuracy_configs() {
  std::vector<Config> all = configs();
  for (const Config& config : configs()) {
    if (slow_machine() && config.pair.in != config.pair.out) continue;
    for (const simdsoftmax_accuracy accuracy : accuracies()) {
      const bool is_another = accuracy != SIMDSOFTMAX_BALANCED && config.pair.in != SIMDSOFTMAX_F64;
      if (is_another) all.push_back({config.isa, config.pair, accuracy});
    }
  }
  return all;
}

std::vector<Config> of_each_arithmetic(const std::vector<Config>& all) {
  const std::vector<std::string> names = runnable_isas();
  const auto last_with_fma = std::find_if(names.rbegin(), names.rend(), has_fma);
  std::vector<Config> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some), [&](const Config& config) {
    return exhaustive() || !has_fma(config.isa) || config.isa == *last_with_fma;
  });
  return some;
}

std::string name_of_config(const ::testing::TestParamInfo<Config>& info) {
  const Config& config = info.param;
  const std::string name = config.isa + "_" + name_of(config.pair);
  return config.accuracy == SIMDSOFTMAX_BALANCED ? name : name + "_" + simdsoftmax_accuracy_name(config.accuracy);
}

std::string name_of_pair(const ::testing::TestParamInfo<Pair>& info) { return name_of(info.param); }

std::string name_of_isa(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace softmax_test
