// SPDX-License-Identifier: Apache-2.0
// The C++ face gives what the C ABI gives.

#include <gtest/gtest.h>
#include <simdsoftmax/simdsoftmax.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "harness.hpp"
#include "inputs.hpp"

namespace softmax_test {
namespace {

namespace ss = simdsoftmax;

template <class T>
std::vector<T> typed(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

template <class T>
Bytes raw(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <class In, class Out>
void expect_same_as_c() {
  const Pair pair{ss::DtypeOf<In>::value, ss::DtypeOf<Out>::value};
  const Shape shape{4, 33};
  const Bytes logits = encode(pair.in, normal_logits(format_of(pair.in), shape.rows * shape.cols, 4, 61));
  const Bytes expected = softmax(pair, shape, logits, serial_options());
  const std::vector<In> values = typed<In>(logits);
  std::vector<Out> output(values.size());
  EXPECT_EQ(ss::softmax_rows(values, output, shape.cols), ss::Status::ok);
  EXPECT_EQ(raw(output), expected) << "vectors, " << name_of(pair);
  output.assign(values.size(), Out{});
  EXPECT_EQ(ss::softmax_rows(values.data(), output.data(), shape.rows, shape.cols), ss::Status::ok);
  EXPECT_EQ(raw(output), expected) << "pointers, " << name_of(pair);
  if constexpr (std::is_same_v<In, Out>) {
    std::vector<In> in_place = values;
    EXPECT_EQ(ss::softmax_rows(in_place, shape.cols), ss::Status::ok);
    EXPECT_EQ(raw(in_place), expected) << "in place, " << name_of(pair);
  }
}

TEST(CppFace, GivesWhatTheCAbiGives) {
  expect_same_as_c<float, float>();
  expect_same_as_c<double, double>();
  expect_same_as_c<ss::Float16, ss::Float16>();
  expect_same_as_c<ss::BFloat16, ss::BFloat16>();
  expect_same_as_c<ss::Float16, float>();
  expect_same_as_c<ss::BFloat16, float>();
  expect_same_as_c<float, ss::Float16>();
  expect_same_as_c<float, ss::BFloat16>();
}

TEST(CppFace, PassesEveryOptionOn) {
  const std::vector<float> logits = {1, 2, 3, -HUGE_VALF, -HUGE_VALF, -HUGE_VALF};
  ss::Options options;
  options.theta = -2;
  options.variant = ss::Variant::online;
  options.empty_row = ss::EmptyRow::zeros;
  options.num_threads = 3;
  options.accuracy = ss::Accuracy::exact;
  const simdsoftmax_options c = options.c();
  EXPECT_EQ(c.struct_size, sizeof c);
  EXPECT_EQ(c.theta, -2);
  EXPECT_EQ(c.variant, SIMDSOFTMAX_ONLINE);
  EXPECT_EQ(c.empty_row, SIMDSOFTMAX_EMPTY_ROW_ZEROS);
  EXPECT_EQ(c.num_threads, 3);
  EXPECT_EQ(c.accuracy, SIMDSOFTMAX_EXACT);
  EXPECT_EQ(c.pre_ops, nullptr);
  options.theta = 2;
  std::vector<float> output(6, -1.0F);
  EXPECT_EQ(ss::softmax_rows(logits, output, 3, options), ss::Status::ok);
  EXPECT_LT(output[0], output[2]);
  EXPECT_EQ(std::vector<float>(output.begin() + 3, output.end()), std::vector<float>(3, 0.0F));
  options.theta = HUGE_VAL;
  EXPECT_EQ(ss::softmax_rows(logits, output, 3, options), ss::Status::bad_theta);
}

TEST(CppFace, VectorsMustHoldWholeRows) {
  std::vector<float> values(7, 2.0F);
  EXPECT_EQ(ss::softmax_rows(values, 3), ss::Status::bad_stride);
  EXPECT_EQ(ss::softmax_rows(values, 0), ss::Status::bad_stride);
  std::vector<float> output(6, 2.0F);
  EXPECT_EQ(ss::softmax_rows(values, output, 7), ss::Status::bad_stride);
  EXPECT_EQ(values, std::vector<float>(7, 2.0F));
  EXPECT_EQ(output, std::vector<float>(6, 2.0F));
  std::vector<float> empty;
  EXPECT_EQ(ss::softmax_rows(empty, 3), ss::Status::ok);
  EXPECT_EQ(ss::softmax_rows(empty, empty, 0), ss::Status::ok);
}

// Six rows of five logits, and what calls on them need.
struct Batch {
  std::vector<float> logits = std::vector<float>(30);
  std::vector<float> other = std::vector<float>(30);
  std::vector<std::size_t> shape = {2, 3, 5};
  std::vector<std::size_t> row_shape = {2, 3};
  std::vector<std::int64_t> labels = {0, 4, 2, 2, -100, 1};

  Batch() {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>((i * 7) % 11) / 3.0F - 1.0F;
      other[i] = static_cast<float>((i * 5) % 13) / 5.0F;
    }
  }

  simdsoftmax_tensor full(std::vector<float>& values) const {
    return {values.data(), SIMDSOFTMAX_F32, 3, shape.data(), nullptr};
  }
  simdsoftmax_tensor rows(std::vector<float>& values) const {
    return {values.data(), SIMDSOFTMAX_F32, 2, row_shape.data(), nullptr};
  }
};

TEST(CppFace, TensorsGiveWhatTheCAbiGives) {
  using Face = ss::Status (*)(const ss::ConstTensor&, const ss::Tensor&, int, const ss::Options&) noexcept;
  using Abi =
      simdsoftmax_status (*)(const simdsoftmax_tensor*, const simdsoftmax_tensor*, int32_t, const simdsoftmax_options*);
  Batch batch;
  const std::pair<Face, Abi> pairs[] = {{ss::softmax, simdsoftmax_softmax},
                                        {ss::log_softmax, simdsoftmax_log_softmax},
                                        {ss::logsumexp, simdsoftmax_logsumexp}};
  for (const auto& [face, abi] : pairs) {
    const bool reduces = abi == simdsoftmax_logsumexp;
    for (const int axis : {-1, 1}) {
      const std::vector<std::size_t> out_shape = !reduces    ? batch.shape
                                                 : axis == 1 ? std::vector<std::size_t>{2, 1, 5}
                                                             : std::vector<std::size_t>{2, 3, 1};
      std::vector<float> expected(30, -7.0F);
      std::vector<float> found = expected;
      const simdsoftmax_tensor from = batch.full(batch.logits);
      const simdsoftmax_tensor to = {expected.data(), SIMDSOFTMAX_F32, 3, out_shape.data(), nullptr};
      ASSERT_EQ(abi(&from, &to, axis, nullptr), SIMDSOFTMAX_OK);
      EXPECT_EQ(face({batch.logits.data(), {2, 3, 5}}, {found.data(), out_shape}, axis, {}), ss::Status::ok);
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(CppFace, StridesAreElements) {
  Batch batch;
  std::vector<float> expected(30);
  ASSERT_EQ(ss::softmax({batch.logits.data(), {5, 6}}, {expected.data(), {5, 6}}, 0), ss::Status::ok);
  std::vector<float> found(30);
  const float* const logits = batch.logits.data();
  ASSERT_EQ(ss::softmax({logits, {6, 5}, {1, 6}}, {found.data(), {6, 5}, {1, 6}}, 1), ss::Status::ok);
  EXPECT_EQ(found, expected);
}

TEST(CppFace, RanksThatAreNone) {
  std::vector<float> values(2);
  const ss::ConstTensor nine(values.data(), {1, 1, 1, 1, 1, 1, 1, 1, 1});
  const ss::ConstTensor too_few_strides(values.data(), {1, 2}, {1});
  const ss::Tensor good(values.data(), {1, 2});
  EXPECT_EQ(ss::softmax(nine, good, 0), ss::Status::bad_rank);
  EXPECT_EQ(ss::softmax(too_few_strides, good, 0), ss::Status::bad_rank);
  EXPECT_EQ(ss::softmax(good, good, 0), ss::Status::ok);
}

TEST(CppFace, PassesEveryPreOpOn) {
  Batch batch;
  const ss::Float16 bias[5] = {{0x3C00}, {0xBC00}, {0x0000}, {0x4000}, {0x3800}};
  const bool mask[10] = {true, false, false, false, true, true, true, true, false, false};
  const std::int32_t lengths[3] = {5, 4, 3};
  const float sinks[2] = {1.0F, -1.0F};
  std::vector<float> sums(6);
  ss::PreOps pre_ops;
  pre_ops.scale = 1.5;
  pre_ops.softcap = 4;
  pre_ops.max_bias = 8;
  pre_ops.bias = ss::ConstTensor(bias, {5});
  pre_ops.mask = ss::ConstTensor(mask, {2, 1, 5});
  pre_ops.mask_meaning = ss::MaskMeaning::drops;
  pre_ops.causal = true;
  pre_ops.query_offset = 2;
  pre_ops.window = 3;
  pre_ops.lengths = ss::ConstTensor(lengths, {3, 1});
  pre_ops.sinks = ss::ConstTensor(sinks, {2, 1, 1});
  pre_ops.logsumexp = ss::Tensor(sums.data(), {2, 3});
  ss::Options options;
  options.pre_ops = &pre_ops;
  std::vector<float> found(30);
  ASSERT_EQ(ss::softmax({batch.logits.data(), {2, 3, 5}}, {found.data(), {2, 3, 5}}, -1, options), ss::Status::ok);

  std::vector<float> expected(30);
  std::vector<float> expected_sums(6);
  const std::size_t bias_shape[] = {5};
  const std::size_t mask_shape[] = {2, 1, 5};
  const std::size_t lengths_shape[] = {3, 1};
  const std::size_t sinks_shape[] = {2, 1, 1};
  const simdsoftmax_tensor c_bias = {const_cast<ss::Float16*>(bias), SIMDSOFTMAX_F16, 1, bias_shape, nullptr};
  const simdsoftmax_tensor c_mask = {const_cast<bool*>(mask), SIMDSOFTMAX_BOOL, 3, mask_shape, nullptr};
  const simdsoftmax_tensor c_lengths = {const_cast<std::int32_t*>(lengths), SIMDSOFTMAX_I32, 2, lengths_shape, nullptr};
  const simdsoftmax_tensor c_sinks = {const_cast<float*>(sinks), SIMDSOFTMAX_F32, 3, sinks_shape, nullptr};
  const simdsoftmax_tensor c_sums = batch.rows(expected_sums);
  simdsoftmax_pre_ops c = SIMDSOFTMAX_PRE_OPS_INIT;
  c.scale = 1.5;
  c.softcap = 4;
  c.max_bias = 8;
  c.bias = &c_bias;
  c.mask = &c_mask;
  c.mask_meaning = SIMDSOFTMAX_MASK_DROPS;
  c.causal = 1;
  c.query_offset = 2;
  c.window = 3;
  c.lengths = &c_lengths;
  c.sinks = &c_sinks;
  c.logsumexp = &c_sums;
  simdsoftmax_options c_options = SIMDSOFTMAX_OPTIONS_INIT;
  c_options.pre_ops = &c;
  const simdsoftmax_tensor from = batch.full(batch.logits);
  const simdsoftmax_tensor to = batch.full(expected);
  ASSERT_EQ(simdsoftmax_softmax(&from, &to, -1, &c_options), SIMDSOFTMAX_OK);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(sums, expected_sums);

  // Each of them has its say: without it, something changes.
  const ss::PreOps all = pre_ops;
  const std::function<void()> changes[] = {
      [&] { pre_ops.scale = 1; },      [&] { pre_ops.softcap = 0; },
      [&] { pre_ops.max_bias = 0; },   [&] { pre_ops.bias.reset(), pre_ops.max_bias = 0; },
      [&] { pre_ops.mask.reset(); },   [&] { pre_ops.mask_meaning = ss::MaskMeaning::keeps; },
      [&] { pre_ops.causal = false; }, [&] { pre_ops.query_offset = 0; },
      [&] { pre_ops.window = 0; },     [&] { pre_ops.lengths.reset(); },
      [&] { pre_ops.sinks.reset(); },
  };
  for (std::size_t i = 0; i < sizeof changes / sizeof *changes; ++i) {
    pre_ops = all;
    changes[i]();
    std::vector<float> changed(30);
    ASSERT_EQ(ss::softmax({batch.logits.data(), {2, 3, 5}}, {changed.data(), {2, 3, 5}}, -1, options), ss::Status::ok);
    EXPECT_NE(changed, expected) << i;
  }
}

TEST(CppFace, GradientsGiveWhatTheCAbiGives) {
  using Face = ss::Status (*)(const ss::ConstTensor&, const ss::ConstTensor&, const ss::Tensor&, int,
                              const ss::Options&) noexcept;
  using Abi = simdsoftmax_status (*)(const simdsoftmax_tensor*, const simdsoftmax_tensor*, const simdsoftmax_tensor*,
                                     int32_t, const simdsoftmax_options*);
  Batch batch;
  const std::pair<Face, Abi> pairs[] = {{ss::softmax_backward, simdsoftmax_softmax_backward},
                                        {ss::log_softmax_backward, simdsoftmax_log_softmax_backward}};
  for (const auto& [face, abi] : pairs) {
    std::vector<float> expected(30);
    std::vector<float> found(30);
    const simdsoftmax_tensor grad = batch.full(batch.other);
    const simdsoftmax_tensor output = batch.full(batch.logits);
    const simdsoftmax_tensor to = batch.full(expected);
    ASSERT_EQ(abi(&grad, &output, &to, 2, nullptr), SIMDSOFTMAX_OK);
    EXPECT_EQ(face({batch.other.data(), {2, 3, 5}}, {batch.logits.data(), {2, 3, 5}}, {found.data(), {2, 3, 5}}, 2, {}),
              ss::Status::ok);
    EXPECT_EQ(found, expected);
  }
}

TEST(CppFace, CrossEntropyGivesWhatTheCAbiGives) {
  Batch batch;
  const std::vector<float> weights = {1, 2, 3, 4, 5};
  std::vector<float> grad(30);
  std::vector<float> log_probabilities(30);
  float loss = 0;
  std::size_t bad_row = 77;
  ss::CrossEntropyOptions loss_options;
  loss_options.reduction = ss::Reduction::mean;
  loss_options.ignore_index = -100;
  loss_options.label_smoothing = 0.1;
  loss_options.class_weights = ss::ConstTensor(weights.data(), {5});
  loss_options.grad_logits = ss::Tensor(grad.data(), {2, 3, 5});
  loss_options.log_probabilities = ss::Tensor(log_probabilities.data(), {2, 3, 5});
  loss_options.bad_row = &bad_row;
  const auto sparse = [&] {
    return ss::sparse_softmax_cross_entropy({batch.logits.data(), {2, 3, 5}}, {batch.labels.data(), {2, 3}},
                                            {&loss, {}}, 2, loss_options);
  };
  ASSERT_EQ(sparse(), ss::Status::ok);

  std::vector<float> c_weights = weights;
  std::vector<float> c_grad(30);
  std::vector<float> c_log_probabilities(30);
  float c_loss = 0;
  const std::size_t classes = 5;
  const simdsoftmax_tensor weight_tensor = {c_weights.data(), SIMDSOFTMAX_F32, 1, &classes, nullptr};
  const simdsoftmax_tensor grad_tensor = batch.full(c_grad);
  const simdsoftmax_tensor log_tensor = batch.full(c_log_probabilities);
  simdsoftmax_cross_entropy_options c = SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT;
  c.reduction = SIMDSOFTMAX_REDUCE_MEAN;
  c.use_ignore_index = 1;
  c.ignore_index = -100;
  c.label_smoothing = 0.1;
  c.class_weights = &weight_tensor;
  c.grad_logits = &grad_tensor;
  c.log_probabilities = &log_tensor;
  const simdsoftmax_tensor logits = batch.full(batch.logits);
  const simdsoftmax_tensor labels = {batch.labels.data(), SIMDSOFTMAX_I64, 2, batch.row_shape.data(), nullptr};
  const simdsoftmax_tensor to = {&c_loss, SIMDSOFTMAX_F32, 0, nullptr, nullptr};
  ASSERT_EQ(simdsoftmax_sparse_softmax_cross_entropy(&logits, &labels, &to, 2, &c, nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(loss, c_loss);
  EXPECT_EQ(grad, c_grad);
  EXPECT_EQ(log_probabilities, c_log_probabilities);
  EXPECT_EQ(bad_row, 77U);
  batch.labels[3] = 5;
  EXPECT_EQ(sparse(), ss::Status::bad_label);
  EXPECT_EQ(bad_row, 3U);

  loss_options.ignore_index.reset();
  c.use_ignore_index = 0;
  ASSERT_EQ(ss::softmax_cross_entropy({batch.logits.data(), {2, 3, 5}}, {batch.other.data(), {2, 3, 5}}, {&loss, {1}},
                                      2, loss_options),
            ss::Status::ok);
  const simdsoftmax_tensor distribution = batch.full(batch.other);
  ASSERT_EQ(simdsoftmax_softmax_cross_entropy(&logits, &distribution, &to, 2, &c, nullptr), SIMDSOFTMAX_OK);
  EXPECT_EQ(loss, c_loss);
  EXPECT_EQ(grad, c_grad);
}

TEST(CppFace, WinnersAreWhatTheCAbiGives) {
  Batch batch;
  const std::vector<std::size_t> shape = {2, 3, 2};
  std::vector<float> expected(12);
  std::vector<std::int32_t> expected_indices(12);
  const simdsoftmax_tensor logits = batch.full(batch.logits);
  simdsoftmax_tensor to = {expected.data(), SIMDSOFTMAX_F32, 3, shape.data(), nullptr};
  simdsoftmax_tensor indices_to = {expected_indices.data(), SIMDSOFTMAX_I32, 3, shape.data(), nullptr};
  ASSERT_EQ(simdsoftmax_softmax_top_k(&logits, &to, &indices_to, 2, SIMDSOFTMAX_OVER_TOP_K, nullptr), SIMDSOFTMAX_OK);
  std::vector<float> found(12);
  std::vector<std::int32_t> indices(12);
  const ss::ConstTensor from(batch.logits.data(), {2, 3, 5});
  const ss::Tensor probabilities(found.data(), shape);
  ASSERT_EQ(ss::softmax_top_k(from, &probabilities, {indices.data(), shape}, 2, ss::Normalization::over_top_k),
            ss::Status::ok);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(indices, expected_indices);
  std::fill(indices.begin(), indices.end(), -1);
  ASSERT_EQ(ss::softmax_top_k(from, nullptr, {indices.data(), shape}, 2), ss::Status::ok);
  EXPECT_EQ(indices, expected_indices);

  to.rank = indices_to.rank = 2;
  ASSERT_EQ(simdsoftmax_argmax(&logits, &to, &indices_to, 2, nullptr), SIMDSOFTMAX_OK);
  const ss::Tensor largest(found.data(), batch.row_shape);
  ASSERT_EQ(ss::argmax(from, &largest, {indices.data(), {2, 3}}, 2), ss::Status::ok);
  EXPECT_EQ(found, expected);
  EXPECT_TRUE(std::equal(indices.begin(), indices.begin() + 6, expected_indices.begin()));
  ASSERT_EQ(ss::argmax(from, nullptr, {indices.data(), {2, 3}}, 2), ss::Status::ok);
}

TEST(CppFace, RowStateGivesTheBitsOfSoftmax) {
  const std::size_t part = ss::row_part_length(20000);
  EXPECT_EQ(part, simdsoftmax_row_part_length(20000));
  std::vector<float> logits(20000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 97) / 9.0F;
  std::vector<float> expected(logits.size());
  ss::Options options;
  options.theta = 0.5;
  ASSERT_EQ(ss::softmax({logits.data(), {20000}}, {expected.data(), {20000}}, 0, options), ss::Status::ok);

  ss::RowState<float> first;
  ss::RowState<float> second;
  ASSERT_EQ(first.init(logits.size(), options), ss::Status::ok);
  ASSERT_EQ(second.init(logits.size(), options), ss::Status::ok);
  ASSERT_EQ(first.add(logits.data(), 0, part), ss::Status::ok);
  ASSERT_EQ(second.add(logits.data() + part, part, logits.size() - part), ss::Status::ok);
  double logsumexp = -1;
  EXPECT_EQ(first.logsumexp(logsumexp), ss::Status::bad_state);
  ASSERT_EQ(first.merge(second), ss::Status::ok);
  std::vector<float> found(logits.size());
  ASSERT_EQ(first.softmax(logits.data(), 0, 11, found.data()), ss::Status::ok);
  ASSERT_EQ(first.softmax(logits.data() + 11, 11, logits.size() - 11, found.data() + 11), ss::Status::ok);
  EXPECT_EQ(found, expected);
  double c_logsumexp = -1;
  ASSERT_EQ(first.logsumexp(logsumexp), ss::Status::ok);
  ASSERT_EQ(simdsoftmax_row_state_logsumexp(&first.c, &c_logsumexp), SIMDSOFTMAX_OK);
  EXPECT_EQ(logsumexp, c_logsumexp);
}

TEST(CppFace, StatusHasItsText) {
  EXPECT_STREQ(ss::text(ss::Status::bad_theta), simdsoftmax_status_text(SIMDSOFTMAX_BAD_THETA));
}

}  // namespace
}  // namespace softmax_test
