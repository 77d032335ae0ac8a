#include "media/input_stage.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/thread_name.h"

namespace driftless {

InputStage::InputStage(const SessionOptions& options, const ModelInfo& model,
                       std::shared_ptr<const MatteModels> mattes, SessionCounters& counters,
                       const std::atomic<double>& rate, std::shared_ptr<VideoOps> video,
                       ChunkSink sink, PictureSink pictures, SceneInbox& scenes, EventSink events)
    : model_(model),
      counters_(counters),
      fps_(promised_fps(options, model.fps)),
      rate_(rate),
      sink_(std::move(sink)),
      pictures_(std::move(pictures)),
      events_(std::move(events)),
      queue_(kMaxWaitingFrames, DropPolicy::kClear),
      pending_(std::make_pair(options.transform, uint64_t{0})),
      intake_(PictureIntake::make(video, model)),
      decoder_(options.input_codec, options.size_limits, options.gpu.decoder),
      sampler_(fps_),
      picture_sampler_(promised_fps(options, kMaxPictureFps)),
      background_(
          mattes ? std::make_unique<BackgroundStage>(std::move(mattes), video, model, sink_, scenes)
                 : nullptr) {
  decoder_.leave_on_gpu(options.gpu.decoder >= 0 && intake_->gpu() == options.gpu.decoder);
  thread_ = std::thread([this] { run(); });
}

InputStage::~InputStage() { stop(); }

void InputStage::push(const uint8_t* data, size_t size, double capture_ms) {
  Incoming incoming;
  incoming.data.assign(data, data + size);
  incoming.capture_ms = capture_ms;
  incoming.pushed_ms = steady_now_ms();
  ++counters_.frames_in;
  counters_.bytes_in += size;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t dropped = queue_.push(std::move(incoming));
    if (dropped > 0) {
      counters_.drop_input_full += dropped;
      lost_input_ = true;
    }
  }
  changed_.notify_one();
}

void InputStage::set_transform(const Transform& transform, uint64_t revision) {
  std::lock_guard<std::mutex> lock(mutex_);
  pending_ = std::make_pair(transform, revision);
}

void InputStage::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

size_t InputStage::waiting() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return queue_.size();
}

void InputStage::run() {
  name_thread("dl-decode");
  for (;;) {
    Incoming incoming;
    bool lost_input = false;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      incoming = queue_.pop();
      lost_input = std::exchange(lost_input_, false);
    }
    if (lost_input) decoder_.require_key_frame();
    try {
      decode_one(incoming);
    } catch (const DeviceLost& lost) {
      ++counters_.decode_errors;
      events_(device_lost_event(lost.what()));
    } catch (const std::exception& error) {
      // Not the stream's fault but ours (memory, an unknown pixel format): the session goes on.
      ++counters_.decode_errors;
      decoder_.require_key_frame();
      report(error.what(), steady_now_ms());
    }
  }
}

void InputStage::decode_one(const Incoming& incoming) {
  const double start_ms = steady_now_ms();
  adopt_transform();
  const bool background = transform_.mode == TransformMode::kBackground;
  DecodeResult result = decoder_.decode(incoming.data.data(), incoming.data.size());
  const double now_ms = steady_now_ms();
  counters_.decoder_refusals = decoder_.refusal().empty() ? 0 : 1;
  if (result.status == DecodeStatus::kNeedKeyFrame) {
    ++counters_.drop_no_key_frame;
    ask_for_key_frame("the decoder has no key frame to start from", now_ms);
    return;
  }
  bad_size_ = result.status == DecodeStatus::kBadSize;
  if (bad_size_) {
    ++counters_.drop_bad_size;
    report(result.message, now_ms);
    return;
  }
  if (result.status == DecodeStatus::kError) {
    ++counters_.decode_errors;
    report(result.message, now_ms);
    ask_for_key_frame("the decoder could not read a frame", now_ms);
    return;
  }
  if (result.status == DecodeStatus::kNoFrame) return;

  ++counters_.frames_decoded;
  const std::shared_ptr<const AVFrame> shared = std::move(result.frame);
  const AVFrame& frame = *shared;
  tell_size(frame);
  sampler_.set_fps(fps_ * rate_);
  if (!(background ? picture_sampler_ : sampler_).accept(incoming.capture_ms)) {
    ++counters_.drop_above_rate;
    return;
  }
  FrameMeta meta;
  meta.capture_ms = incoming.capture_ms;
  meta.pushed_ms = incoming.pushed_ms;
  ++counters_.frames_sampled;
  if (background) {
    const double decoded_ms = steady_now_ms();
    meta.decode_ms = decoded_ms - start_ms;
    counters_.decode.add(meta.decode_ms);
    if (std::optional<ComposedPicture> picture = cut_out(frame, meta.capture_ms)) {
      pictures_(std::move(*picture), meta, revision_, steady_now_ms() - decoded_ms);
    }
    return;
  }
  if (transform_.hides_room()) {
    std::optional<ComposedPicture> picture = cut_out(frame, meta.capture_ms);
    if (!picture) return;
    begin_chunk_for(picture->size());
    intake_->take(std::move(*picture), chunk_.frames.size(), chunk_, meta);
  } else {
    begin_chunk_for({frame.width, frame.height});
    intake_->take(shared, chunk_.frames.size(), chunk_, meta);
  }
  // Bringing it to the model's size, and cutting out, count as decoding.
  meta.decode_ms = steady_now_ms() - start_ms;
  counters_.decode.add(meta.decode_ms);
  chunk_.frames.push_back(std::move(meta));
  hand_on_full_chunk();
}

// Also where only what viewers get has changed: with the mode.
void InputStage::tell_size(const AVFrame& frame) {
  const PictureSize camera{frame.width, frame.height};
  const PictureSize output = transform_.mode == TransformMode::kBackground
                                 ? BackgroundCanvas::size_for(camera)
                                 : intake_->output_size(camera);
  if (camera == camera_ && output == told_output_) return;
  camera_ = camera;
  told_output_ = output;
  SessionEvent event;
  event.type = SessionEvent::Type::kInputSize;
  event.width = camera.width;
  event.height = camera.height;
  event.painted = intake_->painted_size(camera);
  event.output = output;
  events_(std::move(event));
}

void InputStage::begin_chunk_for(const PictureSize& picture) {
  if (chunk_.frames.empty() || chunk_.size == intake_->painted_size(picture)) return;
  // The camera was turned: what was gathered in another shape cannot be painted with this.
  counters_.drop_stream_batch += chunk_.frames.size();
  chunk_ = Chunk{};
}

void InputStage::hand_on_full_chunk() {
  if (chunk_.frames.size() < static_cast<size_t>(model_.frames_per_chunk)) return;
  chunk_.source = transform_.hides_room() ? PictureSource::kCutOut : PictureSource::kCamera;
  chunk_.blur_if_refused = transform_.on_overload == OverloadPicture::kBlur;
  chunk_.revision = revision_;
  sink_(std::exchange(chunk_, Chunk{}));
}

void InputStage::adopt_transform() {
  std::optional<std::pair<Transform, uint64_t>> change;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    change = std::exchange(pending_, std::nullopt);
  }
  if (!change) return;
  const Transform& next = change->first;
  if (next.mode != transform_.mode || next.hides_room() != transform_.hides_room()) {
    // What was gathered under another mode is not shown under this one.
    counters_.drop_stream_batch += chunk_.frames.size();
    chunk_ = Chunk{};
  }
  transform_ = next;
  revision_ = change->second;
  if (transform_.hides_room() && background_) background_->set(transform_, revision_);
}

std::optional<ComposedPicture> InputStage::cut_out(const AVFrame& frame, double capture_ms) {
  std::string problem = "a hidden room needs segmentation networks, and this engine has none";
  std::optional<ComposedPicture> picture;
  try {
    if (background_) {
      problem.clear();
      picture = background_->compose(frame, capture_ms, problem);
    }
  } catch (const DeviceLost&) {
    throw;
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (!problem.empty()) {
    ++counters_.compute_errors;
    report(problem, steady_now_ms());
  }
  if (!picture) ++counters_.drop_compute_error;
  return picture;
}

void InputStage::ask_for_key_frame(const std::string& reason, double now_ms) {
  const double interval = bad_size_ ? kBadSizeRequestIntervalMs : kKeyFrameRequestIntervalMs;
  if (now_ms - last_request_ms_ < interval) return;
  last_request_ms_ = now_ms;
  SessionEvent event;
  event.type = SessionEvent::Type::kNeedKeyFrame;
  event.text = reason;
  events_(std::move(event));
}

void InputStage::report(const std::string& message, double now_ms) {
  if (now_ms - last_report_ms_ < kErrorReportIntervalMs) return;
  last_report_ms_ = now_ms;
  SessionEvent event;
  event.type = SessionEvent::Type::kError;
  event.text = message;
  events_(std::move(event));
}

}  // namespace driftless
