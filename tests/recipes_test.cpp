// SPDX-License-Identifier: Apache-2.0
// What other projects call softmax with a mask, each by one call here. Expectations come from the definitions that
// those projects document, written out below in long double.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const Format& f32 = format_of(SIMDSOFTMAX_F32);

class RecipesTest : public IsaTest {};

// exp(z) / sum of exp(z); zeros where the sum is 0.
std::vector<Wide> plain_softmax(const std::vector<Wide>& z, Wide sink = -infinity) {
  Wide sum = std::exp(sink);
  for (const Wide value : z) sum += std::exp(value);
  std::vector<Wide> p;
  for (const Wide value : z) p.push_back(sum == 0 ? 0 : std::exp(value) / sum);
  return p;
}

void expect_row(const std::vector<Wide>& exact, const std::vector<double>& got, const std::string& where) {
  const Worst worst = worst_of(f32, exact, got);
  EXPECT_LE(worst.ulp, bound_in_ulp(f32)) << where << ", " << worst.where;
}

// ggml's soft_max_ext with sinks: softmax over ne0 of scale * x + slope(head) * mask, where the mask is f16, holds
// every query of every head's batch, and each head has a sink. The slope of head h of H, n being the largest power of
// two up to H: m0^(h + 1) with m0 = 2^(-max_bias / n), or m1^(2 (h - n) + 1) with m1 = 2^(-max_bias / 2 / n).
TEST_P(RecipesTest, GgmlSoftMaxExt) {
  const std::size_t batches = 2, heads = 6, queries = 3, keys = 40;
  const double max_bias = 8, scale = 0.125;
  const Sizes shape = {batches, heads, queries, keys};
  const Tensor logits(SIMDSOFTMAX_F32, shape, normal_logits(f32, count_of(shape), 10, 131));
  std::vector<double> mask_values(queries * keys);
  for (std::size_t q = 0; q < queries; ++q) {
    for (std::size_t k = 0; k < keys; ++k) {
      const bool visible = k <= q + 36;
      mask_values[q * keys + k] =
          visible ? -std::fabs(static_cast<double>(k) - static_cast<double>(q) - 36) : -infinity;
    }
  }
  const Tensor mask(SIMDSOFTMAX_F16, {queries, keys}, mask_values);
  const Tensor sinks(SIMDSOFTMAX_F32, {heads, 1, 1}, {0.5, -1, 2, 0, 3, -4});
  const simdsoftmax_tensor mask_view = mask.view();
  const simdsoftmax_tensor sinks_view = sinks.view();
  simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  pre_ops.scale = scale;
  pre_ops.max_bias = max_bias;
  pre_ops.bias = &mask_view;
  pre_ops.sinks = &sinks_view;
  const Tensor output = apply(softmax_operator(), logits, SIMDSOFTMAX_F32, -1, options_with(pre_ops));

  const auto rows = rows_along(logits.values(), shape, 3);
  const auto got = rows_along(output.values(), shape, 3);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::size_t q = r % queries;
    const std::size_t head = r / queries % heads;
    const Wide n = 4;  // of six heads
    const Wide m0 = std::exp2(static_cast<Wide>(-max_bias) / n);
    const Wide m1 = std::exp2(static_cast<Wide>(-max_bias) / 2 / n);
    const auto h = static_cast<Wide>(head);
    const Wide slope = h < n ? std::pow(m0, h + 1) : std::pow(m1, 2 * (h - n) + 1);
    std::vector<Wide> z(keys);
    for (std::size_t k = 0; k < keys; ++k) {
      z[k] = static_cast<Wide>(scale) * static_cast<Wide>(rows[r][k]) +
             slope * static_cast<Wide>(mask_values[q * keys + k]);
    }
    expect_row(plain_softmax(z, static_cast<Wide>(sinks.values()[head])), got[r], "row " + std::to_string(r));
  }
}

// oneDNN's softmax_accurate_inf_as_zero: as softmax, and zeros where all of a row is -inf.
TEST_P(RecipesTest, OnednnInfAsZero) {
  std::vector<double> values = normal_logits(f32, std::size_t{4} * 20, 3, 132);
  for (std::size_t k = 0; k < 20; ++k) {
    values[20 + k] = -infinity;
    if (k % 2 == 0) values[60 + k] = -infinity;
  }
  const Tensor logits(SIMDSOFTMAX_F32, {4, 20}, values);
  simdsoftmax_options options = serial_options();
  options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
  const auto got = rows_along(apply(softmax_operator(), logits, SIMDSOFTMAX_F32, 1, options).values(), {4, 20}, 1);
  for (std::size_t r = 0; r < 4; ++r) {
    const std::vector<Wide> z(values.begin() + static_cast<std::ptrdiff_t>(r * 20),
                              values.begin() + static_cast<std::ptrdiff_t>(r * 20 + 20));
    expect_row(plain_softmax(z), got[r], "row " + std::to_string(r));
  }
}

// The softmax inside ONNX's Attention: scale, soft cap, a boolean mask (true takes part) and causal; the queries are
// the last of the keys. Rows that have no key left are zeros.
TEST_P(RecipesTest, OnnxAttention) {
  const std::size_t batches = 2, heads = 3, queries = 4, keys = 10;
  const double scale = 0.25, softcap = 3;
  const Sizes shape = {batches, heads, queries, keys};
  const Tensor logits(SIMDSOFTMAX_F32, shape, normal_logits(f32, count_of(shape), 12, 133));
  std::vector<double> keep(batches * keys, 1);
  for (std::size_t k = 0; k < 8; ++k) keep[keys + k] = 0;  // the first queries of the second batch see nothing
  const Tensor mask(SIMDSOFTMAX_BOOL, {batches, 1, 1, keys}, keep);
  const simdsoftmax_tensor mask_view = mask.view();
  simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  pre_ops.scale = scale;
  pre_ops.softcap = softcap;
  pre_ops.mask = &mask_view;
  pre_ops.causal = 1;
  pre_ops.query_offset = static_cast<std::int64_t>(keys - queries);
  simdsoftmax_options options = options_with(pre_ops);
  options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
  const Tensor output = apply(softmax_operator(), logits, SIMDSOFTMAX_F32, 3, options);
  const auto rows = rows_along(logits.values(), shape, 3);
  const auto got = rows_along(output.values(), shape, 3);
  std::size_t without_keys = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::size_t q = r % queries;
    const std::size_t batch = r / queries / heads;
    std::vector<Wide> z(keys);
    bool any = false;
    for (std::size_t k = 0; k < keys; ++k) {
      const bool visible = keep[batch * keys + k] != 0 && k <= q + keys - queries;
      const Wide x = static_cast<Wide>(scale) * static_cast<Wide>(rows[r][k]);
      z[k] = visible ? static_cast<Wide>(softcap) * std::tanh(x / static_cast<Wide>(softcap)) : -infinity;
      any = any || visible;
    }
    without_keys += any ? 0U : 1U;
    expect_row(plain_softmax(z), got[r], "row " + std::to_string(r));
  }
  EXPECT_EQ(without_keys, heads * 2) << "the mask is meant to leave some queries without keys";
}

// PyTorch's _masked_softmax: true drops; the mask is [L, L] for all, [B, L] of keys, or of the shape of the logits.
TEST_P(RecipesTest, PytorchMaskedSoftmax) {
  const std::size_t batches = 2, heads = 3, length = 9;
  const Sizes shape = {batches, heads, length, length};
  const Tensor logits(SIMDSOFTMAX_F32, shape, normal_logits(f32, count_of(shape), 3, 134));
  const auto rows = rows_along(logits.values(), shape, 3);
  for (const Sizes& mask_shape : {Sizes{length, length}, Sizes{batches, 1, 1, length}, shape}) {
    std::vector<double> drop(count_of(mask_shape));
    Random random(135);
    for (double& value : drop) value = uniform(random) < 0.4 ? 1 : 0;
    for (std::size_t k = 0; k < length; ++k) drop[k] = 1;  // nothing is left of the first row
    const Tensor mask(SIMDSOFTMAX_BOOL, mask_shape, drop);
    const simdsoftmax_tensor mask_view = mask.view();
    simdsoftmax_pre_ops pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
    pre_ops.mask = &mask_view;
    pre_ops.mask_meaning = SIMDSOFTMAX_MASK_DROPS;
    simdsoftmax_options options = options_with(pre_ops);
    options.empty_row = SIMDSOFTMAX_EMPTY_ROW_ZEROS;
    const Tensor output = apply(softmax_operator(), logits, SIMDSOFTMAX_F32, -1, options);
    const auto got = rows_along(output.values(), shape, 3);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::size_t batch = r / length / heads;
      const std::size_t mask_row = mask_shape.size() == 2 ? r % length : mask_shape[2] == 1 ? batch : r;
      std::vector<Wide> z(length);
      for (std::size_t k = 0; k < length; ++k) {
        z[k] = drop[mask_row * length + k] != 0 ? -infinity : static_cast<Wide>(rows[r][k]);
      }
      expect_row(plain_softmax(z), got[r], text_of(mask_shape) + ", row " + std::to_string(r));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RecipesTest, ::testing::ValuesIn(runnable_isas()), name_of_isa);

}  // namespace
}  // namespace softmax_test
