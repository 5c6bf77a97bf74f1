// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/column_logs.hpp"
#include "staging/convert.hpp"
#include "staging/row_cursor.hpp"

namespace simdsoftmax::SIMDSOFTMAX_ISA {
namespace {

using detail::ColumnsTask;
using detail::Function;
using detail::RowsTask;
using detail::Team;
using detail::Variant;

template <class In, class Out>
constexpr bool is_offered = sizeof(In) + sizeof(Out) == sizeof(float) + sizeof(Half<Dtype::f16>);
template <class In>
constexpr bool is_offered<In, In> = true;

// Softmax, log_softmax and logsumexp across memory, a block of neighbouring rows at a time.
template <class T, Accuracy accuracy>
class ColumnBlocks {
 public:
  explicit ColumnBlocks(const ColumnsTask& task) : task_(task), blocks_((task.inner + task.block - 1) / task.block) {}

  void walk(std::size_t unit) {
    const RowCursor cursor(task_.grid, unit / blocks_);
    const std::size_t first = unit % blocks_ * task_.block;
    const std::size_t n = task_.inner - first < task_.block ? task_.inner - first : task_.block;
    const Place place = {moved(task_.logits, cursor.at(task_.logits), first),
                         moved(task_.output, cursor.at(task_.output), first)};
    const bool has_passes = task_.function == Function::softmax || accuracy != Accuracy::exact;
    if (!has_passes || task_.theta != 1.0) return walk_as_rows(place, n);
    const bool is_one = task_.function == Function::logsumexp;
    with_element(task_.logits.dtype, [&](auto in) {
      with_element(is_one ? task_.logits.dtype : task_.output.dtype, [&](auto out) {
        using In = decltype(in);
        using Out = decltype(out);
        if constexpr (is_offered<In, Out>) walk_pieces<In, Out>(place, n);
      });
    });
  }

 private:
  struct Place {
    char* logits;
    char* output;
  };

  static char* moved(const Operand& operand, char* at, std::size_t rows) {
    return at + static_cast<std::ptrdiff_t>(rows) * size_of(operand.dtype);
  }

  // Rows of one chunk, and those whose results cannot hold exponentials, are taken so many at a time that these stay in
  // the nearest caches; others in runs of 2 KiB, whose pages and prefetchers serve for longer. (64x4096 on axis 0 took
  // 1.3 times as long in short runs, 21x262144 1.5 times as long in long ones.)
  template <class In, class Out>
  void walk_pieces(const Place& place, std::size_t n) {
    const bool long_runs = sizeof(Out) == sizeof(T) && task_.cols > chunk_length<T>;
    const std::size_t most = long_runs ? run_length<T> : kept_run_length<T>;
    for (std::size_t i = 0; i < n; i += most) {
      const Place piece = {moved(task_.logits, place.logits, i), moved(task_.output, place.output, i)};
      walk_block<In, Out>(piece, n - i < most ? n - i : most);
    }
  }

  // A block with a row that has no way in common with the others is taken vector by vector, and such a vector as rows.
  template <class In, class Out>
  void walk_block(const Place& place, std::size_t n) {
    if (walk_together<In, Out>(place, n)) return;
    if (n <= width<T>) return walk_as_rows(place, n);
    for (std::size_t i = 0; i < n; i += width<T>) {
      const Place part = {moved(task_.logits, place.logits, i), moved(task_.output, place.output, i)};
      walk_block<In, Out>(part, n - i < width<T> ? n - i : width<T>);
    }
  }

  // False if that is not possible; the logits are still there.
  template <class In, class Out>
  bool walk_together(const Place& place, std::size_t n) {
    if constexpr (accuracy != Accuracy::exact) {
      if (task_.function == Function::log_softmax) return walk_logs<In, Out>(place, n);
      if (task_.function == Function::logsumexp) return walk_logsumexps<In>(place, n);
    }
    if constexpr (sizeof(Out) == sizeof(T)) {
      if (task_.cols > chunk_length<T>) return walk_long_runs<In, Out>(place, n);
    }
    return walk_short_runs<In, Out>(place, n);
  }

  // Exponentials go where the results will be.
  template <class In, class Out>
  bool walk_long_runs(const Place& place, std::size_t n) {
    const Runs<const In> x = {place.logits, task_.logits.axis_stride};
    const Runs<T> y = {place.output, task_.output.axis_stride};
    const auto exponentiate = [&](auto& exp) {
      exp_sum_of_runs<true>(x, task_.cols, n, exp, RunExponentials<T>{y, task_.cols}, y, state_);
    };
    return walk_runs(
        x, y, n, smallest_result<Out>, place.logits == place.output, exponentiate,
        [&](auto flushes, const auto&) { scale_runs_from_last<decltype(flushes)::value>(y, task_.cols, n, state_); });
  }

  // They stay beside, as many as there is room for.
  template <class In, class Out>
  bool walk_short_runs(const Place& place, std::size_t n) {
    constexpr std::size_t longest = most_kept<T> / kept_run_length<T>;
    const Runs<const In> x = {place.logits, task_.logits.axis_stride};
    const Runs<Out> y = {place.output, task_.output.axis_stride};
    const Runs<const In> after = {moved(task_.logits, place.logits, n), task_.logits.axis_stride};
    const Runs<T> beside = {reinterpret_cast<char*>(state_.exponentials), kept_run_length<T> * sizeof(T)};
    const RunExponentials<T> e = {beside, task_.cols <= longest ? task_.cols : longest - chunk_length<T>};
    const auto exponentiate = [&](auto& exp) {
      if (task_.cols <= chunk_length<T>) {
        exp_of_runs(x, task_.cols, n, exp, beside, y);
      } else {
        exp_sum_of_runs<false>(x, task_.cols, n, exp, e, y, state_);
      }
    };
    return walk_runs(x, beside, n, smallest_result<Out>, false, exponentiate, [&](auto flushes, const auto& exp) {
      scale_runs<decltype(flushes)::value>(x, y, task_.cols, n, exp, e, after, state_);
    });
  }

  template <class In, class Out>
  bool walk_logs(const Place& place, std::size_t n) {
    const Runs<const In> x = {place.logits, task_.logits.axis_stride};
    const Runs<Out> y = {place.output, task_.output.axis_stride};
    const Runs<const In> after = {moved(task_.logits, place.logits, n), task_.logits.axis_stride};
    return walk_sums(x, n, y, [&](const Runs<T>& e, std::int64_t anchor, const auto& sum_others) {
      max_of_runs(x, task_.cols, n, state_);
      if (!log_scales_of_runs(task_.cols, n, e, anchor, state_, sum_others)) return false;
      log_runs(x, y, task_.cols, n, after, state_);
      return true;
    });
  }

  template <class In>
  bool walk_logsumexps(const Place& place, std::size_t n) {
    const Runs<const In> x = {place.logits, task_.logits.axis_stride};
    const Runs<const In> after = {moved(task_.logits, place.logits, n), task_.logits.axis_stride};
    return walk_sums(x, n, after, [&](const Runs<T>& e, std::int64_t anchor, const auto& sum_others) {
      if (sizeof(T) == sizeof(double)) max_of_runs(x, task_.cols, n, state_);
      if (!logsumexps_of_runs(task_.cols, n, e, anchor, state_, sum_others)) return false;
      store_run(state_.log_sum_high, place.output, task_.output.dtype, size_of(task_.output.dtype), n);
      if (sizeof(T) == sizeof(float)) refine(place, n);
      return true;
    });
  }

  // Rows whose logsumexp is near 0, or NaN.
  void refine(const Place& place, std::size_t n) {
    std::uint16_t rows[run_length<T>];
    std::size_t count = 0;
    for (std::size_t r = 0; r < n; ++r) {
      const double result = state_.log_sum_high[r];
      if (is_near_zero(result) || is_nan(result)) rows[count++] = static_cast<std::uint16_t>(r);
    }
    walk_as_rows(place, count, [&](std::size_t r) { return rows[r]; });
  }

  // For what needs of the exponentials no more than their sums, which lie about a common anchor; else false.
  template <class In, class Next, class Use>
  bool walk_sums(const Runs<const In>& x, std::size_t n, const Runs<Next>& after, const Use& use) {
    const Runs<T> e = {reinterpret_cast<char*>(state_.exponentials), run_length<T> * sizeof(T)};
    const auto exponentiate = [&](auto& exp) {
      if (task_.cols <= chunk_length<T>) {
        exp_of_runs(x, task_.cols, n, exp, e, after);
      } else {
        exp_sum_of_runs<false>(x, task_.cols, n, exp, RunExponentials<T>{e, 0}, after, state_);
      }
    };
    SharedExp<T, accuracy> shared(middle_.value());
    return settle(x, n, shared, exponentiate) && use(e, anchor_near(middle_.value()), [&] {
             RunExpOfOthers<SharedExp<T, accuracy>, T, accuracy> others(shared, state_);
             exponentiate(others);
           });
  }

  // exponentiate(shared) about a common anchor. False if the logits of the block have none.
  template <class In, class Exponentiate>
  bool settle(const Runs<const In>& x, std::size_t n, SharedExp<T, accuracy>& shared,
              const Exponentiate& exponentiate) {
    return middle_.settle(
        first_of(x[0]), [&] { return span_of_runs(x, task_.cols, n); },
        [&] {
          shared = SharedExp<T, accuracy>(middle_.value());
          exponentiate(shared);
          return shared.span();
        });
  }

  // About a common anchor if the logits of the block allow it, else each row about its own. is_overwritten: by the
  // exponentials, so that what logits are like must be known before.
  template <class In, class Exponentiate, class Scale>
  bool walk_runs(const Runs<const In>& x, const Runs<T>& e, std::size_t n, double smallest_result, bool is_overwritten,
                 const Exponentiate& exponentiate, const Scale& scale) {
    SharedExp<T, accuracy> shared(middle_.value());
    if (is_overwritten) middle_.look_first();
    if (settle(x, n, shared, exponentiate)) {
      (void)normalize_runs(task_.cols, n, e, Limits<double>::infinity, smallest_result, state_);
      scale(std::false_type{}, shared);
      return true;
    }
    // Anchors come from the first columns, as in the anchored variant.
    const bool all = is_overwritten || task_.cols < detail::anchor_length;
    max_of_runs(x, all ? task_.cols : detail::anchor_length, n, state_);
    if (!anchor_runs(n, state_)) return false;
    OwnExp<T, accuracy> own(state_);
    exponentiate(own);
    if (!normalize_runs(task_.cols, n, e, climbed_sum<T>, smallest_result, state_)) return false;
    scale(std::true_type{}, own);
    return true;
  }

  // An element of this dtype that is computed with in T.
  template <class Work>
  SIMDSOFTMAX_INLINE static void with_element(Dtype dtype, const Work& work) {
    if constexpr (sizeof(T) == 8) {
      if constexpr (accuracy != Accuracy::exact) return work(double{});
      if (dtype == Dtype::f16) return work(Wide<Half<Dtype::f16>>{});
      if (dtype == Dtype::bf16) return work(Wide<Half<Dtype::bf16>>{});
      work(Wide<float>{});
    } else {
      if (dtype == Dtype::f16) return work(Half<Dtype::f16>{});
      if (dtype == Dtype::bf16) return work(Half<Dtype::bf16>{});
      work(float{});
    }
  }

  // Whatever has no passes across memory: so many rows as there is room for are put one behind the other and taken as
  // dense ones.
  void walk_as_rows(const Place& place, std::size_t n) {
    walk_as_rows(place, n, [](std::size_t r) { return r; });
  }
  // row_of(r): where the next of them is, for r from 0 to n.
  template <class RowOf>
  SIMDSOFTMAX_NOINLINE void walk_as_rows(const Place& place, std::size_t n, const RowOf& row_of) {
    const std::size_t results = task_.function == Function::logsumexp ? 1 : task_.cols;
    const auto in = static_cast<std::size_t>(size_of(task_.logits.dtype));
    const auto out = static_cast<std::size_t>(size_of(task_.output.dtype));
    const std::size_t fitting = sizeof state_.exponentials / (task_.cols * in + results * out);
    const std::size_t most = fitting < kept_run_length<T> ? fitting : kept_run_length<T>;
    auto* const logits = reinterpret_cast<char*>(state_.exponentials);
    RowsTask rows = {};
    rows.grid.rank = 1;
    rows.logits = dense_rows(logits, task_.logits.dtype, task_.cols);
    rows.cols = task_.cols;
    rows.part_length = detail::segment_length;
    rows.function = task_.function;
    rows.variant = Variant::narrow;
    rows.theta = task_.theta;
    rows.empty_row_zeros = task_.empty_row_zeros;
    for (std::size_t i = 0; i < n; i += most) {
      const std::size_t m = n - i < most ? n - i : most;
      const Runs<const char> x = {place.logits, task_.logits.axis_stride};
      const Runs<char> y = {place.output, task_.output.axis_stride};
      const auto row = [&](std::size_t r) { return row_of(i + r); };
      rows.grid.dims[0] = m;
      rows.output = dense_rows(logits + m * task_.cols * in, task_.output.dtype, results);
      with_size(in,
                [&](auto element) { to_rows(x, task_.cols, m, row, reinterpret_cast<decltype(element)*>(logits)); });
      task_.row_kernel(&rows, 0, m, Team{0, 1, nullptr, nullptr});
      with_size(out, [&](auto element) {
        from_rows(reinterpret_cast<const decltype(element)*>(rows.output.data), results, m, row, y);
      });
    }
  }

  static Operand dense_rows(char* data, Dtype dtype, std::size_t cols) {
    Operand operand = {data, dtype, size_of(dtype), {}};
    operand.row_strides[0] = static_cast<std::ptrdiff_t>(cols) * size_of(dtype);
    return operand;
  }

  template <class Work>
  static void with_size(std::size_t size, const Work& work) {
    if (size == 2) return work(std::uint16_t{});
    if (size == 4) return work(std::uint32_t{});
    work(std::uint64_t{});
  }

  template <class Element, class RowOf>
  static void to_rows(const Runs<const char>& x, std::size_t cols, std::size_t n, const RowOf& row, Element* rows) {
    const std::size_t begin = row(0) * sizeof(Element);
    const std::size_t end = (row(n - 1) + 1) * sizeof(Element);
    for (std::size_t c = 0; c < cols; ++c) {
      const char* const run = x[c];
      const char* const next = x[c + columns_ahead];
      for (std::size_t i = begin; i < end; i += 64) __builtin_prefetch(next + i);
      for (std::size_t r = 0; r < n; ++r) {
        __builtin_memcpy(rows + r * cols + c, run + row(r) * sizeof(Element), sizeof(Element));
      }
    }
  }
  template <class Element, class RowOf>
  static void from_rows(const Element* rows, std::size_t cols, std::size_t n, const RowOf& row, const Runs<char>& y) {
    for (std::size_t c = 0; c < cols; ++c) {
      char* const run = y[c];
      for (std::size_t r = 0; r < n; ++r) {
        __builtin_memcpy(run + row(r) * sizeof(Element), rows + r * cols + c, sizeof(Element));
      }
    }
  }

  const ColumnsTask& task_;
  std::size_t blocks_;
  BlockMiddle<T> middle_{accuracy == Accuracy::exact ? narrow_span<float> : narrow_span<T>, ExpRange<T>::giant};
  BlockState<T, accuracy> state_;
};

template <class T, Accuracy accuracy = Accuracy::balanced>
void walk_columns(const void* given, std::size_t first, std::size_t last, const Team&) {
  ColumnBlocks<T, accuracy> blocks(*static_cast<const ColumnsTask*>(given));
  for (std::size_t unit = first; unit < last; ++unit) blocks.walk(unit);
}

}  // namespace
}  // namespace simdsoftmax::SIMDSOFTMAX_ISA
