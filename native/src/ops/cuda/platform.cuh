#pragma once

// What every kernel stands on: element types, vector loads, reductions, shared memory, launches.
// Kernels are header-only templates over raw device pointers. They compile with nvcc for sm_80 and
// newer, and with any C++17 compiler against the emulation in native/test/emulation, which runs
// them on the CPU.

#include <cstdint>
#include <string>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#else
#include "emulation/cuda.h"
#endif

#include "core/error.h"
#include "ops/cuda/replay.h"

namespace driftless {
namespace cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;
/// 8 bits: a sign, 4 of the exponent, 3 of the fraction; at most kLargestE4m3, no infinity.
struct e4m3 {
  __nv_fp8_storage_t bits;
};
constexpr float kLargestE4m3 = 448.0f;

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__host__ __device__ __forceinline__ float to_float(float x) { return x; }
__host__ __device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__host__ __device__ __forceinline__ float to_float(f16 x) { return __half2float(x); }

__host__ __device__ __forceinline__ float to_float(e4m3 x) {
  return __half2float(f16(__nv_cvt_fp8_to_halfraw(x.bits, __NV_E4M3)));
}

template <typename T>
__host__ __device__ __forceinline__ T from_float(float x);
template <>
__host__ __device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__host__ __device__ __forceinline__ f16 from_float<f16>(float x) {
  return __float2half_rn(x);
}

/// What is too large becomes the largest.
template <>
__host__ __device__ __forceinline__ e4m3 from_float<e4m3>(float x) {
  return {__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3)};
}

/// kCount elements that move in one load or store.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Vec {
  static_assert(sizeof(T) * kCount <= 16, "a thread moves at most 16 bytes at once");
  T v[kCount];
};

/// Elements of T in the widest load.
template <typename T>
constexpr int kVecWidth = 16 / static_cast<int>(sizeof(T));

template <typename T, int kCount>
__device__ __forceinline__ Vec<T, kCount> load(const T* at) {
#if !defined(__CUDACC__)
  DL_CHECK(reinterpret_cast<uintptr_t>(at) % sizeof(Vec<T, kCount>) == 0, "vector load",
           "an aligned address", at);
#endif
  return *reinterpret_cast<const Vec<T, kCount>*>(at);
}

template <typename T, int kCount>
__device__ __forceinline__ void store(T* at, const Vec<T, kCount>& value) {
#if !defined(__CUDACC__)
  DL_CHECK(reinterpret_cast<uintptr_t>(at) % sizeof(Vec<T, kCount>) == 0, "vector store",
           "an aligned address", at);
#endif
  *reinterpret_cast<Vec<T, kCount>*>(at) = value;
}

/// Whether rows of `width` elements that start at every given pointer can be moved in Vecs.
template <typename T, typename... Pointers>
bool can_vectorise(int64_t width, const Pointers*... pointers) {
  const uintptr_t together = (uintptr_t{0} | ... | reinterpret_cast<uintptr_t>(pointers));
  return width % kVecWidth<T> == 0 && together % 16 == 0;
}

template <typename Number>
__host__ __device__ constexpr Number ceil_div(Number a, Number b) {
  return (a + b - 1) / b;
}

__device__ __forceinline__ float warp_sum(float x) {
  for (int lanes = kWarpSize / 2; lanes > 0; lanes /= 2) x += __shfl_xor_sync(kAllLanes, x, lanes);
  return x;
}

/// The running block's dynamic shared memory as a struct; sizeof(Shared) is given at the launch.
template <typename Shared>
__device__ __forceinline__ Shared& shared_memory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char driftless_shared[];
  return *reinterpret_cast<Shared*>(driftless_shared);
#else
  return *static_cast<Shared*>(emulation::shared_memory());
#endif
}

template <int kThreads>
struct BlockSum {
  float partial[kThreads / kWarpSize];
};

/// Sum over the block, in every thread. The shared memory may be used again after the next barrier.
template <int kThreads>
__device__ __forceinline__ float block_sum(float x, BlockSum<kThreads>& shared) {
  x = warp_sum(x);
  if (threadIdx.x % kWarpSize == 0) shared.partial[threadIdx.x / kWarpSize] = x;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kThreads / kWarpSize; ++warp) sum += shared.partial[warp];
  return sum;
}

/// Whether CUDA gives this answer to every later call of the process too.
inline bool device_is_lost(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

/// Throws Error with CUDA's text unless `status` is success: DeviceLost when nothing works any
/// more.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  if (device_is_lost(status)) throw DeviceLost(what, "success", cudaGetErrorString(status));
  throw Error(what, "success", cudaGetErrorString(status));
}

template <typename... Parameters>
void launch_now(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                size_t shared_bytes, cudaStream_t stream, Parameters... arguments) {
#if defined(__CUDACC__)
  // Above 48 KiB a kernel has to be allowed its shared memory.
  if (shared_bytes > 48 << 10) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          name);
  }
  kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
  check(cudaGetLastError(), name);
#else
  static_cast<void>(name);
  emulation::require_own_stream(stream);
  emulation::on_stream(stream, [=] {
    emulation::launch({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
                      [=] { kernel(arguments...); });
  });
#endif
}

/// Starts `kernel` on `stream`; a grid without blocks is nothing to do. Throws Error when the
/// launch is refused; errors of the running kernel come with a later call.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  put_on_stream(
      stream,
      [=](cudaStream_t on) {
        launch_now<Parameters...>(name, kernel, grid, block, shared_bytes, on,
                                  static_cast<Parameters>(arguments)...);
      },
      kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes,
      static_cast<Parameters>(arguments)...);
}

}  // namespace cuda
}  // namespace driftless
