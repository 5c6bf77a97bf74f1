// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/lane_sum.hpp"
#include "staging/convert.hpp"
#include "staging/row_cursor.hpp"
#include "staging/tile.hpp"
#include "variants/row_team.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::GradientTask;

// Terms of a sum over i, in f64: g(i); g(i) * y(i); what the rounding of that product takes away.
enum class Term { single, product, rounding };

template <Term term>
SIMDSOFTMAX_INLINE F64 term_of(F64 g, F64 y) {
  if constexpr (term == Term::single) return g;
  const F64 product = g * y;
  return term == Term::product ? product : product_error(g, y, product);
}

using SignedSum = LaneSum<double, Accuracy::balanced, true>;

template <Term term>
SIMDSOFTMAX_NOINLINE void dot_pass(const double* g, const double* y, std::size_t n, SignedSum& lanes) {
  SignedSum sum = lanes;
  std::size_t i = 0;
  const auto full = [&](std::size_t k) __attribute__((always_inline)) {
    return term_of<term>(load(g + i + k), load(y + i + k));
  };
  const auto last = [&](std::size_t k, std::size_t m) __attribute__((always_inline)) { return keep_first(full(k), m); };
  for (; i + chunk_length<double> <= n; i += chunk_length<double>) sum.add(full);
  if (i < n) sum.add_first(n - i, full, last);
  lanes = sum;
}

// theta * y * (g - dot), over g.
SIMDSOFTMAX_NOINLINE void softmax_gradient_pass(double* g, const double* y, std::size_t n, double theta, double dot) {
  for (std::size_t i = 0; i < n; i += width<double>) {
    store(g + i, (load(y + i) * F64(theta)) * (load(g + i) - F64(dot)));
  }
}

// theta * (g - e^y * sum), over g.
SIMDSOFTMAX_NOINLINE void log_softmax_gradient_pass(double* g, const double* y, std::size_t n, double theta,
                                                    double sum) {
  // Relative to this anchor the headroom cancels.
  const ExpCore<double> exp(ExpRange<double>::headroom);
  for (std::size_t i = 0; i < n; i += width<double>) {
    const F64 log = max_or_second(F64(-708.0), min_or_second(F64(708.0), load(y + i)));
    store(g + i, F64(theta) * neg_mul_add(exp(log), F64(sum), load(g + i)));
  }
}

// Gradients of rows of any dtype, in f64: they are sums of differences, and memory is what limits them.
SIMDSOFTMAX_NOINLINE void walk_gradients(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const GradientTask& task = *static_cast<const GradientTask*>(given);
  const bool of_softmax = task.function == detail::Function::softmax;
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  Tile<double> tile;
  double* const g = tile.hi;
  double* const y = tile.lo;
  const auto each_tile = [&](std::size_t begin, std::size_t end, const auto& work) {
    for (std::size_t at = begin; at < end; at += tile_length<double>) {
      const std::size_t n = end - at < tile_length<double> ? end - at : tile_length<double>;
      const auto offset = static_cast<std::ptrdiff_t>(at);
      const auto load_at = [&](const Operand& operand, double* to) {
        const std::ptrdiff_t stride = operand.axis_stride;
        load_run(cursor.at(operand) + offset * stride, operand.dtype, stride, n, to);
      };
      load_at(task.grad_output, g);
      load_at(task.output, y);
      work(offset, n);
    }
  };
  for (std::size_t r = first; r < last; ++r, cursor.next()) {
    const RowState state = row_team.sum([&](std::size_t part_begin, std::size_t part_end) {
      return add_segments(0, no_shift, part_begin, part_end, [&](std::size_t begin, std::size_t end) {
        SignedSum lanes;
        each_tile(begin, end, [&](std::ptrdiff_t, std::size_t n) {
          of_softmax ? dot_pass<Term::product>(g, y, n, lanes) : dot_pass<Term::single>(g, y, n, lanes);
          // Products of narrower numbers are exact.
          if (of_softmax && task.output.dtype == Dtype::f64) dot_pass<Term::rounding>(g, y, n, lanes);
        });
        return lanes.total();
      });
    });
    const double sum = total(state.sum);
    const Operand& result = task.grad_input;
    row_team.each_part([&](std::size_t begin, std::size_t end) {
      each_tile(begin, end, [&](std::ptrdiff_t offset, std::size_t n) {
        of_softmax ? softmax_gradient_pass(g, y, n, task.theta, sum)
                   : log_softmax_gradient_pass(g, y, n, task.theta, sum);
        store_run(g, cursor.at(result) + offset * result.axis_stride, result.dtype, result.axis_stride, n);
      });
    });
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
