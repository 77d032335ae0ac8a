#include "media/picture_intake.h"

#include <optional>
#include <string>
#include <utility>

#include "core/error.h"
#include "media/device_camera.h"
#include "media/ffmpeg_support.h"
#include "media/frame_converter.h"

namespace driftless {
namespace {

class HostIntake : public PictureIntake {
 public:
  explicit HostIntake(const ModelInfo& model) : PictureIntake(model) {}

  int gpu() const override { return -1; }

 private:
  void bring(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
             FrameMeta& meta) override {
    const size_t bytes = frame_bytes(chunk.size);
    chunk.rgb.resize(bytes * static_cast<size_t>(model_.frames_per_chunk));
    if (!converter_ || size_ != chunk.size) converter_.emplace(chunk.size.width, chunk.size.height);
    size_ = chunk.size;
    converter_->to_rgb(*frame, chunk.rgb.data() + bytes * index);
    meta.camera = frame;
  }

  void bring(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta) override {
    bring(std::shared_ptr<const AVFrame>(std::move(picture.host)), index, chunk, meta);
  }

  PictureSize size_;
  std::optional<FrameConverter> converter_;
};

class DeviceIntake : public PictureIntake {
 public:
  DeviceIntake(std::shared_ptr<VideoOps> video, const ModelInfo& model)
      : PictureIntake(model), video_(std::move(video)) {}

  int gpu() const override { return video_->device(); }

 private:
  void bring(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
             FrameMeta& meta) override {
    put(camera_.reach(*frame, *video_), colours_of(*frame), index, chunk, meta);
  }

  void bring(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta) override {
    put(picture.device, {}, index, chunk, meta);
  }

  void put(const YuvPicture& picture, const YuvColours& colours, size_t index, ChunkPixels& chunk,
           FrameMeta& meta) {
    const PictureSize camera = {picture.width, picture.height};
    const size_t frame_size = frame_bytes(chunk.size);
    if (!chunk.on_device()) {
      const size_t bytes = frame_size * static_cast<size_t>(model_.frames_per_chunk);
      if (!chunks_ || chunks_->bytes() != bytes)
        chunks_ = DevicePool::make(video_->memory(), bytes);
      chunk.pool = chunks_;
      chunk.device = chunks_->take();
    }
    const PicturePart whole = {0, 0, camera.width, camera.height};
    video_->to_rgb(picture, colours, whole, chunk.size.width, chunk.size.height,
                   chunk.device.get() + frame_size * index);
    const PictureSize size = driftless::output_size(model_, camera);
    const size_t bytes = static_cast<size_t>(size.width) * static_cast<size_t>(size.height);
    if (!guides_ || guides_->bytes() != bytes) guides_ = DevicePool::make(video_->memory(), bytes);
    meta.guide = {guides_->take(), size};
    video_->to_luma(picture, whole, size.width, size.height, meta.guide.luma.get());
    // The decoder may use the picture's memory again, and others read what was made of it.
    video_->wait();
  }

  const std::shared_ptr<VideoOps> video_;
  std::shared_ptr<DevicePool> chunks_, guides_;
  DeviceCamera camera_;
};

}  // namespace

void PictureIntake::take(const std::shared_ptr<const AVFrame>& frame, size_t index,
                         ChunkPixels& chunk, FrameMeta& meta) {
  const PictureSize camera{frame->width, frame->height};
  begin(camera, index, chunk);
  bring(frame, index, chunk, meta);
  meta.output = output_size(camera);
}

void PictureIntake::take(ComposedPicture picture, size_t index, ChunkPixels& chunk,
                         FrameMeta& meta) {
  const PictureSize size = picture.size();
  begin(size, index, chunk);
  bring(std::move(picture), index, chunk, meta);
  meta.output = output_size(size);
}

void PictureIntake::begin(const PictureSize& picture, size_t index, ChunkPixels& chunk) const {
  const PictureSize size = painted_size(picture);
  if (index == 0) chunk.size = size;
  DL_CHECK(chunk.size == size, "pictures of a chunk",
           std::to_string(chunk.size.width) + "x" + std::to_string(chunk.size.height),
           std::to_string(size.width) + "x" + std::to_string(size.height));
}

std::unique_ptr<PictureIntake> PictureIntake::make(std::shared_ptr<VideoOps> video,
                                                   const ModelInfo& model) {
  if (!video) return std::make_unique<HostIntake>(model);
  return std::make_unique<DeviceIntake>(std::move(video), model);
}

}  // namespace driftless
