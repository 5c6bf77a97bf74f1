// SPDX-License-Identifier: Apache-2.0
#pragma once

// The list of kernels, from which the translation unit of each ISA fills its table.

#include "operators/columns.hpp"
#include "operators/cross_entropy.hpp"
#include "operators/dense_logs.hpp"
#include "operators/dense_rows.hpp"
#include "operators/gradients.hpp"
#include "operators/slices.hpp"
#include "operators/top_k.hpp"
#include "operators/unstaged_rows.hpp"
#include "variants/short_row.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::KernelTable;

template <class T, Accuracy accuracy = Accuracy::balanced>
constexpr void add_compute_type(KernelTable& table, int index) {
  table.rows[index] = walk_rows<T, accuracy>;
  table.columns[index] = walk_columns<T, accuracy>;
  table.gradient[index] = walk_gradients;
  table.loss[index] = walk_losses<T>;
  table.top_k[index] = walk_top_k<T>;
  table.slice_states[index] = slice_states<T, accuracy>;
  table.finish_slice[index] = finish_slice<T, accuracy>;
  table.logsumexp[index] = logsumexp_of<T>;
}

// f64 rows have one accuracy. Exact halves go the general way, and fast results of another type than their logits, or
// without fma, are balanced: kernels for each pair would double what is compiled.
template <class In, class Out>
constexpr void add_pair(KernelTable& table, Dtype in, Dtype out) {
  const auto add = [&](Accuracy accuracy, detail::Kernel kernel, detail::SingleRowKernel single_row) {
    table.dense_rows[static_cast<int>(accuracy)][static_cast<int>(in)][static_cast<int>(out)] = kernel;
    table.single_row[static_cast<int>(accuracy)][static_cast<int>(in)][static_cast<int>(out)] = single_row;
  };
  constexpr bool is_f32 = sizeof(In) == sizeof(float) && sizeof(Out) == sizeof(float);
  constexpr bool is_f64 = sizeof(In) == sizeof(double);
  table.dense_logs[static_cast<int>(in)][static_cast<int>(out)] = walk_dense_logs<In, Out>;
  add(Accuracy::balanced, walk_dense_rows<In, Out>, single_row<In, Out>);
  if constexpr (is_f64) {
    add(Accuracy::exact, walk_dense_rows<In, Out>, single_row<In, Out>);
  } else if constexpr (is_f32) {
    add(Accuracy::exact, walk_dense_rows<Wide<In>, Wide<Out>, Accuracy::exact>,
        single_row<Wide<In>, Wide<Out>, Accuracy::exact>);
  } else {
    add(Accuracy::exact, walk_rows<double, Accuracy::exact>, nullptr);
  }
  if constexpr (has_fma && !is_f64 && sizeof(In) == sizeof(Out)) {
    add(Accuracy::fast, walk_dense_rows<In, Out, Accuracy::fast>, single_row<In, Out, Accuracy::fast>);
  } else {
    add(Accuracy::fast, walk_dense_rows<In, Out>, single_row<In, Out>);
  }
}

template <class In, Accuracy accuracy = Accuracy::balanced, class To>
double exp_sum_of(const In* x, const To& e, std::size_t n, float max) {
  using T = Compute<In>;
  LaneSum<T, accuracy> lanes;
  exp_sum_pass(PlainSource<In>{x}, e, Exp<T, false, accuracy>(anchor_of(static_cast<T>(max))), n, lanes);
  return total(lanes.total());
}
inline float max_alone(const float* x, std::size_t n) { return max_pass(PlainSource<float>{x}, n); }
inline double exp_sum_alone(const float* x, std::size_t n, float max) { return exp_sum_of(x, NoSink<float>{}, n, max); }
inline double exp_sum_store_alone(const float* x, float* e, std::size_t n, float max) {
  return exp_sum_of(x, Sink<float>{e}, n, max);
}
inline double exp_sum_store_exact(const float* x, double* e, std::size_t n, float max) {
  return exp_sum_of<Wide<float>, Accuracy::exact>(reinterpret_cast<const Wide<float>*>(x), Sink<double>{e}, n, max);
}
inline double exp_sum_store_fast(const float* x, float* e, std::size_t n, float max) {
  return exp_sum_of<float, Accuracy::fast>(x, Sink<float>{e}, n, max);
}
inline void scale_alone(float* e, std::size_t n, double sum) {
  scale_pass(e, Sink<float>{e}, Normalizer<float>({sum, 0.0}, Limits<float>::smallest_normal), n);
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
  table.arithmetic = has_fma ? 1 : 2;
  table.has_fma = has_fma;
  add_compute_type<float>(table, 0);
  add_compute_type<double>(table, 1);
  add_compute_type<double, Accuracy::exact>(table, 2);
  table.merge = merge;
  table.passes = {
      max_alone,  exp_sum_alone, exp_sum_store_alone, exp_sum_store_exact, has_fma ? exp_sum_store_fast : nullptr,
      scale_alone};
  return table;
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
