#pragma once

// Operations that move pixels. Those that only move are one kernel that asks a map where each
// output element comes from; where runs of channels stay together the elements are 16 bytes wide.

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

constexpr int kPixelThreads = 256;

template <typename T, typename Index, typename Map>
__global__ void __launch_bounds__(kPixelThreads)
    gather_kernel(const T* x, T* y, Index count, Map map) {
  const Index step = static_cast<Index>(gridDim.x) * kPixelThreads;
  for (Index i = static_cast<Index>(blockIdx.x) * kPixelThreads + threadIdx.x; i < count;
       i += step) {
    y[i] = x[map(i)];
  }
}

/// y[i] = x[map(i)] for `count` elements of y.
template <typename T, typename Map>
void gather(const char* name, const T* x, T* y, int64_t count, const Map& map,
            cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 16384;
  const int64_t blocks = ceil_div<int64_t>(count, kPixelThreads);
  const dim3 grid(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
  // Divisions of 32 bits cost a fraction of those of 64. The step must not wrap either.
  if (count < (int64_t{1} << 31)) {
    launch(name, gather_kernel<T, uint32_t, Map>, grid, dim3(kPixelThreads), 0, stream, x, y,
           static_cast<uint32_t>(count), map);
  } else {
    launch(name, gather_kernel<T, int64_t, Map>, grid, dim3(kPixelThreads), 0, stream, x, y, count,
           map);
  }
}

/// 16 bytes as one element.
struct alignas(16) Wide {
  uint32_t v[4];
};

/// As gather(), in elements of 16 bytes where both pictures and `run`, the number of neighbouring
/// elements that stay together, allow it. make_map(scale) builds the map with runs of run / scale.
template <typename T, typename MakeMap>
void gather_runs(const char* name, const T* x, T* y, int64_t count, int64_t run,
                 const MakeMap& make_map, cudaStream_t stream) {
  if (can_vectorise<T>(run, x, y)) {
    gather(name, reinterpret_cast<const Wide*>(x), reinterpret_cast<Wide*>(y), count / kVecWidth<T>,
           make_map(kVecWidth<T>), stream);
  } else {
    gather(name, x, y, count, make_map(1), stream);
  }
}

template <typename T>
__global__ void __launch_bounds__(kPixelThreads)
    copy_channels_kernel(const T* x, int64_t in, T* y, int64_t out, int64_t values, int64_t count) {
  const int64_t step = int64_t{gridDim.x} * kPixelThreads;
  for (int64_t i = int64_t{blockIdx.x} * kPixelThreads + threadIdx.x; i < values; i += step) {
    const int64_t row = i / count, channel = i % count;
    y[row * out + channel] = x[row * in + channel];
  }
}

/// y[row, c] = x[row, c] for c < count, in rows of `in` and `out` elements.
template <typename T>
void copy_channels(const T* x, int64_t in, T* y, int64_t out, int64_t rows, int64_t count,
                   cudaStream_t stream) {
  constexpr int64_t kMostBlocks = 16384;
  const int64_t blocks = ceil_div<int64_t>(rows * count, kPixelThreads);
  launch("copy_channels", copy_channels_kernel<T>,
         dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)),
         dim3(kPixelThreads), 0, stream, x, in, y, out, rows * count, count);
}

// ---- Maps: from an index of the output to one of the input -------------------------------------

/// x [n, h, w, c] -> y [n, 2h, 2w, c].
struct Upsample2Map {
  int h, w, c;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index channel = i % c, column = i / c % (2 * w), row = i / c / (2 * w);
    const Index frame = row / (2 * h);
    return ((frame * h + row % (2 * h) / 2) * w + column / 2) * c + channel;
  }
};

/// x [n, h, w, c] -> y [n, h / r, w / r, c * r * r]; h, w, c are the picture's.
struct UnshuffleMap {
  int h, w, c, r;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index depth = c * r * r, blocks = w / r;
    const Index dx = i % r, dy = i % depth / r % r, channel = i % depth / (r * r);
    const Index column = i / depth % blocks * r + dx, row = i / depth / blocks * r + dy;
    return (row * w + column) * c + channel;
  }
};

/// The inverse: y [n, h, w, c] is the picture.
struct ShuffleMap {
  int h, w, c, r;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index depth = c * r * r, blocks = w / r;
    const Index channel = i % c, column = i / c % w, row = i / c / w;
    return (row / r * blocks + column / r) * depth + channel * r * r + row % r * r + column % r;
  }
};

/// Tokens [n, h, w, r * r * c] -> y [n, h * r, w * r, c]; h, w are in tokens.
struct UnpatchifyMap {
  int h, w, c, r;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index channel = i % c, column = i / c % (w * r), row = i / c / (w * r);
    return ((row / r * w + column / r) * r + row % r) * r * c + column % r * c + channel;
  }
};

/// x [n * t, pixels, c] -> y [n, pixels, t * c].
struct FramesToChannelsMap {
  int64_t pixels;
  int c, t;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index size = static_cast<Index>(pixels);
    const Index channel = i % c, frame = i / c % t, pixel = i / c / t % size, n = i / c / t / size;
    return ((n * t + frame) * size + pixel) * c + channel;
  }
};

/// The inverse.
struct ChannelsToFramesMap {
  int64_t pixels;
  int c, t;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index size = static_cast<Index>(pixels);
    const Index channel = i % c, pixel = i / c % size, frame = i / c / size;
    return ((frame / t * size + pixel) * t + frame % t) * c + channel;
  }
};

/// [n, a, b] -> [n, b, a]: planes to interleaved channels (a = c, b = pixels) and back.
struct TransposeMap {
  int64_t a, b;
  template <typename Index>
  __device__ __forceinline__ Index operator()(Index i) const {
    const Index rows = static_cast<Index>(a), columns = static_cast<Index>(b);
    const Index row = i % rows, column = i / rows % columns, n = i / rows / columns;
    return (n * rows + row) * columns + column;
  }
};

// ---- Operations that compute
// ---------------------------------------------------------------------

/// Source pixels and weight of one output coordinate of a bilinear enlargement with pixel centres.
struct BilinearTap {
  int low, high;
  float weight;  ///< Of `high`.
};
__device__ __forceinline__ BilinearTap bilinear_tap(int out, int scale, int size) {
  const float centre = (static_cast<float>(out) + 0.5f) / static_cast<float>(scale) - 0.5f;
  const float at = centre > 0.0f ? centre : 0.0f;
  const int low = static_cast<int>(at) < size - 1 ? static_cast<int>(at) : size - 1;
  return {low, low + 1 < size ? low + 1 : low, at - static_cast<float>(low)};
}

template <typename T>
__global__ void __launch_bounds__(kPixelThreads)
    upsample_bilinear_kernel(const T* x, T* y, int64_t count, int h, int w, int c, int repeat,
                             int scale, bool accumulate) {
  const int64_t i = int64_t{blockIdx.x} * kPixelThreads + threadIdx.x;
  if (i >= count) return;
  const int channel = static_cast<int>(i % c);
  const BilinearTap across = bilinear_tap(static_cast<int>(i / c % (w * scale)), scale, w);
  const int64_t line = i / c / (w * scale);
  const BilinearTap down = bilinear_tap(static_cast<int>(line % (h * scale)), scale, h);
  const T* picture = x + line / (h * scale) / repeat * h * w * c + channel;
  const T* top = picture + int64_t{down.low} * w * c;
  const T* bottom = picture + int64_t{down.high} * w * c;
  const float left =
      to_float(top[across.low * c]) +
      (to_float(bottom[across.low * c]) - to_float(top[across.low * c])) * down.weight;
  const float right =
      to_float(top[across.high * c]) +
      (to_float(bottom[across.high * c]) - to_float(top[across.high * c])) * down.weight;
  const float value = left + (right - left) * across.weight;
  y[i] = from_float<T>(accumulate ? to_float(y[i]) + value : value);
}

/// x [n, h, w, c] -> y [n * repeat, h * scale, w * scale, c].
template <typename T>
void upsample_bilinear(const T* x, T* y, int64_t n, int h, int w, int c, int repeat, int scale,
                       bool accumulate, cudaStream_t stream) {
  const int64_t count = n * repeat * h * scale * w * scale * c;
  launch("upsample_bilinear", upsample_bilinear_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(count, kPixelThreads))), dim3(kPixelThreads),
         0, stream, x, y, count, h, w, c, repeat, scale, accumulate);
}

template <typename T>
__global__ void __launch_bounds__(kPixelThreads)
    average_pool_kernel(const T* x, T* y, int64_t count, int h, int w, int c, int frames,
                        int scale) {
  const int64_t i = int64_t{blockIdx.x} * kPixelThreads + threadIdx.x;
  if (i >= count) return;
  const int out_w = w / scale, out_h = h / scale;
  const int channel = static_cast<int>(i % c), column = static_cast<int>(i / c % out_w);
  const int64_t line = i / c / out_w;
  const int row = static_cast<int>(line % out_h);
  float sum = 0.0f;
  for (int frame = 0; frame < frames; ++frame) {
    const T* picture = x + (line / out_h * frames + frame) * h * w * c + channel;
    for (int dy = 0; dy < scale; ++dy) {
      for (int dx = 0; dx < scale; ++dx) {
        sum += to_float(picture[(int64_t{row} * scale + dy) * w * c + (column * scale + dx) * c]);
      }
    }
  }
  y[i] = from_float<T>(sum / static_cast<float>(frames * scale * scale));
}

/// x [n * frames, h, w, c] -> y [n, h / scale, w / scale, c].
template <typename T>
void average_pool(const T* x, T* y, int64_t n, int h, int w, int c, int frames, int scale,
                  cudaStream_t stream) {
  const int64_t count = n * (h / scale) * (w / scale) * c;
  launch("average_pool", average_pool_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(count, kPixelThreads))), dim3(kPixelThreads),
         0, stream, x, y, count, h, w, c, frames, scale);
}

}  // namespace cuda
}  // namespace driftless
