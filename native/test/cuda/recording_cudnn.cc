#include "cuda/recording_cudnn.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

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
  recorded_cudnn().problems.push_back(text);
  last_error = text;
  return kBadParameter;
}

Node& node(Descriptor descriptor) { return *static_cast<Node*>(descriptor); }

size_t element_size(AttributeType type) {
  if (type == kBoolean || type == kChar) return 1;
  const bool narrow = type == kDataTypeType || type == kHeuristicModeType || type == kFloat ||
                      type == kConvolutionModeType || type == kPointwiseModeType;
  return narrow ? 4 : 8;
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

size_t rank_of(const Node& tensor) {
  return tensor.values.at(kTensorDimensions).size() / sizeof(int64_t);
}

Status check_convolution(const Node& of) {
  if (!has(of, {kForwardConvolution, kForwardWeight, kForwardX, kForwardY, kForwardAlpha,
                kForwardBeta})) {
    return problem("a convolution that lacks an attribute");
  }
  const Node &x = linked(of, kForwardX), &w = linked(of, kForwardWeight),
             &y = linked(of, kForwardY), &how = linked(of, kForwardConvolution);
  const auto axes = static_cast<size_t>(value<int64_t>(how, kConvolutionAxes));
  if (rank_of(x) != axes + 2 || rank_of(w) != axes + 2 || rank_of(y) != axes + 2) {
    return problem("tensors of other ranks than the convolution");
  }
  if (value<DataType>(x, kTensorType) != kBf16 || value<DataType>(w, kTensorType) != kBf16) {
    return problem("factors that are not bf16");
  }
  if (dimension(x, 1) % 8 != 0 || dimension(y, 1) % 8 != 0) return problem("ragged channels");
  if (dimension(x, 1) != dimension(w, 1) || dimension(w, 0) != dimension(y, 1)) {
    return problem("channels that do not go together");
  }
  for (size_t axis = 0; axis < axes; ++axis) {
    const int64_t padded = dimension(x, axis + 2) +
                           value<int64_t>(how, kConvolutionPaddingsBefore, axis) +
                           value<int64_t>(how, kConvolutionPaddingsAfter, axis);
    const auto stride = value<int64_t>(how, kConvolutionStrides, axis);
    if ((padded - dimension(w, axis + 2)) / stride + 1 != dimension(y, axis + 2)) {
      return problem("a result of another size");
    }
  }
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
  const int64_t keys = k.size(2) - (recorded_cudnn().wrong ? 1 : 0), dim = q.size(3);
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

using Index = std::array<int64_t, 5>;

/// All elements of an attribute; the rest of five are `rest`.
Index values_of(const Node& of, Attribute attribute, int64_t rest) {
  Index all;
  all.fill(rest);
  const std::vector<unsigned char>& bytes = of.values.at(attribute);
  std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

/// The elements of a picture where its descriptor says, by up to five indices.
struct Picture {
  Picture(const Node& tensor, void* address)
      : data(address),
        wide(value<DataType>(tensor, kTensorType) == kF32),
        sizes(values_of(tensor, kTensorDimensions, 1)),
        strides(values_of(tensor, kTensorStrides, 0)) {}

  /// What has one element along an axis has it for all indices.
  int64_t place(const Index& index) const {
    int64_t at = 0;
    for (size_t axis = 0; axis < 5; ++axis) {
      at += sizes[axis] == 1 ? 0 : index[axis] * strides[axis];
    }
    return at;
  }
  float get(const Index& index) const {
    const int64_t at = place(index);
    return wide ? static_cast<float*>(data)[at]
                : cuda::to_float(static_cast<cuda::bf16*>(data)[at]);
  }
  void put(const Index& index, float to) const {
    const int64_t at = place(index);
    if (wide) {
      static_cast<float*>(data)[at] = to;
    } else {
      static_cast<cuda::bf16*>(data)[at] = cuda::from_float<cuda::bf16>(to);
    }
  }

  void* data;
  bool wide;
  Index sizes, strides;
};

/// Calls visit(index) for all of these sizes.
template <typename Visit>
void each_index(const Index& sizes, const Visit& visit) {
  Index i;
  for (i[0] = 0; i[0] < sizes[0]; ++i[0]) {
    for (i[1] = 0; i[1] < sizes[1]; ++i[1]) {
      for (i[2] = 0; i[2] < sizes[2]; ++i[2]) {
        for (i[3] = 0; i[3] < sizes[3]; ++i[3]) {
          for (i[4] = 0; i[4] < sizes[4]; ++i[4]) visit(i);
        }
      }
    }
  }
}

/// How a picture is gone over; of the axes behind batch and channel.
struct Steps {
  Index strides, paddings;
};

/// A convolution's sum for one element of its result.
double convolved(const Steps& steps, const Picture& x, const Picture& w, const Index& out) {
  Index taps = w.sizes;
  taps[0] = 1;
  if (recorded_cudnn().wrong) --taps[1];
  double sum = 0;
  each_index(taps, [&](Index tap) {
    Index from = {out[0], tap[1]};
    for (size_t axis = 2; axis < 5; ++axis) {
      from[axis] = out[axis] * steps.strides[axis - 2] + tap[axis] - steps.paddings[axis - 2];
      if (from[axis] < 0 || from[axis] >= x.sizes[axis]) return;
    }
    tap[0] = out[1];
    sum += double{x.get(from)} * w.get(tap);
  });
  return sum;
}

struct Body {
  cudaStream_t stream;
};

/// What a run is given.
struct Given {
  const Node& pack;
  void* of(const Node& tensor) const {
    const auto id = value<int64_t>(tensor, kTensorId);
    for (size_t i = 0; i < pack.values.at(kPackIds).size() / sizeof(int64_t); ++i) {
      if (value<int64_t>(pack, kPackIds, i) == id) return value<void*>(pack, kPackPointers, i);
    }
    return nullptr;
  }
};

/// Work that is prepared; null with the problem recorded.
using Work = std::function<void()>;

Work attention(const Node& operation, const Given& given) {
  const auto rows = [&](Attribute tensor) {
    return Rows{linked(operation, tensor), given.of(linked(operation, tensor))};
  };
  const Rows q = rows(kAttentionQ), k = rows(kAttentionK), v = rows(kAttentionV),
             out = rows(kAttentionOut);
  for (const Rows* tensor : {&q, &k, &v, &out}) {
    if (tensor->data == nullptr) return problem("a tensor without an address"), nullptr;
    if (reinterpret_cast<uintptr_t>(tensor->data) % 16 != 0) {
      return problem("a wrong alignment"), nullptr;
    }
    if (tensor != &out && tensor->data == out.data) {
      return problem("results over what they are of"), nullptr;
    }
  }
  const auto* scale = static_cast<const float*>(given.of(linked(operation, kAttentionScale)));
  if (scale == nullptr) return problem("no scale"), nullptr;
  return [=, by = *scale] { attend(q, k, v, out, by); };
}

Work convolution(const Node& graph, const Given& given) {
  const Node& forward = node(value<Descriptor>(graph, kGraphOperations));
  const auto picture = [&](const Node& tensor) { return Picture(tensor, given.of(tensor)); };
  const Picture x = picture(linked(forward, kForwardX)),
                w = picture(linked(forward, kForwardWeight));
  const Node& how = linked(forward, kForwardConvolution);
  const Steps over = {values_of(how, kConvolutionStrides, 1),
                      values_of(how, kConvolutionPaddingsBefore, 0)};
  struct Step {
    PointwiseMode mode;
    std::optional<Picture> other;
  };
  std::vector<Step> steps;
  const Node* last = &linked(forward, kForwardY);
  std::vector<const Picture*> read = {&x, &w};
  for (size_t i = 1; i < graph.values.at(kGraphOperations).size() / sizeof(Descriptor); ++i) {
    const Node& operation = node(value<Descriptor>(graph, kGraphOperations, i));
    if (&linked(operation, kPointwiseX) != last || !has(*last, {kTensorVirtual})) {
      return problem("operations that do not follow one another"), nullptr;
    }
    Step step{value<PointwiseMode>(linked(operation, kPointwiseHow), kPointwiseModeOf), {}};
    if (has(operation, {kPointwiseOther}))
      step.other.emplace(picture(linked(operation, kPointwiseOther)));
    if ((step.mode == kAdd) != step.other.has_value()) {
      return problem("a sum of one, or a rectifier of two"), nullptr;
    }
    steps.push_back(step);
    last = &linked(operation, kPointwiseY);
  }
  const Picture y = picture(*last);
  for (const Step& step : steps) {
    if (step.other) read.push_back(&*step.other);
  }
  for (const Picture* tensor : read) {
    if (tensor->data == nullptr || y.data == nullptr) {
      return problem("a tensor without an address"), nullptr;
    }
    if (reinterpret_cast<uintptr_t>(tensor->data) % 16 != 0) {
      return problem("a wrong alignment"), nullptr;
    }
    if (tensor->data == y.data) return problem("results over what they are of"), nullptr;
  }
  return [=] {
    each_index(y.sizes, [&](const Index& index) {
      double sum = convolved(over, x, w, index);
      for (const Step& step : steps) {
        sum = step.mode == kAdd ? sum + step.other->get(index) : std::max(0.0, sum);
      }
      y.put(index, static_cast<float>(sum));
    });
  };
}

Status execute(Handle handle, Descriptor plan, Descriptor pack) {
  RecordedCudnn& recorded = recorded_cudnn();
  const Node& given = node(pack);
  if (!given.final || !node(plan).final) return problem("a run of what is not final");
  const Node& graph = linked(linked(node(plan), kPlanConfig), kHeuristicGraph);
  const Node& first = linked(graph, kGraphOperations);
  const bool attends = first.kind == kAttentionForward;
  Work work = attends ? attention(first, {given}) : convolution(graph, {given});
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

RecordedCudnn& recorded_cudnn() {
  static RecordedCudnn recorded;
  return recorded;
}

double recorded_seconds() {
  const RecordedCudnn& recorded = recorded_cudnn();
  return 10e-3 * static_cast<double>(emulation::statistics().launches) +
         1e-3 * recorded.runs * (1 + recorded.delay_ms);
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
