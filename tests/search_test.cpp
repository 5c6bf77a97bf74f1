// SPDX-License-Identifier: Apache-2.0
// A search for the rows with the largest errors: rows that a few logits dominate, giants among tiny ones, rows far from
// zero and at the end of the range, each changed step by step as long as its error grows. Longer with --exhaustive, and
// then it finds what no other test does: kernels/ACCURACY.md says what.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "inputs.hpp"
#include "isa/registry.hpp"
#include "operators.hpp"

namespace softmax_test {
namespace {

using Row = std::vector<double>;

// ---- Where a search begins ------------------------------------------------------------------------------------------

double any(Random& random, double low, double high) { return low + (high - low) * uniform(random); }

// A few of nearly the same size, and others below them, all in a random order.
Row dominated_by_few(Random& random) {
  Row row;
  const double top = any(random, -30, 30);
  const double spread = any(random, 0, 4);
  const std::size_t few = 1 + random() % 5;
  const std::size_t others = random() % 3 == 0 ? random() % 40 : random() % 3;
  for (std::size_t i = 0; i < few; ++i) row.push_back(top - any(random, 0, spread));
  for (std::size_t i = 0; i < others; ++i) row.push_back(top - any(random, spread, 25));
  std::swap(row[0], row[random() % row.size()]);
  return row;
}

Row giant_among_tiny(Random& random) {
  Row row(2 + random() % 300);
  for (double& logit : row) logit = normal(random);
  row[random() % row.size()] = any(random, 2, 90);
  return row;
}

Row far_from_zero(Random& random) {
  const double shifts[] = {200, 300, 3e3, 65500, 66000, 1e5, 1e7, 1e9, 2e9};
  const double shift = shifts[random() % 9] * (random() % 2 == 0 ? 1 : -1);
  Row row(2 + random() % 6);
  for (double& logit : row) logit = shift + any(random, 0.5, 30) * normal(random);
  return row;
}

Row end_of_the_range(const Format& format, Random& random) {
  const double sign = random() % 2 == 0 ? 1 : -1;
  Row row(2 + random() % 4);
  for (double& logit : row) {
    const double steps = static_cast<double>(random() % 3) + (random() % 8 == 0 ? 1e3 : 0);
    logit = sign * largest(format) * (1 - steps * std::ldexp(1.0, -format.precision));
  }
  return row;
}

// Logits whose exponentials are furthest above and furthest below e^x, out of many.
struct Extremes {
  std::vector<double> above;
  std::vector<double> below;
};

template <class T>
Extremes extremes_of(const std::string& isa, const Format& format, int compute, std::size_t count) {
  const std::vector<double> values = normal_logits(format, count, 3, 172);
  const std::vector<T> x(values.begin(), values.end());
  std::vector<simdsoftmax::detail::RowState> states(count);
  const auto dtype = static_cast<simdsoftmax::detail::Dtype>(compute);
  // Rows of one logit: their sums are the exponentials.
  simdsoftmax::detail::find_kernels(isa.c_str())
      ->slice_states[compute]({x.data(), dtype, count, 1, 0, count, 1.0}, states.data());
  std::vector<std::pair<Wide, double>> ratios(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Wide power = std::exp(static_cast<Wide>(values[i]) - static_cast<Wide>(states[i].anchor) * std::log(Wide{2}));
    ratios[i] = {static_cast<Wide>(states[i].sum.high) / power, values[i]};
  }
  std::sort(ratios.begin(), ratios.end());
  Extremes extremes;
  for (std::size_t i = 0; i < 50 && i < count; ++i) {
    extremes.below.push_back(ratios[i].second);
    extremes.above.push_back(ratios[count - 1 - i].second);
  }
  return extremes;
}

// One of the one kind among some of the other, at places whose exponentials are added before anything else.
Row extremes_together(const Extremes& extremes, Random& random) {
  Row row(random() % 2 == 0 ? 64 : 5, -60);
  const std::size_t step = row.size() == 5 ? 1 : random() % 2 == 0 ? 16 : 8;
  const bool up = random() % 2 == 0;
  const auto pick = [&](const std::vector<double>& from) { return from[random() % from.size()]; };
  row[0] = pick(up ? extremes.above : extremes.below);
  const std::size_t others = 1 + random() % 3;
  for (std::size_t i = 1; i <= others; ++i) row[i * step] = pick(up ? extremes.below : extremes.above);
  return row;
}

Row a_beginning(const Format& format, const Extremes& extremes, Random& random) {
  switch (random() % 8) {
    case 0:
      return giant_among_tiny(random);
    case 1:
      return far_from_zero(random);
    case 2:
      return end_of_the_range(format, random);
    case 3:
    case 4:
      return extremes_together(extremes, random);
    default:
      return dominated_by_few(random);
  }
}

// One logit a little or quite different.
Row changed(Row row, Random& random) {
  double& logit = row[random() % row.size()];
  const double step = std::ldexp(2 * uniform(random) - 1, -static_cast<int>(random() % 30));
  logit += random() % 2 == 0 ? step : step / 2 * logit;
  return row;
}

Row rounded(const Format& format, Row row) {
  for (double& logit : row) logit = round_to(format, std::clamp(logit, -largest(format), largest(format)));
  return row;
}

// ---- What is searched for -------------------------------------------------------------------------------------------

// The loss with the last column as the label, and the other results of the same call.
double cross_entropy_error(const Pair& pair, const ExactRow& exact, const Row& row) {
  const Tensor logits(pair.in, {1, row.size()}, row);
  const Tensor labels(SIMDSOFTMAX_I32, {1}, {static_cast<double>(row.size() - 1)});
  const simdsoftmax_dtype wide = compute_format(format_of(pair.in)).dtype;
  const Tensor loss(wide, {1});
  const simdsoftmax_tensor from = logits.view();
  const simdsoftmax_tensor label = labels.view();
  const simdsoftmax_tensor to = loss.view();
  const simdsoftmax_options options = serial_options();
  EXPECT_EQ(simdsoftmax_sparse_softmax_cross_entropy(&from, &label, &to, 1, nullptr, &options), SIMDSOFTMAX_OK);
  const Format& format = format_of(wide);
  const Wide expected = -exact.log_probabilities.back();
  return rounded_error(format, format, expected, last_place(format, expected), 4, loss.values()[0]);
}

struct Target {
  const char* name;
  // The error of a row as a multiple of `unit`.
  double (*error)(const Pair& pair, const ExactRow& exact, const Row& row);
  // In ULP: what the other tests allow, and what the headers promise of any row.
  double (*unit)(const Pair& pair);
  double (*bound)(const Pair& pair, bool fma);
};

template <const Operator& (*op)()>
double operator_error(const Pair& pair, const ExactRow& exact, const Row& row) {
  const Bytes output = apply_to_rows(op(), pair, {1, row.size()}, encode(pair.in, row), serial_options());
  return op().error(pair, exact, {}, false, decode(pair.out, output));
}

bool in_f64(const Pair& pair) { return pair.in == SIMDSOFTMAX_F64; }
double four(const Pair&) { return 4; }

const Target targets[] = {
    {"softmax", operator_error<softmax_operator>, [](const Pair& pair) { return bound_in_ulp(format_of(pair.out)); },
     [](const Pair& pair, bool fma) {
       return pair.out == SIMDSOFTMAX_F32 ? (fma ? 4.0 : 5.7) : bound_in_ulp(format_of(pair.out));
     }},
    {"log_softmax", operator_error<log_softmax_operator>, four, [](const Pair&, bool) { return 4.0; }},
    {"logsumexp", operator_error<logsumexp_operator>, [](const Pair& pair) { return in_f64(pair) ? 4.0 : 1.0; },
     [](const Pair& pair, bool) { return in_f64(pair) ? 4.0 : 1.0; }},
    {"cross_entropy", cross_entropy_error, four, [](const Pair&, bool) { return 4.0; }}};

class SearchTest : public ConfigTest {};

TEST_P(SearchTest, NoRowBeyondTheBound) {
  if (slow_machine() && pair().in != pair().out) return;
  const std::size_t climbs = exhaustive() ? 5000 : slow_machine() ? 3 : 40;
  constexpr int patience = 50;       // steps without a larger error
  constexpr double larger = 0.0005;  // of the bound
  const bool f64 = pair().in == SIMDSOFTMAX_F64;
  const std::size_t samples = exhaustive() ? 4000000 : slow_machine() ? 1000 : 20000;
  const Extremes extremes = f64 ? extremes_of<double>(GetParam().isa, in(), 1, samples)
                                : extremes_of<float>(GetParam().isa, in(), 0, samples);
  for (const Target& target : targets) {
    const auto error_of = [&](const Row& row) { return target.error(pair(), exact_row(row), row); };
    Random random(171);
    double worst = 0;
    Row where;
    for (std::size_t climb = 0; climb < climbs; ++climb) {
      Row row = rounded(in(), a_beginning(in(), extremes, random));
      double error = error_of(row);
      for (int tries = 0; tries < patience; ++tries) {
        const Row next = rounded(in(), changed(row, random));
        const double next_error = error_of(next);
        if (next_error < error) continue;
        if (next_error > error + larger) tries = 0;
        row = next;
        error = next_error;
      }
      if (error > worst) {
        worst = error;
        where = row;
      }
    }
    // In ULP where nothing is rounded to a half.
    const double ulp = worst * target.unit(pair());
    if (out().bytes > 2) RecordProperty(target.name, std::to_string(ulp));
    EXPECT_LE(ulp, target.bound(pair(), has_fma(GetParam().isa)))
        << target.name << " of " << ::testing::PrintToString(where);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SearchTest, ::testing::ValuesIn(of_each_arithmetic(configs())), name_of_config);

}  // namespace
}  // namespace softmax_test
