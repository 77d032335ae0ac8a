#include "bench/upscale_quality.h"

#include <cmath>
#include <cstdlib>

#include "bench/arguments.h"
#include "bench/clip_reader.h"
#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/frame_converter.h"
#include "media/frame_sampler.h"
#include "media/guided_upscaler.h"
#include "media/output_size.h"

namespace driftless {

namespace {

// Mean absolute difference of two pictures' brightness.
double difference(const AVFrame& a, const AVFrame& b) {
  int64_t sum = 0;
  for (int y = 0; y < a.height; ++y) {
    const uint8_t* row_a = a.data[0] + static_cast<ptrdiff_t>(y) * a.linesize[0];
    const uint8_t* row_b = b.data[0] + static_cast<ptrdiff_t>(y) * b.linesize[0];
    for (int x = 0; x < a.width; ++x) sum += std::abs(int{row_a[x]} - int{row_b[x]});
  }
  return static_cast<double>(sum) / (static_cast<double>(a.width) * a.height);
}

AvFramePtr copy_of(const AVFrame& frame) {
  AvFramePtr copy(av_frame_clone(&frame));
  if (!copy || av_frame_make_writable(copy.get()) < 0) throw Error("picture", "memory", "none");
  return copy;
}

PictureSize size_for_viewers(const ModelInfo& info) {
  const auto most = [](int pixels) { return static_cast<int>(pixels * OutputSize::kMostEnlarged); };
  return output_size(info, {most(info.width), most(info.height)});
}

}  // namespace

std::vector<AvFramePtr> read_camera(const std::string& path, const ModelInfo& info, int chunks) {
  const PictureSize size = size_for_viewers(info);
  ClipReader video(path, size.width, size.height);
  FrameSampler sampler(info.fps);
  std::vector<AvFramePtr> frames;
  const auto wanted = static_cast<size_t>(chunks * info.frames_per_chunk);
  for (int64_t read = 0; frames.size() < wanted; ++read) {
    const AVFrame* frame = video.next();
    if (frame == nullptr) throw Error(path, std::to_string(wanted) + " frames", frames.size());
    if (sampler.accept(1e3 * static_cast<double>(read) / video.fps())) {
      frames.push_back(copy_of(*frame));
    }
  }
  return frames;
}

UpscaleQuality measure_upscale(const ModelInfo& info,
                               const std::vector<std::vector<uint8_t>>& chunks,
                               const std::vector<AvFramePtr>& camera) {
  const PictureSize size = size_for_viewers(info);
  const size_t frame_bytes = 3 * static_cast<size_t>(info.width) * static_cast<size_t>(info.height);
  FrameConverter converter(info.width, info.height);
  GuidedUpscaler upscaler;
  UpscaleQuality quality;
  quality.width = size.width;
  quality.height = size.height;
  std::vector<double> ms;
  double flicker = 0, camera_flicker = 0;
  AvFramePtr before;
  const auto per_chunk = static_cast<size_t>(info.frames_per_chunk);
  for (size_t f = 0; f < camera.size(); ++f) {
    const uint8_t* rgb = chunks[f / per_chunk].data() + f % per_chunk * frame_bytes;
    const AVFrame& small = converter.to_yuv(rgb);
    const double start = cpu_seconds();
    const AVFrame& large = upscaler.upscale(small, *camera[f], size);
    ms.push_back(1e3 * (cpu_seconds() - start));
    if (f >= per_chunk) {
      flicker += difference(large, *before);
      camera_flicker += difference(*camera[f], *camera[f - 1]);
    }
    before = copy_of(large);
  }
  quality.ms_per_frame = percentile(ms, 0.5);
  quality.flicker_ratio = camera_flicker > 0 ? flicker / camera_flicker : 0;
  return quality;
}

}  // namespace driftless
