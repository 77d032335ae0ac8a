#include "ops/cuda/cublaslt_api.h"

#include "ops/cuda/shared_library.h"

namespace driftless {
namespace cuda {
namespace lt {

std::vector<std::string> library_names() { return {"libcublasLt.so.13", "libcublasLt.so.12"}; }

Api load_api(const std::vector<std::string>& names) {
  void* const library = open_library("cuBLASLt", names);
  Api api = {};
#define DL_TAKE(function) take_function(library, "cuBLASLt", #function, api.function)
  DL_TAKE(cublasLtGetVersion);
  DL_TAKE(cublasLtGetStatusString);
  DL_TAKE(cublasLtCreate);
  DL_TAKE(cublasLtDestroy);
  DL_TAKE(cublasLtMatmulDescCreate);
  DL_TAKE(cublasLtMatmulDescDestroy);
  DL_TAKE(cublasLtMatmulDescSetAttribute);
  DL_TAKE(cublasLtMatrixLayoutCreate);
  DL_TAKE(cublasLtMatrixLayoutDestroy);
  DL_TAKE(cublasLtMatrixLayoutSetAttribute);
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
