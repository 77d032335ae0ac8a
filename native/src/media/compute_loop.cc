#include "media/compute_loop.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "core/error.h"
#include "media/thread_name.h"

namespace driftless {

struct ComputeLoop::Track {
  Track(Listener& listener, SessionCounters& counters, Pipeline* pipeline)
      : listener(listener), counters(counters), model(pipeline) {}

  Listener& listener;
  SessionCounters& counters;

  // Guarded by the loop's mutex.
  std::optional<size_t> turn;  // the scheduler's number; none without a model
  bool takes_turns = false;    // false while frames only pass through, which costs nothing
  std::optional<Chunk> waiting;
  bool waits_for_turn = false;  // the waiting chunk is the scheduler's to choose
  std::optional<std::pair<Transform, uint64_t>> pending;    // settings and their revision
  std::optional<std::pair<Transform, uint64_t>> preparing;  // the same, its prompt not encoded yet
  bool begun = false;                                       // has settings to work with
  uint64_t last_revision = 0;
  bool running = false;
  bool removed = false;

  // Used by the compute thread only, while running.
  ModelTrack model;
  Chunk chunk;
  std::optional<std::pair<Transform, uint64_t>> change;
  Transform asked;  // what the model accepted last
  uint64_t asked_revision = 0;
  Level level, applied_level;
  bool refused = false;
  std::optional<LevelChange> level_change;
  GuardCounters latents_guard, pictures_guard;  // as the stream said last
  std::vector<uint8_t> rgb_out;
  int failures_in_a_row = 0;
};

namespace {

SloScheduler::Config scheduler_config(const Pipeline* pipeline) {
  SloScheduler::Config config;
  if (pipeline == nullptr) return config;
  const ModelInfo& info = pipeline->info();
  config.frames_per_chunk = info.frames_per_chunk;
  config.warm_up_ms = info.warm_up_ms;
  config.smaller_area = static_cast<double>(info.smaller_width) * info.smaller_height /
                        (static_cast<double>(info.width) * info.height);
  return config;
}

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

// Adds what the guards have done since the last chunk; a new stream counts from zero.
void note_guards(ComputeLoop::Track& track, const ChunkResult& result) {
  const auto grown = [](uint64_t now, uint64_t before) {
    return now < before ? now : now - before;
  };
  SessionCounters& counters = track.counters;
  counters.guard_latents += grown(result.guard.corrected, track.latents_guard.corrected);
  counters.guard_renewals += grown(result.guard.renewals, track.latents_guard.renewals);
  counters.guard_pictures += grown(result.picture_guard.corrected, track.pictures_guard.corrected);
  track.latents_guard = result.guard;
  track.pictures_guard = result.picture_guard;
}

// Brings the model to the settings asked for, with the steps and the picture of the track's level.
void apply_change(ComputeLoop::Track& track) {
  const Level &level = track.level, &applied = track.applied_level;
  if (!track.change && level.steps == applied.steps && level.area == applied.area) return;
  const bool new_settings = track.change.has_value();
  Transform wanted = new_settings ? std::move(track.change->first) : track.asked;
  const uint64_t revision = new_settings ? track.change->second : track.asked_revision;
  track.change.reset();
  const TransformSettings asked = wanted.settings;
  if (track.turn) {
    wanted.settings.steps = level.steps;
    wanted.settings.smaller_picture = asked.smaller_picture || level.area < 1;
  }
  try {
    track.counters.drop_stream_batch += track.model.apply(wanted, revision);
  } catch (const std::exception& error) {
    track.refused = true;
    ++track.counters.compute_errors;
    track.listener.on_compute_event(error_event(error.what(), false));
    return;
  }
  track.applied_level = level;
  wanted.settings = asked;
  track.asked = std::move(wanted);
  track.asked_revision = revision;
}

}  // namespace

ComputeLoop::ComputeLoop(Pipeline* pipeline)
    : pipeline_(pipeline),
      scheduler_(scheduler_config(pipeline)),
      thread_([this] { run(); }),
      prompt_thread_([this] { run_prompts(); }) {}

ComputeLoop::~ComputeLoop() { stop(); }

std::shared_ptr<ComputeLoop::Track> ComputeLoop::add(Listener& listener, SessionCounters& counters,
                                                     const Transform& transform, const Slo& slo) {
  auto track = std::make_shared<Track>(listener, counters, pipeline_);
  std::lock_guard<std::mutex> lock(mutex_);
  if (pipeline_ != nullptr) {
    track->turn = scheduler_.add(slo, transform.settings.steps, steady_now_ms());
    track->takes_turns = transform.mode != TransformMode::kPassthrough;
  }
  tracks_.push_back(track);
  set_pending(*track, transform, 0);
  return track;
}

void ComputeLoop::remove(const std::shared_ptr<Track>& track) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (track->removed) return;
    track->removed = true;
    track->waiting.reset();
    if (track->turn) scheduler_.remove(*track->turn);
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
    SessionCounters& counters = track->counters;
    if (track->waiting) {
      counters.drop_chunk_replaced += track->waiting->frames.size();
      ++counters.chunks_replaced;
    }
    track->waits_for_turn = track->takes_turns && track->begun;
    if (track->waits_for_turn &&
        scheduler_.arrive(*track->turn, steady_now_ms()) == Arrival::kRefused) {
      counters.drop_fallback += chunk.frames.size();
      track->waiting.reset();
    } else {
      track->waiting = std::move(chunk);
    }
  }
  // Also for a refused chunk: the loop looks whether there is room for the track again.
  work_.notify_one();
}

uint64_t ComputeLoop::set_transform(const std::shared_ptr<Track>& track,
                                    const Transform& transform) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (track->turn && !track->removed) {
    scheduler_.set_steps(*track->turn, transform.settings.steps);
    track->takes_turns = transform.mode != TransformMode::kPassthrough;
  }
  set_pending(*track, transform, ++track->last_revision);
  return track->last_revision;
}

void ComputeLoop::set_pending(Track& track, const Transform& transform, uint64_t revision) {
  const bool ready = pipeline_ == nullptr || transform.mode == TransformMode::kPassthrough ||
                     pipeline_->prompt_ready(transform.settings.prompt);
  if (ready) {
    track.pending = {transform, revision};
    track.preparing.reset();
    track.begun = true;
  } else {
    track.preparing = {transform, revision};
    prompts_.notify_one();
  }
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
  prompts_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (prompt_thread_.joinable()) prompt_thread_.join();
  // Streams must die before their pipeline, which may go before the last track does.
  for (const auto& track : tracks_) track->model.reset();
  for (const auto& track : removed_) track->model.reset();
  removed_.clear();
}

void ComputeLoop::run() {
  name_thread("dl-compute");
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    ended_.swap(removed_);
    const double now_ms = steady_now_ms();
    change_levels(now_ms);
    fill_batch(now_ms);
    if (batch_.empty() && in_turn_ == 0 && ended_.empty() && moved_.empty()) {
      work_.wait(lock);
      continue;
    }
    lock.unlock();
    for (const auto& track : ended_) track->model.reset();
    ended_.clear();
    for (const auto& track : moved_) track->listener.on_level(*track->level_change);
    const bool ok = run_batch();
    lock.lock();
    judge_batch(ok);
    for (const auto& track : batch_) track->running = false;
    for (const auto& track : moved_) track->running = false;
    batch_.clear();
    moved_.clear();
    done_.notify_all();
  }
}

void ComputeLoop::run_prompts() {
  name_thread("dl-prompts");
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    const auto found = std::find_if(tracks_.begin(), tracks_.end(),
                                    [](const auto& track) { return track->preparing.has_value(); });
    if (found == tracks_.end()) {
      prompts_.wait(lock);
      continue;
    }
    const std::shared_ptr<Track> track = *found;
    const auto asked = *track->preparing;
    lock.unlock();
    try {
      pipeline_->prepare_prompt(asked.first.settings.prompt);
    } catch (const std::exception&) {
      // The compute thread meets the same failure and reports it as the track's.
    }
    lock.lock();
    if (!track->preparing || track->preparing->second != asked.second) continue;
    track->pending = std::exchange(track->preparing, std::nullopt);
    track->begun = true;
    work_.notify_one();
  }
}

void ComputeLoop::change_levels(double now_ms) {
  for (const LevelChange& change : scheduler_.level_changes(now_ms)) {
    for (const auto& track : tracks_) {
      if (track->removed || track->turn != change.session) continue;
      if (change.to.kind == LevelKind::kFallback && track->waiting) {
        track->counters.drop_fallback += track->waiting->frames.size();
        track->waiting.reset();
      }
      track->level_change = change;
      track->running = true;
      moved_.push_back(track);
    }
  }
}

void ComputeLoop::fill_batch(double now_ms) {
  const auto& chosen = scheduler_.next(now_ms);
  in_turn_ = chosen.size();
  batch_start_ms_ = now_ms;
  for (const auto& track : tracks_) {
    if (!track->waiting || !track->begun) continue;
    const bool its_turn = std::any_of(chosen.begin(), chosen.end(), [&](const auto& entry) {
      return track->turn == entry.session;
    });
    if (its_turn || !track->waits_for_turn) take(track);
  }
}

void ComputeLoop::take(const std::shared_ptr<Track>& track) {
  track->chunk = std::move(*track->waiting);
  track->waiting.reset();
  if (track->pending) track->change = std::exchange(track->pending, std::nullopt);
  if (track->turn) track->level = scheduler_.level(*track->turn);
  track->running = true;
  batch_.push_back(track);
}

// Tells the scheduler what became of the batch that it chose.
void ComputeLoop::judge_batch(bool ok) {
  for (const auto& track : batch_) {
    // The model kept its former settings.
    if (std::exchange(track->refused, false) && !track->removed && track->turn && !track->pending) {
      scheduler_.set_steps(*track->turn, track->asked.settings.steps);
    }
  }
  if (in_turn_ == 0) return;
  const double expected_ms = scheduler_.expected_ms();
  const double now_ms = steady_now_ms();
  for (const auto& entry : scheduler_.finished(now_ms, ok)) {
    for (const auto& track : batch_) {
      if (track->turn != entry.session) continue;
      SessionCounters& counters = track->counters;
      counters.batch.add(now_ms - batch_start_ms_);
      counters.expected.add(expected_ms);
      if (entry.verdict == Verdict::kInTime) ++counters.chunks_in_time;
      if (entry.verdict == Verdict::kWaited) ++counters.chunks_waited;
      if (entry.verdict == Verdict::kSlow) ++counters.chunks_slow;
    }
  }
}

// Returns whether the time that it took is that of exactly what the scheduler chose.
bool ComputeLoop::run_batch() {
  jobs_.clear();
  owners_.clear();
  const double start_ms = steady_now_ms();
  for (const auto& track : batch_) {
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
      jobs_.push_back(track->model.begin(track->chunk, track->rgb_out, lost));
      track->counters.drop_stream_batch += lost;
      owners_.push_back(track.get());
    } catch (const std::exception& error) {
      note_failure(*track, error.what());
    }
  }
  if (jobs_.empty()) return false;
  try {
    pipeline_->run(jobs_.data(), jobs_.size());
  } catch (const DeviceLost& error) {
    SessionEvent event;
    event.type = SessionEvent::Type::kDeviceLost;
    event.text = error.what();
    for (Track* track : owners_) {
      note_failure(*track, error.what());
      track->listener.on_compute_event(event);
    }
    return false;
  } catch (const std::exception& error) {
    for (Track* track : owners_) note_failure(*track, error.what());
    return false;
  }
  const double now_ms = steady_now_ms();
  for (size_t i = 0; i < jobs_.size(); ++i) {
    Track& track = *owners_[i];
    note_guards(track, jobs_[i].result);
    size_t lost = 0;
    auto generated = track.model.finish(jobs_[i].result, std::move(track.rgb_out), lost);
    track.counters.drop_stream_batch += lost;
    track.rgb_out = {};
    if (generated) deliver(track, std::move(*generated), start_ms, now_ms);
  }
  return jobs_.size() == in_turn_;
}

}  // namespace driftless
