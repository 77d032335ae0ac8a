#pragma once

// Convolution by cuDNN with what follows it in one kernel: one plan for each size.

#include "ops/cuda/cudnn_plan.h"

namespace driftless {
namespace cuda {

/// x [n, h, w, in] of `type` (16 bits), or with `frames` over 1 [frames - 1 + n, h, w, in], each
/// output frame of so many; y [n, h', w', out] = relu(conv(x) + bias + residual), the last three if
/// they are there, of f32 where `wide`, else of `type`. Kernels are `kernel` squared, padded by
/// kernel / 2.
struct ConvolutionSize {
  int64_t n, h, w, in, out, kernel, frames, stride;
  bool bias, residual, relu, wide;
  dnn::DataType type = dnn::kBf16;
  bool operator==(const ConvolutionSize& other) const {
    return n == other.n && h == other.h && w == other.w && in == other.in && out == other.out &&
           kernel == other.kernel && frames == other.frames && stride == other.stride &&
           bias == other.bias && residual == other.residual && relu == other.relu &&
           wide == other.wide && type == other.type;
  }
  int64_t out_values() const {
    return n * ((h + stride - 1) / stride) * ((w + stride - 1) / stride) * out;
  }
};

class DnnConvolutionPlan : public DnnPlan {
 public:
  /// Throws Error with cuDNN's own words where it has no engine for the size.
  DnnConvolutionPlan(const dnn::Api& api, const ConvolutionSize& size, const DnnTarget& target);

  const ConvolutionSize& size() const { return size_; }

  /// On the handle's stream. weight [out, frames, kernel, kernel, in] of `type`, bias [out] of f32,
  /// residual like y or null as the size says. Pointers are aligned to 16 bytes; `workspace` is
  /// null where the plan needs none.
  void run(dnn::Handle handle, const void* x, const void* weight, const void* bias,
           const void* residual, void* y, void* workspace) const;

 private:
  dnn::Descriptor picture(int64_t id, int64_t frames, int64_t channels, int64_t h, int64_t w,
                          dnn::DataType type, bool between = false);
  dnn::Descriptor convolution();
  dnn::Descriptor pointwise(dnn::PointwiseMode mode, dnn::Descriptor x, dnn::Descriptor other,
                            dnn::Descriptor y);
  bool in_time() const { return size_.frames > 1; }

  const ConvolutionSize size_;
};

}  // namespace cuda
}  // namespace driftless
