#pragma once

// Wan's 3-D rotary embedding from tables of cosines and sines, one table per axis. Tables are
// computed in double on the device, so that large temporal positions keep their angle.

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

/// (cosine, sine).
using Rotation = Vec<float, 2>;

/// Tables [positions, pairs] of each axis; a head's pairs are temporal, then height, then width.
struct RopeTables {
  const Rotation* t = nullptr;
  const Rotation* h = nullptr;
  const Rotation* w = nullptr;
  int pairs_t = 0, pairs_h = 0, pairs_w = 0;

  /// Of one pair of a head at a temporal table row and a place in the picture.
  __device__ __forceinline__ Rotation at(int pair, int position, int row, int column) const {
    if (pair < pairs_t) return t[position * pairs_t + pair];
    if (pair < pairs_t + pairs_h) return h[row * pairs_h + pair - pairs_t];
    return w[column * pairs_w + pair - pairs_t - pairs_h];
  }
};

/// Splits head_dim / 2 pairs over the axes as Wan does.
inline RopeTables rope_split(int head_dim) {
  RopeTables tables;
  const int pairs = head_dim / 2;
  tables.pairs_h = tables.pairs_w = pairs / 3;
  tables.pairs_t = pairs - 2 * (pairs / 3);
  return tables;
}

constexpr int kRopeThreads = 128;

/// Angles positions[i] * 10000^(-pair / pairs); positions null: position i is i.
template <int kThreads>
__global__ void rope_table_kernel(const double* positions, int count, int pairs, Rotation* table) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count * pairs) return;
  const double position = positions == nullptr ? i / pairs : positions[i / pairs];
  const double angle = position * pow(10000.0, -static_cast<double>(i % pairs) / pairs);
  table[i] = {{static_cast<float>(cos(angle)), static_cast<float>(sin(angle))}};
}

/// table [count, pairs]; positions [count] on the device, or null for 0, 1, 2, ...
inline void rope_table(const double* positions, int count, int pairs, Rotation* table,
                       cudaStream_t stream) {
  launch("rope_table", rope_table_kernel<kRopeThreads>,
         dim3(static_cast<unsigned>(ceil_div(count * pairs, kRopeThreads))), dim3(kRopeThreads), 0,
         stream, positions, count, pairs, table);
}

/// (a, b) turned by the angle.
__device__ __forceinline__ void rotate(const Rotation& rotation, float& a, float& b) {
  const float turned = a * rotation.v[0] - b * rotation.v[1];
  b = a * rotation.v[1] + b * rotation.v[0];
  a = turned;
}

template <typename T>
__global__ void __launch_bounds__(kRopeThreads)
    rope3d_kernel(const T* x, RopeTables tables, int height, int width, int heads, int head_dim,
                  int64_t pairs, T* y) {
  const int64_t i = int64_t{blockIdx.x} * kRopeThreads + threadIdx.x;
  if (i >= pairs) return;
  const int pair = static_cast<int>(i % (head_dim / 2));
  const int64_t token = i / (head_dim / 2) / heads;
  const int place = static_cast<int>(token % (height * width));
  const Rotation rotation =
      tables.at(pair, static_cast<int>(token / (height * width)), place / width, place % width);
  const Vec<T, 2> values = load<T, 2>(x + 2 * i);
  float a = to_float(values.v[0]), b = to_float(values.v[1]);
  rotate(rotation, a, b);
  store(y + 2 * i, Vec<T, 2>{{from_float<T>(a), from_float<T>(b)}});
}

/// x, y [frames, height * width, heads, head_dim], y may be x; row f of the temporal table belongs
/// to frame f.
template <typename T>
void rope3d(const T* x, const RopeTables& tables, int64_t frames, int height, int width, int heads,
            int head_dim, T* y, cudaStream_t stream) {
  const int64_t pairs = frames * height * width * heads * (head_dim / 2);
  launch("rope3d", rope3d_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(pairs, kRopeThreads))), dim3(kRopeThreads), 0,
         stream, x, tables, height, width, heads, head_dim, pairs, y);
}

}  // namespace cuda
}  // namespace driftless
