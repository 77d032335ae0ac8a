#pragma once

// Softmax attention of ragged blocks of queries over the first tokens of a ring. Two kernels:
//  - attention_mma: 16-bit elements on the tensor cores of sm_80 and newer (FlashAttention-2's
//    schedule: a warp keeps 16 queries in registers, keys and values stream through two stages of
//    shared memory by cp.async, softmax statistics are f32 in the base of 2);
//  - attention_plain: any element type and head size, a warp per query; for f32 parity runs and
//    head sizes the first cannot take.

#include "ops/cuda/ptx.cuh"

namespace driftless {
namespace cuda {

/// One row of a batch. Pointers are [token, head, head_dim].
template <typename T>
struct AttentionBlock {
  const T* q;
  const T* k;
  const T* v;
  T* out;  ///< May be q.
  int queries;
  int keys;  ///< At least 1.
};

template <typename T>
struct AttentionBatch {
  const AttentionBlock<T>* rows;  ///< In device memory.
  int heads, head_dim;
  float scale;
};

constexpr float kLog2E = 1.4426950408889634f;

// ---- Tensor cores ------------------------------------------------------------------------------

constexpr int kAttentionThreads = 128;  // Four warps of 16 queries.
constexpr int kTile = 64;               // Queries of a block, and keys of a stage.

template <typename T, int kDim>
struct AttentionShared {
  T q[kTile * kDim];
  T k[2][kTile * kDim];
  T v[2][kTile * kDim];
};

/// Place of 8 elements (16 bytes) in a tile of kDim columns: the chunk's column is turned by the
/// row, so that the eight rows of an ldmatrix lie in different banks.
template <int kDim>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * kDim + (chunk ^ (row & 7)) * 8;
}

/// Starts copying `count` rows (zeros after them) of head_dim columns (zeros after them).
template <typename T, int kDim>
__device__ __forceinline__ void copy_tile(T* tile, const T* from, int64_t row_stride, int count,
                                          int head_dim) {
  constexpr int kChunks = kDim / 8;
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kChunks; i += kAttentionThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool valid = row < count && chunk * 8 < head_dim;
    const T* source = valid ? from + row * row_stride + chunk * 8 : from;
    cp_async16(tile + swizzled<kDim>(row, chunk), source, valid);
  }
}

/// Largest and sum over the four lanes that share a row of a fragment.
__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(kAllLanes, x, 1);
  return x + __shfl_xor_sync(kAllLanes, x, 2);
}

/// head_dim is a multiple of 8 and at most kDim.
template <typename T, int kDim>
__global__ void __launch_bounds__(kAttentionThreads) attention_mma_kernel(AttentionBatch<T> batch) {
  auto& shared = shared_memory<AttentionShared<T, kDim>>();
  const AttentionBlock<T> block = batch.rows[blockIdx.z];
  const int first_query = blockIdx.x * kTile;
  if (first_query >= block.queries) return;
  const int keys = block.keys;
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int64_t stride = int64_t{batch.heads} * batch.head_dim;
  const int64_t head = int64_t{blockIdx.y} * batch.head_dim;
  const T* k = block.k + head;
  const T* v = block.v + head;

  copy_tile<T, kDim>(shared.q, block.q + head + first_query * stride, stride,
                     block.queries - first_query, batch.head_dim);
  copy_tile<T, kDim>(shared.k[0], k, stride, keys, batch.head_dim);
  copy_tile<T, kDim>(shared.v[0], v, stride, keys, batch.head_dim);
  cp_async_commit();

  // A lane's part of a 16x8 fragment: rows lane / 4 and lane / 4 + 8, columns 2 (lane % 4) + 0, 1.
  float out[kDim / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f};
  uint32_t q[kDim / 16][4];
  const float scale = batch.scale * kLog2E;
  const int tiles = ceil_div(keys, kTile);

  for (int tile = 0; tile < tiles; ++tile) {
    const int stage = tile % 2;
    const int next = (tile + 1) * kTile;
    if (next < keys) {
      copy_tile<T, kDim>(shared.k[1 - stage], k + next * stride, stride, keys - next,
                         batch.head_dim);
      copy_tile<T, kDim>(shared.v[1 - stage], v + next * stride, stride, keys - next,
                         batch.head_dim);
    }
    cp_async_commit();  // Empty at the end, so that the count of groups stays the same.
    cp_async_wait<1>();
    __syncthreads();
    if (tile == 0) {
#pragma unroll
      for (int step = 0; step < kDim / 16; ++step) {
        const int row = warp * 16 + lane % 16;
        ldmatrix_x4(q[step], shared.q + swizzled<kDim>(row, step * 2 + lane / 16));
      }
    }

    // Scores of 16 queries and 64 keys.
    float scores[kTile / 8][4] = {};
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
#pragma unroll
      for (int pair = 0; pair < kTile / 16; ++pair) {
        // Matrices: keys 0-7 left and right half of the step's columns, then keys 8-15.
        uint32_t b[4];
        const int row = pair * 16 + lane / 16 * 8 + lane % 8;
        ldmatrix_x4(b, shared.k[stage] + swizzled<kDim>(row, step * 2 + lane / 8 % 2));
        mma_m16n8k16<T>(scores[2 * pair], q[step], b[0], b[1]);
        mma_m16n8k16<T>(scores[2 * pair + 1], q[step], b[2], b[3]);
      }
    }
    if (next > keys) {
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = tile * kTile + column * 8 + lane % 4 * 2 + i % 2;
          if (key >= keys) scores[column][i] = -INFINITY;
        }
      }
    }

    // Softmax so far. A tile holds at least one key, so no maximum stays at minus infinity.
    float factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = -INFINITY;
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
        most = fmaxf(most, fmaxf(scores[column][2 * half], scores[column][2 * half + 1]));
      }
      const float now = fmaxf(largest[half], quad_max(most) * scale);
      factor[half] = exp2f(largest[half] - now);
      largest[half] = now;
      float sum = 0.0f;
#pragma unroll
      for (int column = 0; column < kTile / 8; ++column) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[column][i] = exp2f(scores[column][i] * scale - now);
          sum += scores[column][i];
        }
      }
      total[half] = total[half] * factor[half] + sum;
    }
#pragma unroll
    for (int column = 0; column < kDim / 8; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) out[column][i] *= factor[i / 2];
    }

    // Scores as they lie in the result of one product are the left side of the next.
#pragma unroll
    for (int step = 0; step < kTile / 16; ++step) {
      const uint32_t p[4] = {pack_pair<T>(scores[2 * step][0], scores[2 * step][1]),
                             pack_pair<T>(scores[2 * step][2], scores[2 * step][3]),
                             pack_pair<T>(scores[2 * step + 1][0], scores[2 * step + 1][1]),
                             pack_pair<T>(scores[2 * step + 1][2], scores[2 * step + 1][3])};
#pragma unroll
      for (int pair = 0; pair < kDim / 16; ++pair) {
        // Matrices: keys 0-7 and 8-15 of the step for columns 0-7, then for columns 8-15.
        uint32_t b[4];
        const int row = step * 16 + lane % 16;
        ldmatrix_x4_trans(b, shared.v[stage] + swizzled<kDim>(row, pair * 2 + lane / 16));
        mma_m16n8k16<T>(out[2 * pair], p, b[0], b[1]);
        mma_m16n8k16<T>(out[2 * pair + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();  // The stage may be overwritten.
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + warp * 16 + lane / 4 + half * 8;
    const float inverse = 1.0f / quad_sum(total[half]);
    if (query >= block.queries) continue;
    T* to = block.out + head + query * stride;
#pragma unroll
    for (int column = 0; column < kDim / 8; ++column) {
      const int at = column * 8 + lane % 4 * 2;
      if (at < batch.head_dim) {
        store(to + at, Vec<T, 2>{{from_float<T>(out[column][2 * half] * inverse),
                                  from_float<T>(out[column][2 * half + 1] * inverse)}});
      }
    }
  }
}

// ---- Any type and size -------------------------------------------------------------------------

constexpr int kPlainWarps = 4;
constexpr int kPlainDim = 512;  ///< Largest head_dim of attention_plain.

template <typename T>
__global__ void __launch_bounds__(kPlainWarps* kWarpSize)
    attention_plain_kernel(AttentionBatch<T> batch) {
  const AttentionBlock<T> block = batch.rows[blockIdx.z];
  const int lane = threadIdx.x % kWarpSize;
  const int query = blockIdx.x * kPlainWarps + threadIdx.x / kWarpSize;
  if (query >= block.queries) return;
  const int keys = block.keys;
  const int64_t stride = int64_t{batch.heads} * batch.head_dim;
  const int64_t head = int64_t{blockIdx.y} * batch.head_dim;
  const T* q = block.q + head + query * stride;
  const float scale = batch.scale * kLog2E;

  // A lane holds every 32nd value of the query and of the sum.
  constexpr int kValues = kPlainDim / kWarpSize;
  float mine[kValues], sum[kValues] = {};
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    const int at = i * kWarpSize + lane;
    mine[i] = at < batch.head_dim ? to_float(q[at]) * scale : 0.0f;
  }
  float largest = -INFINITY, total = 0.0f;
  for (int key = 0; key < keys; ++key) {
    const T* k = block.k + head + key * stride;
    const T* v = block.v + head + key * stride;
    float dot = 0.0f;
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      const int at = i * kWarpSize + lane;
      if (at < batch.head_dim) dot += mine[i] * to_float(k[at]);
    }
    const float score = warp_sum(dot);
    const float now = fmaxf(largest, score);
    const float factor = exp2f(largest - now), weight = exp2f(score - now);
    largest = now;
    total = total * factor + weight;
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      const int at = i * kWarpSize + lane;
      if (at < batch.head_dim) sum[i] = sum[i] * factor + weight * to_float(v[at]);
    }
  }
  T* to = block.out + head + query * stride;
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    const int at = i * kWarpSize + lane;
    if (at < batch.head_dim) to[at] = from_float<T>(sum[i] / total);
  }
}

// ---- Choice ------------------------------------------------------------------------------------

/// Whether the tensor-core kernel can take these blocks.
template <typename T>
bool attention_fits_mma(const AttentionBlock<T>* blocks, int count, int head_dim) {
  bool fits = sizeof(T) == 2 && head_dim <= 128;
  for (int i = 0; i < count; ++i) {
    fits = fits && can_vectorise<T>(head_dim, blocks[i].q, blocks[i].k, blocks[i].v, blocks[i].out);
  }
  return fits;
}

/// `count` blocks, given as the host sees them and as a copy in device memory, with at most
/// `most_queries` queries each. head_dim at most kPlainDim.
template <typename T>
void attention(const AttentionBlock<T>* blocks, const AttentionBlock<T>* on_device, int count,
               int most_queries, int heads, int head_dim, float scale, cudaStream_t stream) {
  DL_CHECK(head_dim >= 1 && head_dim <= kPlainDim, "attention head_dim on a GPU",
           "1.." + std::to_string(kPlainDim), head_dim);
  const AttentionBatch<T> batch = {on_device, heads, head_dim, scale};
  const auto run = [&](const char* name, void (*kernel)(AttentionBatch<T>), int queries,
                       int threads, size_t shared) {
    launch(name, kernel,
           dim3(static_cast<unsigned>(ceil_div(most_queries, queries)),
                static_cast<unsigned>(heads), static_cast<unsigned>(count)),
           dim3(static_cast<unsigned>(threads)), shared, stream, batch);
  };
  if constexpr (sizeof(T) == 2) {
    if (attention_fits_mma(blocks, count, head_dim)) {
      if (head_dim <= 64) {
        return run("attention_mma", attention_mma_kernel<T, 64>, kTile, kAttentionThreads,
                   sizeof(AttentionShared<T, 64>));
      }
      return run("attention_mma", attention_mma_kernel<T, 128>, kTile, kAttentionThreads,
                 sizeof(AttentionShared<T, 128>));
    }
  }
  run("attention_plain", attention_plain_kernel<T>, kPlainWarps, kPlainWarps * kWarpSize, 0);
}

}  // namespace cuda
}  // namespace driftless
