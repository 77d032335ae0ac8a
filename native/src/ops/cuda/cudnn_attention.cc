#include "ops/cuda/cudnn_attention.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"

namespace driftless {
namespace cuda {

namespace {

using namespace dnn;

enum TensorId : int64_t { kQ = 1, kK, kV, kOut, kScale };
constexpr int64_t kAlignment = 16;  // Bytes.

}  // namespace

DnnAttentionPlan::DnnAttentionPlan(const Api& api, const AttentionSize& size,
                                   const DnnTarget& target)
    : api_(api), size_(size) {
  try {
    const Descriptor operations = graph(target);
    // The first is what the library expects to be the fastest.
    std::string refusals;
    for (const Descriptor config : configs(operations, target)) {
      const Descriptor plan = create(kExecutionPlan);
      if (target.handle != nullptr) set(plan, kPlanHandle, kHandleType, 1, &target.handle);
      if (target.properties != nullptr) link(plan, kPlanDevice, target.properties);
      link(plan, kPlanConfig, config);
      try {
        finalized(plan);
      } catch (const Error& error) {
        refusals += (refusals.empty() ? "" : "; ") + std::string(error.what());
        continue;
      }
      int64_t bytes = 0, count = 0;
      check(api_.cudnnBackendGetAttribute(plan, kPlanWorkspaceBytes, kInt64, 1, &count, &bytes),
            "workspace of a plan");
      workspace_bytes_ = static_cast<size_t>(bytes);
      plan_ = plan;
      return;
    }
    throw Error("cuDNN attention", "an engine for the size", refusals.empty() ? "none" : refusals);
  } catch (...) {
    for (const Descriptor descriptor : descriptors_) api_.cudnnBackendDestroyDescriptor(descriptor);
    throw;
  }
}

DnnAttentionPlan::~DnnAttentionPlan() {
  for (const Descriptor descriptor : descriptors_) api_.cudnnBackendDestroyDescriptor(descriptor);
}

void DnnAttentionPlan::check(Status status, const char* what) const {
  if (status == 0) return;
  char text[512] = "";
  api_.cudnnGetLastErrorString(text, sizeof text);
  throw Error(std::string("cuDNN: ") + what, "success",
              "status " + std::to_string(status) + " (" + text + ")");
}

Descriptor DnnAttentionPlan::create(DescriptorKind kind) {
  Descriptor descriptor = nullptr;
  check(api_.cudnnBackendCreateDescriptor(kind, &descriptor), "descriptor");
  descriptors_.push_back(descriptor);
  return descriptor;
}

Descriptor DnnAttentionPlan::finalized(Descriptor descriptor) {
  check(api_.cudnnBackendFinalize(descriptor), "finalisation");
  return descriptor;
}

void DnnAttentionPlan::set(Descriptor descriptor, Attribute attribute, AttributeType type,
                           int64_t count, const void* elements) const {
  check(api_.cudnnBackendSetAttribute(descriptor, attribute, type, count, elements), "attribute");
}

void DnnAttentionPlan::link(Descriptor from, Attribute attribute, Descriptor to) const {
  set(from, attribute, kBackendDescriptor, 1, &to);
}

Descriptor DnnAttentionPlan::tensor(int64_t id, const std::array<int64_t, 4>& dimensions,
                                    const std::array<int64_t, 4>& strides, DataType type) {
  const Descriptor made = create(kTensor);
  set(made, kTensorId, kInt64, 1, &id);
  set(made, kTensorType, kDataTypeType, 1, &type);
  set(made, kTensorDimensions, kInt64, 4, dimensions.data());
  set(made, kTensorStrides, kInt64, 4, strides.data());
  set(made, kTensorAlignment, kInt64, 1, &kAlignment);
  const bool by_value = id == kScale;
  if (by_value) set(made, kTensorByValue, kBoolean, 1, &by_value);
  return finalized(made);
}

/// [token, head, head_dim] in memory, as cuDNN's batch, head, token, head_dim.
Descriptor DnnAttentionPlan::rows(int64_t id, int64_t tokens) {
  const int64_t heads = size_.heads, dim = size_.head_dim;
  return tensor(id, {1, heads, tokens, dim}, {tokens * heads * dim, dim, heads * dim, 1}, kBf16);
}

Descriptor DnnAttentionPlan::graph(const DnnTarget& target) {
  const Descriptor q = rows(kQ, size_.queries), k = rows(kK, size_.keys);
  const Descriptor v = rows(kV, size_.keys), out = rows(kOut, size_.queries);
  const Descriptor scale = tensor(kScale, {1, 1, 1, 1}, {1, 1, 1, 1}, kF32);
  const Descriptor attention = create(kAttentionForward);
  link(attention, kAttentionQ, q);
  link(attention, kAttentionK, k);
  link(attention, kAttentionV, v);
  link(attention, kAttentionOut, out);
  link(attention, kAttentionScale, scale);
  finalized(attention);
  const Descriptor graph = create(kOperationGraph);
  if (target.handle != nullptr) set(graph, kGraphHandle, kHandleType, 1, &target.handle);
  link(graph, kGraphOperations, attention);
  return finalized(graph);
}

std::vector<Descriptor> DnnAttentionPlan::configs(Descriptor graph, const DnnTarget& target) {
  const Descriptor heuristic = create(kEngineHeuristic);
  link(heuristic, kHeuristicGraph, graph);
  const HeuristicMode mode = kHeuristicA;
  set(heuristic, kHeuristicModeOf, kHeuristicModeType, 1, &mode);
  if (target.properties != nullptr) link(heuristic, kHeuristicDevice, target.properties);
  finalized(heuristic);
  const auto results = [&](int64_t wanted, Descriptor* into) {
    int64_t count = 0;
    check(api_.cudnnBackendGetAttribute(heuristic, kHeuristicResults, kBackendDescriptor, wanted,
                                        &count, into),
          "engines");
    return count;
  };
  std::vector<Descriptor> found(static_cast<size_t>(results(0, nullptr)));
  for (Descriptor& config : found) config = create(kEngineConfig);
  // Some of those that were announced may turn out not to be for this device.
  if (!found.empty()) {
    found.resize(static_cast<size_t>(results(static_cast<int64_t>(found.size()), found.data())));
  }
  return found;
}

void DnnAttentionPlan::run(Handle handle, const void* q, const void* k, const void* v, void* out,
                           float scale, void* workspace) const {
  const int64_t ids[] = {kQ, kK, kV, kOut, kScale};
  const void* const pointers[] = {q, k, v, out, &scale};
  Descriptor pack = nullptr;
  check(api_.cudnnBackendCreateDescriptor(kVariantPack, &pack), "descriptor");
  const struct Destroyed {
    const Api& api;
    Descriptor descriptor;
    ~Destroyed() { api.cudnnBackendDestroyDescriptor(descriptor); }
  } destroyed{api_, pack};
  set(pack, kPackIds, kInt64, 5, ids);
  set(pack, kPackPointers, kVoidPointer, 5, pointers);
  // The library refuses to be told that there is none.
  if (workspace != nullptr) set(pack, kPackWorkspace, kVoidPointer, 1, &workspace);
  check(api_.cudnnBackendFinalize(pack), "finalisation");
  check(api_.cudnnBackendExecute(handle, plan_, pack), "attention");
}

DnnAttention::DnnAttention(const Api& api, void* stream) : api_(api) {
  DL_CHECK(api_.cudnnCreate(&target_.handle) == 0, "cuDNN", "a handle", "an error");
  if (api_.cudnnSetStream(target_.handle, stream) != 0) {
    api_.cudnnDestroy(target_.handle);
    throw Error("cuDNN", "that it takes our stream", "an error");
  }
}

DnnAttention::~DnnAttention() {
  plans_.clear();
  api_.cudnnDestroy(target_.handle);
}

std::unique_ptr<DnnAttentionPlan> DnnAttention::make(const AttentionSize& size) const {
  return std::make_unique<DnnAttentionPlan>(api_, size, target_);
}

const DnnAttentionPlan* DnnAttention::find(const AttentionSize& size) const {
  for (const auto& [known, plan] : plans_) {
    if (known == size) return plan.get();
  }
  return nullptr;
}

bool DnnAttention::knows(const AttentionSize& size) const {
  return std::any_of(plans_.begin(), plans_.end(),
                     [&](const auto& entry) { return entry.first == size; });
}

}  // namespace cuda
}  // namespace driftless
