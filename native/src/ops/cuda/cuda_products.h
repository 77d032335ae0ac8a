#pragma once

// Matrix products. But with CudaPrecision::f32 what is f32 in memory is rounded on its way to the
// tensor cores.

#include <algorithm>
#include <array>
#include <map>
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
      : CudaLibrary(options),
        multiplies_fp8_(multiplies_fp8),
        tries_gates_(options.gated_products) {
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

  bool prepare_gated(const PackedLinear& weights, int64_t rows) override {
    const auto& packed = packed_by_cuda<CudaLinear>(weights);
    if (!gemm_ || !tries_gates_ || packed.is_fp8() || rows < 1) return false;
    const auto [found, fresh] = gates_in_product_.try_emplace({packed.in(), packed.out(), rows});
    if (fresh) try_gated(packed, rows, found->second);
    return found->second;
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
    by_type(x, [&](const auto* tokens) {
      if (y.dtype() == DType::f32) return multiply(tokens, on_device(y));
      multiply(tokens, on_device<std::remove_cv_t<std::remove_pointer_t<decltype(tokens)>>>(y));
    });
  }

 private:
  template <typename X, typename Y>
  void linear_of(const CudaLinear& packed, const checks::LinearSizes& s, const X* x,
                 cuda::LinearTail<Y> tail, Y* y) {
    if (gemm_ && s.in > 0 && product(packed, s, x, tail, y)) return;
    const cudaStream_t stream = stream_.get();
    if constexpr (!std::is_same_v<X, cuda::f16> && !std::is_same_v<Y, cuda::f16>) {
      if (packed.is_fp8()) {
        tail.scale = static_cast<const float*>(packed.scale.data());
        const void* tokens = operand(x, s.rows * s.in, cuda::lt::kBf16);
        const auto* weight = static_cast<const cuda::e4m3*>(packed.weight.data());
        const auto rows = rows_of(static_cast<const cuda::bf16*>(tokens), s);
        return cuda::convolve_e4m3(rows, weight, tail, y, stream);
      }
    }
    cuda::convolve(precision_, rows_of(x, s), packed.weight.data(), tail, y, stream);
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
    return precision_ == CudaPrecision::f32 ? cuda::lt::kF32 : narrow_type();
  }
  cuda::lt::DataType narrow_type() const {
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
    if constexpr (std::is_same_v<Y, float>) {
      if (gated_product(weights, s, *type, x, tail, y)) return true;
    }
    const DataType out_type = std::is_same_v<Y, float> ? cuda::lt::kF32 : narrow_type();
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

  /// The product with gate and residual in its epilogue, where that was found to be better. False:
  /// nothing is done.
  template <typename X>
  bool gated_product(const CudaLinear& weights, const checks::LinearSizes& s,
                     cuda::lt::DataType type, const X* x, const cuda::LinearTail<float>& tail,
                     float* y) {
    if (tail.gate == nullptr || tail.activation != Activation::none) return false;
    const auto found = gates_in_product_.find({s.in, s.out, tail.rows_per_gate});
    if (found == gates_in_product_.end() || !found->second) return false;
    const cuda::GemmGate gate = {tail.gate, tail.gate_stride, s.rows / tail.rows_per_gate};
    const float* bias = nullptr;
    if (tail.bias != nullptr) {
      // The library's gate is a factor of the sums alone.
      auto* gated = scratch_.take<float>(kGatedBias, gate.groups * s.out);
      cuda::gated_bias(gate.vectors, gate.stride, gate.groups, tail.bias, s.out, gated,
                       stream_.get());
      bias = gated;
    }
    const cuda::GemmCall call = {type,
                                 cuda::lt::kF32,
                                 cuda::lt::kF32,
                                 s.rows,
                                 s.in,
                                 s.out,
                                 operand(x, s.rows * s.in, type),
                                 weights.weight.data(),
                                 nullptr,
                                 bias,
                                 false,
                                 tail.residual,
                                 y,
                                 gate};
    return gemm_->run(call, stream_.get());
  }

  /// Has the library multiply random tokens in both ways; `better` becomes true where that with the
  /// gate in the product says the same, clearly sooner, for one gate and for four.
  void try_gated(const CudaLinear& weights, int64_t rows, bool& better) {
    constexpr int64_t kMost = 4;
    const Shape in{kMost * rows, weights.in()}, out{kMost * rows, weights.out()};
    const Shape gates{kMost, weights.out()};
    const auto bytes = static_cast<size_t>(2 * in.count() + 3 * out.count() + gates.count());
    try {
      Arena arena(bytes * sizeof(float) + 6 * Arena::rounded(1), 0, memory_);
      uint64_t noises = 0;
      const auto noise = [&](const Shape& shape) {
        const Tensor values = arena.tensor(shape);
        normal_noise(kTrialSeed, ++noises, 0, values);
        return values;
      };
      const Tensor x = arena.tensor(in, token_dtype()), gate = noise(gates), before = noise(out);
      convert(noise(in), x);
      const Tensor own = arena.tensor(out), theirs = arena.tensor(out);
      copy(before, own);
      copy(before, theirs);
      const auto run = [&](bool in_product, int64_t groups, const Tensor& all) {
        better = in_product;
        const Tensor y = all.slice(0, groups * rows);
        const GroupVectors vectors{gate.f32_address(), groups, weights.out()};
        linear(weights, x.slice(0, groups * rows), y, {Activation::none, y, vectors});
      };
      run(false, kMost, own);
      run(true, kMost, theirs);
      bool is_better = alike(own.f32_address(), theirs.f32_address(), own.count());
      for (const int64_t groups : {int64_t{1}, kMost}) {
        const auto timed = [&](bool in_product) {
          return seconds([&] { run(in_product, groups, own); });
        };
        const double ours = timed(false);
        is_better = is_better && timed(true) <= kMostShare * ours;
      }
      better = is_better;
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {
      // Not of the library's kinds after all, or no room to try it.
      better = false;
    }
  }

  cuda::DeviceBuffer workspace_;
  std::optional<cuda::LtGemm> gemm_;
  bool multiplies_fp8_, tries_gates_;
  /// By inputs, outputs and rows of a gate: whether the gate is the product's.
  std::map<std::array<int64_t, 3>, bool> gates_in_product_;
};

}  // namespace driftless
