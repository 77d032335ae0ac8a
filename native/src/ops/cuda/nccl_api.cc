#include "ops/cuda/nccl_api.h"

#include "ops/cuda/shared_library.h"

namespace driftless {
namespace cuda {
namespace nccl {

std::vector<std::string> library_names() { return {"libnccl.so.2"}; }

Api load_api(const std::vector<std::string>& names) {
  void* const library = open_library("NCCL", names);
  Api api = {};
#define DL_TAKE(function) take_function(library, "NCCL", #function, api.function)
  DL_TAKE(ncclGetVersion);
  DL_TAKE(ncclGetErrorString);
  DL_TAKE(ncclCommInitAll);
  DL_TAKE(ncclCommDestroy);
  DL_TAKE(ncclGroupStart);
  DL_TAKE(ncclGroupEnd);
  DL_TAKE(ncclSend);
  DL_TAKE(ncclRecv);
#undef DL_TAKE
  return api;
}

}  // namespace nccl
}  // namespace cuda
}  // namespace driftless
