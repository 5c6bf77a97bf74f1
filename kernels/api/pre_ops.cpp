// SPDX-License-Identifier: Apache-2.0
#include "api/pre_ops.hpp"

#include <cmath>
#include <initializer_list>

#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "parallel/float_environment.hpp"

namespace simdsoftmax::detail {

namespace {

bool is_zero(double value) { return are_equal(value, 0.0); }
bool is_factor(double value) { return is_finite(value) && (!std::signbit(value) || is_zero(value)); }
bool is_switch(std::int32_t value) { return value == 0 || value == 1; }

// Far beyond the number of columns of any row, and far enough from the ends of int64 to add positions to it.
constexpr std::int64_t farthest = std::int64_t{1} << 61;

std::int64_t clamped(std::int64_t offset) {
  return offset > farthest ? farthest : offset < -farthest ? -farthest : offset;
}

// a - b, clamped, for b > 0.
std::int64_t clamped_difference(std::int64_t a, std::int64_t b) {
  return a < -farthest + b ? -farthest : clamped(a - b);
}

}  // namespace

simdsoftmax_status CallPreOps::read(const simdsoftmax_pre_ops* given) {
  given_ = SIMDSOFTMAX_PRE_OPS_INIT;
  if (given == nullptr) return SIMDSOFTMAX_OK;
  if (const auto status = read_struct(*given, sizeof given_, given_)) return status;
  const bool possible = is_finite(given_.scale) && is_factor(given_.softcap) && is_factor(given_.max_bias) &&
                        (is_zero(given_.max_bias) || given_.bias != nullptr) && is_switch(given_.mask_meaning) &&
                        is_switch(given_.causal) && given_.window >= 0;
  return possible ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_PRE_OPS;
}

simdsoftmax_status CallPreOps::check_dtypes(simdsoftmax_dtype logits, const simdsoftmax_options& options,
                                            double& factor) {
  const double theta = options.theta;
  const auto* bias = given_.bias;
  if (bias != nullptr && !is_real(bias->dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  if (bias != nullptr && bias->dtype == SIMDSOFTMAX_F64 && logits != SIMDSOFTMAX_F64) return SIMDSOFTMAX_BAD_DTYPE;
  if (given_.mask != nullptr && given_.mask->dtype != SIMDSOFTMAX_BOOL) return SIMDSOFTMAX_BAD_DTYPE;
  if (given_.lengths != nullptr && !is_index(given_.lengths->dtype)) return SIMDSOFTMAX_BAD_DTYPE;
  for (const auto* tensor : {given_.sinks, given_.logsumexp}) {
    if (tensor != nullptr && tensor->dtype != SIMDSOFTMAX_F32 && tensor->dtype != SIMDSOFTMAX_F64) {
      return SIMDSOFTMAX_BAD_DTYPE;
    }
  }
  factor = theta;
  if (are_equal(given_.scale, 1.0)) return SIMDSOFTMAX_OK;
  const FloatEnvironment environment;
  factor = theta * given_.scale;
  const bool in_f64 = compute_index(logits, options.accuracy) > 0;
  if (in_f64 && std::isfinite(factor)) factor_low_ = std::fma(theta, given_.scale, -factor);
  return check_logits_dtype(logits, factor) == SIMDSOFTMAX_OK && std::isfinite(factor) ? SIMDSOFTMAX_OK
                                                                                       : SIMDSOFTMAX_BAD_PRE_OPS;
}

void CallPreOps::add_to(Tensors& tensors) {
  bias_ = tensors.add(given_.bias, Fit::broadcast, Access::input);
  mask_ = tensors.add(given_.mask, Fit::broadcast, Access::input);
  lengths_ = tensors.add(given_.lengths, Fit::broadcast_rows, Access::input);
  sinks_ = tensors.add(given_.sinks, Fit::broadcast_rows, Access::input);
  logsumexp_ = tensors.add(given_.logsumexp, Fit::per_row, Access::output);
}

simdsoftmax_status CallPreOps::check_dimensions(Tensors& tensors) const {
  const bool needs_head = !is_zero(given_.max_bias);
  if (!needs_query() && !needs_head) return SIMDSOFTMAX_OK;
  const int last = tensors.rank() - 1;
  if (tensors.axis() != last || last < (needs_head ? 2 : 1)) return SIMDSOFTMAX_BAD_PRE_OPS;
  if (needs_query()) tensors.use_position(last - 1);
  if (needs_head) tensors.use_position(last - 2);
  return SIMDSOFTMAX_OK;
}

bool CallPreOps::any() const {
  return !is_zero(factor_low_) || !is_zero(given_.softcap) || needs_query() || given_.bias != nullptr ||
         given_.mask != nullptr || given_.lengths != nullptr || given_.sinks != nullptr || given_.logsumexp != nullptr;
}

PreOps CallPreOps::kernel_pre_ops(const Tensors& tensors) const {
  PreOps pre_ops = {};
  pre_ops.theta_low = factor_low_;
  pre_ops.softcap = given_.softcap;
  pre_ops.max_bias = given_.max_bias;
  pre_ops.causal = given_.causal != 0;
  pre_ops.mask_drops = given_.mask_meaning == SIMDSOFTMAX_MASK_DROPS;
  if (needs_query()) {
    pre_ops.query_offset = clamped(given_.query_offset);
    pre_ops.query = tensors.position(tensors.axis() - 1);
  }
  if (given_.window != 0) {
    const std::int64_t begin = clamped_difference(given_.query_offset, given_.window);
    const std::int64_t window = pre_ops.query_offset - begin;
    pre_ops.window = window > 0 ? window : 1;
  }
  if (!is_zero(given_.max_bias)) {
    pre_ops.heads = tensors.size(tensors.axis() - 2);
    pre_ops.head = tensors.position(tensors.axis() - 2);
  }
  pre_ops.bias = tensors.operand(bias_);
  pre_ops.mask = tensors.operand(mask_);
  pre_ops.lengths = tensors.operand(lengths_);
  pre_ops.sinks = tensors.operand(sinks_);
  pre_ops.logsumexp = tensors.operand(logsumexp_);
  return pre_ops;
}

}  // namespace simdsoftmax::detail
