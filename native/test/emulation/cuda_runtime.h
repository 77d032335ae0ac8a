#pragma once

// The CUDA runtime calls of the engine's host code, for the emulation: devices that share their
// memory, and streams on which everything but copies of pinned memory is done before the call
// returns (on a lazy machine nothing is, before somebody waits). A stream belongs to a device, and
// only a thread that has chosen that device may launch kernels on it. Device memory is not readable
// or writable while the host's code runs: who touches it from there is stopped by the processor, as
// on a real machine (another thread's kernel opens it, though). Threads take turns.

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorECCUncorrectable = 214,
  cudaErrorNvlinkUncorrectable = 220,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchTimeout = 702,
  cudaErrorPeerAccessAlreadyEnabled = 704,
  cudaErrorAssert = 710,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorInvalidAddressSpace = 717,
  cudaErrorInvalidPc = 718,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaMemAttachGlobal = 1, cudaStreamNonBlocking = 1 };
enum { cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };

/// What is done when a graph is launched, in order.
struct CUgraph_st {
  int device;
  std::vector<std::function<void()>> steps;
};
struct CUgraphExec_st {
  CUgraph_st graph;
};
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;

struct CUstream_st {
  int device;
  CUgraph_st* capture;  ///< Where not null, what is put on the stream is kept and not done.
  /// Copies of pinned memory, and on a lazy machine everything: done when the stream goes on or
  /// somebody waits, so that a host that does not wait is found out.
  std::deque<std::function<void()>> waiting;
  bool capture_broken;  ///< By a call that a graph cannot hold.
};
using cudaStream_t = CUstream_st*;
struct CUevent_st {
  struct Recorded {
    cudaStream_t stream;
    bool passed;
    std::chrono::steady_clock::time_point when;
  };
  bool is_timed;
  std::shared_ptr<Recorded> last;  ///< nullptr: nowhere yet.
};
using cudaEvent_t = CUevent_st*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };

namespace driftless {
namespace emulation {

/// What the emulated driver reports; tests change it to play broken machines.
struct Machine {
  cudaError_t device_count_error = cudaSuccess;
  int devices = 1;
  int driver_version = 13000;
  int major = 9, minor = 0;
  bool has_kernels = true;  ///< Whether the build holds code for this architecture.
  size_t memory_bytes = size_t{1} << 32;
  bool makes_graphs = true, has_pinned_memory = true;
  bool lazy = false;               ///< Nothing is done before somebody waits for the stream.
  cudaError_t lost = cudaSuccess;  ///< What a device that broke answers to everything.
};
Machine& machine();
/// Bytes handed out and not yet given back.
size_t device_bytes();
/// Allocations that were refused for want of memory, so far.
int refusals();

/// Does it, or keeps it where the stream is being captured. nullptr: the stream of no device.
void on_stream(cudaStream_t stream, std::function<void()> step);
/// Throws Error unless this thread has chosen the stream's device (nullptr: any).
void require_own_stream(cudaStream_t stream);
/// Graphs that were launched, so far.
int graph_launches();
/// Pairs of devices that reach each other's memory.
int connections();

/// While one lives, device memory can be touched: kernels run, or copies. Other threads' wait.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace emulation
}  // namespace driftless

struct cudaDeviceProp {
  char name[256];
  int major, minor;
  size_t totalGlobalMem, sharedMemPerBlockOptin;
  int multiProcessorCount;
};
struct cudaFuncAttributes {
  int binaryVersion;
};

const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceCanAccessPeer(int* reaches, int device, int peer);
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaMemGetInfo(size_t* left, size_t* all);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, size_t bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaMallocManaged(void** memory, size_t bytes, unsigned flags);
cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream);

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int) {
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
  attributes->binaryVersion = driftless::emulation::machine().major * 10;
  return driftless::emulation::machine().has_kernels ? cudaSuccess
                                                     : cudaErrorNoKernelImageForDevice;
}
