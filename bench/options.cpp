// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>

namespace bench {
namespace {

// RAW files hold the elements of all rows, one after the other, and nothing else.
constexpr const char* usage =
    "usage: simdsoftmax_bench --shape ROWSxCOLUMNS... [--dtype TYPE|IN:OUT] [--isa NAME]... [--variant NAME]... "
    "[--accuracy NAME]... [--threads N] [--logits RAW [--out RAW]] [--benchmark_...]; "
    "for operators: --suite NAME --shape ROWSxCOLUMNS..., or --suite axes --tensor SIZExSIZE...@AXIS...; "
    "for other libraries: --suite peers [--function NAME] [--peer MODULE]... --shape|--tensor ...";

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

// 0 for anything but a positive number that fits.
template <class T>
T parse_positive(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
}

Shape parse_shape(std::string_view text) {
  const std::size_t x = std::min(text.find('x'), text.size());
  const Shape shape{parse_positive<std::size_t>(text.substr(0, x)),
                    parse_positive<std::size_t>(text.substr(std::min(x + 1, text.size())))};
  if (shape.rows == 0 || shape.cols == 0) fail("--shape: '" + std::string(text) + "' is not ROWSxCOLUMNS");
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(long double);
  if (shape.rows > most / shape.cols) fail("--shape: '" + std::string(text) + "' is too large");
  return shape;
}

TensorShape parse_tensor(std::string_view text) {
  TensorShape tensor{std::string(text), {}, 0};
  const std::size_t at = std::min(text.find('@'), text.size());
  std::size_t elements = 1;
  for (std::size_t begin = 0; begin <= at;) {
    const std::size_t end = std::min(text.find('x', begin), at);
    const auto size = parse_positive<std::size_t>(text.substr(begin, end - begin));
    constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(long double) / 2;
    if (size == 0 || size > most / elements) fail("--tensor: '" + tensor.text + "' is not SIZExSIZE...@AXIS");
    elements *= size;
    tensor.dims.push_back(size);
    begin = end + 1;
  }
  const std::string_view axis = text.substr(std::min(at + 1, text.size()));
  tensor.axis = axis == "0" ? 0 : parse_positive<std::int32_t>(axis);
  if ((tensor.axis == 0 && axis != "0") || tensor.dims.size() > SIMDSOFTMAX_MAX_RANK ||
      static_cast<std::size_t>(tensor.axis) >= tensor.dims.size()) {
    fail("--tensor: '" + tensor.text + "' has no such axis");
  }
  return tensor;
}

int parse_threads(std::string_view text) {
  const int threads = parse_positive<int>(text);
  if (threads == 0) fail("--threads: '" + std::string(text) + "' is not a positive number");
  return threads;
}

const ElementType* parse_element_type(std::string_view text) {
  const ElementType* type = find_element_type(text);
  if (type == nullptr) fail("--dtype: '" + std::string(text) + "' is none of " + element_type_names);
  return type;
}

void parse_element_types(std::string_view text, Options& options) {
  const std::size_t colon = text.find(':');
  options.in = parse_element_type(text.substr(0, colon));
  options.out = colon == std::string_view::npos ? options.in : parse_element_type(text.substr(colon + 1));
}

simdsoftmax_variant parse_variant(const char* name) {
  simdsoftmax_variant variant = SIMDSOFTMAX_AUTO;
  if (simdsoftmax_variant_from_name(name, &variant) == SIMDSOFTMAX_OK) return variant;
  std::string known;
  for (std::size_t i = 0; i < simdsoftmax_variant_count(); ++i) {
    known += std::string(i == 0 ? "" : ", ") + simdsoftmax_variant_name(static_cast<simdsoftmax_variant>(i));
  }
  fail("--variant: '" + std::string(name) + "' is none of " + known);
}

simdsoftmax_accuracy parse_accuracy(const char* name) {
  simdsoftmax_accuracy accuracy = SIMDSOFTMAX_BALANCED;
  if (simdsoftmax_accuracy_from_name(name, &accuracy) == SIMDSOFTMAX_OK) return accuracy;
  std::string known;
  for (std::size_t i = 0; i < simdsoftmax_accuracy_count(); ++i) {
    known += std::string(i == 0 ? "" : ", ") + simdsoftmax_accuracy_name(static_cast<simdsoftmax_accuracy>(i));
  }
  fail("--accuracy: '" + std::string(name) + "' is none of " + known);
}

std::vector<simdsoftmax_variant> all_variants() {
  std::vector<simdsoftmax_variant> variants;
  for (std::size_t i = 0; i < simdsoftmax_variant_count(); ++i) {
    variants.push_back(static_cast<simdsoftmax_variant>(i));
  }
  return variants;
}

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  simdsoftmax_isa_info info;
  for (std::size_t i = 0; i < simdsoftmax_isa_count(); ++i) {
    if (simdsoftmax_isa_query(i, &info) == SIMDSOFTMAX_OK && info.compiled != 0 && info.supported != 0) {
      names.emplace_back(info.name);
    }
  }
  return names;
}

std::vector<std::string> choose_isas(const std::vector<std::string>& wanted) {
  std::vector<std::string> here = runnable_isas();
  const auto contains = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& name : wanted) {
    if (contains(here, name)) continue;
    std::string list;
    for (const std::string& other : here) list += (list.empty() ? "" : ", ") + other;
    fail("--isa: '" + name + "' is none of what this build and CPU can run: " + list);
  }
  if (!wanted.empty()) {
    here.erase(
        std::remove_if(here.begin(), here.end(), [&](const std::string& name) { return !contains(wanted, name); }),
        here.end());
  }
  if (here.empty()) fail("this build has no kernels for this CPU");
  return here;
}

void check_together(const Options& options) {
  const bool axes = options.suite == axes_suite;
  const bool peers = options.suite == peers_suite;
  if (!peers && (options.shapes.empty() != axes || options.tensors.empty() == axes)) fail(usage);
  if (peers ? options.shapes.empty() && options.tensors.empty() : !options.peers.empty()) fail(usage);
  if (options.suite != variants_suite && !options.logits_file.empty()) fail("--logits: not with --suite");
  if (!options.logits_file.empty() && options.shapes.size() != 1) fail("--logits needs exactly one --shape");
  if (!options.output_file.empty() && options.logits_file.empty()) fail("--out needs --logits");
  // The cap first: without one, a wrong name in the environment would make the question about the types fail.
  simdsoftmax_plan plan;
  simdsoftmax_status status = simdsoftmax_cap_isa(options.isas.back().c_str());
  if (status == SIMDSOFTMAX_OK) {
    status = simdsoftmax_plan_rows(options.in->dtype, options.out->dtype, 1, 1, 0, nullptr, &plan);
  }
  if (status != SIMDSOFTMAX_OK) fail(std::string("--dtype: ") + simdsoftmax_status_text(status));
}

}  // namespace

Options parse_options(int argc, char** argv) {
  enum Id {
    shape_id = 1,
    dtype_id,
    isa_id,
    variant_id,
    threads_id,
    logits_id,
    out_id,
    suite_id,
    tensor_id,
    function_id,
    peer_id,
    accuracy_id
  };
  constexpr option known[] = {
      {"shape", required_argument, nullptr, shape_id},
      {"dtype", required_argument, nullptr, dtype_id},
      {"isa", required_argument, nullptr, isa_id},
      {"variant", required_argument, nullptr, variant_id},
      {"threads", required_argument, nullptr, threads_id},
      {"logits", required_argument, nullptr, logits_id},
      {"out", required_argument, nullptr, out_id},
      {"suite", required_argument, nullptr, suite_id},
      {"tensor", required_argument, nullptr, tensor_id},
      {"function", required_argument, nullptr, function_id},
      {"peer", required_argument, nullptr, peer_id},
      {"accuracy", required_argument, nullptr, accuracy_id},
      {nullptr, 0, nullptr, 0},
  };
  Options options;
  options.in = options.out = find_element_type("f32");
  std::vector<std::string> isas;
  opterr = 0;
  for (int id; (id = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (id) {
      case shape_id:
        options.shapes.push_back(parse_shape(optarg));
        break;
      case dtype_id:
        parse_element_types(optarg, options);
        break;
      case isa_id:
        isas.emplace_back(optarg);
        break;
      case variant_id:
        options.variants.push_back(parse_variant(optarg));
        break;
      case accuracy_id:
        options.accuracies.push_back(parse_accuracy(optarg));
        break;
      case threads_id:
        options.threads = parse_threads(optarg);
        break;
      case logits_id:
        options.logits_file = optarg;
        break;
      case out_id:
        options.output_file = optarg;
        break;
      case suite_id:
        options.suite = optarg;
        break;
      case tensor_id:
        options.tensors.push_back(parse_tensor(optarg));
        break;
      case function_id:
        options.function = optarg;
        break;
      case peer_id:
        options.peers.emplace_back(optarg);
        break;
      default:
        fail(std::string("unknown option or missing value: ") + argv[optind - 1]);
    }
  }
  if (optind < argc) fail(std::string("unexpected argument: ") + argv[optind]);
  options.isas = choose_isas(isas);
  if (options.variants.empty()) options.variants = all_variants();
  if (options.accuracies.empty()) options.accuracies.push_back(SIMDSOFTMAX_BALANCED);
  check_together(options);
  return options;
}

}  // namespace bench
