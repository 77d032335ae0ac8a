// What the double of cuDNN knows to do: attention, and convolution with what follows it.

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "cuda/cudnn_nodes.h"
#include "cuda/recording_cudnn.h"
#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cudnn_double {

namespace {

size_t rank_of(const Node& tensor) {
  return tensor.values.at(kTensorDimensions).size() / sizeof(int64_t);
}

}  // namespace

Status check_attention(const Node& of) {
  if (!has(of, {kAttentionQ, kAttentionK, kAttentionV, kAttentionOut, kAttentionScale})) {
    return problem("attention without all of its tensors");
  }
  const Node &q = linked(of, kAttentionQ), &k = linked(of, kAttentionK),
             &v = linked(of, kAttentionV), &out = linked(of, kAttentionOut);
  for (const Node* tensor : {&q, &k, &v, &out}) {
    const auto type = value<DataType>(*tensor, kTensorType);
    if (type == kF32) return problem("rows that are not of 16 bits");
    if (type != value<DataType>(q, kTensorType)) return problem("rows of several types");
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
  const auto type = value<DataType>(x, kTensorType);
  if (type == kF32 || type != value<DataType>(w, kTensorType)) {
    return problem("factors that are not of one type of 16 bits");
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

namespace {

float get_number(DataType type, const void* data, int64_t at) {
  if (type == kBf16) return cuda::to_float(static_cast<const cuda::bf16*>(data)[at]);
  if (type == kF16) return cuda::to_float(static_cast<const cuda::f16*>(data)[at]);
  return static_cast<const float*>(data)[at];
}
void put_number(DataType type, void* data, int64_t at, float to) {
  if (type == kBf16) {
    static_cast<cuda::bf16*>(data)[at] = cuda::from_float<cuda::bf16>(to);
  } else if (type == kF16) {
    static_cast<cuda::f16*>(data)[at] = cuda::from_float<cuda::f16>(to);
  } else {
    static_cast<float*>(data)[at] = to;
  }
}

/// A tensor's elements where its descriptor says.
struct Rows {
  const Node& tensor;
  void* data;
  DataType type() const { return value<DataType>(tensor, kTensorType); }
  int64_t place(int64_t head, int64_t token, int64_t i) const {
    return head * value<int64_t>(tensor, kTensorStrides, 1) +
           token * value<int64_t>(tensor, kTensorStrides, 2) + i;
  }
  float at(int64_t head, int64_t token, int64_t i) const {
    return get_number(type(), data, place(head, token, i));
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
          dot += double{q.at(head, query, i)} * k.at(head, key, i);
        }
        weights[static_cast<size_t>(key)] = dot * scale;
        most = std::max(most, dot * scale);
      }
      for (double& weight : weights) total += weight = std::exp(weight - most);
      for (int64_t i = 0; i < dim; ++i) {
        double sum = 0;
        for (int64_t key = 0; key < keys; ++key) {
          sum += weights[static_cast<size_t>(key)] * v.at(head, key, i);
        }
        put_number(out.type(), out.data, out.place(head, query, i),
                   static_cast<float>(sum / total));
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
        type(value<DataType>(tensor, kTensorType)),
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
  float get(const Index& index) const { return get_number(type, data, place(index)); }
  void put(const Index& index, float to) const { put_number(type, data, place(index), to); }

  void* data;
  DataType type;
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

}  // namespace

std::function<void()> run_of(const Node& graph, const Node& pack) {
  const Node& first = linked(graph, kGraphOperations);
  return first.kind == kAttentionForward ? attention(first, {pack}) : convolution(graph, {pack});
}

}  // namespace cudnn_double
}  // namespace driftless
