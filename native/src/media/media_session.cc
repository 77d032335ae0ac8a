#include "media/media_session.h"

#include <utility>

namespace driftless {

namespace {

Transform within(const ComputeLoop& loop, Transform transform) {
  transform.background.repaint &= loop.has_model();
  return transform;
}

}  // namespace

MediaSession::MediaSession(const SessionOptions& wanted, const ModelInfo& model,
                           std::shared_ptr<const MatteModels> mattes, ComputeLoop& loop,
                           std::function<void()> wake)
    : model_(model), loop_(loop), wake_(std::move(wake)), overload_blur_(model) {
  SessionOptions options = wanted;
  options.transform = within(loop, wanted.transform);
  background_mode_ = options.transform.mode == TransformMode::kBackground;
  room_hidden_ = options.transform.hides_room();
  const EventSink events = [this](SessionEvent event) { post(std::move(event)); };
  output_ = std::make_unique<OutputStage>(
      options, model, counters_, loop.video(),
      [this](OutgoingFrame frame) { on_encoded(std::move(frame)); }, events);
  track_ = loop_.add(*this, counters_, options.transform,
                     Slo{promised_fps(options, model.fps), options.delay_budget_ms});
  std::shared_ptr<VideoOps> video = loop.video();
  overload_blur_.use(video);
  try {
    input_ = std::make_unique<InputStage>(
        options, model, std::move(mattes), counters_, rate_, std::move(video),
        [this](Chunk chunk) { submit(std::move(chunk)); },
        [this](ComposedPicture picture, const FrameMeta& meta, uint64_t revision,
               double compute_ms) {
          if (!background_mode_) {
            ++counters_.drop_stream_batch;
            return;
          }
          output_->push_picture(std::move(picture), meta, revision, compute_ms);
        },
        scenes_, events);
  } catch (...) {
    loop_.remove(track_);
    throw;
  }
}

MediaSession::~MediaSession() { stop(); }

void MediaSession::push_frame(const uint8_t* data, size_t size, double capture_ms) {
  input_->push(data, size, capture_ms);
}

uint64_t MediaSession::set_transform(const Transform& transform) {
  std::lock_guard<std::mutex> lock(transform_mutex_);
  // First the gate, so that nothing generated from the room passes it afterwards.
  {
    std::lock_guard<std::mutex> box_lock(box_mutex_);
    background_mode_ = transform.mode == TransformMode::kBackground;
    room_hidden_ = transform.hides_room();
    if (room_hidden_) counters_.drop_stream_batch += frames_.drop_rooms();
  }
  if (room_hidden_) output_->drop_rooms();
  const uint64_t revision = loop_.set_transform(track_, transform);
  input_->set_transform(within(loop_, transform), revision);
  return revision;
}

void MediaSession::set_bitrate(int64_t bits_per_second) { output_->set_bitrate(bits_per_second); }

void MediaSession::request_key_frame() { output_->request_key_frame(); }

void MediaSession::request_low_key_frame() { output_->request_low_key_frame(); }

std::optional<OutgoingFrame> MediaSession::take_frame() {
  std::lock_guard<std::mutex> lock(box_mutex_);
  std::optional<OutgoingFrame> frame = frames_.pop();
  if (frame) {
    ++counters_.frames_out;
    counters_.bytes_out += frame->picture.data.size();
    if (frame->picture.key_frame) ++counters_.key_frames_out;
    if (frame->blurred) ++counters_.frames_blurred;
  }
  return frame;
}

std::optional<SessionEvent> MediaSession::take_event() {
  std::lock_guard<std::mutex> lock(box_mutex_);
  if (events_.empty()) return std::nullopt;
  return events_.pop();
}

SessionQueues MediaSession::queues() const {
  SessionQueues queues;
  queues.input = input_->waiting();
  queues.compute =
      loop_.chunk_waiting(track_) ? static_cast<size_t>(model_.frames_per_chunk) : size_t{0};
  queues.generated = output_->waiting();
  std::lock_guard<std::mutex> lock(box_mutex_);
  queues.callbacks = frames_.size();
  queues.events = events_.size();
  return queues;
}

void MediaSession::stop() {
  std::lock_guard<std::mutex> lock(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  input_->stop();
  loop_.remove(track_);
  output_->stop();
}

void MediaSession::submit(Chunk chunk) {
  if (chunk.source == PictureSource::kCamera && room_hidden_) {
    counters_.drop_stream_batch += chunk.frames.size();
    return;
  }
  std::optional<Chunk> refused = loop_.submit(track_, std::move(chunk));
  if (refused) on_generated(overload_blur_.blurred(std::move(*refused)));
}

void MediaSession::on_generated(GeneratedChunk chunk) {
  const bool hidden = chunk.source == PictureSource::kCamera && room_hidden_;
  if (chunk.source == PictureSource::kScene) {
    scenes_.push(std::move(chunk));
  } else if (background_mode_ || hidden) {
    counters_.drop_stream_batch += chunk.frames.size();
  } else {
    output_->push(std::move(chunk));
  }
}

void MediaSession::on_compute_event(SessionEvent event) { post(std::move(event)); }

void MediaSession::on_level(const LevelChange& change) {
  rate_ = change.to.rate;
  SessionEvent event;
  event.type = SessionEvent::Type::kLevel;
  event.level = change;
  post(std::move(event));
}

void MediaSession::on_encoded(OutgoingFrame frame) {
  const uint64_t revision = frame.revision;
  const bool complete = frame.complete;
  const double capture_ms = frame.picture.capture_time_ms;
  // A blurred camera shows nothing of the settings; a person who is cut out shows the most
  // important one, which whoever waits for a hidden room waits for.
  const bool shows_settings = !frame.blurred || !frame.shows_room;
  FrameOutbox::PushResult result;
  {
    std::lock_guard<std::mutex> lock(box_mutex_);
    if (frame.shows_room && room_hidden_) {
      ++counters_.drop_stream_batch;
      frames_.skip();
      return;
    }
    result = frames_.push(std::move(frame));
  }
  counters_.drop_callback_full += result.dropped_full;
  counters_.drop_await_key_frame += result.dropped_stale;
  if (result.need_key_frame) {
    output_->request_key_frame();
    output_->request_low_key_frame();
    return;
  }
  // In the order in which they come, (revision, complete) only grow.
  const auto shown = std::make_pair(revision, complete);
  if (shows_settings && (!applied_ || shown > *applied_)) {
    applied_ = shown;
    SessionEvent event;
    event.type = SessionEvent::Type::kApplied;
    event.revision = revision;
    event.complete = complete;
    event.capture_ms = capture_ms;
    post(std::move(event));
    return;
  }
  wake_();
}

void MediaSession::post(SessionEvent event) {
  {
    std::lock_guard<std::mutex> lock(box_mutex_);
    counters_.drop_events += events_.push(std::move(event));
  }
  wake_();
}

}  // namespace driftless
