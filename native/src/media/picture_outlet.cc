#include "media/picture_outlet.h"

#include <utility>

#include "core/error.h"
#include "media/device_planes.h"
#include "media/ffmpeg_support.h"
#include "media/frame_converter.h"
#include "media/guided_upscaler.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace driftless {
namespace {

class HostOutlet : public PictureOutlet {
 public:
  explicit HostOutlet(const ModelInfo& model)
      : PictureOutlet(model), converter_(model.width, model.height) {}

  const AVFrame& picture(const GeneratedChunk& chunk, size_t index, AVBufferRef*) override {
    const FrameMeta& meta = chunk.frames[index];
    const AVFrame& small = converter_.to_yuv(pixels(chunk, index));
    const PictureSize wanted = size(meta);
    if (wanted.width <= model_.width) return small;
    // Without a camera's contours it keeps its own.
    return upscaler_.upscale(small, meta.camera ? *meta.camera : small, wanted);
  }

  const AVFrame& whole(const ComposedPicture& picture, AVBufferRef*) override {
    return *picture.host;
  }

 private:
  std::optional<PictureSize> asked_size(const FrameMeta& meta) const override {
    if (!meta.camera && meta.guide.size.width == 0) return std::nullopt;
    if (!meta.camera) return meta.guide.size;
    return GuidedUpscaler::size_for({meta.camera->width, meta.camera->height},
                                    {model_.width, model_.height});
  }

  FrameConverter converter_;
  GuidedUpscaler upscaler_;
};

class DeviceOutlet : public PictureOutlet {
 public:
  DeviceOutlet(std::unique_ptr<VideoOps> video, const ModelInfo& model)
      : PictureOutlet(model), video_(std::move(video)) {}

  const AVFrame& picture(const GeneratedChunk& chunk, size_t index,
                         AVBufferRef* gpu_frames) override {
    const PictureSize wanted = size(chunk.frames[index]);
    return finish(wanted, gpu_frames,
                  [&](const YuvPicture& to) { draw(chunk, index, wanted, to); });
  }

  const AVFrame& whole(const ComposedPicture& picture, AVBufferRef* gpu_frames) override {
    return finish({picture.device.width, picture.device.height}, gpu_frames,
                  [&](const YuvPicture& to) { video_->copy(picture.device, to); });
  }

 private:
  std::optional<PictureSize> asked_size(const FrameMeta& meta) const override {
    if (!meta.guide.luma) return std::nullopt;
    return meta.guide.size;
  }

  /// A picture of that size where the encoder wants it, after draw(there).
  template <typename Draw>
  const AVFrame& finish(const PictureSize& wanted, AVBufferRef* gpu_frames, const Draw& draw) {
    if (gpu_frames != nullptr) {
      finished_ = make_frame();
      const FfmpegComplaint complaint;
      const int code = av_hwframe_get_buffer(gpu_frames, finished_.get(), 0);
      if (code < 0) throw Error("picture for a GPU's encoder", "memory", complaint.text(code));
      finished_->color_range = AVCOL_RANGE_MPEG;
      finished_->colorspace = AVCOL_SPC_SMPTE170M;
      draw({finished_->data[0], finished_->data[1], finished_->data[1] + 1, finished_->linesize[0],
            finished_->linesize[1], 2, wanted.width, wanted.height});
      video_->wait();
      return *finished_;
    }
    // The encoder may still hold a reference to the last one.
    finished_ = make_yuv_frame(wanted.width, wanted.height);
    const YuvPicture there = large_.make(video_->memory(), wanted.width, wanted.height,
                                         finished_->linesize[0], finished_->linesize[1]);
    draw(there);
    const auto chroma = static_cast<size_t>(there.red - there.blue);
    video_->to_host(there.luma, finished_->data[0], static_cast<size_t>(there.blue - there.luma));
    video_->to_host(there.blue, finished_->data[1], chroma);
    video_->to_host(there.red, finished_->data[2], chroma);
    return *finished_;
  }

  void draw(const GeneratedChunk& chunk, size_t index, const PictureSize& wanted,
            const YuvPicture& to) {
    const uint8_t* rgb = pixels(chunk, index);
    const CameraGuide& guide = chunk.frames[index].guide;
    if (wanted.width <= model_.width) return video_->to_yuv(rgb, to);
    const YuvPicture small =
        small_.make(video_->memory(), model_.width, model_.height, model_.width, model_.width / 2);
    video_->to_yuv(rgb, small);
    video_->enlarge(small, guide.luma.get(), guide.size.width, guide.size.height, to);
  }

  const std::unique_ptr<VideoOps> video_;
  DevicePlanes small_, large_;
  AvFramePtr finished_;
};

}  // namespace

PictureSize PictureOutlet::size(const FrameMeta& meta) {
  const std::optional<PictureSize> asked = asked_size(meta);
  if (!asked) return {model_.width, model_.height};
  if (asked->width > size_.width) size_ = *asked;
  return size_;
}

std::unique_ptr<PictureOutlet> PictureOutlet::make(std::unique_ptr<VideoOps> video,
                                                   const ModelInfo& model) {
  if (!video) return std::make_unique<HostOutlet>(model);
  return std::make_unique<DeviceOutlet>(std::move(video), model);
}

}  // namespace driftless
