#pragma once

// MobileOps on the stream of other operations. Part of cuda_ops.cc.

#include "ops/cuda/cuda_base.h"
#include "ops/cuda/mobile.cuh"
#include "ops/reference_mobile.h"

namespace driftless {

class CudaMobile : public ReferenceMobileOps {
 public:
  /// stream outlives it.
  explicit CudaMobile(const cuda::Stream& stream) : stream_(stream) {}

  void patches(const Tensor& picture, int kernel, int stride, const Tensor& y) override {
    const auto s = checks::patches(picture, kernel, stride, y);
    cuda::patches(on_device<uint8_t>(picture), windows(s, stride), on_device(y), stream_.get());
  }

  void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                 MobileActivation activation, const Tensor& y) override {
    const auto s = checks::depthwise(x, weight, bias, stride, y);
    cuda::depthwise(on_device(x), on_device(weight), on_device(bias), windows(s, stride),
                    activation, on_device(y), stream_.get());
  }

  void activate(MobileActivation activation, const Tensor& x, const Tensor& y) override {
    check_same("activation's output", x, y);
    cuda::scale_channels(on_device(x), nullptr, nullptr, 1, activation, x.count(), on_device(y),
                         stream_.get());
  }

  void global_average(const Tensor& x, const Tensor& y) override {
    const Picture s = check_channels("global average's output", x, y);
    cuda::global_average(on_device(x), s.h * s.w, static_cast<int>(s.c), on_device(y),
                         stream_.get());
  }

  void scale_channels(const Tensor& x, const Tensor& scale, const Tensor& addend,
                      const Tensor& y) override {
    const Picture s = check_channels("channel scale", x, scale);
    check_same("scaled channels", x, y);
    if (addend.present()) check_same("addend of scaled channels", x, addend);
    cuda::scale_channels(on_device(x), on_device(scale), on_device(addend), static_cast<int>(s.c),
                         MobileActivation::none, x.count(), on_device(y), stream_.get());
  }

  void transposed2(const Tensor& x, const Tensor& weight, const Tensor& bias,
                   MobileActivation activation, const Tensor& y) override {
    const Picture s = check_transposed(x, weight, bias, y);
    cuda::transposed2(on_device(x), on_device(weight), on_device(bias), static_cast<int>(s.h),
                      static_cast<int>(s.w), static_cast<int>(s.c), activation, on_device(y),
                      stream_.get());
  }

 private:
  static cuda::Windows windows(const checks::DepthwiseSizes& s, int stride) {
    const auto number = [](int64_t value) { return static_cast<int>(value); };
    return {number(s.h),
            number(s.w),
            number(s.c),
            number(s.kernel),
            stride,
            number(s.rows.out),
            number(s.columns.out),
            number(s.rows.before),
            number(s.columns.before)};
  }

  const cuda::Stream& stream_;
};

}  // namespace driftless
