#include "media/compute_loop.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "media/thread_name.h"

namespace driftless {

struct ComputeLoop::Track {
  Track(Listener& listener, SessionCounters& counters, Pipeline* pipeline)
      : listener(listener), counters(counters), model(pipeline) {}

  Listener& listener;
  SessionCounters& counters;

  // Guarded by the loop's mutex.
  std::optional<Chunk> waiting;
  std::optional<std::pair<Transform, uint64_t>> pending;  // settings and their revision
  uint64_t last_revision = 0;
  bool running = false;
  bool removed = false;

  // Used by the compute thread only, while running.
  ModelTrack model;
  Chunk chunk;
  std::optional<std::pair<Transform, uint64_t>> change;
  std::vector<uint8_t> rgb_out;
  int failures_in_a_row = 0;
};

namespace {

SessionEvent error_event(const std::string& message, bool fatal) {
  SessionEvent event;
  event.type = SessionEvent::Type::kError;
  event.text = message;
  event.fatal = fatal;
  return event;
}

void note_failure(ComputeLoop::Track& track, const std::string& message) {
  ++track.counters.compute_errors;
  // The chunk at hand is among the lost ones when the failure came after begin().
  track.counters.drop_compute_error += std::max(track.model.reset(), track.chunk.frames.size());
  const bool fatal = ++track.failures_in_a_row == ComputeLoop::kMaxFailuresInARow;
  if (track.failures_in_a_row <= ComputeLoop::kMaxFailuresInARow) {
    track.listener.on_compute_event(error_event(message, fatal));
  }
}

void deliver(ComputeLoop::Track& track, GeneratedChunk chunk, double start_ms, double now_ms) {
  track.failures_in_a_row = 0;
  chunk.ready_ms = now_ms;
  chunk.compute_ms = now_ms - start_ms;
  track.listener.on_generated(std::move(chunk));
}

void apply_change(ComputeLoop::Track& track) {
  if (!track.change) return;
  try {
    track.counters.drop_stream_batch +=
        track.model.apply(track.change->first, track.change->second);
  } catch (const std::exception& error) {
    ++track.counters.compute_errors;
    track.listener.on_compute_event(error_event(error.what(), false));
  }
  track.change.reset();
}

}  // namespace

ComputeLoop::ComputeLoop(Pipeline* pipeline) : pipeline_(pipeline), thread_([this] { run(); }) {}

ComputeLoop::~ComputeLoop() { stop(); }

std::shared_ptr<ComputeLoop::Track> ComputeLoop::add(Listener& listener, SessionCounters& counters,
                                                     const Transform& transform) {
  auto track = std::make_shared<Track>(listener, counters, pipeline_);
  track->pending = {transform, 0};
  std::lock_guard<std::mutex> lock(mutex_);
  tracks_.push_back(track);
  return track;
}

void ComputeLoop::remove(const std::shared_ptr<Track>& track) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (track->removed) return;
    track->removed = true;
    track->waiting.reset();
    done_.wait(lock, [&] { return !track->running; });
    tracks_.erase(std::find(tracks_.begin(), tracks_.end(), track));
    // The pipeline is not thread-safe, so not even a stream's end may happen beside a batch.
    removed_.push_back(track);
  }
  work_.notify_one();
}

void ComputeLoop::submit(const std::shared_ptr<Track>& track, Chunk chunk) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (track->removed) return;
    if (track->waiting) track->counters.drop_chunk_replaced += track->waiting->frames.size();
    track->waiting = std::move(chunk);
  }
  work_.notify_one();
}

uint64_t ComputeLoop::set_transform(const std::shared_ptr<Track>& track,
                                    const Transform& transform) {
  std::lock_guard<std::mutex> lock(mutex_);
  track->pending = {transform, ++track->last_revision};
  return track->last_revision;
}

bool ComputeLoop::chunk_waiting(const std::shared_ptr<Track>& track) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return track->waiting.has_value();
}

void ComputeLoop::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
  // Streams must die before their pipeline, which may go before the last track does.
  for (const auto& track : tracks_) track->model.reset();
  for (const auto& track : removed_) track->model.reset();
  removed_.clear();
}

void ComputeLoop::run() {
  name_thread("dl-compute");
  std::vector<std::shared_ptr<Track>> batch, ended;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    ended.swap(removed_);
    for (const auto& track : tracks_) {
      if (!track->waiting) continue;
      track->chunk = std::move(*track->waiting);
      track->waiting.reset();
      if (track->pending) track->change = std::exchange(track->pending, std::nullopt);
      track->running = true;
      batch.push_back(track);
    }
    if (batch.empty() && ended.empty()) {
      work_.wait(lock);
      continue;
    }
    lock.unlock();
    for (const auto& track : ended) track->model.reset();
    ended.clear();
    if (!batch.empty()) run_batch(batch);
    lock.lock();
    for (const auto& track : batch) track->running = false;
    batch.clear();
    done_.notify_all();
  }
}

void ComputeLoop::run_batch(const std::vector<std::shared_ptr<Track>>& batch) {
  std::vector<Pipeline::Job> jobs;
  std::vector<Track*> owners;
  double start_ms = steady_now_ms();
  for (const auto& track : batch) {
    apply_change(*track);
    ++track->counters.chunks;
    if (track->model.passthrough()) {
      GeneratedChunk copy;
      copy.scene = track->chunk.scene;
      copy.rgb = std::move(track->chunk.rgb);
      copy.frames = std::move(track->chunk.frames);
      copy.revision = track->model.revision();
      deliver(*track, std::move(copy), start_ms, start_ms);
      continue;
    }
    try {
      size_t lost = 0;
      jobs.push_back(track->model.begin(track->chunk, track->rgb_out, lost));
      track->counters.drop_stream_batch += lost;
      owners.push_back(track.get());
    } catch (const std::exception& error) {
      note_failure(*track, error.what());
    }
  }
  if (jobs.empty()) return;
  try {
    pipeline_->run(jobs.data(), jobs.size());
  } catch (const std::exception& error) {
    for (Track* track : owners) note_failure(*track, error.what());
    return;
  }
  const double now_ms = steady_now_ms();
  for (size_t i = 0; i < jobs.size(); ++i) {
    Track& track = *owners[i];
    track.counters.compute.add(now_ms - start_ms);
    size_t lost = 0;
    auto generated = track.model.finish(jobs[i].result, std::move(track.rgb_out), lost);
    track.counters.drop_stream_batch += lost;
    track.rgb_out = {};
    if (generated) deliver(track, std::move(*generated), start_ms, now_ms);
  }
}

}  // namespace driftless
