// SPDX-License-Identifier: Apache-2.0
#pragma once

// What moves between memory and the caches while a block of short rows is computed.

#include "simd/source.hpp"
#include "simd/stream.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

// Rows at even distances, in bytes.
template <class Element>
struct EvenRows {
  Element* first;
  std::ptrdiff_t stride;

  SIMDSOFTMAX_INLINE Element* operator[](std::size_t r) const {
    const auto offset = static_cast<std::uintptr_t>(static_cast<std::ptrdiff_t>(r) * stride);
    return reinterpret_cast<Element*>(reinterpret_cast<std::uintptr_t>(first) + offset);
  }
};

struct BlockShape {
  std::size_t rows;
  std::size_t cols;
};

template <class Element>
SIMDSOFTMAX_INLINE bool are_adjacent(const EvenRows<Element>& x, std::size_t cols) {
  return x.stride == static_cast<std::ptrdiff_t>(cols * sizeof(Element));
}

// work(x, r, n) for runs of n elements, which begin with row r.
template <class Element, class Work>
SIMDSOFTMAX_INLINE void each_run(const EvenRows<Element>& x, BlockShape shape, const Work& work) {
  if (are_adjacent(x, shape.cols)) return work(x.first, 0, shape.rows * shape.cols);
  for (std::size_t r = 0; r < shape.rows; ++r) work(x[r], r, shape.cols);
}

// A block is computed in two phases, the second of which takes about a quarter of the time. Lines that are asked for at
// an even pace are so in both, a quarter of them in the second, so that memory has something to do all the time. (Asked
// for in the first alone they made 1024x1000 take 1.13 times as long, 8192x256 1.16.)
enum class Phase { exponentials, results };
enum class Pace { even, in_first_phase };

// Where the results of a batch go: into the near caches, which hold all of it; through all of them; past them. What is
// near is not asked for where nothing has to be waited for then: in the second phase, and without pre-operations in
// neither. (With that 512x64 took 1.05 times as long, 4x4096 of dense rows 1.01 on avx512 and 1.09 on avx2.)
enum class Destination { near, cached, past_caches };

// Lines of a tensor that are asked for while one of its blocks is computed: `lead` bytes further, and when its
// exponentials begin by a quarter of the block further still. Made in the pass that asks: to hand it over in memory
// took 0.03 of the time of 512x64.
template <class Element, Pace pace, Phase phase>
class LineFeed {
  static constexpr std::size_t later(std::size_t bytes) { return pace == Pace::even ? bytes / 4 : 0; }
  static constexpr std::size_t in_phase(std::size_t bytes) {
    return phase == Phase::exponentials ? bytes - later(bytes) : later(bytes);
  }

 public:
  LineFeed(const EvenRows<Element>& rows, BlockShape shape, std::uintptr_t lead)
      : first_(reinterpret_cast<std::uintptr_t>(rows.first)) {
    const std::size_t row = shape.cols * sizeof(Element);
    constexpr bool is_first = phase == Phase::exponentials;
    if (are_adjacent(rows, shape.cols) || shape.rows == 1) {
      first_ += lead + (is_first ? later(shape.rows * row) : shape.rows * row);
      step_ = is_first ? row - later(row) : later(row);
    } else {
      step_ = static_cast<std::uintptr_t>(rows.stride);
      first_ += is_first ? lead : shape.rows * step_ + row - later(row);
    }
    at_ = first_;
  }

  SIMDSOFTMAX_INLINE void begin_row(std::size_t r) { at_ = first_ + r * step_; }

  // For n columns.
  template <std::size_t n>
  SIMDSOFTMAX_INLINE void ask() {
    repeat<lines<n>>([&](std::size_t i) __attribute__((always_inline)) {
      __builtin_prefetch(reinterpret_cast<const char*>(at_ + 64 * i), std::is_const<Element>::value ? 0 : 1);
    });
    at_ += in_phase(n * sizeof(Element));
  }

  // At most, for n columns.
  template <std::size_t n>
  static constexpr std::size_t lines = (in_phase(n * sizeof(Element)) + 63) / 64;

 private:
  std::uintptr_t first_;
  std::uintptr_t step_;
  std::uintptr_t at_;
};

// Logits 2 KiB ahead, as in PlainSource, or the next row where that lies elsewhere. (With the same place in the next
// block 1024x1000 took 1.05 times as long, 8192x512 1.08.)
template <Pace pace, Phase phase, class In>
SIMDSOFTMAX_INLINE LineFeed<const In, pace, phase> feed_of_logits(const EvenRows<const In>& x, BlockShape shape) {
  const bool is_near = are_adjacent(x, shape.cols) || shape.rows == 1;
  return {x, shape, is_near ? read_ahead_bytes : static_cast<std::uintptr_t>(x.stride)};
}

// What a pass has of its traffic: begin_row(r) before row r, or before all from it on if they are adjacent; ask<n>()
// for each n columns.
template <class Logits, class Results>
struct TwoFeeds {
  Logits logits;
  Results results;

  SIMDSOFTMAX_INLINE void begin_row(std::size_t r) {
    logits.begin_row(r);
    results.begin_row(r);
  }
  template <std::size_t n>
  SIMDSOFTMAX_INLINE void ask() {
    logits.template ask<n>();
    results.template ask<n>();
  }
};

// Logits and results, both through the caches.
template <class In, class Out>
struct CachedTraffic {
  EvenRows<const In> x;
  EvenRows<Out> y;

  template <Phase phase>
  SIMDSOFTMAX_INLINE auto begin(BlockShape shape) const {
    using Results = LineFeed<Out, Pace::even, phase>;
    const auto logits = feed_of_logits<Pace::even, phase>(x, shape);
    return TwoFeeds<std::decay_t<decltype(logits)>, Results>{logits, Results(y, shape, 0)};
  }
  template <class Feeds>
  SIMDSOFTMAX_INLINE void end(const Feeds&) const {}
};

// Logits through the caches; past them the results of the block before. (All of these at once have to wait for memory,
// and nothing is computed meanwhile: 65536x512 took 1.47 times as long as memcpy, then 1.24.)
template <class Logits>
struct FeedAndCopy {
  Logits logits;
  LineCopy results;

  SIMDSOFTMAX_INLINE void begin_row(std::size_t r) { logits.begin_row(r); }
  template <std::size_t n>
  SIMDSOFTMAX_INLINE void ask() {
    logits.template ask<n>();
    repeat<Logits::template lines<n>>([&](std::size_t) __attribute__((always_inline)) { results.next(); });
  }
};
template <class In>
struct StreamedTraffic {
  EvenRows<const In> x;
  LineCopy results;

  template <Phase phase>
  SIMDSOFTMAX_INLINE auto begin(BlockShape shape) const {
    const auto logits = feed_of_logits<Pace::even, phase>(x, shape);
    return FeedAndCopy<std::decay_t<decltype(logits)>>{logits, results};
  }
  template <class Feeds>
  SIMDSOFTMAX_INLINE void end(const Feeds& feeds) {
    results = feeds.results;
  }
};

// Nothing but logits.
template <class In>
struct LogitTraffic {
  EvenRows<const In> x;

  template <Phase phase>
  SIMDSOFTMAX_INLINE auto begin(BlockShape shape) const {
    return feed_of_logits<Pace::in_first_phase, phase>(x, shape);
  }
  template <class Feeds>
  SIMDSOFTMAX_INLINE void end(const Feeds&) const {}
};

// Left to others.
struct NoTraffic {
  struct Feeds {
    SIMDSOFTMAX_INLINE void begin_row(std::size_t) const {}
    template <std::size_t>
    SIMDSOFTMAX_INLINE void ask() const {}
  };

  template <Phase phase>
  SIMDSOFTMAX_INLINE Feeds begin(BlockShape) const {
    return {};
  }
  SIMDSOFTMAX_INLINE void end(const Feeds&) const {}
};

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
