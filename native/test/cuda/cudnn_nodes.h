#pragma once

// What the double of cuDNN keeps of descriptors, and what its operations do with it.

#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "ops/cuda/cudnn_api.h"

namespace driftless {
namespace cudnn_double {

using namespace cuda::dnn;

constexpr Status kBadParameter = 2000;

struct Node {
  DescriptorKind kind;
  std::map<int, std::vector<unsigned char>> values;  ///< By attribute.
  bool final = false;
};

/// Records it, and is a status.
Status problem(const std::string& text);

inline Node& node(Descriptor descriptor) { return *static_cast<Node*>(descriptor); }

/// The first element of an attribute, which is there.
template <typename T>
T value(const Node& from, Attribute attribute, size_t index = 0) {
  T result;
  std::memcpy(&result, from.values.at(attribute).data() + index * sizeof(T), sizeof(T));
  return result;
}
inline const Node& linked(const Node& from, Attribute attribute) {
  return node(value<Descriptor>(from, attribute));
}

inline bool has(const Node& of, std::initializer_list<Attribute> attributes) {
  for (const Attribute attribute : attributes) {
    if (of.values.count(attribute) == 0) return false;
  }
  return true;
}

/// Batch, heads, tokens, head_dim.
inline int64_t dimension(const Node& tensor, size_t axis) {
  return value<int64_t>(tensor, kTensorDimensions, axis);
}

/// Whether the library would take an operation; 0 if so.
Status check_attention(const Node& of);
Status check_convolution(const Node& of);

/// A run of a plan's graph, ready to be done; null where the library would refuse it.
std::function<void()> run_of(const Node& graph, const Node& pack);

}  // namespace cudnn_double
}  // namespace driftless
