// SPDX-License-Identifier: Apache-2.0
// Structs of callers that were built against other versions.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "tensor_call.hpp"

namespace softmax_test {
namespace {

template <class Struct>
struct Later {
  Struct known;
  std::uint8_t unknown[24];
};

TEST(StructVersions, OptionsBeforePreOps) {
  TensorCall call(Function::softmax);
  call.with_pre_ops = false;
  simdsoftmax_pre_ops impossible = SIMDSOFTMAX_PRE_OPS_INIT;
  impossible.window = -1;
  call.options.pre_ops = &impossible;
  EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_PRE_OPS);
  call.options.struct_size = offsetof(simdsoftmax_options, pre_ops);
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK) << "what lies behind the struct is not looked at";
  for (std::size_t size = 0; size < sizeof(simdsoftmax_options); ++size) {
    if (size == offsetof(simdsoftmax_options, pre_ops)) continue;
    call.options.struct_size = size;
    EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_OPTIONS) << size;
  }
}

TEST(StructVersions, LongerStructsMustEndInZeros) {
  TensorCall call(Function::softmax);
  call.with_pre_ops = false;
  Later<simdsoftmax_pre_ops> pre_ops = {SIMDSOFTMAX_PRE_OPS_INIT, {}};
  pre_ops.known.struct_size = sizeof pre_ops;
  call.options.pre_ops = &pre_ops.known;
  EXPECT_EQ(call.run(), SIMDSOFTMAX_OK);
  for (std::uint8_t& byte : pre_ops.unknown) {
    byte = 1;
    EXPECT_EQ(call.run(), SIMDSOFTMAX_BAD_OPTIONS);
    byte = 0;
  }

  TensorCall loss(Function::cross_entropy);
  Later<simdsoftmax_cross_entropy_options> loss_options = {SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT, {}};
  loss_options.known.struct_size = sizeof loss_options;
  const auto run = [&] {
    return simdsoftmax_softmax_cross_entropy(loss.logits.c(), loss.labels.c(), loss.loss.c(), 2, &loss_options.known,
                                             nullptr);
  };
  EXPECT_EQ(run(), SIMDSOFTMAX_OK);
  for (std::uint8_t& byte : loss_options.unknown) {
    byte = 1;
    EXPECT_EQ(run(), SIMDSOFTMAX_BAD_OPTIONS);
    byte = 0;
  }
}

}  // namespace
}  // namespace softmax_test
