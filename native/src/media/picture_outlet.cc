#include "media/picture_outlet.h"

#include <optional>
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
  explicit HostOutlet(const ModelInfo& model) : PictureOutlet(model) {}

  const AVFrame& picture(const GeneratedChunk& chunk, size_t index, AVBufferRef*) override {
    const PictureSize painted = painted_size(chunk), wanted = size(chunk, index);
    if (!converter_ || painted_ != painted) converter_.emplace(painted.width, painted.height);
    painted_ = painted;
    const AVFrame& small = converter_->to_yuv(pixels(chunk, index));
    if (wanted == painted) return small;
    const FrameMeta& meta = chunk.frames[index];
    // Without a camera's contours it keeps its own.
    return upscaler_.upscale(small, meta.camera ? *meta.camera : small, wanted);
  }

  const AVFrame& whole(const ComposedPicture& picture, AVBufferRef*) override {
    return *picture.host;
  }

 private:
  bool knows_camera(const FrameMeta& meta) const override { return meta.camera != nullptr; }

  PictureSize painted_;
  std::optional<FrameConverter> converter_;
  GuidedUpscaler upscaler_;
};

class DeviceOutlet : public PictureOutlet {
 public:
  DeviceOutlet(std::unique_ptr<VideoOps> video, const ModelInfo& model)
      : PictureOutlet(model), video_(std::move(video)) {}

  const AVFrame& picture(const GeneratedChunk& chunk, size_t index,
                         AVBufferRef* gpu_frames) override {
    const PictureSize wanted = size(chunk, index);
    return finish(wanted, gpu_frames,
                  [&](const YuvPicture& to) { draw(chunk, index, wanted, to); });
  }

  const AVFrame& whole(const ComposedPicture& picture, AVBufferRef* gpu_frames) override {
    return finish({picture.device.width, picture.device.height}, gpu_frames,
                  [&](const YuvPicture& to) { video_->copy(picture.device, to); });
  }

 private:
  bool knows_camera(const FrameMeta& meta) const override { return meta.guide.luma != nullptr; }

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
    const PictureSize painted = painted_size(chunk);
    if (wanted == painted) return video_->to_yuv(rgb, to);
    const YuvPicture small = small_.make(video_->memory(), painted.width, painted.height,
                                         painted.width, painted.width / 2);
    video_->to_yuv(rgb, small);
    video_->enlarge(small, guide.luma.get(), guide.size.width, guide.size.height, to);
  }

  const std::unique_ptr<VideoOps> video_;
  DevicePlanes small_, large_;
  AvFramePtr finished_;
};

}  // namespace

PictureSize PictureOutlet::size(const GeneratedChunk& chunk, size_t index) const {
  const FrameMeta& meta = chunk.frames[index];
  // A blurred picture has the size of those before it, but nothing of its camera.
  const bool known = (knows_camera(meta) || chunk.blurred) && meta.output.known();
  return known ? meta.output : painted_size(chunk);
}

std::unique_ptr<PictureOutlet> PictureOutlet::make(std::unique_ptr<VideoOps> video,
                                                   const ModelInfo& model) {
  if (!video) return std::make_unique<HostOutlet>(model);
  return std::make_unique<DeviceOutlet>(std::move(video), model);
}

}  // namespace driftless
