#pragma once

// Matrix products. With CudaPrecision::bf16 or f16 what is f32 in memory is rounded on its way to
// the tensor cores.

#include <algorithm>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "ops/cuda/convolution.h"
#include "ops/cuda/cublaslt_gemm.h"
#include "ops/cuda/cuda_library.h"
#include "ops/cuda/cuda_weights.h"

namespace driftless {

class CudaProducts : public CudaLibrary {
 public:
  /// multiplies_fp8: whether the device multiplies e4m3 (compute capability 8.9 and newer).
  CudaProducts(const CudaOptions& options, bool multiplies_fp8)
      : CudaLibrary(options), multiplies_fp8_(multiplies_fp8) {
    if (options.cublaslt != nullptr) {
      workspace_ = cuda::DeviceBuffer(options.workspace_bytes);
      gemm_.emplace(*options.cublaslt, workspace_.data(), workspace_.bytes());
    }
  }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias,
                                            bool bulk) override {
    checks::pack_linear(weight, bias);
    return std::make_unique<CudaLinear>(weight, bias, precision_, bulk, stream_);
  }

  std::unique_ptr<PackedLinear> adopt_linear(std::unique_ptr<PackedLinear> weights) override {
    const auto& packed = packed_by_cuda<CudaLinear>(*weights);
    if (packed.device == stream_.device()) return weights;
    return std::make_unique<CudaLinear>(packed, stream_);
  }

  void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
              const LinearEpilogue& epilogue) override {
    const auto s = checks::linear(weights, x, y, epilogue, token_dtype());
    const auto& packed = packed_by_cuda<CudaLinear>(weights);
    if (s.rows == 0 || s.out == 0) return;
    const auto multiply = [&](const auto* tokens, auto* to) {
      using Y = std::remove_pointer_t<decltype(to)>;
      cuda::LinearTail<Y> tail;
      tail.bias = static_cast<const float*>(packed.bias.data());
      tail.activation = epilogue.activation;
      tail.gate = epilogue.gate.data;
      tail.gate_stride = epilogue.gate.stride;
      tail.rows_per_gate = std::max<int64_t>(1, s.gate_rows);
      tail.residual = on_device<Y>(epilogue.residual);
      tail.width = s.out;
      linear_of(packed, s, tokens, tail, to);
    };
    if (x.dtype() == DType::f32) return multiply(on_device(x), on_device(y));
    const auto* tokens = on_device<cuda::bf16>(x);
    if (y.dtype() == DType::f32) return multiply(tokens, on_device(y));
    multiply(tokens, on_device<cuda::bf16>(y));
  }

 private:
  template <typename X, typename Y>
  void linear_of(const CudaLinear& packed, const checks::LinearSizes& s, const X* x,
                 cuda::LinearTail<Y> tail, Y* y) {
    if (gemm_ && s.in > 0 && product(packed, s, x, tail, y)) return;
    const cudaStream_t stream = stream_.get();
    if (!packed.is_fp8()) {
      return cuda::convolve(precision_, rows_of(x, s), packed.weight.data(), tail, y, stream);
    }
    tail.scale = static_cast<const float*>(packed.scale.data());
    const void* tokens = operand(x, s.rows * s.in, cuda::lt::kBf16);
    cuda::convolve_e4m3(rows_of(static_cast<const cuda::bf16*>(tokens), s),
                        static_cast<const cuda::e4m3*>(packed.weight.data()), tail, y, stream);
  }

  /// A matrix product as a convolution.
  template <typename X>
  static cuda::ConvInput<X> rows_of(const X* x, const checks::LinearSizes& s) {
    cuda::ConvInput<X> input;
    input.x = x;
    input.w = input.out_w = static_cast<int>(s.rows);
    input.first = static_cast<int>(s.in);
    input.out = static_cast<int>(s.out);
    return input;
  }

  /// x in the type of a product: itself, or a rounded copy in working memory.
  template <typename X>
  const void* operand(const X* x, int64_t count, cuda::lt::DataType type) {
    const auto rounded = [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_same_v<T, X>) return static_cast<const void*>(x);
      T* to = scratch_.take<T>(kOperand, count);
      cuda::map("convert", x, to, count, count, cuda::Convert{}, stream_.get());
      return static_cast<const void*>(to);
    };
    switch (type) {
      case cuda::lt::kF32:
        return x;
      case cuda::lt::kF16:
        return rounded(cuda::f16{});
      case cuda::lt::kBf16:
        return rounded(cuda::bf16{});
      case cuda::lt::kE4m3:
        return rounded(cuda::e4m3{});
    }
    return nullptr;
  }

  /// What the library multiplies these weights as. cuBLASLt takes e4m3 in multiples of 16.
  std::optional<cuda::lt::DataType> product_type(const CudaLinear& weights,
                                                 const checks::LinearSizes& s) const {
    if (weights.is_fp8()) {
      if (!multiplies_fp8_ || s.in % 16 != 0 || s.out % 16 != 0) return std::nullopt;
      return cuda::lt::kE4m3;
    }
    if (precision_ == CudaPrecision::f32) return cuda::lt::kF32;
    return precision_ == CudaPrecision::f16 ? cuda::lt::kF16 : cuda::lt::kBf16;
  }

  /// The product by cuBLASLt with as much of the tail as its epilogues know; the rest follows as a
  /// kernel. False when the library does not take it.
  template <typename X, typename Y>
  bool product(const CudaLinear& weights, const checks::LinearSizes& s, const X* x,
               cuda::LinearTail<Y> tail, Y* y) {
    using cuda::lt::DataType;
    const std::optional<DataType> type = product_type(weights, s);
    if (!type) return false;
    const DataType out_type = std::is_same_v<Y, float> ? cuda::lt::kF32 : cuda::lt::kBf16;
    const DataType bias_type = weights.is_fp8() ? cuda::lt::kBf16 : out_type;
    // y is the product's first; where it is the residual too, that must be added by the product.
    const bool plain_sum =
        tail.residual != nullptr && tail.gate == nullptr && tail.activation == Activation::none;
    const bool tail_reads_y = static_cast<const void*>(tail.residual) == y && !plain_sum;
    const float* added = nullptr;  // Only f32 has a residual.
    if constexpr (std::is_same_v<Y, float>) added = plain_sum ? tail.residual : nullptr;
    Y* to = tail_reads_y ? scratch_.take<Y>(kBlocks, s.rows * s.out) : y;
    cuda::GemmCall call = {
        *type,
        out_type,
        bias_type,
        s.rows,
        s.in,
        s.out,
        operand(x, s.rows * s.in, *type),
        weights.weight.data(),
        static_cast<const float*>(weights.scale.data()),
        (bias_type == cuda::lt::kF32 ? weights.bias : weights.rounded_bias).data(),
        tail.activation == Activation::gelu_tanh,
        added,
        to};
    if (!gemm_->run(call, stream_.get())) {
      // Not every release has every epilogue for every type.
      if (!std::exchange(call.gelu, false) || !gemm_->run(call, stream_.get())) return false;
    }
    tail.bias = nullptr;
    if (call.gelu) tail.activation = Activation::none;
    if (plain_sum) tail.residual = nullptr;
    if (tail.activation != Activation::none || tail.gate != nullptr || tail.residual != nullptr) {
      cuda::map("linear_tail", to, y, s.rows * s.out, s.out, tail, stream_.get());
    }
    return true;
  }

  cuda::DeviceBuffer workspace_;
  std::optional<cuda::LtGemm> gemm_;
  bool multiplies_fp8_;
};

}  // namespace driftless
