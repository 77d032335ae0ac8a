#include "media/output_stage.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/input_stage.h"
#include "media/thread_name.h"

namespace driftless {

OutputStage::OutputStage(const SessionOptions& options, const ModelInfo& model,
                         SessionCounters& counters, std::unique_ptr<VideoOps> video, FrameSink sink,
                         EventSink events)
    : model_(model),
      counters_(counters),
      sink_(std::move(sink)),
      events_(std::move(events)),
      queue_(static_cast<size_t>(model.frames_per_chunk), DropPolicy::kDropOldest),
      max_fps_(options.max_fps),
      bitrate_bps_(options.bitrate_bps),
      low_(options.low_layer_bitrate_bps > 0
               ? std::make_unique<LowLayer>(options.output_codec, options.low_layer_bitrate_bps)
               : nullptr),
      host_outlet_(PictureOutlet::make(nullptr, model)),
      device_outlet_(video ? PictureOutlet::make(std::move(video), model) : nullptr) {
  encoder_options_.codec = options.output_codec;
  encoder_options_.gpu = options.gpu.encoder;
  open_encoder({model.width, model.height}, false, device_outlet_ != nullptr);
  thread_ = std::thread([this] { run(); });
}

OutputStage::~OutputStage() { stop(); }

void OutputStage::push(GeneratedChunk chunk) {
  auto shared = std::make_shared<const GeneratedChunk>(std::move(chunk));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (shared->blurred) {
      blurred_until_ms_ = shared->frames.back().pushed_ms;
    } else if (!shared->frames.empty() && shared->frames.front().pushed_ms < blurred_until_ms_) {
      counters_.drop_fallback += shared->frames.size();
      return;
    }
    for (size_t i = 0; i < shared->frames.size(); ++i) {
      counters_.drop_generated_full += queue_.push({shared, i, std::nullopt});
    }
  }
  changed_.notify_one();
}

void OutputStage::push_picture(ComposedPicture picture, const FrameMeta& meta, uint64_t revision,
                               double compute_ms) {
  auto chunk = std::make_shared<GeneratedChunk>();
  chunk->source = PictureSource::kCutOut;
  chunk->frames = {meta};
  chunk->revision = revision;
  chunk->ready_ms = steady_now_ms();
  chunk->compute_ms = compute_ms;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    while (!queue_.empty() && !queue_.front().picture) {
      queue_.pop();
      ++counters_.drop_generated_full;
    }
    counters_.drop_generated_full += queue_.push({std::move(chunk), 0, std::move(picture)});
  }
  changed_.notify_one();
}

void OutputStage::drop_rooms() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t left = queue_.size(); left > 0; --left) {
    Waiting waiting = queue_.pop();
    if (waiting.chunk->source == PictureSource::kCamera) {
      ++counters_.drop_stream_batch;
    } else {
      queue_.push(std::move(waiting));
    }
  }
}

size_t OutputStage::waiting() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return queue_.size();
}

void OutputStage::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void OutputStage::run() {
  name_thread("dl-encode");
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const GeneratedChunk& chunk = *queue_.front().chunk;
    const bool whole = queue_.front().picture.has_value();
    const double wait_ms =
        whole ? 0
              : pacer_.release_time(chunk.ready_ms, chunk.frames.front().capture_ms,
                                    chunk.frames[queue_.front().index].capture_ms) -
                    steady_now_ms();
    if (wait_ms > 0) {
      // A push may replace the frame at the front meanwhile; then its time is looked at anew.
      changed_.wait_for(lock, std::chrono::duration<double, std::milli>(wait_ms));
      continue;
    }
    const Waiting waiting = queue_.pop();
    lock.unlock();
    pacer_.released(steady_now_ms(), waiting.chunk->frames[waiting.index].capture_ms);
    try {
      encode_one(waiting);
      failures_in_a_row_ = 0;
    } catch (const DeviceLost& lost) {
      fail(lost.what());
      events_(device_lost_event(lost.what()));
    } catch (const std::exception& error) {
      fail(error.what());
    }
    lock.lock();
  }
}

void OutputStage::encode_one(const Waiting& waiting) {
  const GeneratedChunk& chunk = *waiting.chunk;
  const FrameMeta& meta = chunk.frames[waiting.index];
  const double start_ms = steady_now_ms();
  const AVFrame& picture = prepare(waiting);
  encoder_->set_bitrate(bitrate_bps_);
  const bool shows_room = chunk.source == PictureSource::kCamera;
  // Nothing of the room is left over from one picture to the next.
  const bool leaves_room = std::exchange(encoded_room_, shows_room) && !shows_room;
  if (key_frame_wanted_.exchange(false) || leaves_room) encoder_->request_key_frame();
  if (leaves_room) low_key_frame_wanted_ = true;
  OutgoingFrame frame;
  frame.picture = encoder_->encode(picture, meta.capture_ms);
  frame.low = encode_low(picture, meta.capture_ms);
  frame.revision = chunk.revision;
  frame.complete = chunk.complete;
  frame.shows_room = shows_room;
  frame.blurred = chunk.blurred;
  const double now_ms = steady_now_ms();
  const double total_ms = now_ms - meta.pushed_ms;
  frame.timing.decode_ms = meta.decode_ms;
  frame.timing.compute_ms = chunk.compute_ms;
  frame.timing.encode_ms = now_ms - start_ms;
  frame.timing.queued_ms =
      std::max(0.0, total_ms - meta.decode_ms - chunk.compute_ms - frame.timing.encode_ms);
  counters_.compute.add(frame.timing.compute_ms);
  counters_.encode.add(frame.timing.encode_ms);
  counters_.queue.add(frame.timing.queued_ms);
  counters_.total.add(total_ms);
  sink_(std::move(frame));
}

std::optional<EncodedPicture> OutputStage::encode_low(const AVFrame& picture, double capture_ms) {
  if (!low_ || encoder_->gpu_frames()) return std::nullopt;
  if (low_key_frame_wanted_.exchange(false)) low_->request_key_frame();
  return low_->encode(picture, encoder_options_.fps, capture_ms);
}

const AVFrame& OutputStage::prepare(const Waiting& waiting) {
  if (waiting.picture) {
    const ComposedPicture& picture = *waiting.picture;
    fit_encoder(picture.size(), true, picture.on_device());
    PictureOutlet& outlet = picture.on_device() ? *device_outlet_ : *host_outlet_;
    return outlet.whole(picture, encoder_->gpu_frames());
  }
  const GeneratedChunk& chunk = *waiting.chunk;
  PictureOutlet& outlet = chunk.on_device() ? *device_outlet_ : *host_outlet_;
  fit_encoder(outlet.size(chunk, waiting.index), false, chunk.on_device());
  return outlet.picture(chunk, waiting.index, encoder_->gpu_frames());
}

void OutputStage::fit_encoder(PictureSize size, bool whole_pictures, bool gpu_frames) {
  gpu_frames = gpu_frames && encoder_options_.gpu >= 0;
  // Pictures of the other kind have nothing in common with those before, and nobody needs those to
  // decode them.
  if (std::exchange(whole_pictures_, whole_pictures) != whole_pictures) key_frame_wanted_ = true;
  if (encoder_ && size.width == encoder_options_.width && size.height == encoder_options_.height &&
      gpu_frames == encoder_options_.gpu_frames) {
    return;
  }
  open_encoder(size, whole_pictures, gpu_frames);
}

void OutputStage::open_encoder(PictureSize size, bool whole_pictures, bool gpu_frames) {
  const double most = whole_pictures ? InputStage::kMaxPictureFps : model_.fps;
  encoder_options_.width = size.width;
  encoder_options_.height = size.height;
  encoder_options_.gpu_frames = gpu_frames && encoder_options_.gpu >= 0;
  encoder_options_.fps = std::max(1.0, max_fps_ > 0 ? std::min(max_fps_, most) : most);
  encoder_options_.bitrate_bps = bitrate_bps_;
  encoder_ = std::make_unique<Encoder>(encoder_options_);
  if (encoder_->refusal().empty()) return;
  // Not asked again: this session stays with the processor.
  ++counters_.encoder_refusals;
  stay_with_processor();
}

// From the next encoder on.
void OutputStage::stay_with_processor() {
  encoder_options_.gpu = -1;
  encoder_options_.gpu_frames = false;
}

void OutputStage::fail(const std::string& message) {
  ++counters_.encode_errors;
  ++counters_.drop_encode_error;
  encoder_.reset();  // the next frame gets a fresh one, which begins with a key frame
  stay_with_processor();
  SessionEvent event;
  event.type = SessionEvent::Type::kError;
  event.text = message;
  event.fatal = ++failures_in_a_row_ == kMaxFailuresInARow;
  if (failures_in_a_row_ <= kMaxFailuresInARow) events_(std::move(event));
}

}  // namespace driftless
