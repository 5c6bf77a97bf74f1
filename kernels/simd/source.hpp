// SPDX-License-Identifier: Apache-2.0
#pragma once

// A source gives vectors of logits in the type a row is computed in; a sink takes vectors of results. Passes know
// logits and results only through them, so a dtype or a pre-operation is written once. Passes take them by value:
// nothing a sink writes can then be mistaken for a part of either.

#include "simd/vector.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// A logit as the unevaluated sum hi + lo. `lo` is what the multiplication by theta rounded away: without it the
// rounding of the product alone would cost |theta x| / 2 ULP of the exponential.
template <class T>
struct ScaledLogit {
  Vector<T> hi;
  Vector<T> lo;
};

template <class T>
SIMDSOFTMAX_INLINE Vector<T> high_part(Vector<T> x) {
  return x;
}
template <class T>
SIMDSOFTMAX_INLINE Vector<T> high_part(const ScaledLogit<T>& x) {
  return x.hi;
}

// theta times the logits, theta as the sum of two numbers of the compute type, less a shift near which the difference
// is exact.
template <class In>
struct ScaledSource {
  using T = Compute<In>;
  const In* x;
  T theta;
  T theta_low;
  T shift = 0;

  ScaledSource(const In* logits, double factor)
      : x(logits), theta(static_cast<T>(factor)), theta_low(static_cast<T>(factor - static_cast<double>(theta))) {}

  SIMDSOFTMAX_INLINE ScaledLogit<T> operator()(std::size_t i) const { return scaled(load(x + i)); }
  SIMDSOFTMAX_INLINE ScaledLogit<T> first(std::size_t i, std::size_t n) const {
    return scaled(load_first(x + i, n, Vector<T>(T(0))));
  }

  ScaledSource shifted(T by) const {
    ScaledSource source = *this;
    source.shift = by;
    return source;
  }

 private:
  SIMDSOFTMAX_INLINE ScaledLogit<T> scaled(Vector<T> v) const {
    const Vector<T> product = v * Vector<T>(theta);
    const Vector<T> error = product_error(v, Vector<T>(theta), product);
    return {product - Vector<T>(shift), mul_add(v, Vector<T>(theta_low), error)};
  }
};

// The logits as they are.
template <class In>
struct PlainSource {
  using T = Compute<In>;
  const In* x;

  explicit PlainSource(const In* logits, double = 1.0) : x(logits) {}

  SIMDSOFTMAX_INLINE Vector<T> operator()(std::size_t i) const { return load(x + i); }
  SIMDSOFTMAX_INLINE Vector<T> first(std::size_t i, std::size_t n) const {
    return load_first(x + i, n, Vector<T>(T(0)));
  }

  ScaledSource<In> shifted(T by) const { return ScaledSource<In>(x, 1.0).shifted(by); }
};

// Results, converted to the output's type.
template <class Out>
struct Sink {
  using T = Compute<Out>;
  Out* y;

  SIMDSOFTMAX_INLINE void operator()(std::size_t i, Vector<T> v) const { store(y + i, v); }
  SIMDSOFTMAX_INLINE void first(std::size_t i, std::size_t n, Vector<T> v) const { store_first(y + i, n, v); }
};

// Takes results and forgets them.
template <class Type>
struct NoSink {
  using T = Type;

  SIMDSOFTMAX_INLINE void operator()(std::size_t, Vector<T>) const {}
  SIMDSOFTMAX_INLINE void first(std::size_t, std::size_t, Vector<T>) const {}
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
