// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernels for tasks on rows: softmax, log_softmax, logsumexp.

#include "operators/log_softmax.hpp"
#include "staging/hidden_columns.hpp"
#include "staging/plain_row.hpp"
#include "staging/staged_source.hpp"
#include "variants/narrow_pre_ops.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::Function;
using detail::RowsTask;

template <class T>
using StagedRow = Row<StagedSource<T>, StagedOutput<T>>;

// Exponentials go to the output where it can hold them: its lines then come in while they are computed, not while they
// are scaled. In place, and where it cannot, they stay in the tile if the row fits it.
template <class T>
StagedRow<T> staged_row(const RowsTask& task, const RowCursor& cursor, Tile<T>& tile, RowTeam& team) {
  const StagedSource<T> x(task.logits, task.theta, task.pre_ops, task.cols, cursor, tile);
  const StagedOutput<T> y(task.output, cursor, tile);
  const bool in_tile = team.alone() && !x.is_in_memory() && x.last() - x.first() <= tile_length<T> &&
                       x.first() / tile_length<T> == (x.last() - (x.last() > x.first())) / tile_length<T>;
  if (in_tile && (task.in_place || y.memory() == nullptr)) return {{x, tile.hi, x.first(), true, team}, y};
  return {{x, y.memory(), 0, !task.in_place || y.memory() == nullptr, team}, y};
}

template <class T>
SIMDSOFTMAX_NOINLINE double logsumexp_in(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Tile<T> tile;
  StagedRow<T> row = staged_row<T>(task, cursor, tile, team);
  row.stash = nullptr;
  RowState state;
  if constexpr (sizeof(T) == 8) {
    // Relative to the maximum, which is the result where it has all of the mass.
    const LogScale scale = log_scale(row, state);
    if (is_finite(scale.max)) return state.shift + (scale.max + (scale.max_low + scale.log_sum));
  } else {
    if (!ThreePass::walk(row, state)) state = any_state(row);
  }
  return logsumexp_of(row, state);
}

// The exponentials of f32 rows are good for 1 ULP of logsumexp from 4 on, and for 2^-21 below: there it is taken in
// f64.
template <class T>
double row_logsumexp(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  const double result = logsumexp_in<T>(task, cursor, team);
  if (sizeof(T) == 4 && result < 4 && result > -4) return logsumexp_in<double>(task, cursor, team);
  return result;
}

template <class T>
void softmax_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  StagedRow<T> row = staged_row(task, cursor, tile, team);
  RowState state;
  // One column has exactly 1, which e * (1 / e) need not be.
  const bool single = task.cols == 1 && !row.x.has_sink();
  if (single || !walk(row, task.variant, state)) {
    row.stash = nullptr;
    state = any_state(row);
    if (single && !is_nan(state.sum) && !is_nothing(state)) {
      row.fill(1);
    } else {
      finish_any(row, state, task.empty_row_zeros);
    }
  } else if (!is_finite(state.sum.high)) {
    row.fill(is_nan(state.sum) ? Limits<T>::nan : T(0));  // infinite: the sink has it all
  } else {
    row.normalize(state);
  }
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr && team.is_first()) {
    store_one(logsumexp_of(row, state), cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

template <class T>
void log_softmax_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  StagedRow<T> row = staged_row(task, cursor, tile, team);
  RowState state;
  const LogScale scale = log_scale(row, state);
  write_log(row, state, scale, task.empty_row_zeros);
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr && team.is_first()) {
    store_one(logsumexp_of(row, state), cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

template <class T>
void logsumexp_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  const double result = row_logsumexp<T>(task, cursor, team);
  if (!team.is_first()) return;
  store_one(result, cursor.at(task.output), task.output.dtype);
  if (task.pre_ops != nullptr && task.pre_ops->logsumexp.data != nullptr) {
    store_one(result, cursor.at(task.pre_ops->logsumexp), task.pre_ops->logsumexp.dtype);
  }
}

template <class T>
SIMDSOFTMAX_NOINLINE void walk_row(const RowsTask& task, const RowCursor& cursor, RowTeam& team, Tile<T>& tile) {
  switch (task.function) {
    case Function::softmax:
      return softmax_row<T>(task, cursor, team, tile);
    case Function::log_softmax:
      return log_softmax_row<T>(task, cursor, team, tile);
    case Function::logsumexp:
      return logsumexp_row<T>(task, cursor, team);
  }
}

// Whether rows can go by NarrowPreOps.
SIMDSOFTMAX_NOINLINE bool go_without_staging(const RowsTask& task, const RowTeam& row_team) {
  constexpr std::ptrdiff_t element = sizeof(float);
  const auto is_dense = [](const Operand& x) { return x.dtype == Dtype::f32 && x.axis_stride == element; };
  if (task.function != Function::softmax || !is_dense(task.logits) || !is_dense(task.output)) return false;
  if (!row_team.alone() || task.cols == 1 || task.cols > longest_narrow<float>) return false;
  if (task.variant == Variant::online || task.variant == Variant::three_pass_recompute) return false;
  if (task.pre_ops == nullptr) return true;
  const PreOps& pre_ops = *task.pre_ops;
  return pre_ops.softcap == 0 && pre_ops.max_bias == 0 && pre_ops.window == 0 && pre_ops.sinks.data == nullptr &&
         pre_ops.logsumexp.data == nullptr;
}

// Reads what a block of rows needs to know of its pre-operations, masks included.
class PreOpRows {
 public:
  PreOpRows(const RowsTask& task, NarrowPreOps& rows) : cols_(task.cols), pre_ops_(task.pre_ops), rows_(rows) {
    for (std::size_t r = 0; r < rows_.rows_at_once(); ++r) rows_.visible(r) = cols_;
    if (pre_ops_ == nullptr) return;
    inner_ = task.grid.rank - 1;
    has_range_ = pre_ops_->causal || pre_ops_->lengths.data != nullptr;
  }

  // False if the bias does more than hide. hidden_rows: see NarrowPreOps::walk.
  bool read(const RowCursor& cursor, std::size_t n, std::size_t& hidden_rows) {
    hidden_rows = 0;
    if (pre_ops_ == nullptr) return true;
    if (has_range_) {
      const auto query = Along<std::int64_t>{cursor.at(pre_ops_->query), stride(pre_ops_->query)};
      const auto length = Along<const char*>{cursor.at(pre_ops_->lengths), stride(pre_ops_->lengths)};
      for (std::size_t r = 0; r < n; ++r) {
        const char* const length_at = pre_ops_->lengths.data == nullptr ? nullptr : length[r];
        rows_.visible(r) = visible_columns(*pre_ops_, query[r], length_at, cols_).last;
      }
    }
    const bool has_bias = pre_ops_->bias.data != nullptr;
    const bool has_mask = pre_ops_->mask.data != nullptr;
    if (!has_bias && !has_mask) return true;
    const auto bias = Along<const char*>{has_bias ? cursor.at(pre_ops_->bias) : nullptr, stride(pre_ops_->bias)};
    const auto mask = Along<const char*>{has_mask ? cursor.at(pre_ops_->mask) : nullptr, stride(pre_ops_->mask)};
    const bool is_same = bias.stride == 0 && mask.stride == 0 && !has_range_;
    hidden_rows = is_same ? 1 : n;
    if (is_same && is_known_ && bias.first == known_bias_ && mask.first == known_mask_) return true;
    is_known_ = false;
    if (!has_bias) rows_.clear_hidden(hidden_rows);
    for (std::size_t r = 0; r < hidden_rows; ++r) {
      if (has_bias && !find_hidden_by_bias(bias[r], pre_ops_->bias, rows_.visible(r), rows_.hidden(r))) return false;
      if (has_mask) {
        add_hidden_by_mask(mask[r], pre_ops_->mask, rows_.visible(r), pre_ops_->mask_drops, rows_.hidden(r));
      }
    }
    is_known_ = is_same;
    known_bias_ = bias.first;
    known_mask_ = mask.first;
    return true;
  }

 private:
  // Of row r of the block.
  template <class Place>
  struct Along {
    Place first;
    std::ptrdiff_t stride;

    Place operator[](std::size_t r) const { return first + static_cast<std::ptrdiff_t>(r) * stride; }
  };

  std::ptrdiff_t stride(const Operand& operand) const { return inner_ < 0 ? 0 : operand.row_strides[inner_]; }
  std::ptrdiff_t stride(const detail::Position& position) const {
    return inner_ < 0 ? 0 : static_cast<std::ptrdiff_t>(position.row_strides[inner_]);
  }

  std::size_t cols_;
  const PreOps* pre_ops_;
  NarrowPreOps& rows_;
  int inner_ = -1;
  bool has_range_ = false;
  // The mask whose bits are there, if one is for many rows.
  bool is_known_ = false;
  const char* known_bias_ = nullptr;
  const char* known_mask_ = nullptr;
};

template <class T>
SIMDSOFTMAX_NOINLINE void walk_staged_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  Tile<T> tile;
  for (; rows > 0; --rows, cursor.next()) walk_row<T>(task, cursor, row_team, tile);
}

SIMDSOFTMAX_NOINLINE void walk_unstaged_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                             RowTeam& row_team) {
  const bool streams = task.variant == Variant::streaming;
  const bool ends = task.pre_ops != nullptr && (task.pre_ops->causal || task.pre_ops->lengths.data != nullptr);
  NarrowPreOps narrow(task.cols, task.theta, ends, streams);
  PreOpRows pre_op_rows(task, narrow);
  const int inner = task.grid.rank - 1;
  while (rows > 0) {
    const std::size_t n = inner < 0 ? 1 : cursor.left_of(rows, narrow.rows_at_once());
    const std::ptrdiff_t logits_stride = inner < 0 ? 0 : task.logits.row_strides[inner];
    const std::ptrdiff_t output_stride = inner < 0 ? 0 : task.output.row_strides[inner];
    const EvenRows<const float> x = {reinterpret_cast<const float*>(cursor.at(task.logits)), logits_stride};
    const EvenRows<float> y = {reinterpret_cast<float*>(cursor.at(task.output)), output_stride};
    std::size_t hidden_rows;
    if (pre_op_rows.read(cursor, n, hidden_rows) && narrow.walk(x, y, n, hidden_rows, task.in_place)) {
      if (inner >= 0) cursor.advance(n);
    } else {
      walk_staged_rows<float>(task, cursor, n, row_team);
    }
    rows -= n;
  }
  if (streams) stream_fence();
}

template <class T>
void walk_rows(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (go_without_staging(task, row_team)) return walk_unstaged_rows(task, cursor, last - first, row_team);
  }
  walk_staged_rows<T>(task, cursor, last - first, row_team);
}

// Rows that a variant cannot finish.
template <class T>
SIMDSOFTMAX_NOINLINE void finish_alone(const RowsTask& task, const RowCursor& cursor, RowTeam& team) {
  Tile<T> tile;
  StagedRow<T> row = staged_row(task, cursor, tile, team);
  row.stash = nullptr;
  const RowState state = any_state(row);
  finish_any(row, state, task.empty_row_zeros);
}

// Exponentials of a row, or a thread's parts of it, whose output type cannot hold them; on the stack of the thread.
// Those that are worth two of the narrower ones may take more of it.
template <class T>
constexpr std::size_t scratch_length = sizeof(T) == 4 ? 4096 : 32768;

template <class T>
struct Scratch {
  T* exponentials;
  std::size_t length;
};

// Softmax of dense rows as they are, one by one.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_single_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows, RowTeam& row_team,
                                           const Scratch<Compute<In>>& scratch) {
  using T = Compute<In>;
  constexpr bool stash_in_output = sizeof(Out) == sizeof(T);
  for (; rows > 0; --rows, cursor.next()) {
    const auto* const x = reinterpret_cast<const In*>(cursor.at(task.logits));
    auto* const y = reinterpret_cast<Out*>(cursor.at(task.output));
    T* stash = nullptr;
    std::size_t stash_first = 0;
    bool logits_survive = true;
    if constexpr (stash_in_output) {
      stash = reinterpret_cast<T*>(y);
      logits_survive = !task.in_place;
    } else if (row_team.last_column() - row_team.first_column() <= scratch.length) {
      stash = scratch.exponentials;
      stash_first = row_team.first_column();
    }
    const auto* const results = reinterpret_cast<const char*>(y + stash_first);
    Row<PlainRow<In>, PlainOutput<Out>, accuracy> row{
        {{x, task.cols}, stash, stash_first, logits_survive, row_team, results, sizeof(Out)}, {y}};
    RowState state;
    const bool single = task.cols == 1;
    // Exponentials of finish_alone are not fast ones, so what is left to it must not depend on the variant.
    const auto walked = [&] {
      return walk(row, task.variant, state) || (accuracy == Accuracy::fast && ThreePass::walk(row, state));
    };
    if (single && is_finite(row.max())) {
      row.fill(1);  // exactly, which e * (1 / e) need not be
    } else if (single || !walked()) {
      finish_alone<T>(task, cursor, row_team);
    } else if (is_nan(state.sum)) {
      row.fill(Limits<T>::nan);
    } else if (row.stash == nullptr && task.variant == Variant::streaming) {
      row.stream(state);
    } else {
      row.normalize(state);
    }
  }
}

template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_single_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  using T = Compute<In>;
  constexpr std::size_t length = sizeof(Out) == sizeof(T) ? 1 : scratch_length<T>;
  alignas(64) T exponentials[length];
  walk_single_rows<In, Out, accuracy>(task, cursor, rows, row_team, {exponentials, length});
}

// Softmax of dense rows as they are, several at a time.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void walk_narrow_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                           RowTeam& row_team) {
  Narrow<In, Out, accuracy> narrow(task.cols, task.variant == Variant::streaming);
  const int inner = task.grid.rank - 1;
  while (rows > 0) {
    const std::size_t n = cursor.left_of(rows, narrow.rows_at_once());
    const EvenRows<const In> x = {reinterpret_cast<const In*>(cursor.at(task.logits)), task.logits.row_strides[inner]};
    const EvenRows<Out> y = {reinterpret_cast<Out*>(cursor.at(task.output)), task.output.row_strides[inner]};
    if (narrow.walk(x, y, n)) {
      cursor.advance(n);
    } else {
      walk_single_rows<In, Out, accuracy>(task, cursor, n, row_team, {narrow.exponentials(), task.cols});
    }
    rows -= n;
  }
}

template <class In, class Out, Accuracy accuracy = Accuracy::balanced>
void walk_dense_rows(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  const bool several = task.variant == Variant::narrow || task.variant == Variant::streaming;
  if (several && row_team.alone() && task.grid.rank > 0 && task.cols > 1 && task.cols <= longest_narrow<Compute<In>>) {
    walk_narrow_rows<In, Out, accuracy>(task, cursor, last - first, row_team);
  } else {
    walk_single_rows<In, Out, accuracy>(task, cursor, last - first, row_team);
  }
  if (task.variant == Variant::streaming) stream_fence();
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
