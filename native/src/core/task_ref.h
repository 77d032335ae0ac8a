#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace driftless {

/// A callable task(index), such as a lambda, that outlives the call it is handed to. Unlike
/// std::function it never allocates.
class TaskRef {
 public:
  template <typename Task,
            typename = std::enable_if_t<!std::is_same_v<std::decay_t<Task>, TaskRef>>>
  TaskRef(const Task& task)
      : call_([](const void* context, int64_t index) {
          (*static_cast<const Task*>(context))(index);
        }),
        context_(std::addressof(task)) {}

  void operator()(int64_t index) const { call_(context_, index); }

 private:
  void (*call_)(const void* context, int64_t index);
  const void* context_;
};

}  // namespace driftless
