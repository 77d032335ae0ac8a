// Compared with NVIDIA's header where there is one (`npm run cuda:check`): what
// ops/cuda/nccl_api.h declares for itself. Not part of any build.

#include <nccl.h>

#include <cstdio>

#include "ops/cuda/nccl_api.h"
#include "same_call.h"

namespace nccl = driftless::cuda::nccl;

static_assert(static_cast<int>(nccl::kUint8) == ncclUint8 && ncclSuccess == 0);

#define DL_SAME(function) \
  static_assert(          \
      same_call(decltype(nccl::Api::function){}, static_cast<decltype(&function)>(nullptr)))
DL_SAME(ncclGetVersion);
DL_SAME(ncclGetErrorString);
DL_SAME(ncclCommInitAll);
DL_SAME(ncclCommDestroy);
DL_SAME(ncclGroupStart);
DL_SAME(ncclGroupEnd);
DL_SAME(ncclSend);
DL_SAME(ncclRecv);

/// Argument: the library. Linked with it as well, so the version comes both ways.
int main(int, char** arguments) {
  const nccl::Api api = nccl::load_api({arguments[1]});
  int linked = 0, loaded = 0;
  if (ncclGetVersion(&linked) != ncclSuccess || api.ncclGetVersion(&loaded) != 0) return 1;
  std::printf("header and library agree with our declarations, version %d\n", loaded);
  return linked == loaded ? 0 : 1;
}
