#pragma once

// Matrix products and convolutions. With CudaPrecision::bf16 or f16 what is f32 in
// memory is rounded on its way to the tensor cores.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "ops/cuda/convolution.h"
#include "ops/cuda/cublaslt_gemm.h"
#include "ops/cuda/cuda_base.h"
#include "ops/cuda/cuda_weights.h"
#include "ops/cuda/cudnn_convolution.h"

namespace driftless {

class CudaProducts : public CudaBase {
 public:
  /// multiplies_fp8: whether the device multiplies e4m3 (compute capability 8.9 and newer).
  CudaProducts(const CudaOptions& options, bool multiplies_fp8)
      : CudaBase(options),
        multiplies_fp8_(multiplies_fp8),
        clock_(options.clock != nullptr ? options.clock : steady_seconds) {
    if (options.cublaslt != nullptr) {
      workspace_ = cuda::DeviceBuffer(options.workspace_bytes);
      gemm_.emplace(*options.cublaslt, workspace_.data(), workspace_.bytes());
    }
    if (options.cudnn == nullptr || token_dtype() != DType::bf16) return;
    try {
      library_.emplace(*options.cudnn, stream_.get());
    } catch (const Error&) {
      // Our own kernels do without it.
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

  void try_libraries(TaskRef work) override {
    if (!library_) return;
    const struct Trial {
      bool& trying;
      explicit Trial(bool& flag) : trying(flag) { trying = true; }
      ~Trial() { trying = false; }
    } trial(trying_);
    work(0);
  }

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

 protected:
  /// cuDNN's plan for a size, where `is_better(plan)` says so.
  template <typename Plan, typename Size, typename Judge>
  std::unique_ptr<Plan> tried(const Size& size, const Judge& is_better) {
    try {
      const cuda::DnnTarget target{library_->handle()};
      auto plan = std::make_unique<Plan>(library_->api(), size, target);
      return is_better(*plan) ? std::move(plan) : nullptr;
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {
      // No engine for the size, or no room to try it: our own kernel needs neither.
      return nullptr;
    }
  }

  void* workspace_of(const cuda::DnnPlan& plan) {
    const size_t bytes = plan.workspace_bytes();
    return bytes == 0 ? nullptr : scratch_.take(kLibraryWorkspace, bytes);
  }

  /// What one run takes.
  template <typename Run>
  double seconds(const Run& run) {
    wait();
    const double start = clock_();
    for (int i = 0; i < kTrialRuns; ++i) run();
    wait();
    return (clock_() - start) / kTrialRuns;
  }

  static constexpr int kTrialRuns = 5;
  /// Of our own kernel's time.
  static constexpr double kMostShare = 0.9;
  /// Of the mean square of what ours says; roundings make up a tenth of it.
  static constexpr double kMostDifference = 1e-4;

  std::optional<cuda::DnnLibrary> library_;  // Before the plans that it made.

 private:
  using ConvolutionPlan = cuda::DnnConvolutionPlan;

  /// Starts the convolution as cuDNN's where that proved itself for the size; false: it is ours.
  template <typename Y>
  bool by_library(const CudaConv& packed, const cuda::ConvInput<cuda::bf16>& input,
                  const cuda::LinearTail<Y>& tail, Y* y) {
    const bool plain = input.second == 0 && input.up == 1 && input.phases == 1;
    if (!library_ || !plain || input.first % 8 != 0 || input.out % 8 != 0) return false;
    const cuda::bf16* x = input.x;
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
                                        std::is_same_v<Y, float>};
    const ConvolutionPlan* plan = convolutions_.find(size);
    if (plan == nullptr && trying_ && !convolutions_.knows(size)) {
      plan = convolutions_.keep(size, tried<ConvolutionPlan>(size, [&](const auto& made) {
                                  return is_better(made, packed, input, tail);
                                }));
    }
    if (plan != nullptr) start(*plan, x, packed, tail, y);
    return plan != nullptr;
  }

  template <typename Y>
  void start(const ConvolutionPlan& plan, const cuda::bf16* x, const CudaConv& packed,
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
  template <typename Y>
  bool is_better(const ConvolutionPlan& plan, const CudaConv& packed,
                 cuda::ConvInput<cuda::bf16> input, cuda::LinearTail<Y> tail) {
    const cuda::ConvolutionSize& size = plan.size();
    const int64_t frame = size.h * size.w * size.in, values = size.out_values();
    const int64_t in_values = (size.frames - 1 + size.n) * frame;
    const auto out_bytes = static_cast<size_t>(values) * sizeof(Y);
    const cuda::DeviceBuffer x(static_cast<size_t>(in_values) * sizeof(cuda::bf16));
    const cuda::DeviceBuffer residual(size.residual ? out_bytes : 0), own(out_bytes),
        theirs(out_bytes);
    Arena pieces(static_cast<size_t>(2 * kPiece) * sizeof(float) + 256, 0, memory_);
    const auto in_pieces = [&](int64_t count, const auto& visit) {
      for (int64_t from = 0; from < count; from += kPiece) {
        const ArenaScope scope(pieces);
        visit(from, std::min(kPiece, count - from));
      }
    };
    uint64_t noise_stream = 0;
    const auto fill = [&](auto* to, int64_t count) {
      in_pieces(count, [&](int64_t from, int64_t part) {
        const Tensor noise = pieces.tensor({part});
        normal_noise(kTrialSeed, ++noise_stream, 0, noise);
        cuda::map("convert", on_device(noise), to + from, part, part, cuda::Convert{},
                  stream_.get());
      });
    };
    auto* pictures = static_cast<cuda::bf16*>(x.data());
    auto *ours = static_cast<Y*>(own.data()), *library = static_cast<Y*>(theirs.data());
    fill(pictures, in_values);
    if (size.residual) fill(static_cast<Y*>(residual.data()), values);
    tail.residual = size.residual ? static_cast<const Y*>(residual.data()) : nullptr;
    input.x = pictures + (size.frames - 1) * frame;
    if (size.frames > 1) input.past = pictures;
    const auto by_us = [&] {
      cuda::convolve(precision_, input, packed.weight.data(), tail, ours, stream_.get());
    };
    const auto by_them = [&] { start(plan, pictures, packed, tail, library); };
    by_us();
    by_them();
    double difference = 0, square = 0;
    in_pieces(values, [&](int64_t from, int64_t part) {
      const Tensor a = pieces.tensor({part}), b = pieces.tensor({part});
      cuda::map("convert", ours + from, on_device(a), part, part, cuda::Convert{}, stream_.get());
      cuda::map("convert", library + from, on_device(b), part, part, cuda::Convert{},
                stream_.get());
      difference += mean_square_difference(a, b) * static_cast<double>(part);
      clear(b);
      square += mean_square_difference(a, b) * static_cast<double>(part);
    });
    if (!(difference <= kMostDifference * square)) return false;
    return seconds(by_them) <= kMostShare * seconds(by_us);
  }

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
      if constexpr (std::is_same_v<X, cuda::bf16>) {
        if (by_library(packed, input, tail, on_device<Y>(y))) return;
      }
      cuda::convolve(precision_, input, packed.weight.data(), tail, on_device<Y>(y), stream_.get());
    };
    const bool wide = y.dtype() == DType::f32;
    if (x.dtype() == DType::f32) return wide ? convolve(0.0f, 0.0f) : convolve(0.0f, cuda::bf16{});
    wide ? convolve(cuda::bf16{}, 0.0f) : convolve(cuda::bf16{}, cuda::bf16{});
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

  static double steady_seconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
  }

  static constexpr int64_t kPiece = int64_t{1} << 20;
  static constexpr uint64_t kTrialSeed = 2;

  cuda::DeviceBuffer workspace_;
  std::optional<cuda::LtGemm> gemm_;
  cuda::DnnPlans<cuda::ConvolutionSize, ConvolutionPlan> convolutions_;
  bool multiplies_fp8_;
  double (*clock_)();
};

}  // namespace driftless
