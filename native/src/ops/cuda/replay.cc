#include "ops/cuda/replay.h"

#include <algorithm>
#include <utility>

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

namespace {

/// Pieces of work that are kept: a forward for each number of rows that come together, and for each
/// session its ways through the autoencoder.
constexpr size_t kMostRecordings = 128;
constexpr size_t kFirstUploadBytes = size_t{64} << 10;
constexpr size_t kUploadAlignment = 16;

}  // namespace

thread_local Replay* Replay::active_ = nullptr;

Replay::Replay(const Stream& stream) : stream_(stream) {
  use_device(stream.device());
  uploads_ = DeviceBuffer(kFirstUploadBytes);
}

Replay::~Replay() {
  for (Recording& recording : recordings_) forget_graph(recording);
}

void Replay::forget_graph(Recording& recording) {
  if (recording.graph != nullptr) cudaGraphExecDestroy(recording.graph);
  recording.graph = nullptr;
}

Replay::Recording& Replay::recording(const RepeatKey& key) {
  const auto found = std::find_if(recordings_.begin(), recordings_.end(),
                                  [&](const Recording& kept) { return kept.key == key; });
  if (found != recordings_.end()) {
    recordings_.splice(recordings_.begin(), recordings_, found);
  } else {
    if (recordings_.size() == kMostRecordings) {
      forget_graph(recordings_.back());
      recordings_.pop_back();
    }
    recordings_.emplace_front();
    recordings_.front().key = key;
  }
  return recordings_.front();
}

/// Where that fails, steps that found no room go on without graphs.
void Replay::grow_uploads() {
  const size_t wanted = std::exchange(wanted_bytes_, 0);
  try {
    DeviceBuffer larger(wanted);
    // Their steps read from the old place.
    for (Recording& recording : recordings_) forget_graph(recording);
    recordings_.clear();
    uploads_ = std::move(larger);
  } catch (const OutOfMemory&) {
  }
}

void Replay::run(const RepeatKey& key, TaskRef work) {
  if (active_ != nullptr) return work(0);  // Part of a larger piece of work.
  const cudaStream_t stream = stream_.get();
  if (wanted_bytes_ > 0) grow_uploads();
  recording_ = &recording(key);
  staged_.clear();
  next_ = 0;
  waits_ = !recording_->steps.empty();
  struct Active {
    explicit Active(Replay* replay) { active_ = replay; }
    ~Active() { active_ = nullptr; }
  };
  now_ = stream;
  {
    const Active active(this);
    work(0);
  }
  finish();
}

void Replay::finish() {
  if (waits_ && next_ < recording_->steps.size()) settle();
  recording_->steps.resize(next_);
  if (!waits_) {
    ++counts_.direct;
    return;
  }
  send_uploads();
  if (recording_->graph == nullptr && !recording_->refused) make_graph();
  if (recording_->graph != nullptr) {
    check(cudaGraphLaunch(recording_->graph, now_), "CUDA graph");
    ++counts_.graphs;
    return;
  }
  ++counts_.direct;
  for (const Step& step : recording_->steps) step.start(now_);
}

void Replay::make_graph() {
  cudaGraph_t graph = nullptr;
  if (cudaStreamBeginCapture(now_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
    recording_->refused = true;
    static_cast<void>(cudaGetLastError());
    return;
  }
  bool captured = true;
  try {
    for (const Step& step : recording_->steps) step.start(now_);
  } catch (const Error&) {
    captured = false;
  }
  captured = cudaStreamEndCapture(now_, &graph) == cudaSuccess && captured;
  captured = captured && cudaGraphInstantiate(&recording_->graph, graph, 0) == cudaSuccess;
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (captured) {
    ++counts_.made;
    return;
  }
  // The steps are started one by one then; an error that stays comes up there.
  static_cast<void>(cudaGetLastError());
  recording_->graph = nullptr;
  recording_->refused = true;
}

bool Replay::repeats(const StepIdentity& step) {
  if (!waits_) return false;
  if (next_ == recording_->steps.size() || !step.complete()) return false;
  const std::vector<unsigned char>& known = recording_->steps[next_].identity;
  if (known.size() != step.size() || std::memcmp(known.data(), step.data(), step.size()) != 0) {
    return false;
  }
  ++next_;
  return true;
}

void Replay::note(const StepIdentity& step, std::function<void(cudaStream_t)> start) {
  settle();
  start(now_);
  if (!step.complete()) return;
  recording_->steps.push_back(
      {std::vector<unsigned char>(step.data(), step.data() + step.size()), std::move(start)});
  ++next_;
}

const void* Replay::upload(const void* from, size_t bytes) {
  const size_t at = (staged_.size() + kUploadAlignment - 1) / kUploadAlignment * kUploadAlignment;
  if (at + bytes > uploads_.bytes()) {
    wanted_bytes_ = std::max(wanted_bytes_, 2 * (at + bytes));
    settle();
    return nullptr;
  }
  staged_.resize(at + bytes);
  std::memcpy(staged_.data() + at, from, bytes);
  auto* to = static_cast<unsigned char*>(uploads_.data()) + at;
  if (!waits_) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, now_), "upload");
  }
  return to;
}

// From pageable memory: the bytes have been read when the call returns.
void Replay::send_uploads() {
  if (staged_.empty()) return;
  check(cudaMemcpyAsync(uploads_.data(), staged_.data(), staged_.size(), cudaMemcpyHostToDevice,
                        now_),
        "upload");
}

void Replay::settle() {
  if (!waits_) return;
  waits_ = false;
  send_uploads();
  forget_graph(*recording_);
  recording_->refused = false;
  recording_->steps.resize(next_);
  for (const Step& step : recording_->steps) step.start(now_);
}

}  // namespace cuda
}  // namespace driftless
