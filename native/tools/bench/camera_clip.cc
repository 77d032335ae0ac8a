#include "bench/camera_clip.h"

#include "bench/clip_reader.h"
#include "media/ffmpeg_support.h"

namespace driftless {

std::vector<EncodedPicture> camera_clip(const std::string& path, int width, int height) {
  ClipReader reader(path, width, height);
  std::vector<AvFramePtr> pictures;
  for (int i = 0; i < 60; ++i) {
    const AVFrame* frame = reader.next();
    if (!frame) break;
    pictures.emplace_back(av_frame_clone(frame));
    av_frame_make_writable(pictures.back().get());
  }
  EncoderOptions options;
  options.width = width;
  options.height = height;
  options.bitrate_bps = 1'500'000;
  Encoder encoder(options);
  std::vector<EncodedPicture> clip;
  for (size_t i = 0; i < 2 * pictures.size(); ++i) {
    const size_t at = i < pictures.size() ? i : 2 * pictures.size() - 1 - i;
    if (i == 0) encoder.request_key_frame();
    clip.push_back(encoder.encode(*pictures[at], 1000.0 / kCameraFps * static_cast<double>(i)));
  }
  return clip;
}

}  // namespace driftless
