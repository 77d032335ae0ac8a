// Checks of attention.cuh and of the convolutions.

#include <vector>

#include "cuda/kernel_check_support.h"
#include "ops/cuda/attention.cuh"
#include "ops/cuda/conv_staged.cuh"

namespace driftless {

namespace {

/// Three rows of different lengths; the second takes its key count from the device. The output is
/// written over the queries.
template <typename T>
KernelResult attention(KernelRun& run) {
  const int64_t heads = run.size("heads"), dim = run.size("head_dim"), offset = run.size("offset");
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  struct Row {
    int64_t queries, keys;
  };
  const Row rows[] = {{run.size("queries"), run.size("keys")},
                      {1, run.size("keys") / 2 + 1},
                      {run.size("queries") / 2 + 1, 1}};
  std::vector<std::unique_ptr<KernelBuffer<T>>> memory;
  std::vector<cuda::AttentionBlock<T>> blocks;
  std::vector<Tensor> expected;
  for (const Row& row : rows) {
    const Tensor q = run.random<T>({row.queries, heads, dim}, run.flag("large") ? 6.0f : 1.0f);
    const Tensor k = run.random<T>({row.keys, heads, dim}),
                 v = run.random<T>({row.keys, heads, dim});
    const Tensor out = run.empty(q.shape());
    const AttentionRow reference = {q.f32(), k.f32(), v.f32(), out.f32(), row.queries, row.keys};
    run.oracle->attention(&reference, 1, heads, dim, scale);
    expected.push_back(out);
    for (const Tensor& tensor : {q, k, v}) {
      memory.push_back(std::make_unique<KernelBuffer<T>>(tensor, offset));
    }
    T* queries = memory[memory.size() - 3]->data();
    blocks.push_back({queries, memory[memory.size() - 2]->data(), memory.back()->data(), queries,
                      static_cast<int>(row.queries), static_cast<int>(row.keys)});
  }
  const KernelBuffer<cuda::AttentionBlock<T>> on_device(static_cast<int64_t>(blocks.size()));
  std::copy(blocks.begin(), blocks.end(), on_device.data());
  cuda::attention(blocks.data(), on_device.data(), static_cast<int>(blocks.size()),
                  static_cast<int>(std::max(rows[0].queries, rows[2].queries)),
                  static_cast<int>(heads), static_cast<int>(dim), scale, nullptr);
  KernelResult worst;
  for (size_t i = 0; i < expected.size(); ++i) {
    // Each weight is rounded to T before the second product, and so is the output; an average may
    // be small beside the values that it is made of.
    const KernelResult result = run.compare(expected[i], *memory[3 * i], 3);
    worst.error = std::max(worst.error, result.error);
    worst.tolerance = result.tolerance;
    worst.hash = worst.hash * 31 + result.hash;
  }
  return worst;
}

/// weight [out, in, k, k] as the kernels want it: [out, k, k, in], in T.
template <typename T>
std::unique_ptr<KernelBuffer<T>> taps_first(const Tensor& weight) {
  const int64_t in = weight.dim(1), taps = weight.dim(2) * weight.dim(3);
  auto packed = std::make_unique<KernelBuffer<T>>(weight.count());
  for (int64_t i = 0; i < weight.count(); ++i) {
    const int64_t o = i / (in * taps), channel = i / taps % in, tap = i % taps;
    packed->data()[(o * taps + tap) * in + channel] = cuda::from_float<T>(weight.f32()[i]);
  }
  return packed;
}

/// The 2x2 kernels of the four phases of a 3x3 kernel [out, in, 3, 3] on an enlarged picture, as
/// [4 * out, in, 2, 2].
Tensor phase_kernels(KernelRun& run, const Tensor& weight) {
  const int64_t out = weight.dim(0), in = weight.dim(1);
  const Tensor phases = run.arena.zeros({4 * out, in, 2, 2});
  for (int64_t phase = 0; phase < 4; ++phase) {
    for (int64_t i = 0; i < weight.count(); ++i) {
      const int64_t o = i / (in * 9), channel = i / 9 % in, tap = i % 9;
      // Row 2y + phase + tap - 1 of the enlarged picture is row y - 1 or y, or y or y + 1.
      const int64_t row = (phase / 2 + tap / 3 + 1) / 2 - phase / 2;
      const int64_t column = (phase % 2 + tap % 3 + 1) / 2 - phase % 2;
      phases.f32()[((phase * out + o) * in + channel) * 4 + row * 2 + column] += weight.f32()[i];
    }
  }
  return phases;
}

/// Runs the product of 16-bit elements, or the plain one for f32. `staged`: where its kernel can.
template <typename T>
void convolve(const cuda::ConvInput<T>& input, const Tensor& weight,
              const cuda::LinearTail<T>& tail, T* y, bool staged) {
  if constexpr (sizeof(T) == 2) {
    const auto packed = taps_first<T>(weight);
    if (staged && cuda::can_stage<T>(input, packed->data())) {
      cuda::conv_staged<T>(input, packed->data(), tail, y, nullptr);
    } else {
      cuda::conv_mma<T>(input, packed->data(), tail, y, nullptr);
    }
    cuda::check(cudaStreamSynchronize(nullptr), "convolution");
  } else {
    const auto packed = taps_first<float>(weight);
    cuda::conv_plain(input, packed->data(), tail, y, nullptr);
    cuda::check(cudaStreamSynchronize(nullptr), "conv_plain");
  }
}

template <typename T>
KernelResult conv2d(KernelRun& run) {
  const int64_t n = run.size("n"), h = run.size("h"), w = run.size("w");
  const int64_t first = run.size("first"), second = run.size("second"), out = run.size("out");
  const int64_t kernel = run.size("kernel");
  ConvOptions options;
  options.stride = run.integer("stride");
  options.upsample2 = run.flag("upsample2");
  options.second_input_channels = second;
  const int64_t up = options.upsample2 ? 2 : 1;
  const int64_t out_h = (h * up + options.stride - 1) / options.stride;
  const int64_t out_w = (w * up + options.stride - 1) / options.stride;
  const float size = 1.0f / std::sqrt(static_cast<float>((first + second) * kernel * kernel));
  const Tensor x = run.random<T>({n, h, w, first});
  const Tensor x2 = second > 0 ? run.random<T>({n, h, w, second}) : Tensor();
  const Tensor weight = run.random<T>({out, first + second, kernel, kernel}, size);
  const Tensor bias = run.random<float>({out}), residual = run.random<T>({n, out_h, out_w, out});
  const Tensor expected = run.empty(residual.shape());
  run.oracle->conv2d(*run.oracle->pack_conv(weight, bias, options), x, x2, residual,
                     Activation::relu, expected);
  const KernelBuffer<T> in(x, run.size("offset")), y(residual);  // The residual is the output.
  const std::unique_ptr<KernelBuffer<T>> in2(second > 0 ? new KernelBuffer<T>(x2) : nullptr);
  const KernelBuffer<float> b(bias);
  cuda::ConvInput<T> input;
  input.x = in.data();
  input.x2 = in2 ? in2->data() : nullptr;
  input.n = n;
  input.h = static_cast<int>(h);
  input.w = static_cast<int>(w);
  input.out_h = static_cast<int>(out_h);
  input.out_w = static_cast<int>(out_w);
  input.first = static_cast<int>(first);
  input.second = static_cast<int>(second);
  input.out = static_cast<int>(out);
  input.kernel = static_cast<int>(kernel);
  input.stride = options.stride;
  input.up = static_cast<int>(up);
  cuda::LinearTail<T> tail;
  tail.bias = b.data();
  tail.residual = y.data();
  tail.residual_first = true;
  tail.activation = Activation::relu;
  tail.width = out;
  if (sizeof(T) == 2 && run.flag("phases")) {
    input.phases = 4;
    input.kernel = 2;
    input.up = 1;
    // The sums of taps are rounded, of which the largest may meet the largest values.
    convolve(input, phase_kernels(run, weight), tail, y.data(), run.flag("staged"));
    return run.compare(expected, y, 3);
  }
  convolve(input, weight, tail, y.data(), run.flag("staged"));
  return run.compare(expected, y);
}

/// A 3x3x3 convolution, causal in time, over clips with (or without) earlier frames; the oracle
/// joins three frames side by side and convolves in two dimensions.
template <typename T>
KernelResult causal_conv3d(KernelRun& run) {
  const int64_t clips = run.size("clips"), frames = run.size("frames");
  const int64_t h = run.size("h"), w = run.size("w"), in = run.size("in"), out = run.size("out");
  const bool has_past = run.flag("past");
  const float size = 1.0f / std::sqrt(static_cast<float>(27 * in));
  const Tensor x = run.random<T>({clips * frames, h, w, in});
  const Tensor past =
      has_past ? run.random<T>({clips * 2, h, w, in}) : run.arena.zeros({clips * 2, h, w, in});
  // [out, 3 * in, 3, 3]: the channels of the earliest frame come first.
  const Tensor weight = run.random<T>({out, 3 * in, 3, 3}, size), bias = run.random<float>({out});
  const Tensor window = run.empty({3, h, w, in}), joined = run.empty({1, h, w, 3 * in});
  const Tensor expected = run.empty({clips * frames, h, w, out});
  const auto packed = run.oracle->pack_conv(weight, bias);
  const int64_t frame_size = h * w * in;
  for (int64_t frame = 0; frame < clips * frames; ++frame) {
    const int64_t clip = frame / frames;
    for (int64_t t = 0; t < 3; ++t) {
      const int64_t time = frame % frames + t - 2;
      const float* from = time >= 0 ? x.f32() + (clip * frames + time) * frame_size
                                    : past.f32() + (clip * 2 + time + 2) * frame_size;
      std::copy_n(from, frame_size, window.f32() + t * frame_size);
    }
    run.oracle->frames_to_channels(window, joined);
    run.oracle->conv2d(*packed, joined, {}, {}, Activation::none, expected.slice(frame, frame + 1));
  }
  // The kernel's weight order is [out, t, y, x, in].
  const Tensor ordered = run.empty({out, 27 * in});
  for (int64_t i = 0; i < weight.count(); ++i) {
    const int64_t o = i / (27 * in), t = i / (9 * in) % 3, channel = i / 9 % in, tap = i % 9;
    ordered.f32()[o * 27 * in + (t * 9 + tap) * in + channel] = weight.f32()[i];
  }
  const KernelBuffer<T> device_x(x), device_past(past), y(expected.count());
  const KernelBuffer<float> b(bias);
  cuda::ConvInput<T> input;
  input.x = device_x.data();
  input.past = has_past ? device_past.data() : nullptr;
  input.n = clips * frames;
  input.frames = static_cast<int>(frames);
  input.h = input.out_h = static_cast<int>(h);
  input.w = input.out_w = static_cast<int>(w);
  input.first = static_cast<int>(in);
  input.out = static_cast<int>(out);
  input.kernel = input.kernel_t = 3;
  cuda::LinearTail<T> tail;
  tail.bias = b.data();
  tail.width = out;
  convolve(input, ordered.reshape({out, 27 * in, 1, 1}), tail, y.data(), run.flag("staged"));
  return run.compare(expected, y);
}

/// A linear layer by the convolution kernel: products of T, output of f32. Tokens can be `narrow`
/// too, and with bf16 weights then of `eight` bits.
template <typename T>
KernelResult linear(KernelRun& run) {
  const int64_t rows = run.size("rows"), in = run.size("in"), out = run.size("out");
  constexpr bool kNarrow = sizeof(T) == 2;
  const bool eight = std::is_same_v<T, cuda::bf16> && run.flag("narrow") && run.flag("eight");
  const Tensor x = run.random<T>({rows, in}), bias = run.random<float>({out});
  const Tensor weight = run.random<T>({out, in}, 1.0f / std::sqrt(static_cast<float>(in)));
  const Tensor residual = run.random<float>({rows, out}), gate = run.random<float>({1, out});
  const KernelBuffer<cuda::e4m3> eight_bits(weight.count());
  const KernelBuffer<float> scale(1);
  scale.data()[0] = 0.01f;
  for (int64_t i = 0; eight && i < weight.count(); ++i) {
    eight_bits.data()[i] = cuda::from_float<cuda::e4m3>(weight.f32()[i] / scale.data()[0]);
    weight.f32()[i] = eight_bits.value(i) * scale.data()[0];
  }
  const Tensor expected = run.empty({rows, out});
  LinearEpilogue epilogue;
  epilogue.activation = Activation::gelu_tanh;
  epilogue.residual = residual;
  epilogue.gate = {gate.f32(), 1, out};
  run.oracle->linear(*run.oracle->pack_linear(weight, bias), x, expected, epilogue);
  const KernelBuffer<float> y(residual), b(bias), g(gate);
  cuda::LinearTail<float> tail;
  tail.bias = b.data();
  tail.activation = epilogue.activation;
  tail.gate = g.data();
  tail.gate_stride = out;
  tail.rows_per_gate = rows;
  tail.residual = y.data();
  tail.width = out;
  if (eight) tail.scale = scale.data();
  const KernelBuffer<T> w(weight), narrow_x(x);
  const KernelBuffer<float> wide_x(x);
  const auto multiply = [&](const auto* tokens) {
    cuda::ConvInput<std::remove_const_t<std::remove_pointer_t<decltype(tokens)>>> input;
    input.x = tokens;
    input.w = input.out_w = static_cast<int>(rows);
    input.first = static_cast<int>(in);
    input.out = static_cast<int>(out);
    using X = std::remove_const_t<std::remove_pointer_t<decltype(tokens)>>;
    if constexpr (sizeof(T) == 4) {
      cuda::conv_plain(input, w.data(), tail, y.data(), nullptr);
    } else if constexpr (std::is_same_v<X, T>) {
      if (run.flag("staged") && cuda::can_stage<T>(input, w.data())) {
        return cuda::conv_staged<T>(input, w.data(), tail, y.data(), nullptr);
      }
      if (!eight) return cuda::conv_mma<T>(input, w.data(), tail, y.data(), nullptr);
      cuda::conv_mma<T>(input, eight_bits.data(), tail, y.data(), nullptr);
    } else {
      cuda::conv_mma<T>(input, w.data(), tail, y.data(), nullptr);
    }
  };
  if constexpr (kNarrow) {
    if (run.flag("narrow")) {
      multiply(narrow_x.data());
      return run.compare(expected, y);
    }
  }
  multiply(wide_x.data());
  return run.compare(expected, y);
}

}  // namespace

KernelTable product_kernel_checks() {
  return {
      {"attention", DL_KERNEL_CHECK(attention, {{"queries", 70},
                                                {"keys", 130},
                                                {"heads", 2},
                                                {"head_dim", 64},
                                                {"large", 0},
                                                {"offset", 0}})},
      {"conv2d", DL_KERNEL_CHECK(conv2d, {{"n", 2},
                                          {"h", 7},
                                          {"w", 6},
                                          {"first", 16},
                                          {"second", 0},
                                          {"out", 24},
                                          {"kernel", 3},
                                          {"stride", 1},
                                          {"upsample2", 0},
                                          {"phases", 0},
                                          {"staged", 1},
                                          {"offset", 0}})},
      {"causal_conv3d", DL_KERNEL_CHECK(causal_conv3d, {{"clips", 2},
                                                        {"frames", 3},
                                                        {"h", 5},
                                                        {"w", 4},
                                                        {"in", 8},
                                                        {"out", 10},
                                                        {"past", 1},
                                                        {"staged", 1}})},
      {"linear",
       DL_KERNEL_CHECK(
           linear,
           {{"rows", 65}, {"in", 40}, {"out", 66}, {"narrow", 0}, {"eight", 0}, {"staged", 0}})},
  };
}

}  // namespace driftless
