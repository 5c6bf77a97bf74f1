// SPDX-License-Identifier: Apache-2.0
#pragma once

// The list of kernels, from which the translation unit of each ISA fills its table.

#include "variants/anchored.hpp"
#include "variants/online.hpp"
#include "variants/three_pass.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::KernelTable;
using detail::RowsTask;

// Exponentials of a row whose output type cannot hold them; on the stack of the thread that walks the row.
constexpr std::size_t scratch_length = 4096;

template <class Row>
void walk(const Row& row, detail::Variant variant) {
  switch (variant) {
    case detail::Variant::three_pass_recompute:
      return ThreePassRecompute::walk(row);
    case detail::Variant::online:
      return Online::walk(row);
    case detail::Variant::anchored:
      return Anchored::walk(row);
    case detail::Variant::three_pass:
    case detail::Variant::automatic:
      return ThreePass::walk(row);
  }
}

template <class Source, class In, class Out>
void walk_rows(const RowsTask& task, std::size_t first, std::size_t last, const Team& team) {
  using T = Compute<In>;
  constexpr bool stash_in_output = sizeof(Out) == sizeof(T);
  RowTeam row_team(team, task.cols);
  alignas(64) T scratch[stash_in_output ? 1 : scratch_length];
  for (std::size_t r = first; r < last; ++r) {
    const auto row_index = static_cast<std::ptrdiff_t>(r);
    const void* const x = static_cast<const char*>(task.logits) + row_index * task.logits_stride;
    void* const y = static_cast<char*>(task.output) + row_index * task.output_stride;
    T* stash = nullptr;
    if constexpr (stash_in_output) {
      stash = static_cast<T*>(y);
    } else if (row_team.alone() && task.cols <= scratch_length) {
      stash = scratch;
    }
    const Row<Source, Out> row{Source(static_cast<const In*>(x), task.theta),
                               Sink<Out>{static_cast<Out*>(y)},
                               stash,
                               task.cols,
                               x == y,
                               task.empty_row_zeros,
                               row_team};
    if (task.cols == 1) {
      row.walk_single();
    } else {
      walk(row, task.variant);
    }
  }
}

template <class In, class Out>
void softmax_rows(const RowsTask& task, std::size_t first, std::size_t last, const Team& team) {
  if (task.theta == 1.0) {
    walk_rows<PlainSource<In>, In, Out>(task, first, last, team);
  } else {
    walk_rows<ScaledSource<In>, In, Out>(task, first, last, team);
  }
}

template <class In, class Out>
constexpr void add_pair(KernelTable& table, Dtype in, Dtype out) {
  table.rows[static_cast<int>(in)][static_cast<int>(out)] = softmax_rows<In, Out>;
}

inline float max_alone(const float* x, std::size_t n) { return max_pass(PlainSource<float>(x), 0, n); }
inline double exp_sum_alone(const float* x, std::size_t n, float max) {
  return total(exp_sum_pass(PlainSource<float>(x), NoSink<float>{}, Exp<float>(anchor_of(max)), 0, n));
}
inline double exp_sum_store_alone(const float* x, float* e, std::size_t n, float max) {
  return total(exp_sum_pass(PlainSource<float>(x), Sink<float>{e}, Exp<float>(anchor_of(max)), 0, n));
}
inline void scale_alone(float* e, std::size_t n, double sum) {
  scale_pass(PlainSource<float>(e), Sink<float>{e}, {sum, 0.0}, 0, n);
}

constexpr KernelTable make_table(const char* isa) {
  KernelTable table = {};
  table.isa = isa;
  add_pair<float, float>(table, Dtype::f32, Dtype::f32);
  add_pair<double, double>(table, Dtype::f64, Dtype::f64);
  add_pair<Half<Dtype::f16>, Half<Dtype::f16>>(table, Dtype::f16, Dtype::f16);
  add_pair<Half<Dtype::bf16>, Half<Dtype::bf16>>(table, Dtype::bf16, Dtype::bf16);
  add_pair<Half<Dtype::f16>, float>(table, Dtype::f16, Dtype::f32);
  add_pair<Half<Dtype::bf16>, float>(table, Dtype::bf16, Dtype::f32);
  add_pair<float, Half<Dtype::f16>>(table, Dtype::f32, Dtype::f16);
  add_pair<float, Half<Dtype::bf16>>(table, Dtype::f32, Dtype::bf16);
  table.passes = {max_alone, exp_sum_alone, exp_sum_store_alone, scale_alone};
  return table;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
