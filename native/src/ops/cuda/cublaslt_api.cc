#include "ops/cuda/cublaslt_api.h"

#include <dlfcn.h>

#include "core/error.h"

namespace driftless {
namespace cuda {
namespace lt {

namespace {

/// Throws Error naming the function that the library lacks.
template <typename Function>
void take(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  DL_CHECK(function != nullptr, std::string("cuBLASLt"), std::string("the function ") + name,
           "a library without it");
}

}  // namespace

std::vector<std::string> library_names() { return {"libcublasLt.so.13", "libcublasLt.so.12"}; }

Api load_api(const std::vector<std::string>& names) {
  void* library = nullptr;
  std::string failures;
  for (const std::string& name : names) {
    library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    failures += (failures.empty() ? "" : "; ") + std::string(dlerror());
  }
  DL_CHECK(library != nullptr, "cuBLASLt", "a library that can be opened", failures);
  Api api = {};
#define DL_TAKE(function) take(library, #function, api.function)
  DL_TAKE(cublasLtGetVersion);
  DL_TAKE(cublasLtGetStatusString);
  DL_TAKE(cublasLtCreate);
  DL_TAKE(cublasLtDestroy);
  DL_TAKE(cublasLtMatmulDescCreate);
  DL_TAKE(cublasLtMatmulDescDestroy);
  DL_TAKE(cublasLtMatmulDescSetAttribute);
  DL_TAKE(cublasLtMatrixLayoutCreate);
  DL_TAKE(cublasLtMatrixLayoutDestroy);
  DL_TAKE(cublasLtMatmulPreferenceCreate);
  DL_TAKE(cublasLtMatmulPreferenceDestroy);
  DL_TAKE(cublasLtMatmulPreferenceSetAttribute);
  DL_TAKE(cublasLtMatmulAlgoGetHeuristic);
  DL_TAKE(cublasLtMatmul);
#undef DL_TAKE
  return api;
}

}  // namespace lt
}  // namespace cuda
}  // namespace driftless
