#pragma once

// The rolling key/value memory on the device. How many frames a row has seen is a device integer;
// slots, positions and key counts are worked out from it there, for all rows in one launch. The
// rules are those of stream/rolling_cache.h: slots 0..sink_frames-1 are anchors, the others roll,
// keys are stored without their temporal rotation and get it when they are read, at positions
// relative to the ring.

#include "ops/cuda/norm.cuh"
#include "ops/cuda/rope.cuh"
#include "ops/ring_place.h"

namespace driftless {
namespace cuda {

/// What one row does with its ring in this chunk of one latent frame.
struct RingPlan {
  int slot;            ///< Where the chunk's keys and values go.
  int query_position;  ///< Temporal position of the chunk's queries.
  int keys;            ///< Tokens to attend over, the chunk included.
};

template <int kThreads>
__global__ void plan_rings_kernel(const int64_t* frames, int rows, RingPlace ring, int tokens,
                                  RingPlan* plans) {
  const int row = threadIdx.x + blockIdx.x * kThreads;
  if (row >= rows) return;
  const int64_t seen = frames[row];
  const int slot = ring.slot(seen);
  plans[row] = {slot, ring.position(seen, slot), ring.valid(seen) * tokens};
}

/// frames [rows]: latent frames each row has finished, `tokens` to a frame. plans [rows].
inline void plan_rings(const int64_t* frames, int rows, const RingPlace& ring, int tokens,
                       RingPlan* plans, cudaStream_t stream) {
  launch("plan_rings", plan_rings_kernel<kWarpSize>,
         dim3(static_cast<unsigned>(ceil_div(rows, kWarpSize))), dim3(kWarpSize), 0, stream, frames,
         rows, ring, tokens, plans);
}

/// One layer's projections of a chunk and where they go, rounded to the rings' type. Pointer arrays
/// are in device memory.
template <typename T, typename Ring>
struct RingAppend {
  T* q;                         ///< [rows * tokens_per_frame, d], normed and rotated in place.
  T* k;                         ///< Like q; changed by norm_rope() alone.
  const T* v;                   ///< Like q.
  const float* q_weight;        ///< [d], of the RMS norms.
  const float* k_weight;        ///< [d].
  Ring* const* k_rings;         ///< [rows], each [kv_frames * tokens_per_frame, d].
  Ring* const* v_rings;         ///< [rows].
  const RingPlan* plans;        ///< [rows].
  RopeTables rope;              ///< Temporal table of at least kv_frames rows.
  int tokens_per_frame, width;  ///< Of the token grid.
  int heads, head_dim;
  float eps;
};

/// Normalises `in` (one token) and rotates it into `out`, temporally only where `position` >= 0.
template <typename T, typename Ring, typename Out, int kVec>
__device__ __forceinline__ void norm_and_rotate(const T* in, const float* weight, float inverse,
                                                const RingAppend<T, Ring>& a, int position,
                                                int place, Out* out) {
  const int d = a.heads * a.head_dim;
  for (int i = threadIdx.x * kVec; i < d; i += kNormThreads * kVec) {
    const Vec<T, kVec> values = load<T, kVec>(in + i);
    Vec<Out, kVec> turned;
#pragma unroll
    for (int j = 0; j < kVec; j += 2) {
      float left = to_float(values.v[j]) * inverse * weight[i + j];
      float right = to_float(values.v[j + 1]) * inverse * weight[i + j + 1];
      const int pair = (i + j) % a.head_dim / 2;
      if (position >= 0 || pair >= a.rope.pairs_t) {
        rotate(a.rope.at(pair, position, place / a.width, place % a.width), left, right);
      }
      turned.v[j] = from_float<Out>(left);
      turned.v[j + 1] = from_float<Out>(right);
    }
    store(out + i, turned);
  }
}

struct RingAppendShared {
  BlockSum<kNormThreads> q, k;
};

template <typename T, typename Ring, int kVec>
__device__ __forceinline__ void round_into(const T* from, int width, Ring* to) {
  for (int i = threadIdx.x * kVec; i < width; i += kNormThreads * kVec) {
    const Vec<T, kVec> values = load<T, kVec>(from + i);
    Vec<Ring, kVec> rounded;
#pragma unroll
    for (int j = 0; j < kVec; ++j) rounded.v[j] = from_float<Ring>(to_float(values.v[j]));
    store(to + i, rounded);
  }
}

// Eight resident blocks leave 64 registers; left alone, the assembler aims at more and spills.
template <typename T, typename Ring, int kVec, bool kAppends>
__global__ void __launch_bounds__(kNormThreads, 8) norm_rope_append_kernel(RingAppend<T, Ring> a) {
  auto& shared = shared_memory<RingAppendShared>();
  const int place = blockIdx.x, row = blockIdx.y;
  const int d = a.heads * a.head_dim;
  const int64_t token = (int64_t{row} * a.tokens_per_frame + place) * d;
  const RingPlan plan = a.plans[row];

  const float q_inverse = inverse_rms<T, kVec>(a.q + token, d, a.eps, shared.q);
  norm_and_rotate<T, Ring, T, kVec>(a.q + token, a.q_weight, q_inverse, a, plan.query_position,
                                    place, a.q + token);
  const float k_inverse = inverse_rms<T, kVec>(a.k + token, d, a.eps, shared.k);
  if constexpr (kAppends) {
    const int64_t to = (int64_t{plan.slot} * a.tokens_per_frame + place) * d;
    norm_and_rotate<T, Ring, Ring, kVec>(a.k + token, a.k_weight, k_inverse, a, -1, place,
                                         a.k_rings[row] + to);
    round_into<T, Ring, kVec>(a.v + token, d, a.v_rings[row] + to);
  } else {
    norm_and_rotate<T, Ring, T, kVec>(a.k + token, a.k_weight, k_inverse, a, -1, place,
                                      a.k + token);
  }
}

template <typename T, typename Ring, int kVec>
__global__ void __launch_bounds__(kNormThreads) append_kernel(RingAppend<T, Ring> a) {
  const int place = blockIdx.x, row = blockIdx.y;
  const int d = a.heads * a.head_dim;
  const int64_t token = (int64_t{row} * a.tokens_per_frame + place) * d;
  const int64_t to = (int64_t{a.plans[row].slot} * a.tokens_per_frame + place) * d;
  round_into<T, Ring, kVec>(a.k + token, d, a.k_rings[row] + to);
  round_into<T, Ring, kVec>(a.v + token, d, a.v_rings[row] + to);
}

/// A block for each token of each row.
template <typename T, typename Ring>
void launch_append(const char* name, void (*wide)(RingAppend<T, Ring>),
                   void (*narrow)(RingAppend<T, Ring>), const RingAppend<T, Ring>& append, int rows,
                   cudaStream_t stream) {
  const int d = append.heads * append.head_dim;
  // The rings come from the allocator and have the width of q, so q speaks for them.
  const bool vectors =
      append.head_dim % kVecWidth<T> == 0 && can_vectorise<T>(d, append.q, append.k, append.v);
  launch(name, vectors ? wide : narrow,
         dim3(static_cast<unsigned>(append.tokens_per_frame), static_cast<unsigned>(rows)),
         dim3(kNormThreads), sizeof(RingAppendShared), stream, append);
}

/// RMS norm of q and k over all heads, RoPE, and the append to each row's ring in one pass.
template <typename T, typename Ring>
void norm_rope_append(const RingAppend<T, Ring>& append, int rows, cudaStream_t stream) {
  launch_append("norm_rope_append", norm_rope_append_kernel<T, Ring, kVecWidth<T>, true>,
                norm_rope_append_kernel<T, Ring, 2, true>, append, rows, stream);
}

/// The same in two, for who has to look at the keys before they are in their slots: norm and RoPE,
/// in place.
template <typename T, typename Ring>
void norm_rope(const RingAppend<T, Ring>& append, int rows, cudaStream_t stream) {
  launch_append("norm_rope", norm_rope_append_kernel<T, Ring, kVecWidth<T>, false>,
                norm_rope_append_kernel<T, Ring, 2, false>, append, rows, stream);
}
/// And the append.
template <typename T, typename Ring>
void append_chunk(const RingAppend<T, Ring>& append, int rows, cudaStream_t stream) {
  launch_append("append_chunk", append_kernel<T, Ring, kVecWidth<T>>, append_kernel<T, Ring, 2>,
                append, rows, stream);
}

/// Out is what attention takes: the rings' type, or a wider one.
template <typename Ring, typename Out>
struct RingRead {
  const Ring* const* k_rings;  ///< [rows].
  const Ring* const* v_rings;  ///< [rows]; read where Out is wider.
  Out* const* rotated;         ///< [rows], in the shape of the rings.
  Out* const* values;          ///< [rows], like rotated; written where Out is wider.
  const int64_t* frames;       ///< [rows].
  RingPlace ring;
  int tokens_per_frame;
  RopeTables rope;
  int heads, head_dim;
};

template <typename Ring, typename Out>
__global__ void __launch_bounds__(kRopeThreads) read_keys_kernel(RingRead<Ring, Out> a) {
  const int pairs_of_token = a.heads * (a.head_dim / 2);
  const int64_t per_slot = int64_t{a.tokens_per_frame} * pairs_of_token;
  const int64_t i = int64_t{blockIdx.x} * kRopeThreads + threadIdx.x;
  const int slot = blockIdx.y, row = blockIdx.z;
  const int64_t frames = a.frames[row];
  if (i >= per_slot || slot > frames) return;
  const int64_t at = 2 * (slot * per_slot + i);
  const auto widened = [](const Vec<Ring, 2>& x) {
    return Vec<Out, 2>{{from_float<Out>(to_float(x.v[0])), from_float<Out>(to_float(x.v[1]))}};
  };
  const Vec<Ring, 2> key = load<Ring, 2>(a.k_rings[row] + at);
  Vec<Out, 2> turned = widened(key);
  const int pair = static_cast<int>(i % (a.head_dim / 2));
  if (pair < a.rope.pairs_t) {
    float left = to_float(key.v[0]), right = to_float(key.v[1]);
    rotate(a.rope.at(pair, a.ring.position(frames, slot), 0, 0), left, right);
    turned = {{from_float<Out>(left), from_float<Out>(right)}};
  }
  store(a.rotated[row] + at, turned);
  if constexpr (sizeof(Ring) < sizeof(Out)) {
    store(a.values[row] + at, widened(load<Ring, 2>(a.v_rings[row] + at)));
  }
}

/// Every valid key of every row with its temporal rotation at its present place in the ring, and
/// every valid value where the rings are too narrow for attention.
template <typename Ring, typename Out>
void read_keys(const RingRead<Ring, Out>& read, int rows, cudaStream_t stream) {
  const int64_t pairs = int64_t{read.tokens_per_frame} * read.heads * (read.head_dim / 2);
  launch("read_keys", read_keys_kernel<Ring, Out>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(pairs, kRopeThreads)),
              static_cast<unsigned>(read.ring.slots), static_cast<unsigned>(rows)),
         dim3(kRopeThreads), 0, stream, read);
}

}  // namespace cuda
}  // namespace driftless
