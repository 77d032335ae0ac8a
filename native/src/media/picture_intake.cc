#include "media/picture_intake.h"

#include <utility>

#include "media/centre_crop.h"
#include "media/device_camera.h"
#include "media/ffmpeg_support.h"
#include "media/frame_converter.h"
#include "media/guided_upscaler.h"

namespace driftless {
namespace {

size_t frame_bytes(const ModelInfo& model) {
  return static_cast<size_t>(model.width) * static_cast<size_t>(model.height) * 3;
}

size_t chunk_bytes(const ModelInfo& model) {
  return frame_bytes(model) * static_cast<size_t>(model.frames_per_chunk);
}

class HostIntake : public PictureIntake {
 public:
  explicit HostIntake(const ModelInfo& model)
      : model_(model), converter_(model.width, model.height) {}

  int gpu() const override { return -1; }

  void take(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
            FrameMeta& meta) override {
    chunk.rgb.resize(chunk_bytes(model_));
    converter_.to_rgb(*frame, chunk.rgb.data() + frame_bytes(model_) * index);
    meta.camera = frame;
  }

  void take(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta) override {
    take(std::shared_ptr<const AVFrame>(std::move(picture.host)), index, chunk, meta);
  }

 private:
  const ModelInfo model_;
  FrameConverter converter_;
};

class DeviceIntake : public PictureIntake {
 public:
  DeviceIntake(std::shared_ptr<VideoOps> video, const ModelInfo& model)
      : model_(model),
        video_(std::move(video)),
        chunks_(DevicePool::make(video_->memory(), chunk_bytes(model))) {}

  int gpu() const override { return video_->device(); }

  void take(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
            FrameMeta& meta) override {
    bring(camera_.reach(*frame, *video_), colours_of(*frame), index, chunk, meta);
  }

  void take(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta) override {
    bring(picture.device, {}, index, chunk, meta);
  }

 private:
  void bring(const YuvPicture& picture, const YuvColours& colours, size_t index, ChunkPixels& chunk,
             FrameMeta& meta) {
    const PictureSize camera = {picture.width, picture.height};
    if (!chunk.on_device()) {
      chunk.pool = chunks_;
      chunk.device = chunks_->take();
    }
    const Crop crop = centre_crop(camera.width, camera.height, model_.width, model_.height, 2, 2);
    const PicturePart part = {crop.x, crop.y, crop.width, crop.height};
    video_->to_rgb(picture, colours, part, model_.width, model_.height,
                   chunk.device.get() + frame_bytes(model_) * index);
    const PictureSize size = GuidedUpscaler::size_for(camera, {model_.width, model_.height});
    const size_t bytes = static_cast<size_t>(size.width) * static_cast<size_t>(size.height);
    if (!guides_ || guides_->bytes() != bytes) guides_ = DevicePool::make(video_->memory(), bytes);
    meta.guide = {guides_->take(), size};
    video_->to_luma(picture, part, size.width, size.height, meta.guide.luma.get());
    // The decoder may use the picture's memory again, and others read what was made of it.
    video_->wait();
  }

  const ModelInfo model_;
  const std::shared_ptr<VideoOps> video_;
  const std::shared_ptr<DevicePool> chunks_;
  std::shared_ptr<DevicePool> guides_;
  DeviceCamera camera_;
};

}  // namespace

std::unique_ptr<PictureIntake> PictureIntake::make(std::shared_ptr<VideoOps> video,
                                                   const ModelInfo& model) {
  if (!video) return std::make_unique<HostIntake>(model);
  return std::make_unique<DeviceIntake>(std::move(video), model);
}

}  // namespace driftless
