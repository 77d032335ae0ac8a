#pragma once

// The few functions of NCCL that the engine calls, taken from the library at run time and declared
// here for the reasons that cublaslt_api.h gives.

#include <cstddef>
#include <string>
#include <vector>

namespace driftless {
namespace cuda {
namespace nccl {

using Comm = struct CommBody*;
using Result = int;  ///< 0 is success.

enum DataType : int { kUint8 = 1 };

/// Function pointers under the library's names. Streams are cudaStream_t.
struct Api {
  Result (*ncclGetVersion)(int*);
  const char* (*ncclGetErrorString)(Result);
  Result (*ncclCommInitAll)(Comm*, int count, const int* devices);
  Result (*ncclCommDestroy)(Comm);
  Result (*ncclGroupStart)();
  Result (*ncclGroupEnd)();
  Result (*ncclSend)(const void*, size_t count, DataType, int peer, Comm, void* stream);
  Result (*ncclRecv)(void*, size_t count, DataType, int peer, Comm, void* stream);
};

std::vector<std::string> library_names();

/// As lt::load_api().
Api load_api(const std::vector<std::string>& names = library_names());

}  // namespace nccl
}  // namespace cuda
}  // namespace driftless
