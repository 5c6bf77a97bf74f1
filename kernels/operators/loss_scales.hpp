// SPDX-License-Identifier: Apache-2.0
#pragma once

// Scales of the rows whose losses are wanted, several at a time.

#include "operators/narrow_logs.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::LossTask;

// What log_scale gives for a row.
struct KnownScale {
  LogScale scale;
  RowState state;
};

// Those of the next rows, found for several at a time where rows are dense and short.
template <class In>
class NextScales {
 public:
  NextScales(const LossTask& task, std::size_t row, std::size_t rows)
      : task_(task), cursor_(task.grid, row), left_(rows), logs_(task.cols, room(task)) {}

  static bool fits(const LossTask& task) {
    return task.logits.axis_stride == static_cast<std::ptrdiff_t>(sizeof(In)) && task.theta == 1.0 && task.cols > 1 &&
           task.cols <= longest_narrow<Compute<In>>;
  }

  // Of the next row; false if it needs another way.
  bool next(KnownScale& known) {
    if (at_ == found_) find();
    const std::size_t row = at_++;
    return together_ && logs_.scale_of(row, known.scale, known.state);
  }

 private:
  // Logits that are read again should be near.
  static std::size_t room(const LossTask& task) {
    const bool once = task.grad_logits.data == nullptr && task.log_probabilities.data == nullptr;
    return once ? logsumexp_room : narrow_block_bytes;
  }

  void find() {
    found_ = cursor_.left_of(left_, logs_.rows_at_once());
    together_ = logs_.find_scales(rows_from<const In>(cursor_, task_.grid, task_.logits), found_);
    cursor_.advance(found_);
    left_ -= found_;
    at_ = 0;
  }

  const LossTask& task_;
  RowCursor cursor_;
  std::size_t left_;
  NarrowLogs<In> logs_;
  std::size_t found_ = 0;
  std::size_t at_ = 0;
  bool together_ = false;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
