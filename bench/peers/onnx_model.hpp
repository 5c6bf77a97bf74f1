// SPDX-License-Identifier: Apache-2.0
#ifndef SIMDSOFTMAX_BENCH_PEERS_ONNX_MODEL_HPP
#define SIMDSOFTMAX_BENCH_PEERS_ONNX_MODEL_HPP

#include <cstdint>
#include <string>

#include "peer.hpp"

namespace peer {

// ONNX's numbers of the element types.
inline int onnx_type(simdsoftmax_dtype dtype) {
  switch (dtype) {
    case SIMDSOFTMAX_F64:
      return 11;
    case SIMDSOFTMAX_F16:
      return 10;
    case SIMDSOFTMAX_BF16:
      return 16;
    default:
      return 1;
  }
}

// The wire format of protocol buffers: a key is the number of a field and how its value is written.
class Message {
 public:
  Message& number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
    return *this;
  }

  Message& text(int field, const std::string& value) {
    varint((static_cast<std::uint64_t>(field) << 3) | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }

  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// Field numbers are those of onnx.proto: a model of one node, x -> y, operators of opset 13.
inline std::string onnx_model(const bench::Call& call) {
  constexpr int integer = 2;
  constexpr int integers = 7;
  Message node;
  node.text(1, "x").text(2, "y");
  Message axis;
  if (call.function == bench::Function::logsumexp) {
    node.text(4, "ReduceLogSumExp");
    node.message(5, Message().text(1, "keepdims").number(3, 0).number(20, integer));
    axis.text(1, "axes").number(8, call.axis).number(20, integers);
  } else {
    node.text(4, call.function == bench::Function::softmax ? "Softmax" : "LogSoftmax");
    axis.text(1, "axis").number(3, call.axis).number(20, integer);
  }
  node.message(5, axis);
  const auto value = [&call](const char* name, bool reduced) {
    Message shape;
    for (std::size_t d = 0; d < call.dims.size(); ++d) {
      if (!reduced || d != call.axis) shape.message(1, Message().number(1, call.dims[d]));
    }
    const Message tensor = Message().number(1, static_cast<std::uint64_t>(onnx_type(call.dtype))).message(2, shape);
    return Message().text(1, name).message(2, Message().message(1, tensor));
  };
  const bool reduced = call.function == bench::Function::logsumexp;
  const Message graph =
      Message().message(1, node).text(2, "softmax").message(11, value("x", false)).message(12, value("y", reduced));
  return Message().number(1, 8).message(7, graph).message(8, Message().text(1, "").number(2, 13)).bytes();
}

}  // namespace peer

#endif
