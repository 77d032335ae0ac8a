#include "cuda/kernel_checks.h"

#include <sstream>

#include "cuda/kernel_check_support.h"

namespace driftless {

namespace {

const KernelTable& table() {
  static const KernelTable all = [] {
    KernelTable table = token_kernel_checks();
    table.merge(pixel_kernel_checks());
    table.merge(picture_kernel_checks());
    table.merge(video_kernel_checks());
    table.merge(mobile_kernel_checks());
    table.merge(stream_kernel_checks());
    table.merge(product_kernel_checks());
    return table;
  }();
  return all;
}

std::string names(const KernelTable& table) {
  std::string text;
  for (const auto& [name, check] : table) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

KernelCase KernelCase::parse(const std::string& text) {
  std::istringstream words(text);
  KernelCase result;
  words >> result.kernel;
  for (std::string word; words >> word;) {
    const size_t at = word.find('=');
    DL_CHECK(at != std::string::npos, "size of kernel " + result.kernel, "name=number", word);
    const std::string name = word.substr(0, at), value = word.substr(at + 1);
    if (name == "dtype") {
      result.dtype = value;
      continue;
    }
    size_t used = 0;
    try {
      result.sizes[name] = std::stoll(value, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    DL_CHECK(used > 0 && used == value.size(), "size of kernel " + result.kernel, "name=number",
             word);
  }
  return result;
}

std::string KernelCase::text() const {
  std::string text = kernel + " dtype=" + dtype;
  for (const auto& [name, value] : sizes) text += " " + name + "=" + std::to_string(value);
  return text;
}

int64_t KernelCase::size(const std::string& name, int64_t otherwise) const {
  const auto found = sizes.find(name);
  return found == sizes.end() ? otherwise : found->second;
}

std::vector<KernelCase> kernel_defaults() {
  std::vector<KernelCase> all;
  for (const auto& [name, check] : table()) {
    for (const auto& [dtype, function] :
         {std::pair("f32", check.f32), std::pair("bf16", check.bf16),
          std::pair("f16", check.f16)}) {
      if (function != nullptr) all.push_back({name, dtype, check.defaults});
    }
  }
  return all;
}

KernelResult check_kernel(const KernelCase& kernel_case) {
  const auto found = table().find(kernel_case.kernel);
  DL_CHECK(found != table().end(), "kernel", "one of " + names(table()), kernel_case.kernel);
  const KernelCheck& check = found->second;
  KernelCase complete = kernel_case;
  for (const auto& [name, value] : kernel_case.sizes) {
    const KernelCase known = {kernel_case.kernel, "any", check.defaults};
    DL_CHECK(check.defaults.count(name) == 1, "size of kernel " + kernel_case.kernel,
             "one of those in \"" + known.text() + "\"", name + "=" + std::to_string(value));
  }
  for (const auto& [name, value] : check.defaults) complete.sizes.emplace(name, value);
  auto* function = complete.dtype == "f32"    ? check.f32
                   : complete.dtype == "bf16" ? check.bf16
                   : complete.dtype == "f16"  ? check.f16
                                              : nullptr;
  DL_CHECK(function != nullptr, "element type of kernel " + complete.kernel, "one that it has",
           complete.dtype);
  KernelRun run(complete);
  return function(run);
}

}  // namespace driftless
