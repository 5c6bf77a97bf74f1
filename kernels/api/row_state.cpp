// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>

#include "api/call.hpp"
#include "api/doubles.hpp"
#include "api/dtypes.hpp"
#include "api/options.hpp"
#include "api/overlap.hpp"
#include "parallel/float_environment.hpp"

using namespace simdsoftmax::detail;

namespace {

static_assert(max_parts == SIMDSOFTMAX_ROW_PARTS, "the parts of the kernels are those of the header");

constexpr std::size_t most_cols = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(double);

std::size_t part_count(std::size_t cols) {
  const std::size_t length = row_part_length(cols);
  return cols / length + (cols % length != 0);
}

std::uint64_t bit_of(std::size_t part) { return std::uint64_t{1} << part % 64; }

bool is_present(const simdsoftmax_row_state& state, std::size_t part) {
  return (state.present[part / 64] & bit_of(part)) != 0;
}

// The accuracy that a state has where this one was asked for.
simdsoftmax_accuracy accuracy_of(simdsoftmax_dtype dtype, simdsoftmax_accuracy asked) {
  return asked == SIMDSOFTMAX_EXACT && dtype != SIMDSOFTMAX_F64 ? SIMDSOFTMAX_EXACT : SIMDSOFTMAX_BALANCED;
}

// Whether simdsoftmax_row_state_init can have made it.
bool is_initialised(const simdsoftmax_row_state& state) {
  if (state.cols > most_cols || !is_finite(state.theta)) return false;
  if (check_logits_dtype(state.dtype, state.theta) != SIMDSOFTMAX_OK) return false;
  if (state.arithmetic != 1 && state.arithmetic != 2) return false;
  if (state.accuracy != accuracy_of(state.dtype, state.accuracy)) return false;
  for (std::size_t p = part_count(state.cols); p < max_parts; ++p) {
    if (is_present(state, p)) return false;
  }
  return true;
}

bool is_complete(const simdsoftmax_row_state& state) {
  const std::size_t parts = part_count(state.cols);
  for (std::size_t p = 0; p < parts; ++p) {
    if (!is_present(state, p)) return false;
  }
  return true;
}

// The kernels, if their arithmetic is that of the state.
simdsoftmax_status kernels_for(const simdsoftmax_row_state& state, const KernelTable*& kernels) {
  if (!is_initialised(state)) return SIMDSOFTMAX_BAD_STATE;
  if (const auto status = current_kernels(kernels)) return status;
  return kernels->arithmetic == state.arithmetic ? SIMDSOFTMAX_OK : SIMDSOFTMAX_BAD_STATE;
}

RowState from_public(const simdsoftmax_row_part& part) {
  return {part.anchor, {part.shift, part.shift_low}, {part.high, part.low}};
}

simdsoftmax_row_part to_public(const RowState& state) {
  return {state.anchor, state.shift.high, state.shift.low, state.sum.high, state.sum.low};
}

// The state of a row that is complete and not empty.
RowState merged(const simdsoftmax_row_state& state, const KernelTable& kernels) {
  const std::size_t parts = part_count(state.cols);
  RowState all = from_public(state.parts[0]);
  for (std::size_t p = 1; p < parts; ++p) all = kernels.merge(all, from_public(state.parts[p]));
  return all;
}

bool is_slice(std::size_t cols, std::size_t first, std::size_t count) { return first <= cols && count <= cols - first; }

SliceTask slice_of(const simdsoftmax_row_state& state, const void* logits, std::size_t first, std::size_t count) {
  return {logits, static_cast<Dtype>(state.dtype), state.cols, row_part_length(state.cols), first, count, state.theta};
}

}  // namespace

size_t simdsoftmax_row_part_length(size_t cols) { return row_part_length(cols); }

simdsoftmax_status simdsoftmax_row_state_init(simdsoftmax_row_state* state, simdsoftmax_dtype dtype, size_t cols,
                                              const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_plain_options(given, options)) return status;
  if (state == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (const auto status = check_logits_dtype(dtype, options.theta)) return status;
  const KernelTable* kernels;
  if (const auto status = current_kernels(kernels)) return status;
  if (cols > most_cols) return SIMDSOFTMAX_SIZE_OVERFLOW;
  *state = {};
  state->cols = cols;
  state->theta = options.theta;
  state->dtype = dtype;
  state->arithmetic = kernels->arithmetic;
  state->accuracy = accuracy_of(dtype, options.accuracy);
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_row_state_add(simdsoftmax_row_state* state, const void* logits, size_t first,
                                             size_t count) {
  if (state == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  const KernelTable* kernels;
  if (const auto status = kernels_for(*state, kernels)) return status;
  const std::size_t length = row_part_length(state->cols);
  const auto may_cut = [&](std::size_t column) { return column % length == 0 || column == state->cols; };
  if (!is_slice(state->cols, first, count) || !may_cut(first) || !may_cut(first + count)) return SIMDSOFTMAX_BAD_SLICE;
  if (count == 0) return SIMDSOFTMAX_OK;
  if (logits == nullptr) return SIMDSOFTMAX_NULL_POINTER;

  RowState states[max_parts];
  {
    const FloatEnvironment environment;
    kernels->slice_states[compute_index(state->dtype, state->accuracy)](slice_of(*state, logits, first, count), states);
  }
  const std::size_t first_part = first / length;
  const std::size_t parts = count / length + (count % length != 0);
  for (std::size_t p = 0; p < parts; ++p) {
    state->parts[first_part + p] = to_public(states[p]);
    state->present[(first_part + p) / 64] |= bit_of(first_part + p);
  }
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_row_state_merge(simdsoftmax_row_state* state, const simdsoftmax_row_state* from) {
  if (state == nullptr || from == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  if (!is_initialised(*state) || !is_initialised(*from)) return SIMDSOFTMAX_BAD_STATE;
  const bool same_row = state->cols == from->cols && are_equal(state->theta, from->theta) &&
                        state->dtype == from->dtype && state->arithmetic == from->arithmetic &&
                        state->accuracy == from->accuracy;
  if (!same_row) return SIMDSOFTMAX_BAD_STATE;
  const std::size_t parts = part_count(state->cols);
  for (std::size_t p = 0; p < parts; ++p) {
    if (!is_present(*from, p)) continue;
    state->parts[p] = from->parts[p];
    state->present[p / 64] |= bit_of(p);
  }
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_row_state_softmax(const simdsoftmax_row_state* state, const void* logits, size_t first,
                                                 size_t count, void* output, simdsoftmax_dtype output_dtype,
                                                 const simdsoftmax_options* given) {
  simdsoftmax_options options;
  if (const auto status = read_plain_options(given, options)) return status;
  if (state == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  const KernelTable* kernels;
  if (const auto status = kernels_for(*state, kernels)) return status;
  if (!is_complete(*state)) return SIMDSOFTMAX_BAD_STATE;
  if (const auto status = check_dtypes(state->dtype, output_dtype, state->theta)) return status;
  if (!is_slice(state->cols, first, count)) return SIMDSOFTMAX_BAD_SLICE;
  if (count == 0) return SIMDSOFTMAX_OK;
  if (logits == nullptr || output == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  const auto to = static_cast<Dtype>(output_dtype);
  const std::size_t output_bytes = count * dtype_size(to);
  const bool in_place = logits == output && state->dtype == output_dtype;
  if ((!in_place && overlap(logits, count * dtype_size(static_cast<Dtype>(state->dtype)), output, output_bytes)) ||
      overlap(state, sizeof *state, output, output_bytes)) {
    return SIMDSOFTMAX_PARTIAL_OVERLAP;
  }

  const FloatEnvironment environment;
  kernels->finish_slice[compute_index(state->dtype, state->accuracy)](slice_of(*state, logits, first, count),
                                                                      merged(*state, *kernels), output, to,
                                                                      options.empty_row == SIMDSOFTMAX_EMPTY_ROW_ZEROS);
  return SIMDSOFTMAX_OK;
}

simdsoftmax_status simdsoftmax_row_state_logsumexp(const simdsoftmax_row_state* state, double* logsumexp) {
  if (state == nullptr || logsumexp == nullptr) return SIMDSOFTMAX_NULL_POINTER;
  const KernelTable* kernels;
  if (const auto status = kernels_for(*state, kernels)) return status;
  if (!is_complete(*state)) return SIMDSOFTMAX_BAD_STATE;
  if (state->cols == 0) {
    *logsumexp = -HUGE_VAL;
    return SIMDSOFTMAX_OK;
  }
  const FloatEnvironment environment;
  *logsumexp = kernels->logsumexp[compute_index(state->dtype, state->accuracy)](merged(*state, *kernels));
  return SIMDSOFTMAX_OK;
}
