// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "variants/narrow.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// What Narrow does, for rows of f32 with the pre-operations that need no staging: a factor, columns that are hidden,
// and columns at the end that take no part. All logits lie within the span, hidden ones too, so their exponentials are
// finite, and zero takes their place.

// Rows of a block, of cols columns each; those of row r from visible[r] on take no part. Bit c of row r is bit c % 64
// of word c / 64 of hidden + r * hidden_stride.
struct PreOpBlock {
  std::size_t rows;
  std::size_t cols;
  const std::size_t* visible;
  const std::uint64_t* hidden;  // null: none
  std::size_t hidden_stride;
  bool ends;  // one of the rows does before its last column

  SIMDSOFTMAX_INLINE const unsigned char* hidden_of(std::size_t r) const {
    return reinterpret_cast<const unsigned char*>(hidden + r * hidden_stride);
  }
};

// Logits as they are, and times a factor, which is the sum of two numbers.
struct AsTheyAre {
  SIMDSOFTMAX_INLINE F32 operator()(F32 x) const { return x; }
};
struct TimesFactor {
  F32 high;
  F32 low;

  SIMDSOFTMAX_INLINE SplitLogit<float> operator()(F32 x) const {
    const F32 product = x * high;
    return {product, mul_add(x, low, product_error(x, high, product))};
  }
};

// Of the logits that take part, and perhaps of some of the others.
SIMDSOFTMAX_NOINLINE LogitSpan<float> span_pass(const EvenRows<const float>& x, const PreOpBlock& block) {
  Extremes<float> extremes;
  for (std::size_t r = 0; r < block.rows; ++r) {
    const PlainSource<float, true> logits{x[r]};
    const std::size_t n = block.visible[r];
    std::size_t i = 0;
    for (; i + wave_length<float> <= n; i += wave_length<float>) {
      extremes.see(map(logits, i + consecutive<float>));
    }
    if (i == n) continue;
    const F32 any(first_of(logits.x));
    for (std::size_t k = i; k < i + wave_length<float>; k += width<float>) {
      extremes.see(load_first(logits.x + k, lanes_from(k, n), any));
    }
  }
  return extremes.span();
}

// An exponential, 0 where it is hidden; how far logits reach is found on the way.
template <bool hides, class Product>
class PreOpExp {
 public:
  // middle: any logit that may be among them.
  PreOpExp(std::int64_t anchor, const Product& product, float middle)
      : exp_(anchor), product_(product), extremes_(middle) {}

  // Of the logits at an index or at those of a wave.
  template <class At, class Logits>
  SIMDSOFTMAX_INLINE auto operator()(const unsigned char* hidden, const At& at, const Logits& logits) {
    extremes_.see(logits);
    const auto v = exp_(map(product_, logits));
    if constexpr (!hides) return v;
    return shown(hidden, at, v);
  }

  LogitSpan<float> span() const { return extremes_.span(); }

 private:
  SIMDSOFTMAX_INLINE static F32 shown(const unsigned char* hidden, std::size_t i, F32 v) {
    return zero_where(hidden, i, v);
  }
  SIMDSOFTMAX_INLINE static Wave<F32> shown(const unsigned char* hidden, const Indices& at, const Wave<F32>& v) {
    return each(
        [&](std::size_t i, F32 v_i) __attribute__((always_inline)) { return zero_where(hidden, i, v_i); }, at, v);
  }

  ExpCore<float> exp_;
  Product product_;
  Extremes<float> extremes_;
};

// Exponentials of a block of whole rows, row behind row; as one long row if logits and bits lie so, too.
template <class Exp, class Traffic>
SIMDSOFTMAX_NOINLINE LogitSpan<float> pre_op_exp_pass(const EvenRows<const float>& rows, const PreOpBlock& given,
                                                      const Exp& exp_of, float middle, float* e, Traffic& traffic) {
  Exp exp = exp_of;
  const PreOpBlock block = given;
  const EvenRows<const float> x = rows;
  auto lines = traffic.template begin<Phase::exponentials>({given.rows, given.cols});
  const bool is_one =
      are_adjacent(x, block.cols) && (block.hidden == nullptr || block.hidden_stride * 64 == block.cols);
  const std::size_t n = is_one ? block.rows * block.cols : block.cols;
  const std::size_t last = is_one ? 1 : block.rows;
  for (std::size_t r = 0; r < last; ++r, e += n) {
    const PlainSource<float, true> logits{x[r]};
    const Sink<float> to{e};
    const unsigned char* const hidden = block.hidden_of(r);
    lines.begin_row(r);
    for_each_wave<float>(
        0, n, [&](const auto& at) __attribute__((always_inline)) { put(to, at, exp(hidden, at, map(logits, at))); },
        [&](std::size_t i, std::size_t m)
            __attribute__((always_inline)) { to(i, exp(hidden, i, load_first(logits.x + i, m, F32(middle)))); },
        [&](std::size_t) __attribute__((always_inline)) { lines.template ask<wave_length<float>>(); });
  }
  traffic.end(lines);
  return exp.span();
}

// The same of rows that may end early, 0 in what is left of a last chunk, and their sums. ends: many of them do, so
// that lines are not asked for by the traffic of whole rows but by what each row takes. y: where results go.
template <bool ends, class Exp, class Traffic>
SIMDSOFTMAX_NOINLINE LogitSpan<float> pre_op_exp_sum_pass(const EvenRows<const float>& rows, const PreOpBlock& given,
                                                          const Exp& exp_of, float middle, float* to,
                                                          const EvenRows<float>& y, Traffic& traffic,
                                                          const RowTotals& totals) {
  Exp exp = exp_of;
  const EvenRows<float> results = y;
  const PreOpBlock block = given;
  const EvenRows<const float> x = rows;
  auto lines = traffic.template begin<Phase::exponentials>({given.rows, given.cols});
  const auto lanes = [&](std::size_t r) __attribute__((always_inline)) {
    const PlainSource<float, true> logits{x[r]};
    const float* next = logits.x + read_ahead_bytes / sizeof(float);
    const float* const result = results[r];
    const Sink<float> e{to + r * block.cols};
    const unsigned char* const hidden = block.hidden_of(r);
    const std::size_t n = block.visible[r];
    lines.begin_row(r);
    const auto expect = [&](std::size_t i) __attribute__((always_inline)) {
      __builtin_prefetch(next + i);
      __builtin_prefetch(result + i, 1);
      __builtin_prefetch(result + n + i, 1);  // lines that will be filled with zeros
    };
    const auto whole = [&](const auto& at) __attribute__((always_inline)) {
      if constexpr (ends) visit(expect, at);
      const auto v = exp(hidden, at, map(logits, at));
      put(e, at, v);
      return v;
    };
    const auto part = [&](std::size_t i, std::size_t m) __attribute__((always_inline)) {
      const F32 v = keep_first(exp(hidden, i, load_first(logits.x + i, m, F32(middle))), m);
      e(i, v);
      return v;
    };
    LaneSum<float> sum;
    std::size_t i = 0;
    // In whole vectors, however much there is: rows of nearly the same length then take the same branches.
    const auto at_end = [&](std::size_t k) __attribute__((always_inline)) { return part(i + k, lanes_from(i + k, n)); };
    const auto add_until = [&](std::size_t end) __attribute__((always_inline)) {
      i = add_chunks<float>(
          sum, i, end, whole, [&](std::size_t) __attribute__((always_inline)) {
            if constexpr (!ends) lines.template ask<stretch_length<float>>();
          });
    };
    if constexpr (ends) {
      constexpr std::size_t distance = read_ahead_bytes / sizeof(float);
      const std::size_t in_row = n > distance ? n - distance : 0;
      add_until(in_row);
      next = x[r + 1] - in_row;  // what comes behind the end of a row
    }
    add_until(n);
    if (i + virtual_width<float> < n) {
      sum.add(at_end);
    } else if (i < n) {
      sum.add_folded(at_end);
      for (std::size_t k = virtual_width<float>; k < chunk_length<float>; k += width<float>) {
        e(i + k, F32(0.0f));
      }
    }
    return sum;
  };
  sum_rows<LaneSum<float>>(block.rows, lanes, totals);
  traffic.end(lines);
  return exp.span();
}

// Probabilities of a block; 0 where columns take no part.
template <class Traffic>
SIMDSOFTMAX_NOINLINE void pre_op_scale_pass(const float* e, const PreOpBlock& given, const RowFactors<float>& factors,
                                            const EvenRows<float>& rows, Traffic& traffic) {
  const F32 zero(0.0f);
  auto lines = traffic.template begin<Phase::results>({given.rows, given.cols});
  const PreOpBlock block = given;
  const EvenRows<float> to = rows;
  for (std::size_t r = 0; r < block.rows; ++r, e += block.cols) {
    float* const y = to[r];
    lines.begin_row(r);
    const std::size_t chunks = (block.visible[r] + chunk_length<float> - 1) / chunk_length<float>;
    const std::size_t n = chunks * chunk_length<float> < block.cols ? chunks * chunk_length<float> : block.cols;
    const F32 high(factors.high[r]);
    const F32 low(factors.low[r]);
    const auto probability = [&](std::size_t i) __attribute__((always_inline)) {
      const F32 v = load(e + i);
      return normalized<Accuracy::balanced>(v, high, low);
    };
    for_each_vector<float>(
        0, n, [&](std::size_t i) __attribute__((always_inline)) { store(y + i, probability(i)); },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { store_first(y + i, m, probability(i)); },
        [&](std::size_t) __attribute__((always_inline)) { lines.template ask<4 * width<float>>(); });
    for_each_vector<float>(
        n, block.cols, [&](std::size_t i) __attribute__((always_inline)) { store(y + i, zero); },
        [&](std::size_t i, std::size_t m) __attribute__((always_inline)) { store_first(y + i, m, zero); });
  }
  traffic.end(lines);
}

class NarrowPreOps {
 public:
  // theta: what every logit is multiplied by; ends: whether columns at the end may take no part.
  NarrowPreOps(std::size_t cols, double theta, bool ends, Destination destination)
      : cols_(cols),
        rows_at_once_(narrow_rows<float>(cols, ends ? 4 * narrow_block_bytes : narrow_block_bytes)),
        factor_(static_cast<float>(theta)),
        factor_low_(static_cast<float>(theta - static_cast<double>(factor_))),
        middle_(narrow_span<float> / magnitude(factor_), ExpRange<float>::giant / magnitude(factor_)),
        destination_(destination) {}

  std::size_t rows_at_once() const { return rows_at_once_; }
  // The columns of L1 that row r takes with its exponentials, its results and as many logits of a row to come; and
  // those that a block may take, which is what rows take that do not end early. (512x512 took 1.22 times as long with
  // twice as many, where all columns took part.)
  std::size_t columns_of(std::size_t r) const { return cols_ + 3 * visible_[r]; }
  static constexpr std::size_t columns_of_block = 4 * narrow_block_bytes / sizeof(float);

  // For each row of a block: how many columns take part, and which of those are hidden.
  std::size_t& visible(std::size_t r) { return visible_[r]; }
  std::uint64_t* hidden(std::size_t r) { return hidden_ + r * words_of_row(); }
  void clear_hidden(std::size_t rows) {
    for (std::size_t i = 0; i < rows * words_of_row(); ++i) hidden_[i] = 0;
  }
  std::size_t words_of_row() const { return (cols_ + 63) / 64; }

  // Probabilities of at most rows_at_once() rows. `hidden_rows`: of how many of them there are hidden columns; all, or
  // that of the first for all. False if their logits do not lie within the span, or one of them has no mass or a NaN:
  // nothing has been written then.
  bool walk(const EvenRows<const float>& x, const EvenRows<float>& y, std::size_t rows, std::size_t hidden_rows,
            bool in_place) {
    const PreOpBlock block = {
        rows,          cols_, visible_, hidden_rows > 0 ? hidden_ : nullptr, hidden_rows > 1 ? words_of_row() : 0,
        has_ends(rows)};
    if (destination_ == Destination::past_caches) return stream(x, y, block);
    const bool fills_chunks = cols_ % chunk_length<float> == 0;
    float* const e = is_block_of_its_own<float>(cols_) && fills_chunks && !in_place ? y.first : exponentials_[0];
    CachedTraffic<float, float> traffic{x, y};
    NoTraffic none;
    if (!exponentiate(x, y, e, block, traffic)) return false;
    if (block.ends || destination_ == Destination::near) {
      pre_op_scale_pass(e, block, factors(), y, none);
    } else {
      pre_op_scale_pass(e, block, factors(), y, traffic);
    }
    return true;
  }

  // What is still on its way.
  void finish() { results_.finish(); }

 private:
  bool stream(const EvenRows<const float>& x, const EvenRows<float>& y, const PreOpBlock& block) {
    float* const e = exponentials_[buffer_];
    const EvenRows<float> here = {e, static_cast<std::ptrdiff_t>(cols_ * sizeof(float))};
    StreamedTraffic<float> traffic{x, results_};
    if (!exponentiate(x, here, e, block, traffic)) return false;
    pre_op_scale_pass(e, block, factors(), here, traffic);
    results_ = traffic.results;
    copy_rows(here, y, {block.rows, cols_}, results_);
    buffer_ = 1 - buffer_;
    return true;
  }

  static constexpr std::size_t hidden_words = longest_narrow<float> / 64;  // words_of_row() of all rows

  static float magnitude(float x) { return x < 0 ? -x : x; }

  bool has_ends(std::size_t rows) const {
    for (std::size_t r = 0; r < rows; ++r) {
      if (visible_[r] < cols_) return true;
    }
    return false;
  }

  RowFactors<float> factors() { return {row_factor_, row_factor_low_}; }

  // Exponentials go to e, factors to factors(). False as in walk.
  template <class Traffic>
  bool exponentiate(const EvenRows<const float>& x, const EvenRows<float>& y, float* e, const PreOpBlock& block,
                    Traffic& traffic) {
    std::size_t first = 0;
    while (first < block.rows && visible_[first] == 0) ++first;
    if (first == block.rows) return false;
    const bool together = middle_.settle(
        first_of(x[first]), [&] { return span_pass(x, block); },
        [&] { return exponentiate_about_middle(x, y, e, block, traffic); });
    if (!together) return false;
    for (std::size_t r = 0; r < block.rows; r += width<double>) {
      set_factors<float, Accuracy::balanced>(r, {load(high_ + r), load(low_ + r)}, factors());
    }
    for (std::size_t r = 0; r < block.rows; ++r) {
      if (!(row_factor_[r] < Limits<float>::infinity)) return false;
    }
    return true;
  }

  template <class Traffic>
  LogitSpan<float> exponentiate_about_middle(const EvenRows<const float>& x, const EvenRows<float>& y, float* e,
                                             const PreOpBlock& block, Traffic& traffic) {
    const float middle = middle_.value();
    const std::int64_t anchor = anchor_near(middle * factor_);
    const RowTotals totals = {high_, low_};
    const auto pass = [&](const auto& exp) {
      if (block.ends || cols_ > longest_short_sum) {
        return pre_op_exp_sum_pass<false>(x, block, exp, middle, e, y, traffic, totals);
      }
      const auto logits = pre_op_exp_pass(x, block, exp, middle, e, traffic);
      sum_rows(StoredRows<float>{e, block.rows, cols_}, totals);
      return logits;
    };
    const auto pass_with = [&](const auto& product) {
      using Product = std::decay_t<decltype(product)>;
      if (block.hidden != nullptr) return pass(PreOpExp<true, Product>(anchor, product, middle));
      const PreOpExp<false, Product> exp(anchor, product, middle);
      if (!block.ends || destination_ == Destination::past_caches) return pass(exp);
      NoTraffic none;
      return pre_op_exp_sum_pass<true>(x, block, exp, middle, e, y, none, totals);
    };
    if (factor_ == 1 && factor_low_ == 0) return pass_with(AsTheyAre{});
    return pass_with(TimesFactor{F32(factor_), F32(factor_low_)});
  }

  std::size_t cols_;
  std::size_t rows_at_once_;
  float factor_;
  float factor_low_;
  BlockMiddle<float> middle_;
  Destination destination_;
  // A row's last chunk may reach beyond it.
  alignas(64) float exponentials_[2][longest_narrow<float> + chunk_length<float>];
  int buffer_ = 0;
  LineCopy results_ = {nullptr, nullptr, 0};  // of the block before
  alignas(64) double high_[most_narrow_rows];
  alignas(64) double low_[most_narrow_rows];
  alignas(64) float row_factor_[most_narrow_rows];
  alignas(64) float row_factor_low_[most_narrow_rows];
  std::size_t visible_[most_narrow_rows];
  std::uint64_t hidden_[hidden_words + 1];
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
