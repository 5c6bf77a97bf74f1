// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "simd/scalar.hpp"
#include "staging/pre_ops.hpp"
#include "staging/row_cursor.hpp"
#include "staging/visible_columns.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// The logits of one row of any dtype and stride, with pre-operations. Passes see them tile by tile; where memory
// already holds what they need, they see memory.
template <class Type>
class StagedSource {
 public:
  using T = Type;
  static constexpr bool is_wide = false;

  StagedSource(const Operand& logits, double theta, const PreOps* pre_ops, std::size_t cols, const RowCursor& row,
               Tile<T>& tile)
      : data_(row.at(logits)),
        dtype_(logits.dtype),
        stride_(logits.axis_stride),
        theta_(theta),
        last_(cols),
        tile_(&tile) {
    is_dense_ = stride_ == static_cast<std::ptrdiff_t>(sizeof(T)) && dtype_ == dtype_of<T>;
    tile.forget();
    if (pre_ops != nullptr) read(*pre_ops, row);
    in_memory_ = is_dense_ && is_exact() && mask_ == nullptr;
  }

  // The columns that take part lie in [first, last); those before `first` but in its chunk are -inf.
  std::size_t first() const { return first_ - first_ % 64; }
  std::size_t last() const { return last_; }

  // Whether logits are single numbers; whether memory holds them as they are.
  bool is_exact() const { return !is_scaled() && softcap_ == 0 && bias_ == nullptr; }
  bool is_in_memory() const { return in_memory_; }

  // Something else has been written over the tile.
  void forget_tile() const { tile_->forget(); }

  bool has_sink() const { return has_sink_; }
  double sink() const { return sink_; }

  StagedSource shifted(const SplitSum& by) const {
    StagedSource source = *this;
    source.shift_ = by;
    source.in_memory_ = in_memory_ && by.high == 0;
    return source;
  }

  // body(source, at, n) for the logits of [begin, end) in pieces of at most a tile: those from column `at` on are
  // source(0) and so on.
  template <class Body>
  SIMDSOFTMAX_INLINE void each_tile(std::size_t begin, std::size_t end, const Body& body) const {
    while (begin < end) {
      const std::size_t tile_begin = begin / tile_length<T> * tile_length<T>;
      const std::size_t stop = smaller(tile_begin + tile_length<T>, end);
      if (in_memory_ && begin >= first_) {
        body(PlainSource<T>{reinterpret_cast<const T*>(data_) + begin}, begin, stop - begin);
      } else {
        // All of the tile, because what is asked for next is the rest of it.
        const std::size_t staged = first() > tile_begin ? first() : tile_begin;
        stage(staged, smaller(tile_begin + tile_length<T>, last_));
        const std::size_t at = begin - staged;
        if (tile_->has_lo) {
          body(PairSource<T>{tile_->hi + at, tile_->lo + at}, begin, stop - begin);
        } else {
          body(PlainSource<T>{tile_->hi + at}, begin, stop - begin);
        }
      }
      begin = stop;
    }
  }

  // The logit of one column, in f64.
  double one(std::size_t column) const {
    tile_->forget();
    stage(column, column + 1);
    double value = static_cast<double>(tile_->hi[0]);
    if (tile_->has_lo && value > -Limits<double>::infinity) value += static_cast<double>(tile_->lo[0]);
    tile_->forget();
    return value;
  }

 private:
  // 2^(-max_bias (h + 1) / n) and so on: see types.h.
  static double slope_of(const PreOps& pre_ops, std::int64_t head) {
    std::int64_t n = 1;
    while (2 * n <= static_cast<std::int64_t>(pre_ops.heads)) n *= 2;
    const double exponent =
        pre_ops.max_bias * (head < n ? static_cast<double>(head + 1) / static_cast<double>(n)
                                     : static_cast<double>(2 * (head - n) + 1) / static_cast<double>(2 * n));
    if (!(exponent < 2000)) return 0;
    // Powers of two are exact.
    const auto whole = static_cast<std::int64_t>(exponent);
    return power_of_two(-whole) * scalar_exp(-(exponent - static_cast<double>(whole)) * ln_2);
  }

  static std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

  void read(const PreOps& pre_ops, const RowCursor& row) {
    theta_low_ = pre_ops.theta_low;
    softcap_ = pre_ops.softcap;
    const char* const length = pre_ops.lengths.data != nullptr ? row.at(pre_ops.lengths) : nullptr;
    const VisibleColumns visible = visible_columns(pre_ops, row.at(pre_ops.query), length, last_);
    first_ = visible.first;
    last_ = visible.last;
    if (pre_ops.bias.data != nullptr) {
      bias_ = row.at(pre_ops.bias);
      bias_dtype_ = pre_ops.bias.dtype;
      bias_stride_ = pre_ops.bias.axis_stride;
      if (pre_ops.max_bias != 0) slope_ = slope_of(pre_ops, row.at(pre_ops.head));
    }
    if (pre_ops.mask.data != nullptr) {
      mask_ = row.at(pre_ops.mask);
      mask_stride_ = pre_ops.mask.axis_stride;
      mask_drops_ = pre_ops.mask_drops;
    }
    if (pre_ops.sinks.data != nullptr) {
      has_sink_ = true;
      sink_ = load_one(row.at(pre_ops.sinks), pre_ops.sinks.dtype);
    }
  }

  // A product of theta and scale may round to 1 without being it.
  bool is_scaled() const { return theta_ != 1.0 || theta_low_ != 0.0; }

  SIMDSOFTMAX_NOINLINE void stage(std::size_t begin, std::size_t end) const {
    Tile<T>& tile = *tile_;
    if (tile.begin == begin && tile.end == end && tile.shift.high == shift_.high && tile.shift.low == shift_.low) {
      return;
    }
    tile.has_lo = false;
    const std::size_t hidden = begin < first_ ? first_ - begin : 0;
    const std::size_t n = end - begin - hidden;
    make(begin + hidden, n);
    if (hidden > 0) {
      // Not read; at most the columns of a chunk. The others make room.
      __builtin_memmove(tile.hi + hidden, tile.hi, n * sizeof(T));
      if (tile.has_lo) __builtin_memmove(tile.lo + hidden, tile.lo, n * sizeof(T));
      for (std::size_t i = 0; i < hidden; ++i) {
        tile.hi[i] = -Limits<T>::infinity;
        tile.lo[i] = 0;
      }
    }
    tile.begin = begin;
    tile.end = end;
    tile.shift = shift_;
  }

  // Logits of n columns to the beginning of the tile. Each step reads what the last one wrote, the first one memory.
  SIMDSOFTMAX_INLINE void make(std::size_t column, std::size_t n) const {
    Tile<T>& tile = *tile_;
    const auto offset = static_cast<std::ptrdiff_t>(column);
    const char* const logits = data_ + offset * stride_;
    const T* x = tile.hi;
    if (is_dense_) {
      x = reinterpret_cast<const T*>(logits);
    } else {
      load_run(logits, dtype_, stride_, n, tile.hi);
    }
    const auto made = [&](auto&& step) {
      step();
      x = tile.hi;
    };
    if (is_scaled()) made([&] { scale_tile(x, tile, n, theta_, theta_low_); });
    if (softcap_ != 0) made([&] { soft_cap_tile(x, tile, n, softcap_); });
    if (bias_ != nullptr) made([&] { add_bias_run(x, offset, n); });
    if (mask_ != nullptr) made([&] { apply_mask_run(x, offset, n); });
    if (shift_.high != 0 || x != tile.hi) shift_tile(x, tile, n, shift_);
  }

  // Dense operands are read where they are; others by way of a buffer.
  void add_bias_run(const T* x, std::ptrdiff_t offset, std::size_t n) const {
    const char* const bias = bias_ + offset * bias_stride_;
    const auto is_added = [&](auto element, Dtype dtype) {
      using Element = decltype(element);
      if (bias_dtype_ != dtype || bias_stride_ != static_cast<std::ptrdiff_t>(sizeof(Element))) return false;
      add_bias(x, *tile_, 0, n, true, reinterpret_cast<const Element*>(bias), slope_);
      return true;
    };
    if (is_added(T{}, dtype_of<T>)) return;
    if constexpr (sizeof(T) == 4) {
      if (is_added(Half<Dtype::f16>{}, Dtype::f16) || is_added(Half<Dtype::bf16>{}, Dtype::bf16)) return;
    }
    each_piece(bias, bias_dtype_, bias_stride_, n, [&](std::size_t i, std::size_t m, const T* piece) {
      add_bias(x + i, *tile_, i, m, false, piece, slope_);
    });
  }
  void apply_mask_run(const T* x, std::ptrdiff_t offset, std::size_t n) const {
    const char* const mask = mask_ + offset * mask_stride_;
    if constexpr (sizeof(T) == 4) {
      if (mask_stride_ == 1) return apply_mask(x, *tile_, 0, n, reinterpret_cast<const Flag*>(mask), mask_drops_);
    }
    each_piece(mask, Dtype::boolean, mask_stride_, n, [&](std::size_t i, std::size_t m, const T* piece) {
      apply_mask(x + i, *tile_, i, m, piece, mask_drops_);
    });
  }
  template <class Work>
  SIMDSOFTMAX_INLINE static void each_piece(const char* from, Dtype dtype, std::ptrdiff_t stride, std::size_t n,
                                            const Work& work) {
    constexpr std::size_t most = 512;
    alignas(64) T piece[most];
    for (std::size_t i = 0; i < n; i += most) {
      const std::size_t m = n - i < most ? n - i : most;
      load_run(from + static_cast<std::ptrdiff_t>(i) * stride, dtype, stride, m, piece);
      work(i, m, piece);
    }
  }

  const char* data_;
  Dtype dtype_;
  bool is_dense_;
  bool in_memory_;
  bool has_sink_ = false;
  bool mask_drops_ = false;
  std::ptrdiff_t stride_;
  double theta_;
  double theta_low_ = 0;
  double softcap_ = 0;
  double slope_ = 1;
  double sink_ = 0;
  SplitSum shift_ = {0.0, 0.0};
  std::size_t first_ = 0;
  std::size_t last_;
  const char* bias_ = nullptr;
  Dtype bias_dtype_ = Dtype::f32;
  std::ptrdiff_t bias_stride_ = 0;
  const char* mask_ = nullptr;
  std::ptrdiff_t mask_stride_ = 0;
  Tile<T>* tile_;
};

// Where the results of a row go, any dtype and stride: straight to memory, or through the tile.
template <class Type>
class StagedOutput {
 public:
  using T = Type;

  StagedOutput(const Operand& output, const RowCursor& row, Tile<T>& tile)
      : data_(row.at(output)), dtype_(output.dtype), stride_(output.axis_stride), tile_(&tile) {
    in_memory_ = stride_ == static_cast<std::ptrdiff_t>(sizeof(T)) && dtype_ == dtype_of<T>;
  }

  // Null unless the output can hold the compute type.
  T* memory() const { return in_memory_ ? reinterpret_cast<T*>(data_) : nullptr; }

  double smallest_normal() const { return dtype_ == Dtype::f64 ? smallest_result<double> : smallest_result<float>; }

  // Results from column `at` on go to sink(at), and are done with flush(at, n).
  Sink<T> sink(std::size_t at) const { return {in_memory_ ? reinterpret_cast<T*>(data_) + at : tile_->hi}; }
  void flush(std::size_t at, std::size_t n) const {
    if (in_memory_) return;
    tile_->forget();
    store_run(tile_->hi, data_ + static_cast<std::ptrdiff_t>(at) * stride_, dtype_, stride_, n);
  }

  SIMDSOFTMAX_NOINLINE void fill(std::size_t begin, std::size_t end, T value) const {
    const Vector<T> v(value);
    for (std::size_t at = begin; at < end; at += tile_length<T>) {
      const std::size_t n = end - at < tile_length<T> ? end - at : tile_length<T>;
      const Sink<T> to = sink(at);
      for_each_vector<T>(
          0, n, [=](std::size_t i) __attribute__((always_inline)) { to(i, v); },
          [=](std::size_t i, std::size_t m) { to.first(i, m, v); });
      flush(at, n);
    }
  }

 private:
  char* data_;
  Dtype dtype_;
  bool in_memory_;
  std::ptrdiff_t stride_;
  Tile<T>* tile_;
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
