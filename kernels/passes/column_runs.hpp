// SPDX-License-Identifier: Apache-2.0
#pragma once

// Passes over rows that lie beside one another in memory, one to a lane. A run is one column of a block of such rows:
// what is next to one another in memory is read and written together, whatever lies between the columns. The passes do
// what those along a row do, in the same order, and give the same bits.

#include "passes/narrow_block.hpp"
#include "simd/log.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows of a block, at most.
template <class T>
constexpr std::size_t run_length = detail::columns_run_bytes / sizeof(T);
// And of those whose exponentials stay in the nearest caches, and how many exponentials these may be.
template <class T>
constexpr std::size_t kept_run_length = 256 / sizeof(T);
template <class T>
constexpr std::size_t most_kept = 131072 / sizeof(T);

// The runs of a block in a tensor, or of its exponentials.
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

  SIMDSOFTMAX_INLINE friend WideLanes operator+(const WideLanes& a, const WideLanes& b) {
    WideLanes sum;
    for (std::size_t k = 0; k < count; ++k) sum.part[k] = a.part[k] + b.part[k];
    return sum;
  }
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
  // And the LogNormalizer, beside max; log_sum before it is rounded.
  alignas(64) T log_sum[run_length<T>];
  alignas(64) T rest[run_length<T>];
  alignas(64) double log_sum_high[run_length<T>];
  alignas(64) double log_sum_low[run_length<T>];
  alignas(64) T exponentials[most_kept<T>];
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

// How far the logits of a block reach.
template <class In>
SIMDSOFTMAX_NOINLINE LogitSpan<Compute<In>> span_of_runs(const Runs<const In> x, std::size_t cols, std::size_t n) {
  using T = Compute<In>;
  const Vector<T> any(first_of(x[0]));
  Extremes<T> extremes;
  for (std::size_t c = 0; c < cols; ++c) {
    const In* const run = x[c];
    each_lanes<T>(
        n, [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
          extremes.see(m == width<T> ? load(run + i) : load_first(run + i, m, any));
        });
  }
  return extremes.span();
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
