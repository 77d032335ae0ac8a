#include "ops/cuda/cudnn_api.h"

#include "ops/cuda/shared_library.h"

namespace driftless {
namespace cuda {
namespace dnn {

std::vector<std::string> library_names() { return {"libcudnn.so.9"}; }

Api load_api(const std::vector<std::string>& names) {
  void* const library = open_library("cuDNN", names);
  Api api = {};
#define DL_TAKE(function) take_function(library, "cuDNN", #function, api.function)
  DL_TAKE(cudnnGetVersion);
  DL_TAKE(cudnnGetLastErrorString);
  DL_TAKE(cudnnCreate);
  DL_TAKE(cudnnDestroy);
  DL_TAKE(cudnnSetStream);
  DL_TAKE(cudnnBackendCreateDescriptor);
  DL_TAKE(cudnnBackendDestroyDescriptor);
  DL_TAKE(cudnnBackendSetAttribute);
  DL_TAKE(cudnnBackendGetAttribute);
  DL_TAKE(cudnnBackendFinalize);
  DL_TAKE(cudnnBackendExecute);
#undef DL_TAKE
  DL_CHECK(api.cudnnGetVersion() >= kOldestVersion, "cuDNN", "9.13.0 or newer",
           api.cudnnGetVersion());
  return api;
}

}  // namespace dnn
}  // namespace cuda
}  // namespace driftless
