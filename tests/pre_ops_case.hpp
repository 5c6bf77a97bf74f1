// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_PRE_OPS_CASE_HPP
#define SIMDSOFTMAX_TESTS_PRE_OPS_CASE_HPP

// A call with pre-operations: its tensors, what every row is by the definition, and the check of all functions.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "operators.hpp"

namespace softmax_test {

class PreOpsCase {
 public:
  PreOpsCase(const Pair& pair, Sizes shape, std::size_t axis, unsigned seed, double spread = 3);

  // Change any of these before a check. Tensors that are not set are not passed.
  double theta = 1;
  double scale = 1;
  double softcap = 0;
  double max_bias = 0;
  bool mask_drops = false;
  bool causal = false;
  std::int64_t query_offset = 0;
  std::int64_t window = 0;
  bool empty_row_zeros = false;
  std::vector<double> logits;  // row-major
  Strides logits_strides;
  Strides output_strides;
  std::optional<Tensor> bias;
  std::optional<Tensor> mask;
  std::optional<Tensor> lengths;
  std::optional<Tensor> sinks;
  std::optional<simdsoftmax_dtype> logsumexp_dtype;

  // Makes NaN of the logits of columns that take no part, and of their bias if each has its own.
  void poison_what_is_dropped();

  // Every function against the reference, softmax in place too; `name` says which case failed.
  void check(const std::string& name);
  // Several threads and every variant, whose bits must be the same. Of rows without NaN.
  void check_threads(const std::string& name);

 private:
  struct Views {
    simdsoftmax_tensor bias, mask, lengths, sinks, logsumexp;
    simdsoftmax_pre_ops pre_ops;
    simdsoftmax_options options;
  };
  void fill_views(Views& views, Tensor& logsumexp) const;
  std::vector<RowOps> row_ops() const;
  Bytes run(const Operator& op, std::int32_t threads, simdsoftmax_variant variant, Tensor& logsumexp) const;
  void check_logsumexp_output(const std::vector<ExactRow>& exact, const Tensor& logsumexp,
                              const std::string& name) const;
  void check_top_k(const std::vector<ExactRow>& exact, const Bytes& softmax, const std::string& name) const;
  void check_argmax(const std::vector<ExactRow>& exact, const Bytes& softmax, const std::string& name) const;
  std::size_t dimension_of_row(std::size_t row, std::size_t before_axis) const;

  Pair pair_;
  Sizes shape_;
  std::size_t axis_;
};

// For a case, padded and the same at every call: normal numbers, and a mask of which this share is not 0.
Tensor random_bias(simdsoftmax_dtype dtype, const Sizes& shape, double spread);
Tensor random_mask(const Sizes& shape, double share);

// Pre-operations on each ISA and pair of dtypes; pre_ops_test.cpp instantiates the tests, those of other files too.
class PreOpsTest : public ConfigTest {};

}  // namespace softmax_test

#endif
