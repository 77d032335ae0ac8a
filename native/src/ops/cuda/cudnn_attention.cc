#include "ops/cuda/cudnn_attention.h"

namespace driftless {
namespace cuda {

namespace {

using namespace dnn;

enum TensorId : int64_t { kQ = 1, kK, kV, kOut, kScale };

}  // namespace

DnnAttentionPlan::DnnAttentionPlan(const Api& api, const AttentionSize& size,
                                   const DnnTarget& target)
    : DnnPlan(api), size_(size) {
  const Descriptor q = rows(kQ, size.queries), k = rows(kK, size.keys);
  const Descriptor v = rows(kV, size.keys), out = rows(kOut, size.queries);
  const Descriptor scale = tensor(kScale, {1, 1, 1, 1}, {1, 1, 1, 1}, kF32, kTensorByValue);
  const Descriptor attention = create(kAttentionForward);
  link(attention, kAttentionQ, q);
  link(attention, kAttentionK, k);
  link(attention, kAttentionV, v);
  link(attention, kAttentionOut, out);
  link(attention, kAttentionScale, scale);
  build({finalized(attention)}, target, "attention");
}

/// [token, head, head_dim] in memory, as cuDNN's batch, head, token, head_dim.
Descriptor DnnAttentionPlan::rows(int64_t id, int64_t tokens) {
  const int64_t heads = size_.heads, dim = size_.head_dim;
  return tensor(id, {1, heads, tokens, dim}, {tokens * heads * dim, dim, heads * dim, 1},
                size_.type);
}

void DnnAttentionPlan::run(Handle handle, const void* q, const void* k, const void* v, void* out,
                           float scale, void* workspace) const {
  execute(handle, {kQ, kK, kV, kOut, kScale}, {q, k, v, out, &scale}, workspace, "attention");
}

}  // namespace cuda
}  // namespace driftless
