// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_TESTS_PUBLIC_FUNCTIONS_HPP
#define SIMDSOFTMAX_TESTS_PUBLIC_FUNCTIONS_HPP

// All functions of the library as one list, for what holds for every one of them: the bits do not depend on the
// machine, and the caller's floating-point environment neither matters nor changes. Arguments are made beforehand and
// results are looked at afterwards, so that a call is nothing but a call.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness.hpp"
#include "tensor.hpp"

namespace softmax_test {

// Logits, and where they and all other tensors lie.
struct Inputs {
  Pair pair;
  Sizes shape;
  std::size_t axis = 0;
  std::vector<double> logits;  // row-major
  std::size_t gap = 0;         // elements that are left out behind each index of each dimension
  std::size_t offset = 0;      // bytes off the alignment
};

// One or several calls of a function with all their arguments.
class Call {
 public:
  using Step = std::function<simdsoftmax_status(const simdsoftmax_options& options)>;

  explicit Call(const Inputs& inputs) : gap_(inputs.gap), offset_(inputs.offset) {}

  // The first status that is not OK.
  simdsoftmax_status run(const simdsoftmax_options& options) const;
  std::size_t steps() const { return steps_.size(); }
  void forget_results();  // as before the first run
  // The elements of each output in row-major order; every NaN has the same bytes.
  std::vector<Bytes> results() const;

  void add(Step step) { steps_.push_back(std::move(step)); }
  const simdsoftmax_tensor* input(simdsoftmax_dtype dtype, const Sizes& shape, const std::vector<double>& values);
  const simdsoftmax_tensor* output(simdsoftmax_dtype dtype, const Sizes& shape);
  // A copy that lives as long as the call.
  template <class T>
  T* keep(T value) {
    const auto kept = std::make_shared<T>(std::move(value));
    kept_.push_back(kept);
    return kept.get();
  }

 private:
  const simdsoftmax_tensor* place(Tensor* tensor);

  std::size_t gap_;
  std::size_t offset_;
  std::vector<Step> steps_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<Tensor*> outputs_;
};

struct PublicFunction {
  std::string name;
  std::vector<std::string> exports;  // what it calls of the C ABI
  bool everywhere_the_same;          // its results do not depend on the machine
  bool row_by_row;                   // the first dimension of each output is that of the logits, if the axis is not
  // Of logits of two or three dimensions. Null: there is no such call.
  std::unique_ptr<Call> (*prepare)(const Inputs& inputs);
};
const std::vector<PublicFunction>& public_functions();
std::string name_of_function(const ::testing::TestParamInfo<PublicFunction>& info);
void PrintTo(const PublicFunction& function, std::ostream* stream);

}  // namespace softmax_test

#endif
