// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs of elements of any dtype and stride, to and from the compute type. Buffers in the compute type hold whole
// vectors: up to a vector's length behind the n elements is read and written there.

#include "simd/wave.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

SIMDSOFTMAX_INLINE void put(float* to, F32 v) { store(to, v); }
SIMDSOFTMAX_INLINE void put(double* to, F32 v) {
  store(to, low_half_f64(v));
  store(to + width<double>, high_half_f64(v));
}
SIMDSOFTMAX_INLINE void put(double* to, F64 v) { store(to, v); }

template <class In, class T>
SIMDSOFTMAX_NOINLINE void convert_from(const In* from, T* to, std::size_t n) {
  using C = Compute<In>;
  for_each_vector<C>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { put(to + i, load(from + i)); },
      [&](std::size_t i, std::size_t m)
          __attribute__((always_inline)) { put(to + i, load_first(from + i, m, Vector<C>(C(0)))); });
}

template <class Out>
SIMDSOFTMAX_INLINE F32 get(const double* from, F32) {
  return join_halves(Cut<Out>::of(load(from)), Cut<Out>::of(load(from + width<double>)));
}
template <class Out>
SIMDSOFTMAX_INLINE F32 get(const float* from, F32) {
  return load(from);
}
template <class Out>
SIMDSOFTMAX_INLINE F64 get(const double* from, F64) {
  return load(from);
}

// A NaN becomes the default one: the conversions to 16 bits are not made for all payloads.
template <class T, class Out>
SIMDSOFTMAX_NOINLINE void convert_to(const T* from, Out* to, std::size_t n) {
  using C = Compute<Out>;
  const auto value = [&](std::size_t i) __attribute__((always_inline)) {
    const Vector<C> v = get<Out>(from + i, Vector<C>());
    return xsimd::select(v == v, v, Vector<C>(Limits<C>::nan));
  };
  for_each_vector<C>(
      0, n, [&](std::size_t i) __attribute__((always_inline)) { store(to + i, value(i)); },
      [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { store_first(to + i, m, value(i)); });
}

// Bytes of an element of a dtype of logits.
constexpr std::ptrdiff_t size_of(Dtype dtype) { return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2; }

template <class T>
constexpr Dtype dtype_of = sizeof(T) == 4 ? Dtype::f32 : Dtype::f64;

// What is not dense goes through a buffer of so many elements, bytes as they are.
constexpr std::size_t gathered = 256;

template <std::size_t size>
SIMDSOFTMAX_NOINLINE void gather(const char* from, std::ptrdiff_t stride, std::size_t n, char* to) {
  for (std::size_t i = 0; i < n; ++i)
    __builtin_memcpy(to + i * size, from + static_cast<std::ptrdiff_t>(i) * stride, size);
}
template <std::size_t size>
SIMDSOFTMAX_NOINLINE void scatter(const char* from, char* to, std::ptrdiff_t stride, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    __builtin_memcpy(to + static_cast<std::ptrdiff_t>(i) * stride, from + i * size, size);
}

template <class In, class T>
SIMDSOFTMAX_INLINE void load_elements(const char* from, std::ptrdiff_t stride, std::size_t n, T* to) {
  if (stride == static_cast<std::ptrdiff_t>(sizeof(In))) return convert_from(reinterpret_cast<const In*>(from), to, n);
  alignas(64) char buffer[gathered * sizeof(In)];
  for (std::size_t i = 0; i < n; i += gathered) {
    const std::size_t m = n - i < gathered ? n - i : gathered;
    gather<sizeof(In)>(from + static_cast<std::ptrdiff_t>(i) * stride, stride, m, buffer);
    convert_from(reinterpret_cast<const In*>(buffer), to + i, m);
  }
}

template <class Out, class T>
SIMDSOFTMAX_INLINE void store_elements(const T* from, char* to, std::ptrdiff_t stride, std::size_t n) {
  if (stride == static_cast<std::ptrdiff_t>(sizeof(Out))) return convert_to(from, reinterpret_cast<Out*>(to), n);
  alignas(64) char buffer[gathered * sizeof(Out)];
  for (std::size_t i = 0; i < n; i += gathered) {
    const std::size_t m = n - i < gathered ? n - i : gathered;
    convert_to(from + i, reinterpret_cast<Out*>(buffer), m);
    scatter<sizeof(Out)>(buffer, to + static_cast<std::ptrdiff_t>(i) * stride, stride, m);
  }
}

// n elements from `from` on, `stride` bytes apart. f64 goes to f64 only; flags become 0 or something else.
template <class T>
SIMDSOFTMAX_NOINLINE void load_run(const char* from, Dtype dtype, std::ptrdiff_t stride, std::size_t n, T* to) {
  if (dtype == Dtype::f16) return load_elements<Half<Dtype::f16>>(from, stride, n, to);
  if (dtype == Dtype::bf16) return load_elements<Half<Dtype::bf16>>(from, stride, n, to);
  if (dtype == Dtype::boolean) return load_elements<Flag>(from, stride, n, to);
  if constexpr (sizeof(T) == 8) {
    if (dtype == Dtype::f64) return load_elements<double>(from, stride, n, to);
  }
  load_elements<float>(from, stride, n, to);
}

template <class T>
SIMDSOFTMAX_NOINLINE void store_run(const T* from, char* to, Dtype dtype, std::ptrdiff_t stride, std::size_t n) {
  if (dtype == Dtype::f16) return store_elements<Half<Dtype::f16>>(from, to, stride, n);
  if (dtype == Dtype::bf16) return store_elements<Half<Dtype::bf16>>(from, to, stride, n);
  if constexpr (sizeof(T) == 8) {
    if (dtype == Dtype::f64) return store_elements<double>(from, to, stride, n);
  }
  store_elements<float>(from, to, stride, n);
}

template <class T>
SIMDSOFTMAX_INLINE T load_as(const char* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
SIMDSOFTMAX_INLINE void store_as(T value, char* to) {
  __builtin_memcpy(to, &value, sizeof value);
}

// One element of any dtype as f64.
SIMDSOFTMAX_INLINE double load_one(const char* from, Dtype dtype) {
  if (dtype == Dtype::f32) return static_cast<double>(load_as<float>(from));
  if (dtype == Dtype::f64) return load_as<double>(from);
  alignas(64) double buffer[2 * width<double>];
  load_run(from, dtype, size_of(dtype), 1, buffer);
  return buffer[0];
}
SIMDSOFTMAX_INLINE void store_one(double value, char* to, Dtype dtype) {
  if (dtype == Dtype::f32) return store_as(is_nan(value) ? Limits<float>::nan : static_cast<float>(value), to);
  if (dtype == Dtype::f64) return store_as(is_nan(value) ? Limits<double>::nan : value, to);
  alignas(64) double buffer[2 * width<double>] = {value};
  store_run(buffer, to, dtype, size_of(dtype), 1);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
