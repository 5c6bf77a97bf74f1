// SPDX-License-Identifier: Apache-2.0
// The bits do not depend on the machine, as one number for each function: a hash of what it gives for a fixed set of
// inputs, the same for every ISA with fma. And those bits are all there are: variants, threads, layouts and positions
// in a batch change none of them, on any ISA. (sse2 has bits of its own: without fma each product is rounded, and huge
// logits begin earlier. Nothing is promised of these but that they do not depend on anything else.)

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <map>

#include "inputs.hpp"
#include "public_functions.hpp"

namespace softmax_test {
namespace {

// ---- The inputs -----------------------------------------------------------------------------------------------------

// One row of each kind of logits, and three without finite results.
std::vector<double> a_row_of_each_kind(const Format& format, std::size_t cols) {
  std::vector<double> batch;
  for (const InputKind& kind : input_kinds()) {
    const std::vector<double> row = make_row(kind, format, cols);
    batch.insert(batch.end(), row.begin(), row.end());
  }
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double special : {std::numeric_limits<double>::quiet_NaN(), infinity}) {
    std::vector<double> row = normal_logits(format, cols, 4, 161);
    row[cols / 2] = special;
    batch.insert(batch.end(), row.begin(), row.end());
  }
  batch.insert(batch.end(), cols, -infinity);
  return batch;
}

// Around the lengths of everything that a row is cut into: vectors (4 to 16), chunks (16, 64), what an anchor is taken
// from (128), segments (8192). 3 x cols x 5 along the middle goes by way of columns.
std::vector<Inputs> make_inputs(const Pair& pair) {
  const Format& format = format_of(pair.in);
  std::vector<Inputs> all;
  const auto add = [&](Sizes shape, std::size_t axis, std::vector<double> logits) {
    Inputs inputs;
    inputs.pair = pair;
    inputs.shape = std::move(shape);
    inputs.axis = axis;
    inputs.logits = std::move(logits);
    all.push_back(std::move(inputs));
  };
  for (const std::size_t cols : {10U, 129U}) {
    add({input_kinds().size() + 3, cols}, 1, a_row_of_each_kind(format, cols));
  }
  for (const std::size_t cols :
       {1U, 2U, 3U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 127U, 128U, 300U}) {
    add({2, cols}, 1, normal_logits(format, 2 * cols, 4, 162));
  }
  for (const std::size_t cols : {8191U, 8192U, 8193U, 16500U}) {
    if (pair.in == pair.out && format.bytes > 2) add({1, cols}, 1, normal_logits(format, cols, 30, 163));
  }
  for (const std::size_t cols : {1U, 10U, 65U, 200U}) {
    add({3, cols, 5}, 1, normal_logits(format, 15 * cols, 4, 164));
    add({2, 3, cols}, 2, normal_logits(format, 6 * cols, 4, 165));
  }
  return all;
}

// Made once.
const std::vector<Inputs>& inputs_of(const Pair& pair) {
  static std::map<std::string, std::vector<Inputs>> made;
  std::vector<Inputs>& all = made[name_of(pair)];
  if (all.empty()) all = make_inputs(pair);
  return all;
}

// Parts of a row are longer than one segment from 256 segments on. So long a row only for what takes one call.
Inputs make_row_of_long_parts() {
  Inputs inputs;
  inputs.shape = {1, 257 * 8192 + 5};
  inputs.axis = 1;
  Random random(166);
  inputs.logits.resize(inputs.shape[1]);
  for (double& logit : inputs.logits) logit = static_cast<double>(random() >> 12) * 0x1p-16 - 8;
  return inputs;
}

const Inputs& row_of_long_parts() {
  static const Inputs inputs = make_row_of_long_parts();
  return inputs;
}

// ---- The hashes -----------------------------------------------------------------------------------------------------

// FNV-1a.
class Hash {
 public:
  void add(const std::vector<Bytes>& results) {
    for (const Bytes& bytes : results) {
      for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 1099511628211U;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

// A kernel that is changed on purpose changes these: take the new ones from the failure message, provided that every
// ISA with fma, on every machine, gives the same ones.
const std::map<std::string, std::uint64_t>& expected_hashes() {
  static const std::map<std::string, std::uint64_t> hashes = {{"softmax_rows", 0xebad83e329ee8b8a},
                                                              {"softmax_rows_exact", 0x28095e5a3f2e5847},
                                                              {"softmax_rows_fast", 0xc5e3776522f7ca43},
                                                              {"softmax_rows_of_long_parts", 0xd980f4b1328a17de},
                                                              {"softmax", 0xffce6053671b5370},
                                                              {"softmax_exact", 0x5b5e9cb2a44e5626},
                                                              {"softmax_fast", 0x2df3dabf73ef73df},
                                                              {"softmax_of_long_parts", 0xd980f4b1328a17de},
                                                              {"log_softmax", 0x6420cfc234133c77},
                                                              {"log_softmax_of_long_parts", 0x6dc4d1f3631e80ca},
                                                              {"logsumexp", 0xa50f975b17544d0d},
                                                              {"logsumexp_of_long_parts", 0x5d1b1b8acad7bd14},
                                                              {"softmax_with_pre_ops", 0x8b546036cb5e9070},
                                                              {"log_softmax_with_pre_ops", 0x55f37e20b1ce1819},
                                                              {"logsumexp_with_pre_ops", 0x5b68da8959891406},
                                                              {"softmax_backward", 0xd71184b5de45fc3a},
                                                              {"log_softmax_backward", 0xec6b02a213a71a0a},
                                                              {"softmax_cross_entropy", 0x1b58dd2a45ac8630},
                                                              {"sparse_softmax_cross_entropy", 0x9e563fc81552ab1d},
                                                              {"softmax_top_k", 0x92f7c02cc1619e91},
                                                              {"softmax_top_k_with_pre_ops", 0x523c7be1b5fe6944},
                                                              {"argmax", 0xf269d74fed6aaed4},
                                                              {"argmax_of_long_parts", 0xda96e5f1380cbaf0},
                                                              {"row_state", 0x3621d6fc05d46669},
                                                              {"row_state_exact", 0x7bc4d85dafc1d0f3},
                                                              {"row_state_of_long_parts", 0xa67998010c8e9df}};
  return hashes;
}

std::vector<Bytes> results_of(Call& call, const simdsoftmax_options& options) {
  call.forget_results();
  EXPECT_EQ(call.run(options), SIMDSOFTMAX_OK);
  return call.results();
}

std::vector<PublicFunction> functions_with_bits() {
  std::vector<PublicFunction> some;
  for (const PublicFunction& function : public_functions()) {
    if (function.everywhere_the_same) some.push_back(function);
  }
  return some;
}

class HashTest : public ::testing::TestWithParam<PublicFunction> {};

// The hash of each ISA with fma is the one that stands here.
void expect_hash(const PublicFunction& function, const std::string& name, const std::vector<Inputs>& all,
                 const simdsoftmax_options& options = serial_options()) {
  for (const std::string& isa : runnable_isas()) {
    if (!has_fma(isa)) continue;
    const ScopedCap cap(isa);
    Hash hash;
    for (const Inputs& inputs : all) {
      const std::unique_ptr<Call> call = function.prepare(inputs);
      if (call != nullptr) hash.add(results_of(*call, options));
    }
    const auto expected = expected_hashes().find(name);
    EXPECT_TRUE(expected != expected_hashes().end() && hash.value() == expected->second)
        << isa << " gives {\"" << name << "\", 0x" << std::hex << hash.value() << "}";
  }
}

TEST_P(HashTest, IsThatOfEveryMachineWithFma) {
  const std::vector<std::string> isas = runnable_isas();
  if (std::none_of(isas.begin(), isas.end(), has_fma)) GTEST_SKIP() << "no ISA with fma runs here";
  std::vector<Inputs> all;
  for (const Pair& pair : pairs()) {
    const std::vector<Inputs>& some = inputs_of(pair);
    all.insert(all.end(), some.begin(), some.end());
  }
  expect_hash(GetParam(), GetParam().name, all);
  const bool of_state = GetParam().name == "row_state";
  if (GetParam().name == "softmax_rows" || GetParam().name == "softmax" || of_state) {
    for (const simdsoftmax_accuracy accuracy : {SIMDSOFTMAX_EXACT, SIMDSOFTMAX_FAST}) {
      if (of_state && accuracy == SIMDSOFTMAX_FAST) continue;  // has none
      simdsoftmax_options options = serial_options();
      options.accuracy = accuracy;
      expect_hash(GetParam(), GetParam().name + "_" + simdsoftmax_accuracy_name(accuracy), all, options);
    }
  }
  if (slow_machine() && GetParam().name != "softmax_rows") return;
  if (GetParam().prepare({{}, {1, 1}, 1, {0.0}})->steps() == 1) {
    expect_hash(GetParam(), GetParam().name + "_of_long_parts", {row_of_long_parts()});
  }
}

// ---- Nothing else matters -------------------------------------------------------------------------------------------

// Row r of the logits, along the first dimension.
Inputs one_row(const Inputs& inputs, std::size_t r) {
  Inputs row = inputs;
  const std::size_t size = inputs.logits.size() / inputs.shape[0];
  const auto begin = inputs.logits.begin() + static_cast<std::ptrdiff_t>(r * size);
  row.shape[0] = 1;
  row.logits.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
  return row;
}

void expect_the_same(const PublicFunction& function, const Inputs& inputs) {
  const std::unique_ptr<Call> call = function.prepare(inputs);
  if (call == nullptr) return;
  const std::vector<Bytes> expected = results_of(*call, serial_options());
  for (const simdsoftmax_variant variant : variants()) {
    ASSERT_TRUE(results_of(*call, serial_options(variant)) == expected) << simdsoftmax_variant_name(variant);
  }
  for (const std::int32_t threads : {2, 3, 16}) {
    simdsoftmax_options options = serial_options();
    options.num_threads = threads;
    ASSERT_TRUE(results_of(*call, options) == expected) << threads << " threads";
  }
  Inputs moved = inputs;
  moved.gap = 1;
  moved.offset = 1;
  ASSERT_TRUE(results_of(*function.prepare(moved), serial_options()) == expected) << "misaligned";
  const std::size_t rows = inputs.shape[0];
  if (!function.row_by_row || inputs.axis == 0 || rows == 1) return;
  for (std::size_t r = rows % 5; r < rows; r += 5) {
    const std::vector<Bytes> alone = results_of(*function.prepare(one_row(inputs, r)), serial_options());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto in_batch = expected[i].begin() + static_cast<std::ptrdiff_t>(r * alone[i].size());
      ASSERT_TRUE(std::equal(alone[i].begin(), alone[i].end(), in_batch)) << "row " << r << " alone";
    }
  }
}

TEST_P(HashTest, VariantThreadsLayoutAndBatchChangeNothing) {
  const std::size_t step = exhaustive() ? 1 : slow_machine() ? 16 : 3;
  std::size_t next = 0;  // other sizes for each pair of dtypes
  for (const Pair& pair : pairs()) {
    std::vector<Inputs> all = inputs_of(pair);
    if (exhaustive() && pair.in == SIMDSOFTMAX_F32 && pair.out == pair.in) all.push_back(row_of_long_parts());
    for (const Inputs& inputs : all) {
      if (next++ % step != 0) continue;
      for (const std::string& isa : runnable_isas()) {
        const ScopedCap cap(isa);
        ASSERT_NO_FATAL_FAILURE(expect_the_same(GetParam(), inputs))
            << isa << ", " << name_of(pair) << ", " << text_of(inputs.shape) << ", axis " << inputs.axis;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, HashTest, ::testing::ValuesIn(functions_with_bits()), name_of_function);

// The bits of one row, whichever way they are asked for.
TEST(SameBits, OfSoftmaxByEveryFunctionThatGivesIt) {
  for (const std::string& isa : runnable_isas()) {
    const ScopedCap cap(isa);
    for (const Pair& pair : pairs()) {
      for (const Inputs& inputs : inputs_of(pair)) {
        std::map<std::string, Bytes> probabilities;
        for (const PublicFunction& function : public_functions()) {
          if (function.name != "softmax_rows" && function.name != "softmax" && function.name != "row_state") continue;
          const std::unique_ptr<Call> call = function.prepare(inputs);
          if (call != nullptr) probabilities[function.name] = results_of(*call, serial_options())[0];
        }
        for (const auto& [name, bytes] : probabilities) {
          ASSERT_TRUE(bytes == probabilities.at("softmax"))
              << name << ", " << isa << ", " << name_of(pair) << ", " << text_of(inputs.shape);
        }
      }
    }
  }
}

// The list holds all functions of the library.
TEST(PublicFunctions, AreThoseThatTheLibraryExports) {
  std::set<std::string> listed;
  for (const PublicFunction& function : public_functions()) {
    for (const std::string& name : function.exports) listed.insert("simdsoftmax_" + name);
  }
  std::set<std::string> exported;
  std::ifstream file(SIMDSOFTMAX_EXPORTS);
  for (std::string line; std::getline(file, line);) exported.insert(line);
  EXPECT_EQ(listed, exported);
}

}  // namespace
}  // namespace softmax_test
