// SPDX-License-Identifier: Apache-2.0
#pragma once

// Softmax of f32 rows with pre-operations that need no staging; and the kernel that takes these so, others staged.

#include "operators/row_blocks.hpp"
#include "operators/staged_rows.hpp"
#include "staging/hidden_columns.hpp"
#include "variants/narrow_pre_ops.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

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

  // Takes the first of n rows, and sets n to how many these are. False if the bias does more than hide. hidden_rows:
  // see NarrowPreOps::walk.
  bool read(const RowCursor& cursor, std::size_t& n, std::size_t& hidden_rows) {
    hidden_rows = 0;
    if (pre_ops_ == nullptr) return true;
    if (has_range_) {
      const auto query = Along<std::int64_t>{cursor.at(pre_ops_->query), stride(pre_ops_->query)};
      const auto length = Along<const char*>{cursor.at(pre_ops_->lengths), stride(pre_ops_->lengths)};
      std::size_t columns = 0;
      for (std::size_t r = 0; r < n; ++r) {
        const char* const length_at = pre_ops_->lengths.data == nullptr ? nullptr : length[r];
        rows_.visible(r) = visible_columns(*pre_ops_, query[r], length_at, cols_).last;
        columns += rows_.columns_of(r);
        if (columns > NarrowPreOps::columns_of_block) n = in_groups(r);
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
    // Rows whose masks, and bits, lie one behind the other are as good as a long one.
    const auto row_is_run = [&](const Operand& operand, std::ptrdiff_t row_stride) {
      return operand.data == nullptr || row_stride == static_cast<std::ptrdiff_t>(cols_) * operand.axis_stride;
    };
    const bool is_run = !has_range_ && cols_ % 64 == 0 && row_is_run(pre_ops_->bias, bias.stride) &&
                        row_is_run(pre_ops_->mask, mask.stride);
    const std::size_t runs = is_run ? 1 : hidden_rows;
    for (std::size_t r = 0; r < runs; ++r) {
      const std::size_t length = is_run ? hidden_rows * cols_ : rows_.visible(r);
      if (has_bias && !find_hidden_by_bias(bias[r], pre_ops_->bias, length, rows_.hidden(r))) return false;
      if (has_mask) add_hidden_by_mask(mask[r], pre_ops_->mask, length, pre_ops_->mask_drops, rows_.hidden(r));
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

  std::ptrdiff_t stride(const Operand& operand) const { return operand.row_strides[inner_]; }
  std::ptrdiff_t stride(const detail::Position& position) const {
    return static_cast<std::ptrdiff_t>(position.row_strides[inner_]);
  }

  std::size_t cols_;
  const PreOps* pre_ops_;
  NarrowPreOps& rows_;
  int inner_ = 0;
  bool has_range_ = false;
  // The mask whose bits are there, if one is for many rows.
  bool is_known_ = false;
  const char* known_bias_ = nullptr;
  const char* known_mask_ = nullptr;
};

SIMDSOFTMAX_NOINLINE void walk_unstaged_rows(const RowsTask& task, RowCursor& cursor, std::size_t rows,
                                             RowTeam& row_team) {
  const bool ends = task.pre_ops != nullptr && (task.pre_ops->causal || task.pre_ops->lengths.data != nullptr);
  const Destination destination = destination_of<float, float>(task, rows);
  NarrowPreOps narrow(task.cols, task.theta, ends, destination);
  PreOpRows pre_op_rows(task, narrow);
  each_block(cursor, rows, narrow.rows_at_once(), [&](std::size_t n) {
    const auto x = rows_from<const float>(cursor, task.grid, task.logits);
    const auto y = rows_from<float>(cursor, task.grid, task.output);
    std::size_t hidden_rows;
    if (pre_op_rows.read(cursor, n, hidden_rows) && narrow.walk(x, y, n, hidden_rows, task.in_place)) {
      cursor.advance(n);
    } else {
      walk_staged_rows<float>(task, cursor, n, row_team);
    }
    return n;
  });
  narrow.finish();
  if (destination == Destination::past_caches) stream_fence();
}

template <class T, Accuracy accuracy = Accuracy::balanced>
void walk_rows(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const RowsTask& task = *static_cast<const RowsTask*>(given);
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (go_without_staging(task, row_team)) return walk_unstaged_rows(task, cursor, last - first, row_team);
  }
  walk_staged_rows<T, accuracy>(task, cursor, last - first, row_team);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
