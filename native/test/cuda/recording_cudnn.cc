#include "cuda/recording_cudnn.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <thread>

#include "ops/cuda/platform.cuh"

namespace driftless {

namespace {

using namespace cuda::dnn;

constexpr Status kBadParameter = 2000;

struct Node {
  DescriptorKind kind;
  std::map<int, std::vector<unsigned char>> values;  ///< By attribute.
  bool final = false;
};

std::string last_error;

Status problem(const std::string& text) {
  recorded_attention().problems.push_back(text);
  last_error = text;
  return kBadParameter;
}

Node& node(Descriptor descriptor) { return *static_cast<Node*>(descriptor); }

size_t element_size(AttributeType type) {
  if (type == kBoolean || type == kChar) return 1;
  return type == kDataTypeType || type == kHeuristicModeType ? 4 : 8;
}

/// The first element of an attribute, which is there.
template <typename T>
T value(const Node& from, Attribute attribute, size_t index = 0) {
  T result;
  std::memcpy(&result, from.values.at(attribute).data() + index * sizeof(T), sizeof(T));
  return result;
}
const Node& linked(const Node& from, Attribute attribute) {
  return node(value<Descriptor>(from, attribute));
}

Status create(DescriptorKind kind, Descriptor* to) {
  ++recorded_attention().descriptors;
  *to = new Node{kind, {}, kind == kEngineConfig};
  return 0;
}
Status destroy(Descriptor descriptor) {
  --recorded_attention().descriptors;
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

bool has(const Node& of, std::initializer_list<Attribute> attributes) {
  for (const Attribute attribute : attributes) {
    if (of.values.count(attribute) == 0) return false;
  }
  return true;
}

/// Batch, heads, tokens, head_dim.
int64_t dimension(const Node& tensor, size_t axis) {
  return value<int64_t>(tensor, kTensorDimensions, axis);
}

Status check_attention(const Node& of) {
  if (!has(of, {kAttentionQ, kAttentionK, kAttentionV, kAttentionOut, kAttentionScale})) {
    return problem("attention without all of its tensors");
  }
  const Node &q = linked(of, kAttentionQ), &k = linked(of, kAttentionK),
             &v = linked(of, kAttentionV), &out = linked(of, kAttentionOut);
  for (const Node* tensor : {&q, &k, &v, &out}) {
    if (value<DataType>(*tensor, kTensorType) != kBf16) return problem("rows that are not bf16");
    if (dimension(*tensor, 3) % 8 != 0) return problem("rows not aligned to 16 bytes");
    if (dimension(*tensor, 1) != dimension(q, 1)) return problem("another number of heads");
    if (value<int64_t>(*tensor, kTensorStrides, 3) != 1) return problem("heads with gaps");
  }
  if (dimension(k, 2) != dimension(v, 2) || dimension(q, 2) != dimension(out, 2)) {
    return problem("numbers of tokens that do not go together");
  }
  if (!has(linked(of, kAttentionScale), {kTensorByValue})) return problem("a scale on the device");
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
    case kOperationGraph:
      complete = has(of, {kGraphOperations, kGraphHandle});
      break;
    case kEngineHeuristic:
      complete = has(of, {kHeuristicGraph, kHeuristicModeOf});
      break;
    case kExecutionPlan:
      complete = has(of, {kPlanConfig, kPlanHandle});
      ++recorded_attention().plans;
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
    std::memcpy(elements, &recorded_attention().workspace_bytes, sizeof(int64_t));
    return 0;
  }
  if (attribute != kHeuristicResults) return problem("an unknown question");
  if (recorded_attention().refuses) *count = 0;
  if (wanted > 0 && *count > 0) {
    Node& config = node(*static_cast<Descriptor*>(elements));
    config.values[kHeuristicGraph] = of.values.at(kHeuristicGraph);
  }
  return 0;
}

/// A tensor's elements where its descriptor says.
struct Rows {
  const Node& tensor;
  void* data;
  cuda::bf16& at(int64_t head, int64_t token, int64_t i) const {
    return static_cast<cuda::bf16*>(data)[head * value<int64_t>(tensor, kTensorStrides, 1) +
                                          token * value<int64_t>(tensor, kTensorStrides, 2) + i];
  }
  int64_t size(size_t axis) const { return dimension(tensor, axis); }
};

void attend(const Rows& q, const Rows& k, const Rows& v, const Rows& out, float scale) {
  const int64_t keys = k.size(2) - (recorded_attention().wrong ? 1 : 0), dim = q.size(3);
  std::vector<double> weights(static_cast<size_t>(keys));
  for (int64_t head = 0; head < q.size(1); ++head) {
    for (int64_t query = 0; query < q.size(2); ++query) {
      double most = -INFINITY, total = 0;
      for (int64_t key = 0; key < keys; ++key) {
        double dot = 0;
        for (int64_t i = 0; i < dim; ++i) {
          dot += double{cuda::to_float(q.at(head, query, i))} * cuda::to_float(k.at(head, key, i));
        }
        weights[static_cast<size_t>(key)] = dot * scale;
        most = std::max(most, dot * scale);
      }
      for (double& weight : weights) total += weight = std::exp(weight - most);
      for (int64_t i = 0; i < dim; ++i) {
        double sum = 0;
        for (int64_t key = 0; key < keys; ++key) {
          sum += weights[static_cast<size_t>(key)] * cuda::to_float(v.at(head, key, i));
        }
        out.at(head, query, i) = cuda::from_float<cuda::bf16>(static_cast<float>(sum / total));
      }
    }
  }
}

struct Body {
  cudaStream_t stream;
};

Status execute(Handle handle, Descriptor plan, Descriptor pack) {
  RecordedAttention& recorded = recorded_attention();
  const Node& given = node(pack);
  if (!given.final || !node(plan).final) return problem("a run of what is not final");
  const Node& attention =
      linked(linked(linked(node(plan), kPlanConfig), kHeuristicGraph), kGraphOperations);
  const auto pointer = [&](Attribute tensor) -> void* {
    const auto id = value<int64_t>(linked(attention, tensor), kTensorId);
    for (size_t i = 0; i < given.values.at(kPackIds).size() / sizeof(int64_t); ++i) {
      if (value<int64_t>(given, kPackIds, i) == id) return value<void*>(given, kPackPointers, i);
    }
    return nullptr;
  };
  const auto rows = [&](Attribute tensor) {
    return Rows{linked(attention, tensor), pointer(tensor)};
  };
  const Rows q = rows(kAttentionQ), k = rows(kAttentionK), v = rows(kAttentionV),
             out = rows(kAttentionOut);
  for (const Rows* tensor : {&q, &k, &v, &out}) {
    if (tensor->data == nullptr) return problem("a tensor without an address");
    if (reinterpret_cast<uintptr_t>(tensor->data) % 16 != 0) return problem("a wrong alignment");
    if (tensor != &out && tensor->data == out.data) return problem("results over what they are of");
  }
  const auto* scale = static_cast<const float*>(pointer(kAttentionScale));
  const auto bytes = static_cast<size_t>(recorded.workspace_bytes);
  if (scale == nullptr || (bytes > 0) != has(given, {kPackWorkspace})) {
    return problem("no scale or no workspace");
  }
  void* workspace = bytes > 0 ? value<void*>(given, kPackWorkspace) : nullptr;
  std::this_thread::sleep_for(std::chrono::milliseconds(recorded.delay_ms));
  emulation::on_stream(reinterpret_cast<Body*>(handle)->stream, [=, by = *scale] {
    ++recorded_attention().runs;
    const emulation::DeviceAccess access;
    if (bytes > 0) std::memset(workspace, 0xff, bytes);  // A library may fill what it was given.
    attend(q, k, v, out, by);
  });
  return 0;
}

}  // namespace

RecordedAttention& recorded_attention() {
  static RecordedAttention recorded;
  return recorded;
}

const Api& recording_cudnn() {
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
