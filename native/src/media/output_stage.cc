#include "media/output_stage.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "media/ffmpeg_support.h"
#include "media/input_stage.h"
#include "media/thread_name.h"

namespace driftless {

OutputStage::OutputStage(const SessionOptions& options, const ModelInfo& model,
                         SessionCounters& counters, FrameSink sink, EventSink events)
    : model_(model),
      counters_(counters),
      sink_(std::move(sink)),
      events_(std::move(events)),
      queue_(static_cast<size_t>(model.frames_per_chunk), DropPolicy::kDropOldest),
      max_fps_(options.max_fps),
      bitrate_bps_(options.bitrate_bps),
      converter_(model.width, model.height) {
  encoder_options_.codec = options.output_codec;
  encoder_options_.gpu = options.gpu.encoder;
  open_encoder(model.width, model.height, false);
  thread_ = std::thread([this] { run(); });
}

OutputStage::~OutputStage() { stop(); }

void OutputStage::push(GeneratedChunk chunk) {
  auto shared = std::make_shared<const GeneratedChunk>(std::move(chunk));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < shared->frames.size(); ++i) {
      counters_.drop_generated_full += queue_.push({shared, i, nullptr});
    }
  }
  changed_.notify_one();
}

void OutputStage::push_picture(AvFramePtr picture, const FrameMeta& meta, uint64_t revision,
                               double compute_ms) {
  auto chunk = std::make_shared<GeneratedChunk>();
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
    const bool whole = queue_.front().picture != nullptr;
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
    } catch (const std::exception& error) {
      fail(error.what());
    }
    lock.lock();
  }
}

void OutputStage::encode_one(const Waiting& waiting) {
  const GeneratedChunk& chunk = *waiting.chunk;
  const FrameMeta& meta = chunk.frames[waiting.index];
  const size_t frame_bytes = static_cast<size_t>(model_.width) * model_.height * 3;
  const double start_ms = steady_now_ms();
  const bool whole = waiting.picture != nullptr;
  const AVFrame& picture =
      whole ? *waiting.picture
            : enlarge(converter_.to_yuv(chunk.rgb.data() + frame_bytes * waiting.index), meta);
  if (!encoder_ || picture.width != encoder_options_.width ||
      picture.height != encoder_options_.height) {
    open_encoder(picture.width, picture.height, whole);
  }
  encoder_->set_bitrate(bitrate_bps_);
  if (key_frame_wanted_.exchange(false)) encoder_->request_key_frame();
  OutgoingFrame frame;
  frame.picture = encoder_->encode(picture, meta.capture_ms);
  frame.revision = chunk.revision;
  frame.complete = chunk.complete;
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

const AVFrame& OutputStage::enlarge(const AVFrame& small, const FrameMeta& meta) {
  if (!meta.camera) return small;
  // A camera that sends smaller pictures for a while does not change what viewers get.
  const PictureSize size = GuidedUpscaler::size_for({meta.camera->width, meta.camera->height},
                                                    {model_.width, model_.height});
  if (size.width > size_.width) size_ = size;
  if (size_.width <= model_.width) return small;
  return upscaler_.upscale(small, *meta.camera, size_);
}

void OutputStage::open_encoder(int width, int height, bool whole_pictures) {
  const double most = whole_pictures ? InputStage::kMaxPictureFps : model_.fps;
  encoder_options_.width = width;
  encoder_options_.height = height;
  encoder_options_.fps = std::max(1.0, max_fps_ > 0 ? std::min(max_fps_, most) : most);
  encoder_options_.bitrate_bps = bitrate_bps_;
  encoder_ = std::make_unique<Encoder>(encoder_options_);
  if (encoder_->refusal().empty()) return;
  // Not asked again: this session stays with the processor.
  ++counters_.encoder_refusals;
  encoder_options_.gpu = -1;
}

void OutputStage::fail(const std::string& message) {
  ++counters_.encode_errors;
  ++counters_.drop_encode_error;
  encoder_.reset();  // the next frame gets a fresh one, which begins with a key frame
  encoder_options_.gpu = -1;
  SessionEvent event;
  event.type = SessionEvent::Type::kError;
  event.text = message;
  event.fatal = ++failures_in_a_row_ == kMaxFailuresInARow;
  if (failures_in_a_row_ <= kMaxFailuresInARow) events_(std::move(event));
}

}  // namespace driftless
