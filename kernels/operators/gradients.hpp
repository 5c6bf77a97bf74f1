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

using SignedSum = LaneSum<double, Accuracy::balanced, true>;

// Adds n values of each kind in f64, chunk by chunk.
template <class... Values>
SIMDSOFTMAX_NOINLINE void sum_pass(std::size_t n, SignedSum& lanes, const Values... values) {
  SignedSum sum = lanes;
  std::size_t i = 0;
  const auto add = [&](const auto& some) __attribute__((always_inline)) {
    sum.add([&](std::size_t k) __attribute__((always_inline)) { return some(i + k); });
  };
  const auto add_first = [&](const auto& some) __attribute__((always_inline)) {
    sum.add_first(
        n - i, [&](std::size_t k) __attribute__((always_inline)) { return some(i + k); },
        [&](std::size_t k, std::size_t m) __attribute__((always_inline)) { return some.first(i + k, m); });
  };
  for (; i + chunk_length<double> <= n; i += chunk_length<double>) (add(values), ...);
  if (i < n) (add_first(values), ...);
  lanes = sum;
}

// g(i) * y(i), or what the rounding of that product takes away.
template <class Source, bool rounding>
struct Products {
  Source g;
  Source y;

  SIMDSOFTMAX_INLINE F64 operator()(std::size_t i) const { return of(g(i), y(i)); }
  SIMDSOFTMAX_INLINE F64 first(std::size_t i, std::size_t n) const { return of(g.first(i, n), y.first(i, n)); }

 private:
  SIMDSOFTMAX_INLINE static F64 of(F64 a, F64 b) {
    const F64 product = a * b;
    return rounding ? product_error(a, b, product) : product;
  }
};

// result(g, y), with the default NaN for others: which of two comes out depends on the ISA. The sink may write where
// the sources read.
template <class Source, class To, class Result>
SIMDSOFTMAX_INLINE void write_gradient(const Source& g, const Source& y, const To& to, std::size_t n,
                                       const Result& result) {
  const auto known = [&](F64 a, F64 b) __attribute__((always_inline)) {
    const F64 v = result(a, b);
    return xsimd::select(v == v, v, F64(Limits<double>::nan));
  };
  for_each_vector<double>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { to(i, known(g(i), y(i))); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { to.first(i, m, known(g.first(i, m), y.first(i, m))); });
}

// theta * y * (g - dot).
template <class Source, class To>
SIMDSOFTMAX_NOINLINE void softmax_gradient_pass(const Source g, const Source y, const To to, std::size_t n,
                                                double theta, double dot) {
  write_gradient(
      g, y, to, n, [=](F64 a, F64 b) __attribute__((always_inline)) { return (b * F64(theta)) * (a - F64(dot)); });
}

// theta * (g - e^y * sum).
template <class Source, class To>
SIMDSOFTMAX_NOINLINE void log_softmax_gradient_pass(const Source g, const Source y, const To to, std::size_t n,
                                                    double theta, double sum) {
  // Relative to this anchor the headroom cancels.
  const ExpCore<double> exp(ExpRange<double>::headroom);
  write_gradient(
      g, y, to, n, [=](F64 a, F64 b) __attribute__((always_inline)) {
        const F64 log = max_or_second(F64(-708.0), min_or_second(F64(708.0), b));
        return F64(theta) * neg_mul_add(exp(log), F64(sum), a);
      });
}

// What a gradient is made of: dense rows of one dtype, as they lie in memory.
template <class Element>
class PlainGradient {
 public:
  // Products of narrower numbers are exact.
  static constexpr bool is_exact = sizeof(Element) < sizeof(double);

  explicit PlainGradient(const GradientTask& task) : task_(task) {}

  static bool fits(const GradientTask& task, Dtype dtype) {
    const auto is_plain = [dtype](const Operand& operand) {
      return operand.dtype == dtype && operand.axis_stride == static_cast<std::ptrdiff_t>(sizeof(Element));
    };
    return is_plain(task.grad_output) && is_plain(task.output) && is_plain(task.grad_input);
  }

  // work(g, y, result, n) for [begin, end).
  template <class Work>
  void each_piece(const RowCursor& cursor, std::size_t begin, std::size_t end, bool, const Work& work) const {
    using Source = PlainSource<Element, true>;
    work(Source{at<const Element>(cursor, task_.grad_output) + begin},
         Source{at<const Element>(cursor, task_.output) + begin},
         Sink<Element>{at<Element>(cursor, task_.grad_input) + begin}, end - begin);
  }

 private:
  template <class To>
  static To* at(const RowCursor& cursor, const Operand& operand) {
    return reinterpret_cast<To*>(cursor.at(operand));
  }

  const GradientTask& task_;
};

// And rows of any dtypes and strides, by way of a tile.
class StagedGradient {
 public:
  static constexpr bool is_exact = false;

  explicit StagedGradient(const GradientTask& task) : task_(task) {}

  // The same in pieces, whose results are written if they are wanted.
  template <class Work>
  void each_piece(const RowCursor& cursor, std::size_t begin, std::size_t end, bool wanted, const Work& work) {
    using Source = PlainSource<double, true>;
    for (std::size_t at = begin; at < end; at += tile_length<double>) {
      const std::size_t n = end - at < tile_length<double> ? end - at : tile_length<double>;
      const auto place = [&](const Operand& operand) {
        return cursor.at(operand) + static_cast<std::ptrdiff_t>(at) * operand.axis_stride;
      };
      const auto load_at = [&](const Operand& operand, double* to) {
        load_run(place(operand), operand.dtype, operand.axis_stride, n, to);
      };
      load_at(task_.grad_output, tile_.hi);
      load_at(task_.output, tile_.lo);
      work(Source{tile_.hi}, Source{tile_.lo}, Sink<double>{tile_.hi}, n);
      const Operand& result = task_.grad_input;
      if (wanted) store_run(tile_.hi, place(result), result.dtype, result.axis_stride, n);
    }
  }

 private:
  const GradientTask& task_;
  Tile<double> tile_;
};

// Gradients are computed in f64: they are sums of differences.
template <class Gradient>
SIMDSOFTMAX_NOINLINE void walk_gradient_rows(const GradientTask& task, std::size_t first, std::size_t last,
                                             const Team& team) {
  const bool of_softmax = task.function == detail::Function::softmax;
  RowTeam row_team(team, task.cols, task.part_length);
  RowCursor cursor(task.grid, first);
  Gradient gradient(task);
  for (std::size_t r = first; r < last; ++r, cursor.next()) {
    const RowState state = row_team.sum([&](std::size_t part_begin, std::size_t part_end) {
      return add_segments(0, no_shift, part_begin, part_end, [&](std::size_t begin, std::size_t end) {
        SignedSum lanes;
        gradient.each_piece(cursor, begin, end, false, [&](const auto& g, const auto& y, const auto&, std::size_t n) {
          using Source = std::decay_t<decltype(g)>;
          if (!of_softmax) return sum_pass(n, lanes, g);
          const Products<Source, false> products = {g, y};
          if (Gradient::is_exact) return sum_pass(n, lanes, products);
          sum_pass(n, lanes, products, Products<Source, true>{g, y});
        });
        return lanes.total();
      });
    });
    const double sum = total(state.sum);
    row_team.each_part([&](std::size_t begin, std::size_t end) {
      gradient.each_piece(cursor, begin, end, true,
                          [&](const auto& g, const auto& y, const auto& result, std::size_t n) {
                            of_softmax ? softmax_gradient_pass(g, y, result, n, task.theta, sum)
                                       : log_softmax_gradient_pass(g, y, result, n, task.theta, sum);
                          });
    });
  }
}

SIMDSOFTMAX_NOINLINE void walk_gradients(const void* given, std::size_t first, std::size_t last, const Team& team) {
  const GradientTask& task = *static_cast<const GradientTask*>(given);
  const auto plain = [&](auto element, Dtype dtype) {
    using Gradient = PlainGradient<decltype(element)>;
    const bool fits = Gradient::fits(task, dtype);
    if (fits) walk_gradient_rows<Gradient>(task, first, last, team);
    return fits;
  };
  if (plain(Wide<float>{}, Dtype::f32) || plain(Wide<Half<Dtype::f16>>{}, Dtype::f16) ||
      plain(Wide<Half<Dtype::bf16>>{}, Dtype::bf16) || plain(double{}, Dtype::f64)) {
    return;
  }
  walk_gradient_rows<StagedGradient>(task, first, last, team);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
