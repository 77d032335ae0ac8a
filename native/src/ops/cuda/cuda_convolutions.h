#pragma once

// Convolutions: by our own kernels, or by cuDNN for sizes at which it was tried (try_libraries).

#include <memory>
#include <type_traits>

#include "ops/cuda/convolution.h"
#include "ops/cuda/cuda_products.h"
#include "ops/cuda/cudnn_convolution.h"

namespace driftless {

class CudaConvolutions : public CudaProducts {
 public:
  using CudaProducts::CudaProducts;

  std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                        const ConvOptions& options) override {
    checks::pack_conv(weight, bias, options);
    return std::make_unique<CudaConv>(weight, bias, options, precision_, stream_.get());
  }

  void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2, const Tensor& residual,
              Activation activation, const Tensor& y) override {
    const auto s = checks::conv2d(weights, x, x2, residual, activation, y, token_dtype());
    convolution(weights, s, x, y, residual, activation,
                [&](auto& input, auto zero) { input.x2 = on_device<decltype(zero)>(x2); });
  }

  void conv_frames(const PackedConv& weights, const Tensor& x, const Tensor& past,
                   const Tensor& residual, Activation activation, const Tensor& y) override {
    const auto s = checks::conv_frames(weights, x, past, residual, activation, y, token_dtype());
    convolution(weights, s, x, y, residual, activation, [&](auto& input, auto zero) {
      input.past = on_device<decltype(zero)>(past);
      input.kernel_t = static_cast<int>(weights.options().frames);
      input.frames = static_cast<int>(s.n);
    });
  }

 private:
  using ConvolutionPlan = cuda::DnnConvolutionPlan;

  /// Starts the convolution as cuDNN's where that proved itself for the size; false: it is ours.
  template <typename X, typename Y>
  bool by_library(const CudaConv& packed, const cuda::ConvInput<X>& input,
                  const cuda::LinearTail<Y>& tail, Y* y) {
    const bool plain = input.second == 0 && input.up == 1 && input.phases == 1;
    if (!library_ || !plain || input.first % 8 != 0 || input.out % 8 != 0) return false;
    const X* x = input.x;
    if (input.kernel_t > 1) {
      // The library takes earlier frames only where they lie directly before the others.
      x = input.past;
      const int64_t before = int64_t{input.kernel_t - 1} * input.h * input.w * input.first;
      if (x == nullptr || x + before != input.x) return false;
    }
    const bool aligned =
        cuda::can_vectorise<Y>(0, x, packed.weight.data(), tail.bias, tail.residual, y);
    if (!aligned || tail.residual == y) return false;
    const cuda::ConvolutionSize size = {input.n,
                                        input.h,
                                        input.w,
                                        input.first,
                                        input.out,
                                        input.kernel,
                                        input.kernel_t,
                                        input.stride,
                                        tail.bias != nullptr,
                                        tail.residual != nullptr,
                                        tail.activation == Activation::relu,
                                        std::is_same_v<Y, float>,
                                        dnn_type<X>()};
    const ConvolutionPlan* plan = plans_.find(size);
    if (plan == nullptr && trying_ && !plans_.knows(size)) {
      plan = plans_.keep(size, tried<ConvolutionPlan>(size, [&](const auto& made) {
                           return is_better(made, packed, input, tail);
                         }));
    }
    if (plan != nullptr) start(*plan, x, packed, tail, y);
    return plan != nullptr;
  }

  template <typename X, typename Y>
  void start(const ConvolutionPlan& plan, const X* x, const CudaConv& packed,
             const cuda::LinearTail<Y>& tail, Y* y) {
    void* workspace = workspace_of(plan);
    const void* weight = packed.weight.data();
    const cuda::dnn::Handle handle = library_->handle();
    const auto run = [=, &plan](cudaStream_t) {
      plan.run(handle, x, weight, tail.bias, tail.residual, y, workspace);
    };
    cuda::put_on_stream(stream_.get(), run, kConvolutionStep, &plan, x, weight, tail.bias,
                        tail.residual, y, workspace);
  }

  /// Whether cuDNN says what our own kernel says of random pictures, and clearly sooner.
  template <typename X, typename Y>
  bool is_better(const ConvolutionPlan& plan, const CudaConv& packed, cuda::ConvInput<X> input,
                 cuda::LinearTail<Y> tail) {
    const cuda::ConvolutionSize& size = plan.size();
    const int64_t frame = size.h * size.w * size.in, values = size.out_values();
    const int64_t in_values = (size.frames - 1 + size.n) * frame;
    const auto out_bytes = static_cast<size_t>(values) * sizeof(Y);
    const cuda::DeviceBuffer x(static_cast<size_t>(in_values) * sizeof(X));
    const cuda::DeviceBuffer residual(size.residual ? out_bytes : 0), own(out_bytes),
        theirs(out_bytes);
    auto* pictures = static_cast<X*>(x.data());
    auto* ours = static_cast<Y*>(own.data());
    auto* library = static_cast<Y*>(theirs.data());
    fill(pictures, in_values, 1);
    input.x = pictures + (size.frames - 1) * frame;
    if (size.frames > 1) input.past = pictures;
    if (size.residual) {
      fill(static_cast<Y*>(residual.data()), values, 2);
      tail.residual = static_cast<const Y*>(residual.data());
    }
    const auto by_us = [&] {
      cuda::convolve(precision_, input, packed.weight.data(), tail, ours, stream_.get());
    };
    const auto by_them = [&] { start(plan, pictures, packed, tail, library); };
    by_us();
    by_them();
    return alike(ours, library, values) && seconds(by_them) <= kMostShare * seconds(by_us);
  }

  /// add(input, X{}) gives the second picture or the past.
  template <typename Add>
  void convolution(const PackedConv& weights, const checks::ConvSizes& s, const Tensor& x,
                   const Tensor& y, const Tensor& residual, Activation activation, const Add& add) {
    const auto& packed = packed_by_cuda<CudaConv>(weights);
    const auto convolve = [&](auto from, auto to) {
      using X = decltype(from);
      using Y = decltype(to);
      cuda::ConvInput<X> input;
      input.x = on_device<X>(x);
      input.n = s.n;
      input.h = static_cast<int>(s.h);
      input.w = static_cast<int>(s.w);
      input.out_h = static_cast<int>(s.out_h);
      input.out_w = static_cast<int>(s.out_w);
      input.first = static_cast<int>(s.first);
      input.second = static_cast<int>(s.second);
      input.out = static_cast<int>(s.out);
      input.phases = packed.phases;
      input.kernel = packed.phases == 4 ? 2 : static_cast<int>(weights.kernel());
      input.stride = weights.options().stride;
      input.up = weights.options().upsample2 && packed.phases == 1 ? 2 : 1;
      add(input, from);
      cuda::LinearTail<Y> tail;
      tail.bias = static_cast<const float*>(packed.bias.data());
      tail.residual = on_device<Y>(residual);
      tail.residual_first = true;
      tail.activation = activation;
      tail.width = s.out;
      if constexpr (!std::is_same_v<X, float>) {
        if (by_library(packed, input, tail, on_device<Y>(y))) return;
      }
      cuda::convolve(precision_, input, packed.weight.data(), tail, on_device<Y>(y), stream_.get());
    };
    const bool wide = y.dtype() == DType::f32;
    with_token_type([&](auto zero) {
      if (x.dtype() == DType::f32) return wide ? convolve(0.0f, 0.0f) : convolve(0.0f, zero);
      wide ? convolve(zero, 0.0f) : convolve(zero, zero);
    });
  }

  cuda::DnnPlans<cuda::ConvolutionSize, ConvolutionPlan> plans_;
};

}  // namespace driftless
