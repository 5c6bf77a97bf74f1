// SPDX-License-Identifier: Apache-2.0
#include "pre_ops_case.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace softmax_test {
namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN();

std::vector<double> spread_over(const std::optional<Tensor>& tensor, const Sizes& shape) {
  if (!tensor.has_value()) return {};
  return broadcast(tensor->values(), tensor->shape(), shape);
}

}  // namespace

PreOpsCase::PreOpsCase(const Pair& pair, Sizes shape, std::size_t axis, unsigned seed, double spread)
    : logits(normal_logits(format_of(pair.in), count_of(shape), spread, seed)),
      logits_strides(dense_strides(shape)),
      output_strides(dense_strides(shape)),
      pair_(pair),
      shape_(std::move(shape)),
      axis_(axis) {}

// The index of a row along the dimension so many before the axis; the rows are counted over all but the axis.
std::size_t PreOpsCase::dimension_of_row(std::size_t row, std::size_t before_axis) const {
  const std::size_t dimension = axis_ - before_axis;
  std::size_t inner = 1;
  for (std::size_t d = dimension + 1; d < shape_.size(); ++d) inner *= d == axis_ ? 1 : shape_[d];
  return row / inner % shape_[dimension];
}

std::vector<RowOps> PreOpsCase::row_ops() const {
  const Sizes each = with_axis(shape_, axis_, 1);
  const auto bias_rows = rows_along(spread_over(bias, shape_), bias.has_value() ? shape_ : Sizes{0}, bias ? axis_ : 0);
  const auto mask_rows = rows_along(spread_over(mask, shape_), mask.has_value() ? shape_ : Sizes{0}, mask ? axis_ : 0);
  const std::vector<double> row_lengths = spread_over(lengths, each);
  const std::vector<double> row_sinks = spread_over(sinks, each);
  const std::size_t cols = shape_[axis_];
  std::vector<RowOps> all(count_of(each));
  for (std::size_t r = 0; r < all.size(); ++r) {
    RowOps& ops = all[r];
    ops.theta = theta;
    ops.scale = scale;
    ops.softcap = softcap;
    if (bias) ops.bias = bias_rows[r];
    if (max_bias != 0) ops.slope = alibi_slope(max_bias, shape_[axis_ - 2], dimension_of_row(r, 2));
    if (sinks) ops.sink = row_sinks[r];
    ops.dropped.assign(cols, false);
    for (std::size_t c = 0; c < cols; ++c) {
      if (mask && (mask_rows[r][c] != 0) == mask_drops) ops.dropped[c] = true;
      if (lengths && static_cast<double>(c) >= row_lengths[r]) ops.dropped[c] = true;
      if (!causal && window == 0) continue;
      const Wide last = static_cast<Wide>(dimension_of_row(r, 1)) + static_cast<Wide>(query_offset);
      if (causal && static_cast<Wide>(c) > last) ops.dropped[c] = true;
      if (window != 0 && static_cast<Wide>(c) <= last - static_cast<Wide>(window)) ops.dropped[c] = true;
    }
  }
  return all;
}

void PreOpsCase::poison_what_is_dropped() {
  const std::vector<RowOps> rows = row_ops();
  std::size_t inner = 1;
  for (std::size_t d = axis_ + 1; d < shape_.size(); ++d) inner *= shape_[d];
  const std::size_t cols = shape_[axis_];
  const bool own_bias = bias.has_value() && bias->shape() == shape_;
  std::vector<double> biases = own_bias ? bias->values() : std::vector<double>{};
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::size_t row = i / (cols * inner) * inner + i % inner;
    if (!rows[row].dropped[i / inner % cols]) continue;
    logits[i] = nan_value;
    if (own_bias) biases[i] = nan_value;
  }
  if (own_bias) bias->assign(biases);
}

void PreOpsCase::fill_views(Views& views, Tensor& logsumexp) const {
  views.pre_ops = SIMDSOFTMAX_PRE_OPS_INIT;
  views.pre_ops.scale = scale;
  views.pre_ops.softcap = softcap;
  views.pre_ops.max_bias = max_bias;
  views.pre_ops.mask_meaning = mask_drops ? SIMDSOFTMAX_MASK_DROPS : SIMDSOFTMAX_MASK_KEEPS;
  views.pre_ops.causal = causal ? 1 : 0;
  views.pre_ops.query_offset = query_offset;
  views.pre_ops.window = window;
  const auto pass = [](const std::optional<Tensor>& tensor, simdsoftmax_tensor& view,
                       const simdsoftmax_tensor*& pointer) {
    if (!tensor.has_value()) return;
    view = tensor->view();
    pointer = &view;
  };
  pass(bias, views.bias, views.pre_ops.bias);
  pass(mask, views.mask, views.pre_ops.mask);
  pass(lengths, views.lengths, views.pre_ops.lengths);
  pass(sinks, views.sinks, views.pre_ops.sinks);
  if (logsumexp_dtype.has_value()) {
    views.logsumexp = logsumexp.view();
    views.pre_ops.logsumexp = &views.logsumexp;
  }
  views.options = serial_options();
  views.options.theta = theta;
  views.options.empty_row = empty_row_zeros ? SIMDSOFTMAX_EMPTY_ROW_ZEROS : SIMDSOFTMAX_EMPTY_ROW_NAN;
  views.options.pre_ops = &views.pre_ops;
}

Bytes PreOpsCase::run(const Operator& op, std::int32_t threads, simdsoftmax_variant variant, Tensor& logsumexp) const {
  const Sizes each = with_axis(shape_, axis_, 1);
  logsumexp = Tensor(logsumexp_dtype.value_or(SIMDSOFTMAX_F32), each, padded_strides(each, 1));
  Views views;
  fill_views(views, logsumexp);
  views.options.num_threads = threads;
  views.options.variant = variant;
  const Tensor from(pair_.in, shape_, logits_strides, logits);
  const Sizes out_shape = output_shape(op, shape_, axis_);
  const Tensor output(pair_.out, out_shape, op.reduces ? dense_strides(out_shape) : output_strides);
  const simdsoftmax_tensor from_view = from.view();
  const simdsoftmax_tensor to_view = output.view();
  EXPECT_EQ(op.run(&from_view, &to_view, static_cast<std::int32_t>(axis_), &views.options), SIMDSOFTMAX_OK);
  EXPECT_TRUE(output.gaps_untouched());
  EXPECT_TRUE(logsumexp.gaps_untouched());
  return output.element_bytes();
}

void PreOpsCase::check_logsumexp_output(const std::vector<ExactRow>& exact, const Tensor& logsumexp,
                                        const std::string& name) const {
  const Format& compute = compute_format(format_of(pair_.in));
  const Format& out = format_of(logsumexp.dtype());
  const bool f64 = compute.dtype == SIMDSOFTMAX_F64;
  const std::vector<double> got = logsumexp.values();
  for (std::size_t r = 0; r < exact.size(); ++r) {
    // As for simdsoftmax_row_state_logsumexp: the state of the row is what it comes from.
    const Wide value = exact[r].logsumexp;
    const Wide magnitude = std::max<Wide>({1, std::fabs(value), std::fabs(exact[r].max.high)});
    const bool special = exact[r].nan || exact[r].empty;
    const Wide of_sum = f64 ? std::ldexp(magnitude, -50) : std::ldexp(Wide{1}, -21);
    const Wide allowed = special ? 1 : of_sum + std::ldexp(static_cast<Wide>(softcap), -50);
    const double error = rounded_error(format_of(SIMDSOFTMAX_F64), out, value, allowed, 1, got[r]);
    ASSERT_LE(error, 1) << name << ", logsumexp of row " << r << " is " << got[r] << ", exactly " << value;
  }
}

void PreOpsCase::check_top_k(const std::vector<ExactRow>& exact, const Bytes& softmax, const std::string& name) const {
  const std::size_t cols = shape_[axis_];
  const std::size_t k = std::min<std::size_t>({cols, 7, SIMDSOFTMAX_MAX_TOP_K});
  const Sizes out_shape = with_axis(shape_, axis_, k);
  Views views;
  Tensor unused;
  const bool wanted = logsumexp_dtype.has_value();
  if (wanted) unused = Tensor(*logsumexp_dtype, with_axis(shape_, axis_, 1));
  fill_views(views, unused);
  const Tensor from(pair_.in, shape_, logits_strides, logits);
  const Tensor probabilities(pair_.out, out_shape, padded_strides(out_shape, 2));
  const Tensor indices(SIMDSOFTMAX_I32, out_shape, padded_strides(out_shape, 1));
  const simdsoftmax_tensor from_view = from.view();
  const simdsoftmax_tensor p_view = probabilities.view();
  const simdsoftmax_tensor i_view = indices.view();
  ASSERT_EQ(simdsoftmax_softmax_top_k(&from_view, &p_view, &i_view, static_cast<std::int32_t>(axis_),
                                      SIMDSOFTMAX_OVER_ROW, &views.options),
            SIMDSOFTMAX_OK)
      << name;
  ASSERT_TRUE(probabilities.gaps_untouched() && indices.gaps_untouched()) << name;
  const auto all = rows_along(decode(pair_.out, softmax), shape_, axis_);
  const auto got_p = rows_along(probabilities.values(), out_shape, axis_);
  const auto got_i = rows_along(indices.integers(), out_shape, axis_);
  for (std::size_t r = 0; r < exact.size(); ++r) {
    const std::vector<std::size_t> order = exact_order(exact[r], k);
    for (std::size_t i = 0; i < k; ++i) {
      ASSERT_EQ(got_i[r][i], static_cast<std::int64_t>(order[i])) << name << ", row " << r << ", place " << i;
      const double p = all[r][order[i]];
      ASSERT_TRUE(got_p[r][i] == p || (std::isnan(p) && std::isnan(got_p[r][i])))
          << name << ", row " << r << ", place " << i << ": " << got_p[r][i] << ", softmax gives " << p;
    }
  }
}

void PreOpsCase::check_argmax(const std::vector<ExactRow>& exact, const Bytes& softmax, const std::string& name) const {
  const Sizes out_shape = without_axis(shape_, axis_);
  Views views;
  Tensor unused;
  if (logsumexp_dtype.has_value()) unused = Tensor(*logsumexp_dtype, with_axis(shape_, axis_, 1));
  fill_views(views, unused);
  const Tensor from(pair_.in, shape_, logits_strides, logits);
  const Tensor probabilities(pair_.out, out_shape);
  const Tensor indices(SIMDSOFTMAX_I64, out_shape);
  const simdsoftmax_tensor from_view = from.view();
  const simdsoftmax_tensor p_view = probabilities.view();
  const simdsoftmax_tensor i_view = indices.view();
  ASSERT_EQ(simdsoftmax_argmax(&from_view, &p_view, &i_view, static_cast<std::int32_t>(axis_), &views.options),
            SIMDSOFTMAX_OK)
      << name;
  const auto all = rows_along(decode(pair_.out, softmax), shape_, axis_);
  const std::vector<double> got_p = probabilities.values();
  const std::vector<std::int64_t> got_i = indices.integers();
  for (std::size_t r = 0; r < exact.size(); ++r) {
    const std::size_t top = exact_order(exact[r], 1)[0];
    ASSERT_EQ(got_i[r], static_cast<std::int64_t>(top)) << name << ", argmax of row " << r;
    const double p = all[r][top];
    ASSERT_TRUE(got_p[r] == p || (std::isnan(p) && std::isnan(got_p[r]))) << name << ", argmax of row " << r;
  }
}

void PreOpsCase::check(const std::string& name) {
  const std::vector<RowOps> ops = row_ops();
  const auto rows = rows_along(Tensor(pair_.in, shape_, logits).values(), shape_, axis_);
  std::vector<ExactRow> exact;
  for (std::size_t r = 0; r < rows.size(); ++r) exact.push_back(exact_row(rows[r], ops[r]));
  Bytes probabilities;
  for (const Operator& op : operators()) {
    Tensor logsumexp;
    const Bytes output = run(op, 1, SIMDSOFTMAX_AUTO, logsumexp);
    const auto got = rows_along(decode(pair_.out, output), output_shape(op, shape_, axis_), axis_);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const double error = op.error(pair_, exact[r], ops[r], empty_row_zeros, got[r]);
      ASSERT_LE(error, 1) << name << ", " << op.name << ", row " << r << " of " << text_of(shape_);
    }
    if (logsumexp_dtype.has_value()) {
      ASSERT_NO_FATAL_FAILURE(check_logsumexp_output(exact, logsumexp, name));
    }
    if (probabilities.empty()) probabilities = output;
    if (op.reduces || pair_.in != pair_.out) continue;
    Views views;
    fill_views(views, logsumexp);
    const Tensor both(pair_.in, shape_, logits_strides, logits);
    const simdsoftmax_tensor view = both.view();
    ASSERT_EQ(op.run(&view, &view, static_cast<std::int32_t>(axis_), &views.options), SIMDSOFTMAX_OK) << name;
    const std::vector<double> there = both.values();
    const std::vector<double> here = decode(pair_.out, output);
    for (std::size_t i = 0; i < here.size(); ++i) {
      ASSERT_TRUE(there[i] == here[i] || (std::isnan(there[i]) && std::isnan(here[i])))
          << name << ", " << op.name << " in place, element " << i;
    }
    ASSERT_TRUE(both.gaps_untouched()) << name;
  }
  ASSERT_NO_FATAL_FAILURE(check_top_k(exact, probabilities, name));
  ASSERT_NO_FATAL_FAILURE(check_argmax(exact, probabilities, name));
}

void PreOpsCase::check_threads(const std::string& name) {
  for (const Operator& op : operators()) {
    Tensor serial_logsumexp;
    const Bytes serial = run(op, 1, SIMDSOFTMAX_AUTO, serial_logsumexp);
    const auto expect_same = [&](std::int32_t threads, simdsoftmax_variant variant) {
      Tensor logsumexp;
      ASSERT_TRUE(run(op, threads, variant, logsumexp) == serial)
          << name << ", " << op.name << ", " << threads << " threads, " << simdsoftmax_variant_name(variant);
      ASSERT_EQ(logsumexp.memory(), serial_logsumexp.memory())
          << name << ", " << op.name << ", " << threads << " threads, " << simdsoftmax_variant_name(variant);
    };
    for (const std::int32_t threads : {2, 4}) ASSERT_NO_FATAL_FAILURE(expect_same(threads, SIMDSOFTMAX_AUTO));
    for (const simdsoftmax_variant variant : variants()) ASSERT_NO_FATAL_FAILURE(expect_same(1, variant));
  }
}

Tensor random_bias(simdsoftmax_dtype dtype, const Sizes& shape, double spread) {
  return {dtype, shape, padded_strides(shape, 1), normal_logits(format_of(dtype), count_of(shape), spread, 92)};
}

Tensor random_mask(const Sizes& shape, double share) {
  Random random(93);
  std::vector<double> values(count_of(shape));
  for (double& value : values) value = uniform(random) < share ? 1.0 + static_cast<double>(random() % 255) : 0.0;
  return {SIMDSOFTMAX_BOOL, shape, padded_strides(shape, 1), values};
}

}  // namespace softmax_test
