#pragma once

// CUDA graphs of work that a stream does again and again, such as a forward of the transformer.
// What was put on the stream the last time is kept as a list of steps. The next time nothing is
// started until a step differs; where none does, all of them start at once as a graph. So a graph
// never does anything but what the operations asked for just now, and who changes an address, a
// size or the order of operations need not know about graphs. What differs from time to time by its
// nature (positions, which sessions' rings) goes through upload(), and kernels read it from there.

#include <cstdint>
#include <cstring>
#include <functional>
#include <list>
#include <type_traits>
#include <vector>

#include "core/task_ref.h"
#include "ops/cuda/device_memory.h"
#include "ops/cuda/replay_counts.h"
#include "ops/ops.h"

namespace driftless {
namespace cuda {

/// What a step is told from others by: its kernel and all of its arguments, bit by bit.
class StepIdentity {
 public:
  template <typename Value>
  void add(Value value) {
    static_assert(std::is_trivially_copyable_v<Value>, "arguments of a kernel are copied as bytes");
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
    // Bytes that belong to no member hold anything, and would tell equal steps apart.
    __builtin_clear_padding(&value);
#endif
#endif
    if (size_ + sizeof value > kMost) {
      size_ = kMost + 1;
      return;
    }
    std::memcpy(bytes_ + size_, &value, sizeof value);
    size_ += sizeof value;
  }
  const unsigned char* data() const { return bytes_; }
  size_t size() const { return size_; }
  /// Whether all that was added is in.
  bool complete() const { return size_ <= kMost; }

 private:
  static constexpr size_t kMost = 4096;  ///< What a kernel's arguments may have together.
  unsigned char bytes_[kMost];
  size_t size_ = 0;
};

class Replay {
 public:
  /// Takes its memory at once: work that is under way is never short of room for the sake of it.
  explicit Replay(const Stream& stream);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// Calls work(0), and may have it wait with all that it puts on the stream until it returns.
  /// `key` names what is likely to be the same again.
  void run(const RepeatKey& key, TaskRef work);

  /// The one whose run() is under way on this thread and stream; null: none.
  static Replay* of(cudaStream_t stream) {
    return active_ != nullptr && active_->now_ == stream ? active_ : nullptr;
  }

  /// Whether the coming step is the one that came here the last time: then it is done.
  bool repeats(const StepIdentity& step);
  /// Else: starts it, and knows it from now on.
  void note(const StepIdentity& step, std::function<void(cudaStream_t)> start);
  /// Bytes from the host that kernels of the coming steps read; copied before it returns. Null
  /// where there is no room for them: settle() has been called then.
  const void* upload(const void* from, size_t bytes);
  /// Starts what waits. Before whatever is no step: a copy to the host, memory that is freed.
  void settle();

  const ReplayCounts& counts() const { return counts_; }

 private:
  struct Step {
    std::vector<unsigned char> identity;
    std::function<void(cudaStream_t)> start;
  };
  struct Recording {
    RepeatKey key{};
    std::vector<Step> steps;
    cudaGraphExec_t graph = nullptr;
    bool refused = false;  ///< The driver makes no graph of these steps.
  };

  Recording& recording(const RepeatKey& key);
  void grow_uploads();
  void finish();
  void send_uploads();
  void make_graph();
  static void forget_graph(Recording& recording);

  static thread_local Replay* active_;
  const Stream& stream_;
  std::list<Recording> recordings_;  ///< The one used last comes first.
  DeviceBuffer uploads_;             ///< For all recordings: the stream does one after the other.
  size_t wanted_bytes_ = 0;
  ReplayCounts counts_;
  // Of the run under way:
  cudaStream_t now_ = nullptr;
  Recording* recording_ = nullptr;
  std::vector<unsigned char> staged_;  ///< Uploads so far.
  size_t next_ = 0;                    ///< Steps so far.
  bool waits_ = false;                 ///< None of them has been started yet.
};

/// Puts a step on the stream: start(stream), told from others by `identity`.
template <typename Start, typename... Identity>
void put_on_stream(cudaStream_t stream, const Start& start, Identity... identity) {
  Replay* replay = Replay::of(stream);
  if (replay == nullptr) return start(stream);
  StepIdentity step;
  (step.add(identity), ...);
  if (!replay->repeats(step)) replay->note(step, start);
}

/// For calls that are no steps.
inline void settle_replay(cudaStream_t stream) {
  if (Replay* replay = Replay::of(stream)) replay->settle();
}

}  // namespace cuda
}  // namespace driftless
