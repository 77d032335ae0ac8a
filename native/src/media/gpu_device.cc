#include "media/gpu_device.h"

#include <dlfcn.h>

#include "core/error.h"
#include "ops/cuda/shared_library.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace driftless {
namespace {

/// AVCUDADeviceContext of libavutil/hwcontext_cuda.h, which wants CUDA's own headers.
struct AvCudaDevice {
  void* context;
  void* stream;
  void* internal;
};

constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING

/// The context of a GPU that CUDA's runtime computes in, and a stream in it. FFmpeg is given both:
/// it would take that context only if it were made to block while it waits
/// (CU_CTX_SCHED_BLOCKING_SYNC), and the stream that all share waits for other streams.
class SharedContext {
 public:
  explicit SharedContext(int gpu) {
    try {
      library_ = cuda::open_library(kWhat, {"libcuda.so.1"});
      take("cuInit", init_);
      take("cuDeviceGet", get_device_);
      take("cuDevicePrimaryCtxRetain", retain_);
      take("cuDevicePrimaryCtxRelease", release_);
      take("cuCtxPushCurrent_v2", push_);
      take("cuCtxPopCurrent_v2", pop_);
      take("cuStreamCreate", create_stream_);
      take("cuStreamDestroy_v2", destroy_stream_);
      take("cuStreamSynchronize", synchronize_);
      check(init_(0), "cuInit");
      check(get_device_(&device_, gpu), "cuDeviceGet");
      check(retain_(&context_, device_), "cuDevicePrimaryCtxRetain");
      check(push_(context_), "cuCtxPushCurrent");
      const int code = create_stream_(&stream_, kNonBlocking);
      void* popped = nullptr;
      pop_(&popped);
      check(code, "cuStreamCreate");
    } catch (...) {
      close();
      throw;
    }
  }
  ~SharedContext() { close(); }
  SharedContext(const SharedContext&) = delete;
  SharedContext& operator=(const SharedContext&) = delete;

  void* context() const { return context_; }
  void* stream() const { return stream_; }

  void wait() const {
    check(push_(context_), "cuCtxPushCurrent");
    const int code = synchronize_(stream_);
    void* popped = nullptr;
    pop_(&popped);
    check(code, "cuStreamSynchronize");
  }

 private:
  static constexpr const char* kWhat = "driver of NVIDIA's GPUs";

  template <typename Function>
  void take(const char* name, Function& function) {
    cuda::take_function(library_, kWhat, name, function);
  }
  static void check(int code, const char* call) {
    if (code != 0) throw Error(call, "success", "error " + std::to_string(code));
  }
  void close() {
    if (stream_ != nullptr) destroy_stream_(stream_);
    if (context_ != nullptr) release_(device_);
    if (library_ != nullptr) dlclose(library_);
  }

  void* library_ = nullptr;
  int device_ = 0;
  void *context_ = nullptr, *stream_ = nullptr;
  int (*init_)(unsigned) = nullptr;
  int (*get_device_)(int*, int) = nullptr;
  int (*retain_)(void**, int) = nullptr;
  int (*release_)(int) = nullptr;
  int (*push_)(void*) = nullptr;
  int (*pop_)(void**) = nullptr;
  int (*create_stream_)(void**, unsigned) = nullptr;
  int (*destroy_stream_)(void*) = nullptr;
  int (*synchronize_)(void*) = nullptr;
};

}  // namespace

AvBufferPtr gpu_device(int gpu) {
  const FfmpegComplaint complaint;
  try {
    auto shared = std::make_unique<SharedContext>(gpu);
    AvBufferPtr device(av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA));
    if (!device) throw Error("FFmpeg", "support of CUDA", "none");
    auto* context = reinterpret_cast<AVHWDeviceContext*>(device->data);
    auto* cuda = static_cast<AvCudaDevice*>(context->hwctx);
    cuda->context = shared->context();
    cuda->stream = shared->stream();
    context->user_opaque = shared.release();
    context->free = [](AVHWDeviceContext* ended) {
      delete static_cast<SharedContext*>(ended->user_opaque);
    };
    const int code = av_hwdevice_ctx_init(device.get());
    if (code < 0) throw Error("FFmpeg's CUDA", "that it starts", complaint.text(code));
    return device;
  } catch (const Error& error) {
    throw Error("GPU " + std::to_string(gpu) + " for codecs", "one", error.what());
  }
}

AvBufferPtr gpu_frames(int gpu, int width, int height) {
  const AvBufferPtr device = gpu_device(gpu);
  AvBufferPtr frames(av_hwframe_ctx_alloc(device.get()));
  if (!frames) throw Error("frames of GPU " + std::to_string(gpu), "memory for their list", "none");
  auto* context = reinterpret_cast<AVHWFramesContext*>(frames->data);
  context->format = AV_PIX_FMT_CUDA;
  context->sw_format = AV_PIX_FMT_NV12;
  context->width = width;
  context->height = height;
  const FfmpegComplaint complaint;
  const int code = av_hwframe_ctx_init(frames.get());
  if (code < 0) {
    throw Error("frames of GPU " + std::to_string(gpu), "that they start", complaint.text(code));
  }
  return frames;
}

void await_gpu(const AVFrame& frame) {
  const auto* frames = reinterpret_cast<const AVHWFramesContext*>(frame.hw_frames_ctx->data);
  static_cast<const SharedContext*>(frames->device_ctx->user_opaque)->wait();
}

}  // namespace driftless
