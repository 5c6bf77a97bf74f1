// SPDX-License-Identifier: Apache-2.0
#pragma once

// Passes over rows that lie beside one another in memory, one to a lane. A run is one column of a block of such rows:
// what is next to one another in memory is read and written together, whatever lies between the columns. The passes do
// what those along a row do, in the same order, and give the same bits.

#include "passes/lane_sum.hpp"
#include "passes/normalize.hpp"
#include "simd/exp.hpp"
#include "simd/log.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows of a block, at most.
template <class T>
constexpr std::size_t run_length = detail::columns_run_bytes / sizeof(T);

// The runs of a block in a tensor.
template <class Element>
struct Runs {
  using T = Compute<Element>;
  char* first;  // of column 0
  std::ptrdiff_t stride;

  SIMDSOFTMAX_INLINE Element* operator[](std::size_t c) const {
    return reinterpret_cast<Element*>(first + static_cast<std::ptrdiff_t>(c) * stride);
  }
};

// One number in f64 for each lane of a vector.
template <class T>
struct WideLanes {
  static constexpr std::size_t count = width<T> / width<double>;
  F64 part[count];
};
SIMDSOFTMAX_INLINE WideLanes<float> widen(F32 v) { return {{low_half_f64(v), high_half_f64(v)}}; }
SIMDSOFTMAX_INLINE WideLanes<double> widen(F64 v) { return {{v}}; }
SIMDSOFTMAX_INLINE F32 narrow(const WideLanes<float>& v) { return join_halves(v.part[0], v.part[1]); }
SIMDSOFTMAX_INLINE F64 narrow(const WideLanes<double>& v) { return v.part[0]; }

// What is known of the rows of a block.
template <class T, Accuracy accuracy>
struct BlockState {
  static constexpr bool compensated = LaneSum<T, accuracy>::compensated;

  alignas(64) T max[run_length<T>];  // of the columns looked at
  // For exponentials: the range of logits, and the exponent of the anchor.
  alignas(64) T lowest[run_length<T>];
  alignas(64) T highest[run_length<T>];
  alignas(64) T anchor_bits[run_length<T>];
  // The f64 lanes of LaneSum, and what their compensation holds.
  alignas(64) double lanes[virtual_width<T>][run_length<T>];
  alignas(64) double lanes_low[compensated ? virtual_width<T> : 1][compensated ? run_length<T> : 1];
  // What the Normalizer holds.
  alignas(64) T factor[run_length<T>];
  alignas(64) T factor_low[run_length<T>];
  alignas(64) T smallest[run_length<T>];
};

// Calls body(i, m) for vectors of n lanes, m of each being there; m is a constant but for the last.
template <class T, class Body>
SIMDSOFTMAX_INLINE void each_lanes(std::size_t n, const Body& body) {
  std::size_t i = 0;
  for (; i + width<T> <= n; i += width<T>) body(i, width<T>);
  if (i < n) body(i, n - i);
}

template <class Element>
SIMDSOFTMAX_INLINE Vector<Compute<Element>> load_lanes(const Element* x, std::size_t m) {
  using T = Compute<Element>;
  return m == width<T> ? load(x) : load_first(x, m, Vector<T>(T(0)));
}
template <class Element>
SIMDSOFTMAX_INLINE void store_lanes(Element* y, std::size_t m, Vector<Compute<Element>> v) {
  m == width<Compute<Element>> ? store(y, v) : store_first(y, m, v);
}

// The maxima of the first `cols` columns.
template <class In, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void max_of_runs(const Runs<const In> x, std::size_t cols, std::size_t n,
                                      BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  for (T& max : block.max) max = -Limits<T>::infinity;
  std::size_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          const auto low = max_or_second(load_lanes(x[c] + i, m), load_lanes(x[c + 1] + i, m));
          const auto high = max_or_second(load_lanes(x[c + 2] + i, m), load_lanes(x[c + 3] + i, m));
          store(block.max + i, max_or_second(max_or_second(low, high), load(block.max + i)));
        });
  }
  for (; c < cols; ++c) {
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          store(block.max + i, max_or_second(load_lanes(x[c] + i, m), load(block.max + i)));
        });
  }
}

// n << the place of the exponent; 1.5 * 2^(the last place) makes an integer of the low bits of a number.
SIMDSOFTMAX_INLINE F32 exponent_bits(F32 n) { return shift_left<23>(n + F32(0x1.8p23f)); }
SIMDSOFTMAX_INLINE F64 exponent_bits(F64 n) { return shift_add<52>(n + F64(0x1.8p52), 0); }

// Anchors from the maxima. False if a row has a maximum that cannot be anchored, or would not be if it climbed.
template <class T, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE bool anchor_runs(std::size_t n, BlockState<T, accuracy>& block) {
  const Vector<T> most(ExpRange<T>::giant - static_cast<T>(ExpRange<T>::climb));
  bool ordinary = true;
  each_lanes<T>(n, [&](std::size_t i, std::size_t m) {
    Vector<T> max = load(block.max + i);
    max = m == width<T> ? max : keep_first(max, m);
    ordinary = ordinary && xsimd::all((max < most) & (max > -most));
    WideLanes<T> anchor = widen(max);
    WideLanes<T> lowest, highest, above;
    for (std::size_t k = 0; k < anchor.count; ++k) {
      anchor.part[k] = round_down(anchor.part[k] * F64(log2_e));
      lowest.part[k] = (anchor.part[k] - F64(static_cast<double>(ExpRange<T>::depth))) * F64(ln_2);
      highest.part[k] = (anchor.part[k] + F64(static_cast<double>(ExpRange<T>::climb))) * F64(ln_2);
      above.part[k] = F64(static_cast<double>(ExpRange<T>::headroom)) - anchor.part[k];
    }
    store(block.lowest + i, narrow(lowest));
    store(block.highest + i, narrow(highest));
    store(block.anchor_bits + i, exponent_bits(narrow(above)));
  });
  return ordinary;
}

// exp of the lanes from i on.
template <class T, Accuracy accuracy>
class LanesExp {
 public:
  LanesExp(const ExpCore<T, accuracy>& core, const BlockState<T, accuracy>& block, std::size_t i)
      : core_(core),
        lowest_(load(block.lowest + i)),
        highest_(load(block.highest + i)),
        anchor_bits_(load(block.anchor_bits + i)) {}

  SIMDSOFTMAX_INLINE Vector<T> operator()(Vector<T> x) const {
    return core_(max_or_second(lowest_, min_or_second(highest_, x)), anchor_bits_);
  }

 private:
  const ExpCore<T, accuracy>& core_;
  Vector<T> lowest_;
  Vector<T> highest_;
  Vector<T> anchor_bits_;
};

// Adds values to one of the virtual lanes; the first ones begin it.
template <class T, Accuracy accuracy>
SIMDSOFTMAX_INLINE void add_to_lane(BlockState<T, accuracy>& block, std::size_t lane, std::size_t i, Vector<T> v,
                                    bool begins) {
  const WideLanes<T> wide = widen(v);
  double* const sum = block.lanes[lane] + i;
  if constexpr (BlockState<T, accuracy>::compensated) {
    double* const low = block.lanes_low[lane] + i;
    if (begins) {
      store(sum, wide.part[0]);
      store(low, F64(0.0));
      return;
    }
    F64 high = load(sum);
    F64 rest = load(low);
    accumulate_positive(high, rest, wide.part[0]);
    store(sum, high);
    store(low, rest);
  } else {
    for (std::size_t k = 0; k < wide.count; ++k) {
      double* const part = sum + k * width<double>;
      store(part, begins ? wide.part[k] : load(part) + wide.part[k]);
    }
  }
}

// Lines come in so many rows early: there are too many runs for the hardware to see them coming.
template <class T>
constexpr std::size_t looked_ahead = 4 * width<T>;

// Exponentials to the output if that can hold them, and their sums.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void exp_sum_of_runs(const Runs<const In> x, const Runs<Out> y, std::size_t cols, std::size_t n,
                                          BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> core(ExpRange<T>::headroom);
  for (std::size_t begin = 0; begin < cols; begin += chunk_length<T>) {
    const std::size_t end = cols - begin < chunk_length<T> ? cols : begin + chunk_length<T>;
    const std::size_t lanes = lanes_of_chunk<T>(end - begin);
    for (std::size_t l = 0; l < lanes && begin + l < end; ++l) {
      const auto add = [&](const auto& leaf_or_zero) __attribute__((always_inline)) {
        each_lanes<T>(
            n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
              const LanesExp<T, accuracy> exp(core, block, i);
              const auto value = [&](std::size_t c) __attribute__((always_inline)) {
                return leaf_or_zero(
                    c, [&]() __attribute__((always_inline)) {
                      __builtin_prefetch(x[c] + i + looked_ahead<T>);
                      if constexpr (sizeof(Out) == sizeof(T)) __builtin_prefetch(y[c] + i + looked_ahead<T>, 1);
                      const Vector<T> e = exp(load_lanes(x[c] + i, m));
                      if constexpr (sizeof(Out) == sizeof(T)) store_lanes(y[c] + i, m, e);
                      return e;
                    });
              };
              Vector<T> v = value(begin + l);
              if constexpr (chunk_vectors<T> == 2) v = v + value(begin + l + lanes);
              add_to_lane(block, l, i, v, begin == 0);
            });
      };
      if (begin + chunk_length<T> <= cols) {
        add([](std::size_t, const auto& leaf) __attribute__((always_inline)) { return leaf(); });
      } else {
        add([&](std::size_t c, const auto& leaf)
                __attribute__((always_inline)) { return c < end ? leaf() : Vector<T>(T(0)); });
      }
    }
  }
}

// Factors from the sums, NaN where those are. False if a sum may hold more than the anchor allows.
template <class T, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE bool normalize_runs(std::size_t cols, std::size_t n, double smallest_normal,
                                         BlockState<T, accuracy>& block) {
  constexpr std::size_t lanes = virtual_width<T>;
  const std::size_t most = lanes_of_chunk<T>(cols);
  const std::size_t used = cols < most ? cols : most;
  const auto halved = [&](auto& of, std::size_t i) __attribute__((always_inline)) {
    F64 s[lanes];
    for (std::size_t l = 0; l < used; ++l) s[l] = load(of[l] + i);
    std::size_t present = used;
    std::size_t half = lanes / 2;
    if constexpr (sizeof(T) == sizeof(float)) {  // neighbours first
      for (std::size_t l = 0; 2 * l < used; ++l) s[l] = 2 * l + 1 < used ? s[2 * l] + s[2 * l + 1] : s[2 * l];
      present = (used + 1) / 2;
      half /= 2;
    }
    for (; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half && l + half < present; ++l) s[l] = s[l] + s[l + half];
      present = present < half ? present : half;
    }
    return s[0];
  };
  bool in_range = true;
  for (std::size_t i = 0; i < n; i += width<T>) {
    WideLanes<T> factor, factor_low, smallest;
    for (std::size_t k = 0; k < factor.count; ++k) {
      const std::size_t at = i + k * width<double>;
      F64 high, low(0.0);
      if constexpr (BlockState<T, accuracy>::compensated) {
        low = halved(block.lanes_low, at);
        high = F64(0.0);
        for (std::size_t l = 0; l < used; ++l) {
          accumulate(high, low, load(block.lanes[l] + at));
        }
      } else {
        high = halved(block.lanes, at);
      }
      in_range = in_range && !any_above(high, F64(climbed_sum<T>));
      const NormalFactors<T, F64, accuracy> factors(high, low, smallest_normal);
      factor.part[k] = xsimd::select(high == high, factors.factor, F64(Limits<double>::nan));
      factor_low.part[k] = xsimd::select(high == high, factors.factor_low, F64(Limits<double>::nan));
      smallest.part[k] = factors.smallest;
    }
    store(block.factor + i, narrow(factor));
    store(block.factor_low + i, narrow(factor_low));
    store(block.smallest + i, narrow(smallest));
  }
  return in_range;
}

// Probabilities from the exponentials in the output, or from the logits once more.
template <class In, class Out, Accuracy accuracy>
SIMDSOFTMAX_NOINLINE void scale_runs(const Runs<const In> x, const Runs<Out> y, std::size_t cols, std::size_t n,
                                     const BlockState<Compute<In>, accuracy>& block) {
  using T = Compute<In>;
  const ExpCore<T, accuracy> core(ExpRange<T>::headroom);
  for (std::size_t c = 0; c < cols; ++c) {
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          const Normalizer<T, accuracy> normalize(load(block.factor + i), load(block.factor_low + i),
                                                  load(block.smallest + i));
          Vector<T> e;
          if constexpr (sizeof(Out) == sizeof(T)) {
            e = load_lanes(y[c] + i, m);
          } else {
            e = LanesExp<T, accuracy>(core, block, i)(load_lanes(x[c] + i, m));
          }
          store_lanes(y[c] + i, m, normalize(e));
        });
  }
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
