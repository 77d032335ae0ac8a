#pragma once

// Softmax attention by cuDNN's graph API: one plan for each size, which the library's own compiler
// makes, so making one takes a good part of a second.

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/cuda/cudnn_api.h"

namespace driftless {
namespace cuda {

/// One row: [queries, heads, head_dim] against [keys, heads, head_dim], bf16.
struct AttentionSize {
  int64_t queries, keys, heads, head_dim;
  bool operator==(const AttentionSize& other) const {
    return queries == other.queries && keys == other.keys && heads == other.heads &&
           head_dim == other.head_dim;
  }
};

/// What plans are made for: a device that is there, or one that is only described.
struct DnnTarget {
  dnn::Handle handle = nullptr;
  dnn::Descriptor properties = nullptr;
};

class DnnAttentionPlan {
 public:
  /// `api` is copied. Throws Error with cuDNN's own words where it has no engine for the size.
  DnnAttentionPlan(const dnn::Api& api, const AttentionSize& size, const DnnTarget& target);
  ~DnnAttentionPlan();
  DnnAttentionPlan(const DnnAttentionPlan&) = delete;
  DnnAttentionPlan& operator=(const DnnAttentionPlan&) = delete;

  const AttentionSize& size() const { return size_; }
  size_t workspace_bytes() const { return workspace_bytes_; }

  /// On the handle's stream. Pointers are aligned to 16 bytes, `out` is none of the others;
  /// `workspace` is null where the plan needs none.
  void run(dnn::Handle handle, const void* q, const void* k, const void* v, void* out, float scale,
           void* workspace) const;

 private:
  dnn::Descriptor create(dnn::DescriptorKind kind);
  dnn::Descriptor finalized(dnn::Descriptor descriptor);
  dnn::Descriptor tensor(int64_t id, const std::array<int64_t, 4>& dimensions,
                         const std::array<int64_t, 4>& strides, dnn::DataType type);
  dnn::Descriptor rows(int64_t id, int64_t tokens);
  dnn::Descriptor graph(const DnnTarget& target);
  std::vector<dnn::Descriptor> configs(dnn::Descriptor graph, const DnnTarget& target);
  void link(dnn::Descriptor from, dnn::Attribute attribute, dnn::Descriptor to) const;
  void set(dnn::Descriptor descriptor, dnn::Attribute attribute, dnn::AttributeType type,
           int64_t count, const void* elements) const;
  void check(dnn::Status status, const char* what) const;

  const dnn::Api api_;
  const AttentionSize size_;
  std::vector<dnn::Descriptor> descriptors_;  ///< All that there are, to be destroyed.
  dnn::Descriptor plan_ = nullptr;
  size_t workspace_bytes_ = 0;
};

/// cuDNN on one stream, and what became of each size that was tried.
class DnnAttention {
 public:
  /// `api` is copied, `stream` a cudaStream_t. Throws Error when the library does not start.
  DnnAttention(const dnn::Api& api, void* stream);
  ~DnnAttention();
  DnnAttention(const DnnAttention&) = delete;
  DnnAttention& operator=(const DnnAttention&) = delete;

  dnn::Handle handle() const { return target_.handle; }
  std::unique_ptr<DnnAttentionPlan> make(const AttentionSize& size) const;
  /// null: the size is not for the library.
  void keep(const AttentionSize& size, std::unique_ptr<DnnAttentionPlan> plan) {
    plans_.emplace_back(size, std::move(plan));
  }
  bool knows(const AttentionSize& size) const;
  const DnnAttentionPlan* find(const AttentionSize& size) const;

 private:
  const dnn::Api api_;
  DnnTarget target_;
  std::vector<std::pair<AttentionSize, std::unique_ptr<DnnAttentionPlan>>> plans_;
};

}  // namespace cuda
}  // namespace driftless
