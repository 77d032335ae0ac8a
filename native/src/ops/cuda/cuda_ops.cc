// The backend: arguments checked as for every backend, then launches on one stream. Compiled by
// nvcc in a CUDA build, and by the host's compiler against the emulation in the tests.
//
// Activations are f32 in memory, as ops.h has it. With CudaPrecision::bf16 or f16 the operands of
// matrix products, convolutions and attention are rounded on their way to the tensor cores.

#include "ops/cuda/cuda_ops.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "ops/checks.h"
#include "ops/cuda/attention.cuh"
#include "ops/cuda/conv.cuh"
#include "ops/cuda/cublaslt_gemm.h"
#include "ops/cuda/cuda_weights.h"
#include "ops/cuda/device_memory.h"
#include "ops/cuda/noise.cuh"
#include "ops/cuda/norm.cuh"
#include "ops/cuda/pixels.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/ring.cuh"
#include "ops/cuda/rope.cuh"
#include "ops/cuda/sink.cuh"

namespace driftless {

namespace {

using cuda::DeviceBuffer;

/// The numbered pieces of working memory.
enum Scratch : size_t { kOperand, kPositions, kTables, kSums, kBlocks, kMeans, kRings, kPlans };

/// A pointer that kernels may use. Throws Error for memory that only the host can reach.
template <typename T = float>
T* on_device(const Tensor& tensor) {
  if (!tensor.present()) return nullptr;
  DL_CHECK(tensor.memory() != Memory::host, "tensor of a CUDA operation",
           "device or unified memory", "host memory");
  return static_cast<T*>(tensor.data());
}

class CudaOps : public Ops {
 public:
  explicit CudaOps(const CudaOptions& options)
      : precision_(options.precision),
        memory_(cuda_memory(options.device)),
        stream_(options.device) {
    if (options.cublaslt != nullptr) {
      workspace_ = DeviceBuffer(options.workspace_bytes);
      gemm_.emplace(*options.cublaslt, workspace_.data(), workspace_.bytes());
    }
  }
  const char* name() const override { return "cuda"; }
  DType kv_dtype() const override {
    return precision_ == CudaPrecision::bf16 ? DType::bf16 : DType::f32;
  }
  DType dtype() const override {
    return precision_ == CudaPrecision::f32 ? DType::f32 : DType::bf16;
  }

  const MemorySource& memory() const override { return memory_; }
  Arena& arena() override { return device_arena_; }
  Arena& host_arena() override { return Ops::arena(); }

  void copy(const Tensor& from, const Tensor& to) override {
    checks::copy(from, to);
    if (from.bytes() == 0) return;
    const bool to_host = to.memory() == Memory::host;
    const cudaMemcpyKind kind = from.memory() == Memory::host ? cudaMemcpyHostToDevice
                                : to_host                     ? cudaMemcpyDeviceToHost
                                                              : cudaMemcpyDeviceToDevice;
    if (from.memory() == Memory::host && to_host) return Ops::copy(from, to);
    // From pageable memory the call returns when the bytes have been staged.
    cuda::check(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), kind, stream_.get()), "copy");
    if (to_host) cuda::check(cudaStreamSynchronize(stream_.get()), "copy");
  }

  void convert(const Tensor& x, const Tensor& y) override {
    checks::convert(x, y, kv_dtype());
    if (y.dtype() == DType::f32) return copy(x, y);
    cuda::map("convert", on_device(x), on_device<cuda::bf16>(y), x.count(), x.count(),
              cuda::Convert{}, stream_.get());
  }

  void clear(const Tensor& x) override {
    if (x.memory() == Memory::host) return Ops::clear(x);
    cuda::check(cudaMemsetAsync(x.data(), 0, x.bytes(), stream_.get()), "clear");
  }

  void wait() override { cuda::check(cudaStreamSynchronize(stream_.get()), "wait"); }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias) override {
    checks::pack_linear(weight, bias);
    return std::make_unique<CudaLinear>(weight, bias, precision_, stream_.get());
  }

  void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
              const LinearEpilogue& epilogue) override {
    const auto s = checks::linear(weights, x, y, epilogue);
    const auto& packed = packed_by_cuda<CudaLinear>(weights);
    if (s.rows == 0 || s.out == 0) return;
    cuda::LinearTail<float> tail;
    tail.bias = static_cast<const float*>(packed.bias.data());
    tail.activation = epilogue.activation;
    tail.gate = epilogue.gate.data;
    tail.gate_stride = epilogue.gate.stride;
    tail.rows_per_gate = std::max<int64_t>(1, s.gate_rows);
    tail.residual = on_device(epilogue.residual);
    tail.width = s.out;
    if (gemm_ && s.in > 0 && product(packed, s, on_device(x), tail, on_device(y))) return;
    cuda::ConvInput<float> input;
    input.x = on_device(x);
    input.w = input.out_w = static_cast<int>(s.rows);
    input.first = static_cast<int>(s.in);
    input.out = static_cast<int>(s.out);
    convolve(input, packed.weight, tail, on_device(y));
  }

  std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                        const ConvOptions& options) override {
    checks::pack_conv(weight, bias, options);
    return std::make_unique<CudaConv>(weight, bias, options, precision_, stream_.get());
  }

  void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2, const Tensor& residual,
              Activation activation, const Tensor& y) override {
    const auto s = checks::conv2d(weights, x, x2, residual, activation, y);
    const auto& packed = packed_by_cuda<CudaConv>(weights);
    cuda::ConvInput<float> input;
    input.x = on_device(x);
    input.x2 = on_device(x2);
    input.n = s.n;
    input.h = static_cast<int>(s.h);
    input.w = static_cast<int>(s.w);
    input.out_h = static_cast<int>(s.out_h);
    input.out_w = static_cast<int>(s.out_w);
    input.first = static_cast<int>(s.first);
    input.second = static_cast<int>(s.second);
    input.out = static_cast<int>(s.out);
    input.kernel = static_cast<int>(weights.kernel());
    input.stride = weights.options().stride;
    input.up = weights.options().upsample2 ? 2 : 1;
    convolve(input, packed.weight,
             cuda::ConvTail<float>{static_cast<const float*>(packed.bias.data()),
                                   on_device(residual), activation, s.out},
             on_device(y));
  }

  void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                 float scale) override {
    checks::attention(rows, count, heads, head_dim, kv_dtype());
    switch (precision_) {
      case CudaPrecision::f32:
        return attend<float>(rows, count, heads, head_dim, scale);
      case CudaPrecision::bf16:
        return attend<cuda::bf16>(rows, count, heads, head_dim, scale);
      case CudaPrecision::f16:
        return attend<cuda::f16>(rows, count, heads, head_dim, scale);
    }
  }

  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupVectors& scale, const GroupVectors& shift, float eps,
                  const Tensor& y) override {
    const auto s = checks::layer_norm(x, weight, bias, scale, shift, y);
    cuda::Modulation modulation;
    if (scale.data != nullptr) {
      modulation = {scale.data, shift.data, scale.stride, shift.stride,
                    std::max<int64_t>(1, s.rows / scale.groups)};
    }
    cuda::layer_norm(on_device(x), on_device(weight), on_device(bias), modulation, eps, s.rows,
                     static_cast<int>(s.width), on_device(y), stream_.get());
  }

  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    const auto s = checks::rms_norm(x, weight, y);
    cuda::rms_norm(on_device(x), on_device(weight), eps, s.rows, static_cast<int>(s.width),
                   on_device(y), stream_.get());
  }

  void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
              const Tensor& y) override {
    rotate(checks::rope3d(x, height, width, y), on_device(x), positions, on_device(y));
  }

  // A grid of one token has no rotation but the temporal one.
  void rope_time(const Tensor& x, const double* positions, const Tensor& y) override {
    checks::RopeSizes s = checks::rope_time(x, y, kv_dtype());
    s.heads *= x.dim(1);
    s.height = s.width = 1;
    if (x.dtype() == DType::f32) return rotate(s, on_device(x), positions, on_device(y));
    rotate(s, on_device<cuda::bf16>(x), positions, on_device<cuda::bf16>(y));
  }

  template <typename T>
  void rotate(const checks::RopeSizes& s, const T* x, const double* positions, T* y) {
    cuda::RopeTables tables = cuda::rope_split(static_cast<int>(s.head_dim));
    const int64_t t = s.frames * s.pairs_t, h = s.height * s.pairs_h, w = s.width * s.pairs_w;
    auto* memory = scratch_.take<cuda::Rotation>(kTables, t + h + w);
    tables.t = memory;
    tables.h = memory + t;
    tables.w = memory + t + h;
    const double* at = upload_doubles(positions, s.frames);
    const auto fill = [&](const double* from, int64_t count, int64_t pairs, cuda::Rotation* to) {
      cuda::rope_table(from, static_cast<int>(count), static_cast<int>(pairs), to, stream_.get());
    };
    fill(at, s.frames, s.pairs_t, memory);
    fill(nullptr, s.height, s.pairs_h, memory + t);
    fill(nullptr, s.width, s.pairs_w, memory + t + h);
    cuda::rope3d(x, tables, s.frames, static_cast<int>(s.height), static_cast<int>(s.width),
                 static_cast<int>(s.heads), static_cast<int>(s.head_dim), y, stream_.get());
  }

  void append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
                       int64_t height, int64_t width, const RingRow* rows, int64_t count) override {
    const auto s = checks::append_to_rings(q, k, v, norms, height, width, rows, count, kv_dtype());
    const cuda::RopeTables rope = grid_tables(s, height, width);
    if (rows[0].ring.k.dtype() == DType::f32) {
      return append<float>(q, k, v, norms, width, rope, s, rows, count);
    }
    append<cuda::bf16>(q, k, v, norms, width, rope, s, rows, count);
  }

  /// Tables of the positions in a ring and of a grid, kept from call to call.
  cuda::RopeTables grid_tables(const checks::RingSizes& s, int64_t height, int64_t width) {
    cuda::RopeTables tables = cuda::rope_split(static_cast<int>(s.head_dim));
    const int64_t t = int64_t{s.slots} * tables.pairs_t, h = height * tables.pairs_h;
    const int64_t w = width * tables.pairs_w;
    DeviceBuffer& kept = grid_tables_[{s.slots, height, width, s.head_dim}];
    const bool fresh = kept.data() == nullptr;
    if (fresh) kept = DeviceBuffer(static_cast<size_t>(t + h + w) * sizeof(cuda::Rotation));
    auto* memory = static_cast<cuda::Rotation*>(kept.data());
    tables.t = memory;
    tables.h = memory + t;
    tables.w = memory + t + h;
    if (fresh) {
      const auto fill = [&](int64_t n, int pairs, cuda::Rotation* to) {
        cuda::rope_table(nullptr, static_cast<int>(n), pairs, to, stream_.get());
      };
      fill(s.slots, tables.pairs_t, memory);
      fill(height, tables.pairs_h, memory + t);
      fill(width, tables.pairs_w, memory + t + h);
    }
    return tables;
  }

  template <typename Ring>
  void append(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
              int64_t width, const cuda::RopeTables& rope, const checks::RingSizes& s,
              const RingRow* rows, int64_t count) {
    // One upload for what changes from chunk to chunk.
    const auto n = static_cast<size_t>(count);
    std::vector<uint64_t> list(4 * n);
    for (size_t r = 0; r < n; ++r) {
      list[r] = static_cast<uint64_t>(rows[r].frames);
      list[n + r] = reinterpret_cast<uint64_t>(on_device<Ring>(rows[r].ring.k));
      list[2 * n + r] = reinterpret_cast<uint64_t>(on_device<Ring>(rows[r].ring.v));
      list[3 * n + r] = reinterpret_cast<uint64_t>(on_device<Ring>(rows[r].rotated));
    }
    auto* there = scratch_.take<uint64_t>(kRings, 4 * count);
    cuda::check(cudaMemcpyAsync(there, list.data(), list.size() * sizeof(uint64_t),
                                cudaMemcpyHostToDevice, stream_.get()),
                "upload of rings");
    auto* plans = scratch_.take<cuda::RingPlan>(kPlans, count);
    const auto* frames = reinterpret_cast<const int64_t*>(there);
    auto* const* pointers = reinterpret_cast<Ring* const*>(there);
    const int amount = static_cast<int>(count), tokens = static_cast<int>(s.tokens);
    const int heads = static_cast<int>(s.heads), head_dim = static_cast<int>(s.head_dim);
    const RingPlace place{s.slots, s.sinks};
    cuda::plan_rings(frames, amount, place, tokens, plans, stream_.get());
    const cuda::RingAppend<float, Ring> chunk = {on_device(q),
                                                 on_device(k),
                                                 on_device(v),
                                                 on_device(norms.q),
                                                 on_device(norms.k),
                                                 pointers + count,
                                                 pointers + 2 * count,
                                                 plans,
                                                 rope,
                                                 tokens,
                                                 static_cast<int>(width),
                                                 heads,
                                                 head_dim,
                                                 norms.eps};
    cuda::norm_rope_append(chunk, amount, stream_.get());
    const cuda::RingRead<Ring> read = {
        pointers + count, pointers + 3 * count, frames, place, tokens, rope, heads, head_dim};
    cuda::read_keys(read, amount, stream_.get());
  }

  void refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v, int64_t leaving,
                    float threshold) override {
    const auto s = checks::refresh_sink(ring, k, v, leaving, kv_dtype());
    if (ring.sinks == 0 || s.rows == 0) return;
    if (ring.k.dtype() == DType::f32) return refresh<float>(ring, k, v, s, leaving, threshold);
    refresh<cuda::bf16>(ring, k, v, s, leaving, threshold);
  }

  template <typename T>
  void refresh(const RingLayer& ring, const Tensor& k, const Tensor& v, const checks::RowSizes& s,
               int64_t leaving, float threshold) {
    auto* means = scratch_.take<float>(kMeans, 2 * (ring.sinks + 1) * s.width);
    cuda::SinkRing<T> sinks = {on_device<T>(ring.k), on_device<T>(ring.v), s.rows * s.width,
                               static_cast<int>(ring.sinks)};
    cuda::refresh_sink(sinks, on_device(k), on_device(v), s.rows, s.width,
                       static_cast<int>(leaving), threshold, means, scratch_.take<int>(kSums, 1),
                       stream_.get());
  }

  void normal_noise(uint64_t seed, uint64_t stream, uint64_t first, const Tensor& y) override {
    cuda::normal_noise(seed, stream, first, y.count(), on_device(y), stream_.get());
  }

  void channel_moments(const Tensor& x, const Tensor& y) override {
    const auto s = checks::channel_moments(x, y);
    cuda::channel_moments(on_device(x), s.rows, static_cast<int>(s.width), on_device(y),
                          stream_.get());
  }

  void copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y,
                     int64_t to) override {
    const auto s = checks::copy_channels(x, from, count, y, to);
    cuda::copy_channels(on_device(x) + from, s.in, on_device(y) + to, s.out, s.rows, count,
                        stream_.get());
  }

  void timestep_embedding(const double* t, const Tensor& y) override {
    const auto s = checks::timestep_embedding(y);
    cuda::timestep_embedding(upload_doubles(t, s.rows), s.rows, static_cast<int>(s.width / 2),
                             on_device(y), stream_.get());
  }

  void mean_rows(const Tensor& x, const Tensor& y) override {
    const auto s = checks::mean_rows(x, y);
    cuda::mean_rows(on_device(x), s.rows, s.width, on_device(y), stream_.get());
  }

  void activate(Activation activation, const Tensor& x, const Tensor& y) override {
    const int64_t count = checks::same_shape("activate", x, y);
    cuda::map("activate", on_device(x), on_device(y), count, count, cuda::Activate{activation},
              stream_.get());
  }

  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override {
    const int64_t count = checks::same_shape("tanh_clamp", x, y);
    cuda::map("tanh_clamp", on_device(x), on_device(y), count, count, cuda::TanhClamp{limit},
              stream_.get());
  }

  void clamp(const Tensor& x, float low, float high, const Tensor& y) override {
    const int64_t count = checks::same_shape("clamp", x, y);
    cuda::map("clamp", on_device(x), on_device(y), count, count, cuda::Clamp{low, high},
              stream_.get());
  }

  void axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) override {
    const int64_t count = checks::same_shape("axpby", x, y);
    checks::same_shape("axpby", x, out);
    cuda::map("axpby", on_device(x), on_device(out), count, count,
              cuda::Axpby<float>{a, b, on_device(y)}, stream_.get());
  }

  void affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                       const Tensor& y) override {
    const auto s = checks::affine_channels(x, scale, shift, y);
    cuda::map("affine_channels", on_device(x), on_device(y), s.rows * s.width, s.width,
              cuda::AffineChannels{on_device(scale), on_device(shift), s.width}, stream_.get());
  }

  void mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) override {
    const auto s = checks::mix_channels(x, matrix, y);
    cuda::mix_channels(on_device(x), on_device(matrix), s.rows, static_cast<int>(s.in),
                       static_cast<int>(s.out), on_device(y), stream_.get());
  }

  double mean_square_difference(const Tensor& a, const Tensor& b) override {
    const int64_t count = checks::same_shape("mean_square_difference", a, b);
    if (count == 0) return 0.0;
    double sums[cuda::kDifferenceBlocks];
    auto* device_sums = scratch_.take<double>(kSums, cuda::kDifferenceBlocks);
    cuda::square_differences(on_device(a), on_device(b), count, device_sums, stream_.get());
    cuda::check(
        cudaMemcpyAsync(sums, device_sums, sizeof sums, cudaMemcpyDeviceToHost, stream_.get()),
        "mean_square_difference");
    cuda::check(cudaStreamSynchronize(stream_.get()), "mean_square_difference");
    double total = 0.0;
    for (double sum : sums) total += sum;
    return total / static_cast<double>(count);
  }

  void upsample2(const Tensor& x, const Tensor& y) override {
    const auto s = checks::upsample2(x, y);
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
    const auto s = checks::pixel_unshuffle(x, y);
    cuda::gather("pixel_unshuffle", on_device(x), on_device(y), y.count(),
                 cuda::UnshuffleMap{static_cast<int>(s.h), static_cast<int>(s.w),
                                    static_cast<int>(s.c), static_cast<int>(s.scale)},
                 stream_.get());
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
    const auto s = checks::frames_to_channels(x, y);
    runs("frames_to_channels", x, y, s.c, [&](int64_t c) {
      return cuda::FramesToChannelsMap{s.h * s.w, static_cast<int>(c), static_cast<int>(s.frames)};
    });
  }

  void channels_to_frames(const Tensor& x, const Tensor& y) override {
    const auto s = checks::frames_to_channels(y, x);
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
  /// Copied before the call returns (pageable memory is staged), without waiting for the stream.
  const double* upload_doubles(const double* values, int64_t count) {
    auto* to = scratch_.take<double>(kPositions, count);
    cuda::check(cudaMemcpyAsync(to, values, static_cast<size_t>(count) * sizeof(double),
                                cudaMemcpyHostToDevice, stream_.get()),
                "upload of positions");
    return to;
  }

  template <typename MakeMap>
  void runs(const char* name, const Tensor& x, const Tensor& y, int64_t c, const MakeMap& make) {
    cuda::gather_runs(
        name, on_device(x), on_device(y), y.count(), c, [&](int wide) { return make(c / wide); },
        stream_.get());
  }

  template <typename Tail>
  void convolve(const cuda::ConvInput<float>& input, const DeviceBuffer& weight, const Tail& tail,
                float* y) {
    switch (precision_) {
      case CudaPrecision::f32:
        return cuda::conv_plain(input, static_cast<const float*>(weight.data()), tail, y,
                                stream_.get());
      case CudaPrecision::bf16:
        return cuda::conv_mma(input, static_cast<const cuda::bf16*>(weight.data()), tail, y,
                              stream_.get());
      case CudaPrecision::f16:
        return cuda::conv_mma(input, static_cast<const cuda::f16*>(weight.data()), tail, y,
                              stream_.get());
    }
  }

  /// x in the precision of the products: itself, or a rounded copy in working memory.
  const void* operand(const float* x, int64_t count) {
    const auto rounded = [&](auto zero) {
      using T = decltype(zero);
      T* to = scratch_.take<T>(kOperand, count);
      cuda::map("convert", x, to, count, count, cuda::Convert{}, stream_.get());
      return static_cast<const void*>(to);
    };
    if (precision_ == CudaPrecision::bf16) return rounded(cuda::bf16{});
    if (precision_ == CudaPrecision::f16) return rounded(cuda::f16{});
    return x;
  }

  /// The product by cuBLASLt with as much of the tail as its epilogues know; the rest follows as a
  /// kernel. False when the library does not take these sizes.
  bool product(const CudaLinear& weights, const checks::LinearSizes& s, const float* x,
               cuda::LinearTail<float> tail, float* y) {
    static constexpr cuda::lt::DataType kTypes[] = {cuda::lt::kF32, cuda::lt::kBf16,
                                                    cuda::lt::kF16};
    // y is the product's first; where it is the residual too, that must be added by the product.
    const bool plain_sum =
        tail.residual != nullptr && tail.gate == nullptr && tail.activation == Activation::none;
    const bool tail_reads_y = tail.residual == y && !plain_sum;
    float* to = tail_reads_y ? scratch_.take<float>(kBlocks, s.rows * s.out) : y;
    const bool gelu = tail.activation == Activation::gelu_tanh;
    const cuda::GemmCall call = {kTypes[static_cast<int>(precision_)],
                                 s.rows,
                                 s.in,
                                 s.out,
                                 operand(x, s.rows * s.in),
                                 weights.weight.data(),
                                 tail.bias,
                                 gelu,
                                 plain_sum ? tail.residual : nullptr,
                                 to};
    if (!gemm_->run(call, stream_.get())) return false;
    tail.bias = nullptr;
    if (gelu) tail.activation = Activation::none;
    if (plain_sum) tail.residual = nullptr;
    if (tail.activation != Activation::none || tail.gate != nullptr || tail.residual != nullptr) {
      cuda::map("linear_tail", to, y, s.rows * s.out, s.out, tail, stream_.get());
    }
    return true;
  }

  template <typename T>
  void attend(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
              float scale) {
    const int64_t width = heads * head_dim;
    std::vector<cuda::AttentionBlock<T>> blocks(static_cast<size_t>(count));
    // What is not of type T yet is rounded into working memory.
    const auto foreign = [](DType dtype) {
      return !std::is_same_v<T, float> && dtype == DType::f32;
    };
    int64_t most = 0, values = 0;
    for (int64_t i = 0; i < count; ++i) {
      most = std::max(most, rows[i].queries);
      values += (rows[i].queries + (foreign(rows[i].kv_dtype) ? 2 * rows[i].keys : 0)) * width +
                3 * kAlign;
    }
    T* next = foreign(DType::f32) ? scratch_.take<T>(kBlocks, values) : nullptr;
    const auto as_t = [&](const void* from, DType dtype, int64_t tokens) -> T* {
      if (!foreign(dtype)) return static_cast<T*>(const_cast<void*>(from));
      T* to = next;
      next += (tokens * width + kAlign - 1) / kAlign * kAlign;
      cuda::map("convert", static_cast<const float*>(from), to, tokens * width, width,
                cuda::Convert{}, stream_.get());
      return to;
    };
    for (int64_t i = 0; i < count; ++i) {
      cuda::AttentionBlock<T>& block = blocks[static_cast<size_t>(i)];
      const AttentionRow& row = rows[i];
      T* q = as_t(row.q, DType::f32, row.queries);
      block = {q,      as_t(row.k, row.kv_dtype, row.keys), as_t(row.v, row.kv_dtype, row.keys),
               q,      static_cast<int>(row.queries),       static_cast<int>(row.keys),
               nullptr};
      if constexpr (std::is_same_v<T, float>) block.out = row.out;
    }
    cuda::attention(blocks.data(), static_cast<int>(count), static_cast<int>(most),
                    static_cast<int>(heads), static_cast<int>(head_dim), scale, stream_.get());
    if constexpr (!std::is_same_v<T, float>) {
      for (int64_t i = 0; i < count; ++i) {
        cuda::map("convert", blocks[static_cast<size_t>(i)].q, rows[i].out, rows[i].queries * width,
                  width, cuda::Convert{}, stream_.get());
      }
    }
  }

  static constexpr int64_t kAlign = 8;  // Elements of 16 bits in 16 bytes.

  CudaPrecision precision_;
  const MemorySource& memory_;
  cuda::Stream stream_;  // First, so that it outlives everything that is freed on it.
  cuda::StreamScratch scratch_{stream_.get()};
  Arena device_arena_{size_t{16} << 20, 0, memory_};
  DeviceBuffer workspace_;
  std::map<std::array<int64_t, 4>, DeviceBuffer> grid_tables_;  // By slots, grid and head size.
  std::optional<cuda::LtGemm> gemm_;
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
  return std::make_unique<CudaOps>(options);
}

std::unique_ptr<Ops> make_cuda_ops(int device, const std::string& dtype) {
  CudaOptions options;
  options.device = device;
  DL_CHECK(dtype == "f32" || dtype == "bf16" || dtype == "auto", "compute dtype",
           "\"auto\", \"f32\" or \"bf16\"", "\"" + dtype + "\"");
  options.precision = dtype == "f32" ? CudaPrecision::f32 : CudaPrecision::bf16;
  cuda::lt::Api api = {};
  if (inspect_cuda().cublaslt_problem.empty()) {
    api = cuda::lt::load_api();
    options.cublaslt = &api;
  }
  return make_cuda_ops(options);
}

}  // namespace driftless
