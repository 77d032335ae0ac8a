#pragma once

// A hardware decoder's frames (NV12: a plane of luma, a plane of interleaved half-size chroma) to
// the model's numbers and back, limited range, so that frames need not leave the device.

#include "ops/cuda/elementwise.cuh"

namespace driftless {
namespace cuda {

/// Weights of red and blue in luma: 0.299 and 0.114 for BT.601, 0.2126 and 0.0722 for BT.709.
struct LumaWeights {
  float red, blue;
};

/// One frame; pitches are in bytes. Width and height are even.
struct Nv12Frame {
  uint8_t* luma;
  uint8_t* chroma;
  int64_t luma_pitch, chroma_pitch;
};

constexpr int kNv12Threads = 128;

template <typename T>
__global__ void __launch_bounds__(kNv12Threads)
    nv12_to_rgb_kernel(Nv12Frame frame, LumaWeights weights, int width, float scale, float shift,
                       T* rgb) {
  const int column = blockIdx.x * kNv12Threads + threadIdx.x, row = blockIdx.y;
  if (column >= width) return;
  const uint8_t* chroma = frame.chroma + row / 2 * frame.chroma_pitch + column / 2 * 2;
  const float luma = (frame.luma[row * frame.luma_pitch + column] - 16.0f) / 219.0f;
  const float blue_difference = (chroma[0] - 128.0f) / 224.0f;
  const float red_difference = (chroma[1] - 128.0f) / 224.0f;
  const float red = luma + 2.0f * (1.0f - weights.red) * red_difference;
  const float blue = luma + 2.0f * (1.0f - weights.blue) * blue_difference;
  const float green =
      (luma - weights.red * red - weights.blue * blue) / (1.0f - weights.red - weights.blue);
  T* out = rgb + (int64_t{row} * width + column) * 3;
  const float colours[3] = {red, green, blue};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const float clamped = colours[i] < 0.0f ? 0.0f : (colours[i] > 1.0f ? 1.0f : colours[i]);
    out[i] = from_float<T>(clamped * scale + shift);
  }
}

/// rgb [height, width, 3] = colour in 0..1 * scale + shift. Chroma is that of the 2x2 block.
template <typename T>
void nv12_to_rgb(const Nv12Frame& frame, const LumaWeights& weights, int height, int width,
                 float scale, float shift, T* rgb, cudaStream_t stream) {
  launch("nv12_to_rgb", nv12_to_rgb_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div(width, kNv12Threads)), static_cast<unsigned>(height)),
         dim3(kNv12Threads), 0, stream, frame, weights, width, scale, shift, rgb);
}

template <typename T>
__global__ void __launch_bounds__(kNv12Threads)
    rgb_to_nv12_kernel(const T* rgb, LumaWeights weights, int width, float scale, float shift,
                       Nv12Frame frame) {
  const int column = (blockIdx.x * kNv12Threads + threadIdx.x) * 2, row = blockIdx.y * 2;
  if (column >= width) return;
  float blue_difference = 0.0f, red_difference = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int y = row + i / 2, x = column + i % 2;
    const T* in = rgb + (int64_t{y} * width + x) * 3;
    float colours[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const float value = to_float(in[c]) * scale + shift;
      colours[c] = value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
    }
    const float luma = weights.red * colours[0] + weights.blue * colours[2] +
                       (1.0f - weights.red - weights.blue) * colours[1];
    frame.luma[y * frame.luma_pitch + x] = from_float<uint8_t>(16.0f + 219.0f * luma);
    blue_difference += (colours[2] - luma) / (2.0f * (1.0f - weights.blue));
    red_difference += (colours[0] - luma) / (2.0f * (1.0f - weights.red));
  }
  uint8_t* chroma = frame.chroma + row / 2 * frame.chroma_pitch + column;
  chroma[0] = from_float<uint8_t>(128.0f + 56.0f * blue_difference);  // 224 / 4 pixels.
  chroma[1] = from_float<uint8_t>(128.0f + 56.0f * red_difference);
}

/// rgb [height, width, 3] * scale + shift is the colour in 0..1 (clamped). Height, width even.
template <typename T>
void rgb_to_nv12(const T* rgb, const LumaWeights& weights, int height, int width, float scale,
                 float shift, const Nv12Frame& frame, cudaStream_t stream) {
  launch("rgb_to_nv12", rgb_to_nv12_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div(width / 2, kNv12Threads)),
              static_cast<unsigned>(height / 2)),
         dim3(kNv12Threads), 0, stream, rgb, weights, width, scale, shift, frame);
}

}  // namespace cuda
}  // namespace driftless
