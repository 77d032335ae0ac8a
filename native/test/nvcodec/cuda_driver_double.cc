// Stands in for NVIDIA's driver (libcuda.so.1) while FFmpeg decodes and encodes "on a GPU" on a
// machine without one: device memory is the host's, and what is asked for in the wrong context is
// an error. Loaded by media_gpu_decoder_test.cc.

#include <ffnvcodec/dynlink_cuda.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "nvcodec/doubles.h"

namespace {

thread_local int contexts = 0;  // Pushed by this thread.
char context_body;              // The only one there is: the primary one of the only device.

constexpr auto kInvalidValue = static_cast<CUresult>(1);
constexpr auto kInvalidDevice = static_cast<CUresult>(101);
constexpr auto kInvalidContext = static_cast<CUresult>(201);
constexpr auto kNotSupported = static_cast<CUresult>(801);

CUresult in_context() { return contexts > 0 ? CUDA_SUCCESS : kInvalidContext; }

}  // namespace

extern "C" {

CudaCounts driftless_cuda_counts;

CUresult cuInit(unsigned int) { return CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return *device = ordinal, ordinal == 0 ? CUDA_SUCCESS : kInvalidDevice;
}
/// FFmpeg asks for the alignment of textures.
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute, CUdevice) {
  return *value = 512, CUDA_SUCCESS;
}
/// As CUDA's runtime leaves it: FFmpeg would not take this one for its own.
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned int* flags, int* active) {
  *flags = 0;
  *active = 1;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  ++driftless_cuda_counts.contexts;
  return *context = reinterpret_cast<CUcontext>(&context_body), CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  --driftless_cuda_counts.contexts;
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
  if (context != reinterpret_cast<CUcontext>(&context_body)) return kInvalidContext;
  return ++contexts, CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  if (context != nullptr) *context = reinterpret_cast<CUcontext>(&context_body);
  return contexts-- > 0 ? CUDA_SUCCESS : kInvalidContext;
}
CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
  if (flags != CU_STREAM_NON_BLOCKING) return kInvalidValue;
  ++driftless_cuda_counts.streams;
  *stream = reinterpret_cast<CUstream>(new char);
  return in_context();
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  --driftless_cuda_counts.streams;
  delete reinterpret_cast<char*>(stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) { return in_context(); }

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
  // The stream that all share would wait for the engine's.
  if (stream == nullptr) return kInvalidValue;
  if (copy->srcMemoryType != CU_MEMORYTYPE_DEVICE || copy->dstMemoryType != CU_MEMORYTYPE_HOST) {
    return kInvalidValue;
  }
  if (copy->WidthInBytes > copy->srcPitch || copy->WidthInBytes > copy->dstPitch) {
    return kInvalidValue;
  }
  const auto* from = reinterpret_cast<const uint8_t*>(copy->srcDevice) +
                     copy->srcY * copy->srcPitch + copy->srcXInBytes;
  auto* to = static_cast<uint8_t*>(copy->dstHost) + copy->dstY * copy->dstPitch + copy->dstXInBytes;
  for (size_t row = 0; row < copy->Height; ++row) {
    std::memcpy(to + row * copy->dstPitch, from + row * copy->srcPitch, copy->WidthInBytes);
  }
  ++driftless_cuda_counts.copies;
  return in_context();
}

CUresult cuMemAlloc_v2(CUdeviceptr* memory, size_t bytes) {
  void* piece = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (piece == nullptr) return kInvalidValue;
  ++driftless_cuda_counts.pieces;
  return *memory = reinterpret_cast<CUdeviceptr>(piece), in_context();
}
CUresult cuMemFree_v2(CUdeviceptr memory) {
  --driftless_cuda_counts.pieces;
  std::free(reinterpret_cast<void*>(memory));
  return in_context();
}

// What FFmpeg's encoder asks for where it makes a context of its own.
CUresult cuDeviceGetName(char* name, int room, CUdevice) {
  std::strncpy(name, "double", static_cast<size_t>(room));
  return CUDA_SUCCESS;
}
CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice) {
  *major = 8;
  *minor = 9;
  return CUDA_SUCCESS;
}
CUresult cuCtxCreate_v2(CUcontext* context, unsigned int, CUdevice device) {
  cuDevicePrimaryCtxRetain(context, device);
  return cuCtxPushCurrent_v2(*context);
}
CUresult cuCtxDestroy_v2(CUcontext) { return cuDevicePrimaryCtxRelease(0); }

CUresult cuGetErrorName(CUresult, const char** text) { return *text = "double", CUDA_SUCCESS; }
CUresult cuGetErrorString(CUresult, const char** text) {
  return *text = "refused by the double", CUDA_SUCCESS;
}

// FFmpeg wants these to be there, and decoding calls none.
#define DL_UNUSED(name) \
  CUresult name() { return kNotSupported; }
DL_UNUSED(cuCtxSetLimit)
DL_UNUSED(cuMemAllocPitch_v2)
DL_UNUSED(cuMemAllocManaged)
DL_UNUSED(cuMemsetD8Async)
DL_UNUSED(cuMemcpy)
DL_UNUSED(cuMemcpyAsync)
DL_UNUSED(cuMemcpy2D_v2)
DL_UNUSED(cuMemcpyHtoD_v2)
DL_UNUSED(cuMemcpyHtoDAsync_v2)
DL_UNUSED(cuMemcpyDtoH_v2)
DL_UNUSED(cuMemcpyDtoHAsync_v2)
DL_UNUSED(cuMemcpyDtoD_v2)
DL_UNUSED(cuMemcpyDtoDAsync_v2)
DL_UNUSED(cuCtxGetDevice)
DL_UNUSED(cuDevicePrimaryCtxSetFlags)
DL_UNUSED(cuDevicePrimaryCtxReset)
DL_UNUSED(cuStreamQuery)
DL_UNUSED(cuStreamAddCallback)
DL_UNUSED(cuEventCreate)
DL_UNUSED(cuEventDestroy_v2)
DL_UNUSED(cuEventSynchronize)
DL_UNUSED(cuEventQuery)
DL_UNUSED(cuEventRecord)
DL_UNUSED(cuLaunchKernel)
DL_UNUSED(cuLinkCreate)
DL_UNUSED(cuLinkAddData)
DL_UNUSED(cuLinkComplete)
DL_UNUSED(cuLinkDestroy)
DL_UNUSED(cuModuleLoadData)
DL_UNUSED(cuModuleUnload)
DL_UNUSED(cuModuleGetFunction)
DL_UNUSED(cuModuleGetGlobal)
DL_UNUSED(cuTexObjectCreate)
DL_UNUSED(cuTexObjectDestroy)
DL_UNUSED(cuGLGetDevices_v2)
DL_UNUSED(cuGraphicsGLRegisterImage)
DL_UNUSED(cuGraphicsUnregisterResource)
DL_UNUSED(cuGraphicsMapResources)
DL_UNUSED(cuGraphicsUnmapResources)
DL_UNUSED(cuGraphicsSubResourceGetMappedArray)
DL_UNUSED(cuGraphicsResourceGetMappedPointer_v2)
DL_UNUSED(cuArray3DCreate_v2)
DL_UNUSED(cuArrayDestroy)
}
