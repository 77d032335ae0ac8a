#include "media/compute_loop.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "core/error.h"
#include "media/compute_track.h"
#include "media/thread_name.h"

namespace driftless {

namespace {

SloScheduler::Config scheduler_config(const Pipeline* pipeline) {
  SloScheduler::Config config;
  if (pipeline == nullptr) return config;
  const ModelInfo& info = pipeline->info();
  config.frames_per_chunk = info.frames_per_chunk;
  config.warm_up_ms = info.warm_up_ms;
  config.smaller_area = info.smaller_share_of(info.size());
  return config;
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

std::optional<Chunk> ComputeLoop::submit(const std::shared_ptr<Track>& track, Chunk chunk) {
  std::optional<Chunk> refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (track->removed) return std::nullopt;
    SessionCounters& counters = track->counters;
    if (track->waiting) {
      counters.drop_chunk_replaced += track->waiting->frames.size();
      ++counters.chunks_replaced;
    }
    if (track->turn && track->size != chunk.size) {
      track->size = chunk.size;
      const ModelInfo& info = pipeline_->info();
      const PictureSize size = chunk.size.known() ? chunk.size : info.size();
      scheduler_.set_picture(*track->turn, {info.area_of(size), info.smaller_share_of(size)});
    }
    track->waits_for_turn = track->takes_turns && track->begun;
    if (track->waits_for_turn &&
        scheduler_.arrive(*track->turn, steady_now_ms()) == Arrival::kRefused) {
      if (chunk.blur_if_refused) {
        refused = std::move(chunk);
      } else {
        counters.drop_fallback += chunk.frames.size();
      }
      track->waiting.reset();
    } else {
      track->waiting = std::move(chunk);
    }
  }
  // Also for a refused chunk: the loop looks whether there is room for the track again.
  work_.notify_one();
  return refused;
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
  if (pipeline_ != nullptr) {
    pipeline_->on_ready([this] {
      { const std::lock_guard<std::mutex> lock(mutex_); }
      work_.notify_one();
    });
  }
  const size_t depth = pipeline_ == nullptr ? 1 : pipeline_->depth();
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    ended_.swap(removed_);
    const double now_ms = steady_now_ms();
    change_levels(now_ms);
    std::unique_ptr<Batch> batch;
    if (batches_.size() < depth) batch = fill_batch(now_ms);
    const bool ends = !batches_.empty() && (batches_.size() == depth || oldest_is_ready());
    if (batch == nullptr && !ends && ended_.empty() && moved_.empty()) {
      work_.wait(lock);
      continue;
    }
    lock.unlock();
    for (const auto& track : ended_) track->model.reset();
    ended_.clear();
    for (const auto& track : moved_) track->listener.on_level(*track->level_change);
    if (batch != nullptr) {
      start_batch(*batch);
      batches_.push_back(std::move(batch));
    }
    // What came in together goes out first; one device has nothing else to do meanwhile.
    if (!batches_.empty() && (ends || depth == 1)) finish_oldest();
    lock.lock();
    for (const auto& track : moved_) --track->running;
    moved_.clear();
    done_.notify_all();
  }
  lock.unlock();
  finish_all();
  if (pipeline_ != nullptr) pipeline_->on_ready(nullptr);
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
      ++track->running;
      moved_.push_back(track);
    }
  }
}

std::unique_ptr<ComputeLoop::Batch> ComputeLoop::fill_batch(double now_ms) {
  const auto& chosen = scheduler_.next(now_ms);
  std::unique_ptr<Batch> batch;
  if (spare_.empty()) {
    batch = std::make_unique<Batch>();
  } else {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  batch->in_turn = chosen.size();
  batch->start_ms = now_ms;
  for (const auto& track : tracks_) {
    if (!track->waiting || !track->begun) continue;
    const bool its_turn = std::any_of(chosen.begin(), chosen.end(), [&](const auto& entry) {
      return track->turn == entry.session;
    });
    if (its_turn || !track->waits_for_turn) take(track, *batch);
  }
  if (!batch->entries.empty() || batch->in_turn > 0) return batch;
  spare_.push_back(std::move(batch));
  return nullptr;
}

void ComputeLoop::take(const std::shared_ptr<Track>& track, Batch& batch) {
  batch.entries.push_back({track, std::move(*track->waiting), {}});
  track->waiting.reset();
  if (track->pending) track->change = std::exchange(track->pending, std::nullopt);
  if (track->turn) track->level = scheduler_.level(*track->turn);
  ++track->running;
}

// Whether the pipeline is done with the oldest batch; one that never went there is done too.
bool ComputeLoop::oldest_is_ready() const {
  return !batches_.front()->under_way || pipeline_->ready();
}

// Begins a track's chunk: what only passes through is delivered, the others become jobs.
void ComputeLoop::begin(Batch& batch, size_t index) {
  Entry& entry = batch.entries[index];
  Track& track = *entry.track;
  ++track.counters.chunks;
  if (track.model.passthrough()) {
    GeneratedChunk copy;
    copy.source = entry.chunk.source;
    copy.frames = std::move(entry.chunk.frames);
    static_cast<ChunkPixels&>(copy) = std::move(entry.chunk);
    copy.revision = track.model.revision();
    track.deliver(std::move(copy), batch.start_ms, batch.start_ms);
    return;
  }
  try {
    size_t lost = 0;
    batch.jobs.push_back(track.model.begin(entry.chunk, entry.out, lost));
    track.counters.drop_stream_batch += lost;
    batch.owners.push_back(index);
  } catch (const std::exception&) {
    // The chunk at hand is among the lost ones when the failure came after begin().
    const size_t lost = std::max(track.model.reset(), entry.chunk.frames.size());
    track.fail(std::current_exception(), lost);
  }
}

void ComputeLoop::start_batch(Batch& batch) {
  for (size_t i = 0; i < batch.entries.size(); ++i) {
    Track& track = *batch.entries[i].track;
    // A stream must not end while it is in a batch under way.
    if (track.broken || track.model.ends_stream(track.change ? &track.change->first : nullptr,
                                                batch.entries[i].chunk)) {
      finish_all();
    }
    track.apply_change();
    begin(batch, i);
  }
  if (batch.jobs.empty()) return;
  const bool rests = std::any_of(batch.jobs.begin(), batch.jobs.end(), [this](const auto& job) {
    return pipeline_->wants_rest(*job.session);
  });
  if (rests) finish_all();
  try {
    pipeline_->start(batch.jobs.data(), batch.jobs.size());
    batch.under_way = true;
  } catch (...) {
    batch.error = std::current_exception();
  }
}

void ComputeLoop::finish_all() {
  while (!batches_.empty()) finish_oldest();
}

void ComputeLoop::finish_oldest() {
  std::unique_ptr<Batch> batch = std::move(batches_.front());
  batches_.pop_front();
  double busiest_ms = 0;
  try {
    if (batch->error) std::rethrow_exception(batch->error);
    if (batch->under_way) pipeline_->finish();
    if (batch->under_way) busiest_ms = pipeline_->busiest_ms();
  } catch (...) {
    batch->error = std::current_exception();
  }
  // The time that it took is that of exactly what the scheduler chose.
  const bool ok = !batch->error && !batch->jobs.empty() && batch->jobs.size() == batch->in_turn;
  deliver_batch(*batch);
  const std::lock_guard<std::mutex> lock(mutex_);
  judge_batch(*batch, ok, busiest_ms);
  for (const Entry& entry : batch->entries) --entry.track->running;
  batch->entries.clear();
  batch->jobs.clear();
  batch->owners.clear();
  batch->under_way = false;
  batch->error = nullptr;
  spare_.push_back(std::move(batch));
  done_.notify_all();
}

// Says what became of a batch that has been through the pipeline, or that failed.
void ComputeLoop::deliver_batch(Batch& batch) {
  const double now_ms = steady_now_ms();
  for (size_t i = 0; i < batch.jobs.size(); ++i) {
    Entry& entry = batch.entries[batch.owners[i]];
    Track& track = *entry.track;
    const auto under_way = std::count_if(batches_.begin(), batches_.end(), [&](const auto& other) {
      return std::any_of(other->owners.begin(), other->owners.end(),
                         [&](size_t owner) { return other->entries[owner].track == entry.track; });
    });
    if (batch.error) {
      track.broken = true;
      track.fail(batch.error, 0);
    }
    if (!track.broken) {
      track.note_guards(batch.jobs[i].result);
      size_t lost = 0;
      auto generated = track.model.finish(batch.jobs[i].result, std::move(entry.out), lost);
      track.counters.drop_stream_batch += lost;
      if (generated) track.deliver(std::move(*generated), batch.start_ms, now_ms);
    } else if (under_way == 0) {
      track.counters.drop_compute_error += track.model.reset();
      track.broken = false;
    }
  }
}

// Tells the scheduler what became of the batch that it chose.
void ComputeLoop::judge_batch(const Batch& batch, bool ok, double busiest_ms) {
  for (const Entry& entry : batch.entries) {
    Track& track = *entry.track;
    // The model kept its former settings.
    if (std::exchange(track.refused, false) && !track.removed && track.turn && !track.pending) {
      scheduler_.set_steps(*track.turn, track.asked.settings.steps);
    }
  }
  if (batch.in_turn == 0) return;
  const double now_ms = steady_now_ms();
  for (const auto& chosen : scheduler_.finished(now_ms, ok, busiest_ms)) {
    for (const Entry& entry : batch.entries) {
      if (entry.track->turn != chosen.session) continue;
      SessionCounters& counters = entry.track->counters;
      counters.batch.add(now_ms - batch.start_ms);
      counters.expected.add(scheduler_.expected_ms());
      if (chosen.verdict == Verdict::kInTime) ++counters.chunks_in_time;
      if (chosen.verdict == Verdict::kWaited) ++counters.chunks_waited;
      if (chosen.verdict == Verdict::kSlow) ++counters.chunks_slow;
    }
  }
}

}  // namespace driftless
