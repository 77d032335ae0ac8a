#include "ops/cuda/cudnn_plan.h"

#include <string>

#include "core/error.h"

namespace driftless {
namespace cuda {

using namespace dnn;

DnnPlan::~DnnPlan() {
  for (const Descriptor descriptor : descriptors_) api_.cudnnBackendDestroyDescriptor(descriptor);
}

void DnnPlan::check(Status status, const char* what) const {
  if (status == 0) return;
  char text[512] = "";
  api_.cudnnGetLastErrorString(text, sizeof text);
  throw Error(std::string("cuDNN: ") + what, "success",
              "status " + std::to_string(status) + " (" + text + ")");
}

Descriptor DnnPlan::create(DescriptorKind kind) {
  Descriptor descriptor = nullptr;
  check(api_.cudnnBackendCreateDescriptor(kind, &descriptor), "descriptor");
  descriptors_.push_back(descriptor);
  return descriptor;
}

Descriptor DnnPlan::finalized(Descriptor descriptor) {
  check(api_.cudnnBackendFinalize(descriptor), "finalisation");
  return descriptor;
}

void DnnPlan::set(Descriptor descriptor, Attribute attribute, AttributeType type, int64_t count,
                  const void* elements) const {
  check(api_.cudnnBackendSetAttribute(descriptor, attribute, type, count, elements), "attribute");
}

Descriptor DnnPlan::tensor(int64_t id, const std::vector<int64_t>& dimensions,
                           const std::vector<int64_t>& strides, DataType type, Attribute flag) {
  const Descriptor made = create(kTensor);
  const auto rank = static_cast<int64_t>(dimensions.size());
  set(made, kTensorId, kInt64, id);
  set(made, kTensorType, kDataTypeType, type);
  set(made, kTensorDimensions, kInt64, rank, dimensions.data());
  set(made, kTensorStrides, kInt64, rank, strides.data());
  set(made, kTensorAlignment, kInt64, int64_t{16});
  if (flag != kTensorId) set(made, flag, kBoolean, true);
  return finalized(made);
}

void DnnPlan::build(const std::vector<Descriptor>& operations, const DnnTarget& target,
                    const char* what) {
  const Descriptor graph = create(kOperationGraph);
  if (target.handle != nullptr) set(graph, kGraphHandle, kHandleType, target.handle);
  set(graph, kGraphOperations, kBackendDescriptor, static_cast<int64_t>(operations.size()),
      operations.data());
  finalized(graph);
  // The first is what the library expects to be the fastest.
  std::string refusals;
  for (const Descriptor config : configs(graph, target)) {
    const Descriptor plan = create(kExecutionPlan);
    if (target.handle != nullptr) set(plan, kPlanHandle, kHandleType, target.handle);
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
  throw Error(std::string("cuDNN: ") + what, "an engine for the size",
              refusals.empty() ? "none" : refusals);
}

std::vector<Descriptor> DnnPlan::configs(Descriptor graph, const DnnTarget& target) {
  const Descriptor heuristic = create(kEngineHeuristic);
  link(heuristic, kHeuristicGraph, graph);
  set(heuristic, kHeuristicModeOf, kHeuristicModeType, kHeuristicA);
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

void DnnPlan::execute(Handle handle, const std::vector<int64_t>& ids,
                      const std::vector<const void*>& pointers, void* workspace,
                      const char* what) const {
  Descriptor pack = nullptr;
  check(api_.cudnnBackendCreateDescriptor(kVariantPack, &pack), "descriptor");
  const struct Destroyed {
    const Api& api;
    Descriptor descriptor;
    ~Destroyed() { api.cudnnBackendDestroyDescriptor(descriptor); }
  } destroyed{api_, pack};
  const auto count = static_cast<int64_t>(ids.size());
  set(pack, kPackIds, kInt64, count, ids.data());
  set(pack, kPackPointers, kVoidPointer, count, pointers.data());
  // The library refuses to be told that there is none.
  if (workspace != nullptr) set(pack, kPackWorkspace, kVoidPointer, workspace);
  check(api_.cudnnBackendFinalize(pack), "finalisation");
  check(api_.cudnnBackendExecute(handle, plan_, pack), what);
}

DnnLibrary::DnnLibrary(const Api& api, void* stream) : api_(api) {
  DL_CHECK(api_.cudnnCreate(&handle_) == 0, "cuDNN", "a handle", "an error");
  if (api_.cudnnSetStream(handle_, stream) != 0) {
    api_.cudnnDestroy(handle_);
    throw Error("cuDNN", "that it takes our stream", "an error");
  }
}

DnnLibrary::~DnnLibrary() { api_.cudnnDestroy(handle_); }

}  // namespace cuda
}  // namespace driftless
