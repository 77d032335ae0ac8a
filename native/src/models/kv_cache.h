#pragma once

// The transformer's view of one row's memory of past latent frames. What is kept, where, and at
// which position is the streaming layer's business.

#include "core/tensor.h"
#include "ops/ops.h"

namespace driftless {

// Keys and values that a row's queries attend over: [tokens, heads, head_dim] of `dtype` each,
// contiguous.
struct KvView {
  const void* k = nullptr;
  const void* v = nullptr;
  int tokens = 0;
  DType dtype = DType::f32;

  const float* k_f32() const { return static_cast<const float*>(k); }
  const float* v_f32() const { return static_cast<const float*>(v); }
};

// Where in its stream a row is. A forward notes it when it is begun, because by the time that its
// last blocks run the row may have gone on to the next chunk.
struct KvMoment {
  int64_t frames = 0;      // latent frames before this one
  bool rewriting = false;  // this one replaces the one before
  int renewed_sink = -1;   // the anchor that takes the frame that this one overwrites; -1: none
};

// One layer's part of a forward.
struct KvTurn {
  Ops& ops;  // that the layer runs on; by its thread
  int layer = 0;
  KvMoment moment;
  Tensor rotated;      // of KvCache::rotated_shape(), working memory until the layer is done
  Tensor values = {};  // like it, where KvCache::widens_values()
};

class KvCache {
 public:
  virtual ~KvCache() = default;

  virtual KvMoment moment() const { return {}; }

  // Temporal RoPE position of the chunk's first frame, for its queries and for the keys handed to
  // append(). They differ where a cache stores keys without their temporal rotation.
  virtual int query_position(const KvMoment& moment) const = 0;
  virtual int key_position(const KvMoment& moment) const = 0;

  // Of the working memory that a turn brings; rank 0: none is needed. widens_values(): twice, for
  // the values too.
  virtual Shape rotated_shape() const { return {}; }
  virtual DType rotated_dtype() const { return DType::f32; }
  virtual bool widens_values() const { return false; }

  // Where Ops::append_to_rings() may write the chunk of one latent frame itself, instead of
  // append(); false where more is to be done. `view` is what to attend over afterwards.
  virtual bool ring(const KvTurn& /*turn*/, RingRow& /*row*/, KvView& /*view*/) { return false; }

  // Takes the chunk's keys and values of one layer ([tokens, heads * head_dim], f32 or the turn's
  // Ops::token_dtype(), keys after RMS norm and RoPE at key_position()) and returns everything to
  // attend over, the chunk included. The view is valid until the next append().
  virtual KvView append(const KvTurn& turn, const Tensor& k, const Tensor& v) = 0;
};

}  // namespace driftless
