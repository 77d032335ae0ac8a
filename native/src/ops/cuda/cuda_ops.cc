// The backend: arguments checked as for every backend, then launches on one stream. Compiled by
// nvcc in a CUDA build, and by the host's compiler against the emulation in the tests.

#include "ops/cuda/cuda_ops.h"

#include <cstdlib>

#include "ops/cuda/cuda_pictures.h"
#include "ops/cuda/pixels.cuh"

namespace driftless {

namespace {

/// The last layer: what moves pixels.
class CudaOps : public CudaPictures {
 public:
  using CudaPictures::CudaPictures;

  void copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y,
                     int64_t to) override {
    const auto s = checks::copy_channels(x, from, count, y, to, token_dtype());
    by_type(x, [&](auto* in) {
      cuda::copy_channels(in + from, s.in, like(in, y) + to, s.out, s.rows, count, stream_.get());
    });
  }

  void upsample2(const Tensor& x, const Tensor& y) override {
    const auto s = checks::upsample2(x, y, token_dtype());
    runs("upsample2", x, y, s.c, [&](int64_t c) {
      return cuda::Upsample2Map{static_cast<int>(s.h), static_cast<int>(s.w), static_cast<int>(c)};
    });
  }

  void upsample_bilinear(const Tensor& x, const Tensor& y, bool accumulate) override {
    const auto s = checks::upsample_bilinear(x, y);
    cuda::upsample_bilinear(on_device(x), on_device(y), s.n, static_cast<int>(s.h),
                            static_cast<int>(s.w), static_cast<int>(s.c),
                            static_cast<int>(s.frames), static_cast<int>(s.scale), accumulate,
                            stream_.get());
  }

  void average_pool(const Tensor& x, const Tensor& y) override {
    const auto s = checks::average_pool(x, y);
    cuda::average_pool(on_device(x), on_device(y), s.n / s.frames, static_cast<int>(s.h),
                       static_cast<int>(s.w), static_cast<int>(s.c), static_cast<int>(s.frames),
                       static_cast<int>(s.scale), stream_.get());
  }

  void pixel_unshuffle(const Tensor& x, const Tensor& y) override {
    const auto s = checks::pixel_unshuffle(x, y, token_dtype());
    const cuda::UnshuffleMap map{static_cast<int>(s.h), static_cast<int>(s.w),
                                 static_cast<int>(s.c), static_cast<int>(s.scale)};
    by_type(x, [&](auto* from) {
      cuda::gather("pixel_unshuffle", from, like(from, y), y.count(), map, stream_.get());
    });
  }

  void pixel_shuffle(const Tensor& x, const Tensor& y) override {
    const auto s = checks::pixel_unshuffle(y, x);
    cuda::gather("pixel_shuffle", on_device(x), on_device(y), y.count(),
                 cuda::ShuffleMap{static_cast<int>(s.h), static_cast<int>(s.w),
                                  static_cast<int>(s.c), static_cast<int>(s.scale)},
                 stream_.get());
  }

  void unpatchify(const Tensor& x, const Tensor& y) override {
    const auto s = checks::unpatchify(x, y);
    runs("unpatchify", x, y, s.c, [&](int64_t c) {
      return cuda::UnpatchifyMap{static_cast<int>(s.h), static_cast<int>(s.w), static_cast<int>(c),
                                 static_cast<int>(s.scale)};
    });
  }

  void frames_to_channels(const Tensor& x, const Tensor& y) override {
    const auto s = checks::frames_to_channels(x, y, token_dtype());
    runs("frames_to_channels", x, y, s.c, [&](int64_t c) {
      return cuda::FramesToChannelsMap{s.h * s.w, static_cast<int>(c), static_cast<int>(s.frames)};
    });
  }

  void channels_to_frames(const Tensor& x, const Tensor& y) override {
    const auto s = checks::frames_to_channels(y, x, token_dtype());
    runs("channels_to_frames", x, y, s.c, [&](int64_t c) {
      return cuda::ChannelsToFramesMap{s.h * s.w, static_cast<int>(c), static_cast<int>(s.frames)};
    });
  }

  void nchw_to_nhwc(const Tensor& x, const Tensor& y) override {
    const auto s = checks::planar(x, y);
    cuda::gather("nchw_to_nhwc", on_device(x), on_device(y), y.count(),
                 cuda::TransposeMap{s.c, s.h * s.w}, stream_.get());
  }

  void nhwc_to_nchw(const Tensor& x, const Tensor& y) override {
    const auto s = checks::planar(y, x);
    cuda::gather("nhwc_to_nchw", on_device(x), on_device(y), y.count(),
                 cuda::TransposeMap{s.h * s.w, s.c}, stream_.get());
  }

  void u8_to_f32(const Tensor& x, float scale, float shift, const Tensor& y) override {
    const int64_t count = checks::u8_f32(x, y);
    cuda::map("u8_to_f32", on_device<uint8_t>(x), on_device(y), count, count,
              cuda::FromBytes{scale, shift}, stream_.get());
  }

  void f32_to_u8(const Tensor& x, float scale, float shift, const Tensor& y) override {
    const int64_t count = checks::u8_f32(y, x);
    cuda::map("f32_to_u8", on_device(x), on_device<uint8_t>(y), count, count,
              cuda::ToBytes{scale, shift}, stream_.get());
  }

 private:
  template <typename MakeMap>
  void runs(const char* name, const Tensor& x, const Tensor& y, int64_t c, const MakeMap& make) {
    const auto move = [&](const auto* from, auto* to) {
      cuda::gather_runs(
          name, from, to, y.count(), c, [&](int wide) { return make(c / wide); }, stream_.get());
    };
    by_type(x, [&](auto* from) { move(from, like(from, y)); });
  }
};

}  // namespace

std::unique_ptr<Ops> make_cuda_ops(const CudaOptions& options) {
  const CudaReport report = inspect_cuda();
  DL_CHECK(report.problem.empty(), "CUDA", "a usable device", report.problem);
  const auto count = static_cast<int>(report.devices.size());
  DL_CHECK(options.device >= 0 && options.device < count, "CUDA device",
           "0.." + std::to_string(count - 1), options.device);
  const CudaDevice& device = report.devices[static_cast<size_t>(options.device)];
  DL_CHECK(device.problem.empty(), "CUDA device " + std::to_string(options.device), "a usable one",
           device.problem);
  const bool multiplies_fp8 = device.major * 10 + device.minor >= 89;
  return std::make_unique<CudaOps>(options, multiplies_fp8);
}

cuda::ReplayCounts replay_counts(const Ops& ops) {
  const auto* here = dynamic_cast<const CudaBase*>(&ops);
  DL_CHECK(here != nullptr, "counts of CUDA graphs", "the cuda backend", ops.name());
  return here->replay_counts();
}

CudaPrecision cuda_precision(const std::string& dtype) {
  if (dtype == "f32") return CudaPrecision::f32;
  if (dtype == "f16") return CudaPrecision::f16;
  if (dtype == "fp8") return CudaPrecision::fp8;
  if (dtype == "fp8-kv") return CudaPrecision::fp8_kv;
  DL_CHECK(dtype == "bf16" || dtype == "auto", "compute dtype",
           "\"auto\", \"f32\", \"bf16\", \"f16\", \"fp8\" or \"fp8-kv\"", "\"" + dtype + "\"");
  return CudaPrecision::bf16;
}

std::unique_ptr<Ops> make_cuda_ops(int device, const std::string& dtype) {
  CudaOptions options;
  options.device = device;
  options.precision = cuda_precision(dtype);
  const auto is_off = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && std::string(value) == "off";
  };
  options.graphs = !is_off("DRIFTLESS_CUDA_GRAPHS");
  options.gated_products = !is_off("DRIFTLESS_CUDA_GATES");
  const CudaReport report = inspect_cuda();
  cuda::lt::Api cublaslt = {};
  cuda::dnn::Api cudnn = {};
  if (report.cublaslt_problem.empty()) {
    cublaslt = cuda::lt::load_api();
    options.cublaslt = &cublaslt;
  }
  if (report.cudnn_problem.empty() && !is_off("DRIFTLESS_CUDNN")) {
    cudnn = cuda::dnn::load_api();
    options.cudnn = &cudnn;
  }
  const char* transport = std::getenv("DRIFTLESS_CUDA_TRANSPORT");
  const std::string way = transport == nullptr ? "copy" : transport;
  DL_CHECK(way == "copy" || way == "nccl", "DRIFTLESS_CUDA_TRANSPORT", "\"copy\" or \"nccl\"",
           "\"" + way + "\"");
  cuda::nccl::Api nccl = {};
  if (way == "nccl") {
    nccl = cuda::nccl::load_api();
    options.nccl = &nccl;
  }
  return make_cuda_ops(options);
}

}  // namespace driftless
