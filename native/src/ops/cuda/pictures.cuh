#pragma once

// Pictures of bytes, [n, h, w, 3]: how much they differ and where, held still, at another size.

#include "ops/cuda/reduce.cuh"
#include "ops/resampling.h"
#include "ops/stillness.h"

namespace driftless {
namespace cuda {

constexpr int kPictureThreads = 256;
/// Blocks that share a sum over a picture.
constexpr int kPictureBlocks = 32;

/// Grid (kPictureBlocks, frames); sums [frames][kPictureBlocks].
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    frame_differences_kernel(const uint8_t* before, const uint8_t* frames, int64_t values,
                             uint64_t* sums) {
  auto& shared = shared_memory<Parts<uint64_t>>();
  const uint8_t* now = frames + blockIdx.y * values;
  const uint8_t* last = blockIdx.y == 0 ? before : now - values;
  uint64_t sum = 0;
  if (last != nullptr) {
    for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < values;
         i += int64_t{kPictureBlocks} * kThreads) {
      const int difference = int{now[i]} - int{last[i]};
      sum += static_cast<uint64_t>(difference * difference);
    }
  }
  sum = block_total(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.y * kPictureBlocks + blockIdx.x] = sum;
}

/// The parts of sums of (frames[f] - the frame before it)^2; before: null, or the first's.
inline void frame_differences(const uint8_t* before, const uint8_t* frames, int64_t count,
                              int64_t values, uint64_t* sums, cudaStream_t stream) {
  launch("frame_differences", frame_differences_kernel<kReduceThreads>,
         dim3(kPictureBlocks, static_cast<unsigned>(count)), dim3(kReduceThreads),
         sizeof(Parts<uint64_t>), stream, before, frames, values, sums);
}

/// Grid (kPictureBlocks, 3); sums [2][3][kPictureBlocks].
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    picture_sums_kernel(const uint8_t* pictures, int64_t pixels, int64_t stride, uint64_t* sums) {
  auto& shared = shared_memory<Parts<uint64_t>>();
  uint64_t sum = 0, squares = 0;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * stride; i < pixels;
       i += int64_t{kPictureBlocks} * kThreads * stride) {
    const uint64_t value = pictures[3 * i + blockIdx.y];
    sum += value;
    squares += value * value;
  }
  sum = block_total(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.y * kPictureBlocks + blockIdx.x] = sum;
  squares = block_total(squares, shared);
  if (threadIdx.x == 0) sums[(3 + blockIdx.y) * kPictureBlocks + blockIdx.x] = squares;
}

/// The parts of each channel's sum and sum of squares, over every stride-th pixel.
inline void picture_sums(const uint8_t* pictures, int64_t pixels, int64_t stride, uint64_t* sums,
                         cudaStream_t stream) {
  launch("picture_sums", picture_sums_kernel<kReduceThreads>, dim3(kPictureBlocks, 3),
         dim3(kReduceThreads), sizeof(Parts<uint64_t>), stream, pictures, pixels, stride, sums);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    map_bytes_kernel(const uint8_t* tables, int64_t values, uint8_t* pictures) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < values) pictures[i] = tables[256 * static_cast<int>(i % 3) + pictures[i]];
}

inline void map_bytes(const uint8_t* tables, int64_t values, uint8_t* pictures,
                      cudaStream_t stream) {
  launch("map_bytes", map_bytes_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(values, kPictureThreads))),
         dim3(kPictureThreads), 0, stream, tables, values, pictures);
}

struct MotionMaximum {
  int most[kMotionBlock * kMotionBlock];
};

/// A block of threads for each block of pixels; grid (columns, rows, frames).
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    measure_motion_kernel(const uint8_t* before, const uint8_t* frames, int h, int w,
                          uint8_t* motion) {
  auto& shared = shared_memory<MotionMaximum>();
  const int64_t values = int64_t{h} * w * 3;
  const uint8_t* now = frames + blockIdx.z * values;
  const uint8_t* last = blockIdx.z == 0 ? before : now - values;
  const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  if (last == nullptr) {
    if (threadIdx.x == 0) motion[block] = 255;
    return;
  }
  const int thread = threadIdx.x;
  const int x = blockIdx.x * kMotionBlock + thread % kMotionBlock;
  const int y = blockIdx.y * kMotionBlock + thread / kMotionBlock;
  int sum = 0;
  if (x < w && y < h) {
    for (int dy = -1; dy <= 1; ++dy) {
      const int row = y + dy < 0 ? 0 : (y + dy < h ? y + dy : h - 1);
      for (int dx = -1; dx <= 1; ++dx) {
        const int column = x + dx < 0 ? 0 : (x + dx < w ? x + dx : w - 1);
        const int64_t at = (int64_t{row} * w + column) * 3;
        // Brightness of the difference, in quarters: (r + 2 g + b) / 4.
        sum += now[at] - last[at] + 2 * (now[at + 1] - last[at + 1]) + now[at + 2] - last[at + 2];
      }
    }
  }
  shared.most[thread] = sum < 0 ? -sum : sum;
  for (int active = kThreads / 2; active > 0; active /= 2) {
    __syncthreads();
    if (thread < active && shared.most[thread + active] > shared.most[thread]) {
      shared.most[thread] = shared.most[thread + active];
    }
  }
  if (thread == 0) motion[block] = static_cast<uint8_t>(shared.most[0] / (9 * 4));
}

/// motion [count][motion_blocks(h)][motion_blocks(w)]; before: null, or the frame before the first.
inline void measure_motion(const uint8_t* before, const uint8_t* frames, int64_t count, int h,
                           int w, uint8_t* motion, cudaStream_t stream) {
  launch("measure_motion", measure_motion_kernel<kMotionBlock * kMotionBlock>,
         dim3(static_cast<unsigned>(motion_blocks(w)), static_cast<unsigned>(motion_blocks(h)),
              static_cast<unsigned>(count)),
         dim3(kMotionBlock * kMotionBlock), sizeof(MotionMaximum), stream, before, frames, h, w,
         motion);
}

/// A thread for each pixel, through all frames. motion: null to take them as they are.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    hold_still_kernel(const uint8_t* motion, Stillness still, int frames, int h, int w,
                      uint16_t* shown, uint8_t* pictures) {
  const int pixel = blockIdx.x * kThreads + threadIdx.x;
  if (pixel >= h * w) return;
  const auto across = Stillness::between(pixel % w, still.columns);
  const auto down = Stillness::between(pixel / w, still.rows);
  uint16_t* last = shown + int64_t{pixel} * 3;
  int value[3] = {last[0], last[1], last[2]};
  for (int f = 0; f < frames; ++f) {
    uint8_t* out = pictures + (int64_t{f} * h * w + pixel) * 3;
    if (motion == nullptr) {
#pragma unroll
      for (int c = 0; c < 3; ++c) value[c] = out[c] << 8;
      continue;
    }
    const uint8_t* moved = motion + f * still.columns * still.rows;
    const float corners[4] = {still.weight(moved, across.first, down.first),
                              still.weight(moved, across.second, down.first),
                              still.weight(moved, across.first, down.second),
                              still.weight(moved, across.second, down.second)};
    const float left = corners[0] + down.share * (corners[2] - corners[0]);
    const float right = corners[1] + down.share * (corners[3] - corners[1]);
    const int weight = static_cast<int>((left + across.share * (right - left)) * 256 + 0.5f);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      value[c] = Stillness::step(value[c], out[c], weight);
      out[c] = Stillness::rounded(value[c]);
    }
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) last[c] = static_cast<uint16_t>(value[c]);
}

inline void hold_still(const uint8_t* motion, const Stillness& still, int64_t frames, int h, int w,
                       uint16_t* shown, uint8_t* pictures, cudaStream_t stream) {
  launch("hold_still", hold_still_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(h * w, kPictureThreads))), dim3(kPictureThreads), 0,
         stream, motion, still, static_cast<int>(frames), h, w, shown, pictures);
}

/// A Resampling where kernels can read it.
struct Taps {
  const Resampling::Taps* taps;
  const float* weights;
  int from, to;
};

/// What a new pixel is made of, `kChannels` neighbouring bytes of `step` from pixel to pixel, added
/// to `sum`. Columns first, as the host does it.
template <int kChannels>
__device__ __forceinline__ void resample_at(const Taps& across, const Taps& down,
                                            const uint8_t* picture, int64_t pitch, int step, int x,
                                            int y, float* sum) {
  const Resampling::Taps u = across.taps[x], v = down.taps[y];
  const uint8_t* corner = picture + v.first * pitch + int64_t{u.first} * step;
  for (int i = 0; i < u.count; ++i) {
    float column[kChannels] = {};
    for (int j = 0; j < v.count; ++j) {
      const float weight = down.weights[v.weights + j];
      const uint8_t* from = corner + j * pitch + i * step;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) column[c] += weight * static_cast<float>(from[c]);
    }
    const float weight = across.weights[u.weights + i];
#pragma unroll
    for (int c = 0; c < kChannels; ++c) sum[c] += weight * column[c];
  }
}

/// To a byte, `value` being half a step too large.
__device__ __forceinline__ uint8_t byte_of(float value) {
  return static_cast<uint8_t>(value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f);
}

/// Grid (.., rows, frames).
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    resample_kernel(Taps across, Taps down, const uint8_t* x, uint8_t* y) {
  const int column = blockIdx.x * kThreads + threadIdx.x, row = blockIdx.y;
  if (column >= across.to) return;
  float sum[3] = {0.5f, 0.5f, 0.5f};
  resample_at<3>(across, down, x + int64_t{blockIdx.z} * down.from * across.from * 3,
                 int64_t{across.from} * 3, 3, column, row, sum);
  uint8_t* to = y + ((int64_t{blockIdx.z} * down.to + row) * across.to + column) * 3;
#pragma unroll
  for (int c = 0; c < 3; ++c) to[c] = byte_of(sum[c]);
}

inline void resample(const Taps& across, const Taps& down, int64_t frames, const uint8_t* x,
                     uint8_t* y, cudaStream_t stream) {
  launch("resample", resample_kernel<kPictureThreads>,
         dim3(static_cast<unsigned>(ceil_div(across.to, kPictureThreads)),
              static_cast<unsigned>(down.to), static_cast<unsigned>(frames)),
         dim3(kPictureThreads), 0, stream, across, down, x, y);
}

}  // namespace cuda
}  // namespace driftless
