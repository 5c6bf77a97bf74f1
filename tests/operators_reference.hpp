// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_OPERATORS_REFERENCE_HPP
#define SIMDSOFTMAX_TESTS_OPERATORS_REFERENCE_HPP

// The operators by their definitions, in long double with pairs where it matters, and how far a result may be from
// them. One row at a time; nothing here knows of tensors.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "formats.hpp"
#include "reference.hpp"

namespace softmax_test {

// high + low, not rounded.
struct Exact {
  Wide high = 0;
  Wide low = 0;
};
bool less(const Exact& a, const Exact& b);

// What happens to the logits of one row before the exponential. Columns that are dropped are not looked at.
struct RowOps {
  double theta = 1;
  double scale = 1;
  double softcap = 0;         // 0: none
  Wide slope = 1;             // of the bias
  std::vector<double> bias;   // empty: none
  std::vector<bool> dropped;  // empty: none
  std::optional<double> sink;
};

struct ExactRow {
  bool nan = false;    // NaN or +inf takes part: everything is NaN
  bool empty = false;  // nothing takes part
  bool plain = true;   // the compute type holds the values before the exponential
  Exact max;           // of these values, that of the sink included
  std::vector<Exact> values;
  std::vector<Wide> probabilities;  // 0 where nothing takes part
  std::vector<Wide> log_probabilities;
  Wide logsumexp = 0;
};
ExactRow exact_row(const std::vector<double>& logits, const RowOps& ops = {});

// The first `count` columns by falling value, the lower one first among equals; 0, 1, 2... in rows that are NaN or
// empty.
std::vector<std::size_t> exact_order(const ExactRow& row, std::size_t count);

// ALiBi's slope of a head.
Wide alibi_slope(double max_bias, std::size_t heads, std::size_t head);

// One unit in the last place of a value of this magnitude.
Wide last_place(const Format& format, Wide value);

// The type that rows of this one are computed in.
const Format& compute_format(const Format& logits);

// Errors as multiples of what the headers allow: up to 1 is right. What a soft cap adds to the relative error of a
// probability it adds to its logarithm. Infinite for what no rounding explains. Rows that
// are NaN or empty are judged by what the contract says of them.
double softmax_error(const Format& out, const ExactRow& exact, bool empty_row_zeros, double softcap,
                     const std::vector<double>& got);
double log_softmax_error(const Format& in, const Format& out, const ExactRow& exact, bool empty_row_zeros,
                         double softcap, const std::vector<double>& got);
double logsumexp_error(const Format& in, const Format& out, const ExactRow& exact, double softcap, double got);

// |got - exact| over `units` units of `unit` in the compute type and one rounding to the type of the output.
double rounded_error(const Format& compute, const Format& out, Wide exact, Wide unit, double units, double got);

}  // namespace softmax_test

#endif
