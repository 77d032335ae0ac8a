#pragma once

// Libraries that are opened at run time, so that one binary runs with and without them.

#include <dlfcn.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace driftless {
namespace cuda {

/// The first of these files that can be opened; it stays open. Throws Error that lists what was
/// tried and why each failed.
inline void* open_library(const std::string& what, const std::vector<std::string>& names) {
  std::string failures;
  for (const std::string& name : names) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    failures += (failures.empty() ? "" : "; ") + std::string(dlerror());
  }
  throw Error(what, "a library that can be opened", failures);
}

/// Throws Error naming the function that the library lacks.
template <typename Function>
void take_function(void* library, const std::string& what, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  DL_CHECK(function != nullptr, what, std::string("the function ") + name, "a library without it");
}

}  // namespace cuda
}  // namespace driftless
