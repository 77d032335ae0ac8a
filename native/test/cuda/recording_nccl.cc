#include "cuda/recording_nccl.h"

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "emulation/cuda_runtime.h"

namespace driftless {

namespace {

using namespace cuda::nccl;

constexpr Result kInvalidArgument = 4, kInvalidUsage = 5;

/// On its way, from the call that sends it on.
struct Message {
  std::vector<unsigned char> bytes;
  size_t count = 0;
  cudaEvent_t left = nullptr;  ///< Behind the sending.
  ~Message() { cudaEventDestroy(left); }
};

/// The ranks that were made together.
struct Clique {
  std::map<std::pair<int, int>, std::deque<std::shared_ptr<Message>>> sent;
  std::set<std::pair<int, int>> connected;
};
struct Body {
  std::shared_ptr<Clique> clique;
  int rank, device;
};

std::mutex& turn() {
  static std::mutex mutex;
  return mutex;
}
Body& body(Comm comm) { return *reinterpret_cast<Body*>(comm); }

/// What one thread's group holds so far: who sends to whom, and who receives from whom.
struct Group {
  int depth = 0;
  std::set<std::pair<int, int>> sends, receives;
  Clique* clique = nullptr;
};
thread_local Group group;

Result problem(const std::string& text) {
  recorded_nccl().problems.push_back(text);
  return kInvalidUsage;
}

Result check_call(size_t count, DataType type, const Body& here, cudaStream_t stream) {
  if (group.depth == 0) return problem("a transfer outside of a group");
  if (stream->device != here.device) return problem("a stream of another device");
  if (recorded_nccl().breaks) return kInvalidUsage;
  if (count == 0 || type != kUint8) return problem("a transfer of nothing, or of another type");
  group.clique = here.clique.get();
  return 0;
}

Result init_all(Comm* comms, int count, const int* devices) {
  if (recorded_nccl().fails) return kInvalidArgument;
  auto clique = std::make_shared<Clique>();
  for (int r = 0; r < count; ++r) {
    for (int other = 0; other < r; ++other) {
      if (devices[r] == devices[other]) return problem("one device for two ranks");
    }
    comms[r] = reinterpret_cast<Comm>(new Body{clique, r, devices[r]});
    ++recorded_nccl().comms;
  }
  return 0;
}
Result destroy(Comm comm) {
  delete &body(comm);
  --recorded_nccl().comms;
  return 0;
}

Result group_start() {
  ++group.depth;
  return 0;
}
Result group_end() {
  if (group.depth == 0) return problem("the end of no group");
  if (--group.depth > 0) return 0;
  const Group ended = std::exchange(group, {});
  const std::lock_guard<std::mutex> lock(turn());
  for (const auto& pair : ended.sends) {
    if (ended.receives.count(pair) > 0) ended.clique->connected.insert(pair);
  }
  for (const auto* pairs : {&ended.sends, &ended.receives}) {
    for (const auto& pair : *pairs) {
      if (ended.clique->connected.count(pair) == 0) {
        return problem("a connection that one side makes alone");
      }
    }
  }
  return 0;
}

Result send(const void* from, size_t count, DataType type, int peer, Comm comm, void* on) {
  const auto stream = static_cast<cudaStream_t>(on);
  const Body& here = body(comm);
  if (const Result result = check_call(count, type, here, stream)) return result;
  const auto message = std::make_shared<Message>();
  message->count = count;
  cudaEventCreateWithFlags(&message->left, cudaEventDisableTiming);
  emulation::on_stream(stream, [message, from] {
    const emulation::DeviceAccess access;
    const auto* bytes = static_cast<const unsigned char*>(from);
    message->bytes.assign(bytes, bytes + message->count);
  });
  cudaEventRecord(message->left, stream);
  group.sends.emplace(here.rank, peer);
  const std::lock_guard<std::mutex> lock(turn());
  here.clique->sent[{here.rank, peer}].push_back(message);
  return 0;
}

Result receive(void* to, size_t count, DataType type, int peer, Comm comm, void* on) {
  const auto stream = static_cast<cudaStream_t>(on);
  const Body& here = body(comm);
  if (const Result result = check_call(count, type, here, stream)) return result;
  group.receives.emplace(peer, here.rank);
  std::shared_ptr<Message> message;
  {
    const std::lock_guard<std::mutex> lock(turn());
    auto& sent = here.clique->sent[{peer, here.rank}];
    if (sent.empty()) return problem("something received that was never sent");
    message = sent.front();
    sent.pop_front();
  }
  if (message->count != count) return problem("sizes of a transfer that differ");
  emulation::on_stream(stream, [message, to] {
    cudaEventSynchronize(message->left);
    const emulation::DeviceAccess access;
    std::memcpy(to, message->bytes.data(), message->count);
    ++recorded_nccl().transfers;
  });
  return 0;
}

}  // namespace

RecordedNccl& recorded_nccl() {
  static RecordedNccl recorded;
  return recorded;
}

const Api& recording_nccl() {
  static const Api api = {[](int* version) -> Result {
                            *version = 22000;
                            return 0;
                          },
                          [](Result) { return "refused by the double of NCCL"; },
                          init_all,
                          destroy,
                          group_start,
                          group_end,
                          send,
                          receive};
  return api;
}

}  // namespace driftless
