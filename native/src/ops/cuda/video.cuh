#pragma once

// Pictures of 4:2:0 from a codec to the model's pixels and back, see ops/video_ops.h.

#include "ops/cuda/pictures.cuh"
#include "ops/guided_detail.h"
#include "ops/matte_math.h"
#include "ops/video_ops.h"

namespace driftless {
namespace cuda {

/// Weights of red and blue in luma.
struct LumaWeights {
  float red, blue;
};
constexpr LumaWeights kBt601 = {0.299f, 0.114f}, kBt709 = {0.2126f, 0.0722f};

/// 0..1, or a byte that is rounded.
__device__ __forceinline__ uint8_t rounded_byte(float value) { return byte_of(value + 0.5f); }

/// Numbers of 4:2:0 to red, green and blue of 0..255.
__device__ __forceinline__ void colour_of(float luma, float blue, float red, bool full_range,
                                          const LumaWeights& weights, uint8_t* rgb) {
  const float brightness = full_range ? luma : (luma - 16.0f) * (255.0f / 219.0f);
  const float spread = full_range ? 1.0f : 255.0f / 224.0f;
  const float r = brightness + 2.0f * (1.0f - weights.red) * spread * (red - 128.0f);
  const float b = brightness + 2.0f * (1.0f - weights.blue) * spread * (blue - 128.0f);
  const float g =
      (brightness - weights.red * r - weights.blue * b) / (1.0f - weights.red - weights.blue);
  rgb[0] = rounded_byte(r);
  rgb[1] = rounded_byte(g);
  rgb[2] = rounded_byte(b);
}

/// Taps of both axes, for luma and for chroma.
struct YuvTaps {
  Taps luma_across, luma_down, chroma_across, chroma_down;
};

/// Grid (.., rows). `from` begins at the part's corner.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    yuv_to_rgb_kernel(YuvPicture from, YuvTaps taps, bool full_range, LumaWeights weights,
                      uint8_t* rgb) {
  const int x = blockIdx.x * kThreads + threadIdx.x, y = blockIdx.y;
  if (x >= taps.luma_across.to) return;
  float luma = 0.0f, blue = 0.0f, red = 0.0f;
  resample_at<1>(taps.luma_across, taps.luma_down, from.luma, from.luma_pitch, 1, x, y, &luma);
  resample_at<1>(taps.chroma_across, taps.chroma_down, from.blue, from.chroma_pitch,
                 from.chroma_step, x, y, &blue);
  resample_at<1>(taps.chroma_across, taps.chroma_down, from.red, from.chroma_pitch,
                 from.chroma_step, x, y, &red);
  colour_of(luma, blue, red, full_range, weights, rgb + (int64_t{y} * taps.luma_across.to + x) * 3);
}

inline void yuv_to_rgb(const YuvPicture& from, const YuvTaps& taps, const YuvColours& colours,
                       uint8_t* rgb, cudaStream_t stream) {
  launch("yuv_to_rgb", yuv_to_rgb_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(taps.luma_across.to, kPictureThreads)),
              static_cast<unsigned>(taps.luma_down.to)),
         dim3(kPictureThreads), 0, stream, from, taps, colours.full_range,
         colours.bt709 ? kBt709 : kBt601, rgb);
}

/// Bytes of a picture, `step` from pixel to pixel.
struct Plane {
  uint8_t* at;
  int64_t pitch;
  int step;
};

/// Grid (.., rows).
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    resample_plane_kernel(Plane from, Taps across, Taps down, Plane to) {
  const int x = blockIdx.x * kThreads + threadIdx.x, y = blockIdx.y;
  if (x >= across.to) return;
  float value = 0.5f;
  resample_at<1>(across, down, from.at, from.pitch, from.step, x, y, &value);
  to.at[y * to.pitch + int64_t{x} * to.step] = byte_of(value);
}

inline void resample_plane(const Plane& from, const Taps& across, const Taps& down, const Plane& to,
                           cudaStream_t stream) {
  launch("resample_plane", resample_plane_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(across.to, kPictureThreads)),
              static_cast<unsigned>(down.to)),
         dim3(kPictureThreads), 0, stream, from, across, down, to);
}

/// A thread for four pixels, whose chroma is that of all.
template <int kThreads>
__global__ void __launch_bounds__(kThreads) rgb_to_yuv_kernel(const uint8_t* rgb, YuvPicture to) {
  const int column = (blockIdx.x * kThreads + threadIdx.x) * 2, row = blockIdx.y * 2;
  if (column >= to.width) return;
  const LumaWeights weights = kBt601;
  float blue = 0.0f, red = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int y = row + i / 2, x = column + i % 2;
    const uint8_t* in = rgb + (int64_t{y} * to.width + x) * 3;
    const float r = in[0], g = in[1], b = in[2];
    const float luma = weights.red * r + weights.blue * b + (1.0f - weights.red - weights.blue) * g;
    to.luma[y * to.luma_pitch + x] = rounded_byte(16.0f + luma * (219.0f / 255.0f));
    blue += (b - luma) / (2.0f * (1.0f - weights.blue));
    red += (r - luma) / (2.0f * (1.0f - weights.red));
  }
  const int64_t at = row / 2 * to.chroma_pitch + int64_t{column} / 2 * to.chroma_step;
  to.blue[at] = rounded_byte(128.0f + blue * (56.0f / 255.0f));  // 224 / 4 pixels.
  to.red[at] = rounded_byte(128.0f + red * (56.0f / 255.0f));
}

/// rgb of the picture's size, which is even.
inline void rgb_to_yuv(const uint8_t* rgb, const YuvPicture& to, cudaStream_t stream) {
  launch("rgb_to_yuv", rgb_to_yuv_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(to.width / 2, kPictureThreads)),
              static_cast<unsigned>(to.height / 2)),
         dim3(kPictureThreads), 0, stream, rgb, to);
}

/// What the guided enlargement works with, planes of bytes without gaps: the camera's luma at the
/// small size, the same softened, and the slopes.
struct GuidedPlanes {
  uint8_t *shrunk, *soft, *slopes;
};

/// Grid (.., rows) of the small picture.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    fit_slopes_kernel(YuvPicture small, GuidedPlanes planes) {
  constexpr int kRadius = GuidedDetail::kRadius;
  const int x = blockIdx.x * kThreads + threadIdx.x, y = blockIdx.y;
  const int width = small.width, height = small.height;
  if (x >= width) return;
  float camera = 0.0f, picture = 0.0f, squares = 0.0f, products = 0.0f;
  int pixels = 0;
  for (int v = y - kRadius; v <= y + kRadius; ++v) {
    if (v < 0 || v >= height) continue;
    for (int u = x - kRadius; u <= x + kRadius; ++u) {
      if (u < 0 || u >= width) continue;
      const float a = planes.shrunk[v * width + u], b = small.luma[v * small.luma_pitch + u];
      camera += a;
      picture += b;
      squares += a * a;
      products += a * b;
      ++pixels;
    }
  }
  planes.slopes[y * width + x] = GuidedDetail::slope(camera, picture, squares, products, pixels);
  // [1 2 1] / 4 in both directions.
  int sum = 8;
#pragma unroll
  for (int dy = -1; dy <= 1; ++dy) {
    const int v = y + dy < 0 ? 0 : (y + dy < height ? y + dy : height - 1);
#pragma unroll
    for (int dx = -1; dx <= 1; ++dx) {
      const int u = x + dx < 0 ? 0 : (x + dx < width ? x + dx : width - 1);
      sum += (dx == 0 ? 2 : 1) * (dy == 0 ? 2 : 1) * planes.shrunk[v * width + u];
    }
  }
  planes.soft[y * width + x] = static_cast<uint8_t>(sum / 16);
}

inline void fit_slopes(const YuvPicture& small, const GuidedPlanes& planes, cudaStream_t stream) {
  launch("fit_slopes", fit_slopes_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(small.width, kPictureThreads)),
              static_cast<unsigned>(small.height)),
         dim3(kPictureThreads), 0, stream, small, planes);
}

/// Taps of both axes from the small size: cubics for luma, triangles for slopes.
struct DetailTaps {
  Taps across, down, slope_across, slope_down;
};

/// Grid (.., rows) of the large picture; guide of its size.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    add_detail_kernel(YuvPicture small, GuidedPlanes planes, DetailTaps taps, const uint8_t* guide,
                      YuvPicture to) {
  const int x = blockIdx.x * kThreads + threadIdx.x, y = blockIdx.y;
  if (x >= to.width) return;
  float enlarged = 0.5f, blurred = 0.5f, slope = 0.5f;
  resample_at<1>(taps.across, taps.down, small.luma, small.luma_pitch, 1, x, y, &enlarged);
  resample_at<1>(taps.across, taps.down, planes.soft, small.width, 1, x, y, &blurred);
  resample_at<1>(taps.slope_across, taps.slope_down, planes.slopes, small.width, 1, x, y, &slope);
  to.luma[y * to.luma_pitch + x] = GuidedDetail::add(
      byte_of(enlarged), byte_of(slope), guide[int64_t{y} * to.width + x], byte_of(blurred));
}

inline void add_detail(const YuvPicture& small, const GuidedPlanes& planes, const DetailTaps& taps,
                       const uint8_t* guide, const YuvPicture& to, cudaStream_t stream) {
  launch("add_detail", add_detail_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(to.width, kPictureThreads)),
              static_cast<unsigned>(to.height)),
         dim3(kPictureThreads), 0, stream, small, planes, taps, guide, to);
}

/// A thread for four pixels and their chroma.
template <int kThreads>
__global__ void __launch_bounds__(kThreads) copy_picture_kernel(YuvPicture from, YuvPicture to) {
  const int column = blockIdx.x * kThreads + threadIdx.x, row = blockIdx.y;
  if (column >= to.width / 2) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int x = 2 * column + i % 2, y = 2 * row + i / 2;
    to.luma[y * to.luma_pitch + x] = from.luma[y * from.luma_pitch + x];
  }
  const int64_t source = row * from.chroma_pitch + int64_t{column} * from.chroma_step;
  const int64_t target = row * to.chroma_pitch + int64_t{column} * to.chroma_step;
  to.blue[target] = from.blue[source];
  to.red[target] = from.red[source];
}

/// A grid of one thread for four pixels of a picture.
inline dim3 grid_of_fours(const YuvPicture& picture) {
  return {static_cast<unsigned>(ceil_div(picture.width / 2, kPictureThreads)),
          static_cast<unsigned>(picture.height / 2), 1};
}

/// Pictures of one even size.
inline void copy_picture(const YuvPicture& from, const YuvPicture& to, cudaStream_t stream) {
  launch("copy_picture", copy_picture_kernel<kPictureThreads>, grid_of_fours(to),
         dim3(kPictureThreads), 0, stream, from, to);
}

/// Alpha of one pixel, by the fit of the four grid points around it.
__device__ __forceinline__ uint8_t alpha_at(const PersonMap& person, int x, int y, int width,
                                            int height, uint8_t luma) {
  const float across = MatteMath::on_small(x, width, person.width);
  const float down = MatteMath::on_small(y, height, person.height);
  int column = static_cast<int>(across), row = static_cast<int>(down);
  column = column < person.width - 2 ? column : person.width - 2;
  row = row < person.height - 2 ? row : person.height - 2;
  const float u = across - static_cast<float>(column), v = down - static_cast<float>(row);
  const auto between = [&](const float* map) {
    const float* at = map + row * person.width + column;
    const float left = at[0] + v * (at[person.width] - at[0]);
    const float right = at[1] + v * (at[person.width + 1] - at[1]);
    return left + u * (right - left);
  };
  return MatteMath::alpha(between(person.slope), between(person.offset), luma);
}

/// What a person is composed with: `scene` begins at the corner of its part.
struct Composition {
  YuvPicture camera, scene, to;
  PersonMap person;
  uint32_t fade;  ///< 256ths; 0: nobody.
  YuvTaps taps;   ///< From the scene's part.
};

/// A thread for four pixels and their chroma.
template <int kThreads>
__global__ void __launch_bounds__(kThreads) compose_kernel(Composition c) {
  const int column = blockIdx.x * kThreads + threadIdx.x, row = blockIdx.y;
  const int width = c.to.width, height = c.to.height;
  if (column >= width / 2) return;
  const auto colours = [&](int x, int y, int w, int h) {
    const int at = (y * c.person.height / h) * c.person.width + x * c.person.width / w;
    return c.person.colours + int64_t{4} * at;
  };
  int sum = 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int x = 2 * column + i % 2, y = 2 * row + i / 2;
    float scene = 0.5f;
    resample_at<1>(c.taps.luma_across, c.taps.luma_down, c.scene.luma, c.scene.luma_pitch, 1, x, y,
                   &scene);
    uint8_t value = byte_of(scene);
    if (c.fade > 0) {
      const uint8_t seen = c.camera.luma[y * c.camera.luma_pitch + x];
      uint8_t alpha = alpha_at(c.person, x, y, width, height, seen);
      if (c.fade < 256) alpha = MatteMath::faded(alpha, c.fade);
      sum += alpha;
      value = MatteMath::mix(MatteMath::person(seen, alpha, colours(x, y, width, height), 0), value,
                             alpha);
    }
    c.to.luma[y * c.to.luma_pitch + x] = value;
  }
  const auto alpha = static_cast<uint8_t>(sum >> 2);
  const int64_t source = row * c.camera.chroma_pitch + int64_t{column} * c.camera.chroma_step;
  const int64_t target = row * c.to.chroma_pitch + int64_t{column} * c.to.chroma_step;
#pragma unroll
  for (int channel = 1; channel <= 2; ++channel) {
    const bool is_blue = channel == 1;
    float scene = 0.5f;
    resample_at<1>(c.taps.chroma_across, c.taps.chroma_down, is_blue ? c.scene.blue : c.scene.red,
                   c.scene.chroma_pitch, c.scene.chroma_step, column, row, &scene);
    uint8_t value = byte_of(scene);
    if (c.fade > 0) {
      const uint8_t seen = (is_blue ? c.camera.blue : c.camera.red)[source];
      value = MatteMath::mix(
          MatteMath::person(seen, alpha, colours(column, row, width / 2, height / 2), channel),
          value, alpha);
    }
    (is_blue ? c.to.blue : c.to.red)[target] = value;
  }
}

inline void compose(const Composition& composition, cudaStream_t stream) {
  launch("compose", compose_kernel<kPictureThreads>, grid_of_fours(composition.to),
         dim3(kPictureThreads), 0, stream, composition);
}

}  // namespace cuda
}  // namespace driftless
