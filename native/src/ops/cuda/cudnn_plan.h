#pragma once

// What every use of cuDNN's graph API does: operations on tensors become a graph, the library names
// engines for it, and the first that can be made is the plan. Making one takes a good part of a
// second, because the library compiles.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/cuda/cudnn_api.h"

namespace driftless {
namespace cuda {

/// What plans are made for: a device that is there, or one that is only described.
struct DnnTarget {
  dnn::Handle handle = nullptr;
  dnn::Descriptor properties = nullptr;
};

class DnnPlan {
 public:
  DnnPlan(const DnnPlan&) = delete;
  DnnPlan& operator=(const DnnPlan&) = delete;

  size_t workspace_bytes() const { return workspace_bytes_; }

 protected:
  /// `api` is copied.
  explicit DnnPlan(const dnn::Api& api) : api_(api) {}
  ~DnnPlan();

  dnn::Descriptor create(dnn::DescriptorKind kind);
  dnn::Descriptor finalized(dnn::Descriptor descriptor);
  void set(dnn::Descriptor descriptor, dnn::Attribute attribute, dnn::AttributeType type,
           int64_t count, const void* elements) const;
  template <typename T>
  void set(dnn::Descriptor descriptor, dnn::Attribute attribute, dnn::AttributeType type,
           const T& value) const {
    set(descriptor, attribute, type, 1, &value);
  }
  void link(dnn::Descriptor from, dnn::Attribute attribute, dnn::Descriptor to) const {
    set(from, attribute, dnn::kBackendDescriptor, to);
  }
  /// Aligned to 16 bytes. `flag`: kTensorByValue or kTensorVirtual, which only lies between
  /// operations; else kTensorId.
  dnn::Descriptor tensor(int64_t id, const std::vector<int64_t>& dimensions,
                         const std::vector<int64_t>& strides, dnn::DataType type,
                         dnn::Attribute flag = dnn::kTensorId);
  /// Throws Error with cuDNN's own words where there is no engine. `what` names it.
  void build(const std::vector<dnn::Descriptor>& operations, const DnnTarget& target,
             const char* what);
  /// On the handle's stream. `workspace` is null where the plan needs none.
  void execute(dnn::Handle handle, const std::vector<int64_t>& ids,
               const std::vector<const void*>& pointers, void* workspace, const char* what) const;

 private:
  std::vector<dnn::Descriptor> configs(dnn::Descriptor graph, const DnnTarget& target);
  void check(dnn::Status status, const char* what) const;

  const dnn::Api api_;
  std::vector<dnn::Descriptor> descriptors_;  ///< All that there are, to be destroyed.
  dnn::Descriptor plan_ = nullptr;
  size_t workspace_bytes_ = 0;
};

/// cuDNN on one stream.
class DnnLibrary {
 public:
  /// `api` is copied, `stream` a cudaStream_t. Throws Error when the library does not start.
  DnnLibrary(const dnn::Api& api, void* stream);
  ~DnnLibrary();
  DnnLibrary(const DnnLibrary&) = delete;
  DnnLibrary& operator=(const DnnLibrary&) = delete;

  const dnn::Api& api() const { return api_; }
  dnn::Handle handle() const { return handle_; }

 private:
  const dnn::Api api_;
  dnn::Handle handle_ = nullptr;
};

/// What became of each size that was tried.
template <typename Size, typename Plan>
class DnnPlans {
 public:
  /// null: the size is not for the library.
  const Plan* keep(const Size& size, std::unique_ptr<Plan> plan) {
    return plans_.emplace_back(size, std::move(plan)).second.get();
  }
  bool knows(const Size& size) const { return entry(size) != plans_.end(); }
  const Plan* find(const Size& size) const {
    const auto found = entry(size);
    return found == plans_.end() ? nullptr : found->second.get();
  }

 private:
  using Plans = std::vector<std::pair<Size, std::unique_ptr<Plan>>>;
  typename Plans::const_iterator entry(const Size& size) const {
    return std::find_if(plans_.begin(), plans_.end(),
                        [&](const auto& known) { return known.first == size; });
  }
  Plans plans_;
};

}  // namespace cuda
}  // namespace driftless
