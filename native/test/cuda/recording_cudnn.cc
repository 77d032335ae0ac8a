#include "cuda/recording_cudnn.h"

#include <cstdio>
#include <cstring>

#include "cuda/cudnn_nodes.h"
#include "ops/cuda/platform.cuh"

namespace driftless {

namespace cudnn_double {

namespace {

std::string last_error;

}  // namespace

Status problem(const std::string& text) {
  recorded_cudnn().problems.push_back(text);
  last_error = text;
  return kBadParameter;
}

namespace {

size_t element_size(AttributeType type) {
  if (type == kBoolean || type == kChar) return 1;
  const bool narrow = type == kDataTypeType || type == kHeuristicModeType || type == kFloat ||
                      type == kConvolutionModeType || type == kPointwiseModeType;
  return narrow ? 4 : 8;
}

Status create(DescriptorKind kind, Descriptor* to) {
  ++recorded_cudnn().descriptors;
  *to = new Node{kind, {}, kind == kEngineConfig};
  return 0;
}
Status destroy(Descriptor descriptor) {
  --recorded_cudnn().descriptors;
  delete &node(descriptor);
  return 0;
}

Status set(Descriptor descriptor, Attribute attribute, AttributeType type, int64_t count,
           const void* elements) {
  Node& to = node(descriptor);
  if (to.final) return problem("an attribute of what is final");
  if (attribute == kPackWorkspace && *static_cast<void* const*>(elements) == nullptr) {
    return problem("a workspace that is none");
  }
  if (type == kBackendDescriptor && !node(*static_cast<const Descriptor*>(elements)).final) {
    return problem("a link to what is not final");
  }
  const auto* bytes = static_cast<const unsigned char*>(elements);
  to.values[attribute].assign(bytes, bytes + static_cast<size_t>(count) * element_size(type));
  return 0;
}

Status finalize(Descriptor descriptor) {
  Node& of = node(descriptor);
  if (of.final) return problem("final twice");
  bool complete = true;
  switch (of.kind) {
    case kTensor:
      complete =
          has(of, {kTensorId, kTensorType, kTensorDimensions, kTensorStrides, kTensorAlignment});
      break;
    case kAttentionForward:
      if (const Status status = check_attention(of)) return status;
      break;
    case kConvolution:
      complete =
          has(of, {kConvolutionType, kConvolutionModeOf, kConvolutionAxes, kConvolutionDilations,
                   kConvolutionStrides, kConvolutionPaddingsBefore, kConvolutionPaddingsAfter});
      break;
    case kConvolutionForward:
      if (const Status status = check_convolution(of)) return status;
      break;
    case kPointwise:
      complete = has(of, {kPointwiseModeOf, kPointwiseType});
      break;
    case kPointwiseOperation:
      complete = has(of, {kPointwiseHow, kPointwiseX, kPointwiseY});
      break;
    case kOperationGraph:
      complete = has(of, {kGraphOperations, kGraphHandle});
      break;
    case kEngineHeuristic:
      complete = has(of, {kHeuristicGraph, kHeuristicModeOf});
      break;
    case kExecutionPlan:
      complete = has(of, {kPlanConfig, kPlanHandle});
      ++recorded_cudnn().plans;
      break;
    case kVariantPack:
      complete = has(of, {kPackIds, kPackPointers});
      break;
    default:
      return problem("a descriptor that needs no end");
  }
  if (!complete) return problem("a descriptor that lacks an attribute");
  of.final = true;
  return 0;
}

Status get(Descriptor descriptor, Attribute attribute, AttributeType /*type*/, int64_t wanted,
           int64_t* count, void* elements) {
  const Node& of = node(descriptor);
  if (!of.final) return problem("a question to what is not final");
  *count = 1;
  if (attribute == kPlanWorkspaceBytes) {
    std::memcpy(elements, &recorded_cudnn().workspace_bytes, sizeof(int64_t));
    return 0;
  }
  if (attribute != kHeuristicResults) return problem("an unknown question");
  if (recorded_cudnn().refuses) *count = 0;
  if (wanted > 0 && *count > 0) {
    Node& config = node(*static_cast<Descriptor*>(elements));
    config.values[kHeuristicGraph] = of.values.at(kHeuristicGraph);
  }
  return 0;
}

struct Body {
  cudaStream_t stream;
};

Status execute(Handle handle, Descriptor plan, Descriptor pack) {
  RecordedCudnn& recorded = recorded_cudnn();
  const Node& given = node(pack);
  if (!given.final || !node(plan).final) return problem("a run of what is not final");
  const Node& graph = linked(linked(node(plan), kPlanConfig), kHeuristicGraph);
  const std::function<void()> work = run_of(graph, given);
  if (!work) return kBadParameter;
  const auto bytes = static_cast<size_t>(recorded.workspace_bytes);
  if ((bytes > 0) != has(given, {kPackWorkspace})) return problem("no workspace");
  void* workspace = bytes > 0 ? value<void*>(given, kPackWorkspace) : nullptr;
  emulation::on_stream(reinterpret_cast<Body*>(handle)->stream, [=] {
    ++recorded_cudnn().runs;
    const emulation::DeviceAccess access;
    if (bytes > 0) std::memset(workspace, 0xff, bytes);  // A library may fill what it was given.
    work();
  });
  return 0;
}

}  // namespace
}  // namespace cudnn_double

RecordedCudnn& recorded_cudnn() {
  static RecordedCudnn recorded;
  return recorded;
}

double recorded_seconds() {
  const RecordedCudnn& recorded = recorded_cudnn();
  return 10e-3 * static_cast<double>(emulation::statistics().launches) +
         1e-3 * recorded.runs * (1 + recorded.delay_ms);
}

const cuda::dnn::Api& recording_cudnn() {
  using namespace cudnn_double;
  static const Api api = {
      []() -> size_t { return kOldestVersion; },
      [](char* text, size_t size) { std::snprintf(text, size, "%s", last_error.c_str()); },
      [](Handle* handle) -> Status {
        *handle = reinterpret_cast<Handle>(new Body{});
        return 0;
      },
      [](Handle handle) -> Status {
        delete reinterpret_cast<Body*>(handle);
        return 0;
      },
      [](Handle handle, void* stream) -> Status {
        reinterpret_cast<Body*>(handle)->stream = static_cast<cudaStream_t>(stream);
        return 0;
      },
      create,
      destroy,
      set,
      get,
      finalize,
      execute};
  return api;
}

}  // namespace driftless
