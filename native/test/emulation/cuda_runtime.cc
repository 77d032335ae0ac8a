#include "emulation/cuda_runtime.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "emulation/memory_pages.h"

namespace {

using driftless::emulation::allocate;
using driftless::emulation::release;
using driftless::emulation::turn;

std::atomic<int> launched_graphs{0};

thread_local int current_device = 0;
std::set<std::pair<int, int>> peers;
std::set<cudaStream_t> streams;
std::set<void*> pinned;

/// Does what waits, until done() says so. A step may have to wait for another stream's.
template <typename Done>
void catch_up(cudaStream_t stream, const Done& done) {
  if (stream == nullptr) return;
  const std::lock_guard<std::recursive_mutex> lock(turn());
  if (done() || stream->waiting.empty()) return;
  const driftless::emulation::DeviceAccess access;  // Once for all steps: opening it is slow.
  while (!done() && !stream->waiting.empty()) {
    const auto step = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    step();
  }
}
void catch_up(cudaStream_t stream) {
  catch_up(stream, [] { return false; });
}
/// And no further than to the event.
void catch_up(CUevent_st::Recorded& event) {
  catch_up(event.stream, [&event] { return event.passed; });
}

/// Leaves it to whoever waits.
void put_off(cudaStream_t stream, std::function<void()> step) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  stream->waiting.push_back(std::move(step));
}
void catch_up_all() {
  for (cudaStream_t stream : streams) catch_up(stream);
}

bool is_pinned(const void* memory) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  return pinned.count(const_cast<void*>(memory)) > 0;
}

}  // namespace

namespace driftless {
namespace emulation {

Machine& machine() {
  static Machine machine;
  return machine;
}

int graph_launches() { return launched_graphs; }

void on_stream(cudaStream_t stream, std::function<void()> step) {
  if (stream == nullptr || stream->capture == nullptr) {
    if (stream != nullptr && machine().lazy) return put_off(stream, std::move(step));
    catch_up(stream);
    return step();
  }
  stream->capture->steps.push_back(std::move(step));
}

void require_own_stream(cudaStream_t stream) {
  if (stream == nullptr) return;
  DL_CHECK_EQ("device of the stream of a launch", current_device, stream->device);
}

int connections() { return static_cast<int>(peers.size()); }

}  // namespace emulation
}  // namespace driftless

using driftless::emulation::machine;

namespace {

/// What a capture cannot hold, and breaks it.
bool breaks_capture(cudaStream_t stream) {
  if (stream == nullptr || stream->capture == nullptr) return false;
  stream->capture_broken = true;
  return true;
}

}  // namespace

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorNoKernelImageForDevice:
      return "no kernel image is available for execution on the device";
    case cudaErrorECCUncorrectable:
      return "uncorrectable ECC error encountered";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    default:
      break;
  }
  return "unknown error";
}

cudaError_t cudaGetLastError() { return machine().lost; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = machine().devices;
  return machine().device_count_error;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = machine().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= machine().devices) return cudaErrorInvalidValue;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated device %d", device);
  properties->major = machine().major;
  properties->minor = machine().minor;
  properties->totalGlobalMem = machine().memory_bytes;
  properties->sharedMemPerBlockOptin = 99 << 10;
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= machine().devices) return cudaErrorInvalidValue;
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* reaches, int device, int peer) {
  *reaches = device != peer;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  return peers.emplace(current_device, peer).second ? cudaSuccess
                                                    : cudaErrorPeerAccessAlreadyEnabled;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  *stream = new CUstream_st{current_device, nullptr, {}, false};
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  catch_up(stream);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (breaks_capture(stream)) return cudaErrorStreamCaptureUnsupported;
  catch_up(stream);
  return machine().lost;
}

cudaError_t cudaMemGetInfo(size_t* left, size_t* all) {
  const size_t used = driftless::emulation::device_bytes();
  *all = driftless::emulation::machine().memory_bytes;
  *left = *all > used ? *all - used : 0;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) { return allocate(memory, bytes, false); }
cudaError_t cudaMallocManaged(void** memory, size_t bytes, unsigned) {
  return allocate(memory, bytes, true);
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const std::lock_guard<std::recursive_mutex> lock(turn());
  catch_up_all();
  return release(memory);
}
// A device's graph could hold these; the engine's do not.
cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
  if (breaks_capture(stream)) return cudaErrorStreamCaptureUnsupported;
  return cudaMalloc(memory, bytes);
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  if (breaks_capture(stream)) return cudaErrorStreamCaptureUnsupported;
  if (stream == nullptr || !machine().lazy || memory == nullptr) return cudaFree(memory);
  put_off(stream, [memory] { release(memory); });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  // A graph would read the host's memory again each time.
  if (kind != cudaMemcpyDeviceToDevice && breaks_capture(stream)) {
    return cudaErrorStreamCaptureUnsupported;
  }
  const auto copy = [=] {
    const driftless::emulation::DeviceAccess access;
    if (bytes > 0) std::memcpy(to, from, bytes);
  };
  if (stream != nullptr && (is_pinned(from) || is_pinned(to))) {
    put_off(stream, copy);
  } else if (machine().lazy && kind == cudaMemcpyDeviceToHost) {
    catch_up(stream);  // Pageable memory has it when the call returns.
    copy();
  } else if (machine().lazy && kind == cudaMemcpyHostToDevice) {
    // Pageable memory may change when the call returns.
    const auto* bytes_now = static_cast<const unsigned char*>(from);
    driftless::emulation::on_stream(
        stream, [=, staged = std::vector<unsigned char>(bytes_now, bytes_now + bytes)] {
          const driftless::emulation::DeviceAccess access;
          if (bytes > 0) std::memcpy(to, staged.data(), bytes);
        });
  } else {
    driftless::emulation::on_stream(stream, copy);
  }
  return machine().lost;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  if (!machine().has_pinned_memory) return cudaErrorMemoryAllocation;
  const std::lock_guard<std::recursive_mutex> lock(turn());
  *memory = std::malloc(bytes);
  pinned.insert(*memory);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  catch_up_all();
  if (pinned.erase(memory) == 0) return cudaErrorInvalidValue;
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st{(flags & cudaEventDisableTiming) == 0, nullptr};
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (breaks_capture(stream)) return cudaErrorStreamCaptureUnsupported;
  auto recorded = std::make_shared<CUevent_st::Recorded>();
  recorded->stream = stream;
  put_off(stream, [recorded] {
    recorded->passed = true;
    recorded->when = std::chrono::steady_clock::now();
  });
  const std::lock_guard<std::recursive_mutex> lock(turn());
  event->last = recorded;
  if (!machine().lazy && stream->waiting.size() == 1) catch_up(stream);
  return machine().lost;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  if (event->last != nullptr) catch_up(*event->last);
  return machine().lost;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  for (const cudaEvent_t event : {from, to}) {
    if (!event->is_timed || event->last == nullptr) return cudaErrorInvalidResourceHandle;
    if (!event->last->passed) return cudaErrorNotReady;
  }
  *ms = std::chrono::duration<float, std::milli>(to->last->when - from->last->when).count();
  return machine().lost;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (breaks_capture(stream)) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard<std::recursive_mutex> lock(turn());
  if (event->last == nullptr) return machine().lost;
  driftless::emulation::on_stream(stream, [recorded = event->last] { catch_up(*recorded); });
  return machine().lost;
}
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  driftless::emulation::on_stream(stream, [=] {
    const driftless::emulation::DeviceAccess access;
    if (bytes > 0) std::memset(at, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream->capture != nullptr) return cudaErrorInvalidValue;
  stream->capture = new CUgraph_st{stream->device, {}};
  stream->capture_broken = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture;
  stream->capture = nullptr;
  if (!stream->capture_broken) return cudaSuccess;
  delete *graph;
  *graph = nullptr;
  return cudaErrorStreamCaptureInvalidated;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (!machine().makes_graphs) return cudaErrorMemoryAllocation;
  *exec = new CUgraphExec_st{*graph};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  driftless::emulation::require_own_stream(stream);
  ++launched_graphs;
  for (const auto& step : exec->graph.steps) driftless::emulation::on_stream(stream, step);
  return machine().lost;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
