#pragma once

// Softmax attention by cuDNN: one plan for each size.

#include "ops/cuda/cudnn_plan.h"

namespace driftless {
namespace cuda {

/// One row: [queries, heads, head_dim] against [keys, heads, head_dim] of 16 bits.
struct AttentionSize {
  int64_t queries, keys, heads, head_dim;
  dnn::DataType type = dnn::kBf16;
  bool operator==(const AttentionSize& other) const {
    return queries == other.queries && keys == other.keys && heads == other.heads &&
           head_dim == other.head_dim && type == other.type;
  }
};

class DnnAttentionPlan : public DnnPlan {
 public:
  /// Throws Error with cuDNN's own words where it has no engine for the size.
  DnnAttentionPlan(const dnn::Api& api, const AttentionSize& size, const DnnTarget& target);

  const AttentionSize& size() const { return size_; }

  /// On the handle's stream. Pointers are aligned to 16 bytes, `out` is none of the others;
  /// `workspace` is null where the plan needs none.
  void run(dnn::Handle handle, const void* q, const void* k, const void* v, void* out, float scale,
           void* workspace) const;

 private:
  dnn::Descriptor rows(int64_t id, int64_t tokens);

  const AttentionSize size_;
};

}  // namespace cuda
}  // namespace driftless
