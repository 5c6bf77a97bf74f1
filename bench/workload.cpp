// SPDX-License-Identifier: Apache-2.0
#include "workload.hpp"

#include <cstring>
#include <fstream>
#include <new>
#include <random>
#include <stdexcept>

namespace bench {
namespace {

Buffer read_logits(const std::string& path, const ElementType& type, std::size_t count) {
  Buffer values = allocate(count, type.size);
  const auto bytes = static_cast<std::streamsize>(count * type.size);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(static_cast<char*>(values.get()), bytes) || file.peek() != std::ifstream::traits_type::eof()) {
    throw std::invalid_argument("--logits: " + path + " does not hold exactly the elements of the shape");
  }
  return values;
}

}  // namespace

Buffer allocate(std::size_t count, std::size_t element_size) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = (count * element_size + alignment - 1) / alignment * alignment;
  Buffer memory(std::aligned_alloc(alignment, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory.get(), 0, bytes);
  return memory;
}

Buffer seeded_logits(const ElementType& type, std::size_t count) {
  Buffer values = allocate(count, type.size);
  std::mt19937_64 random(20240229);
  std::normal_distribution<double> normal(0.0, 4.0);
  for (std::size_t i = 0; i < count; ++i) store(type, values.get(), i, normal(random));
  return values;
}

Workload::Workload(const Options& options, Shape workload_shape)
    : shape(workload_shape),
      in(*options.in),
      out(*options.out),
      threads(options.threads),
      logits(options.logits_file.empty() ? seeded_logits(in, size()) : read_logits(options.logits_file, in, size())),
      output(allocate(size(), out.size)),
      max_ulp(make_error_meter(in, logits.get(), out, shape.rows, shape.cols)) {}

}  // namespace bench
