#include "bench/looped_clip.h"

#include <cmath>

#include "bench/centre_crop.h"
#include "bench/clip_reader.h"
#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/frame_converter.h"
#include "media/frame_sampler.h"

namespace driftless {

namespace {

size_t frame_bytes(const ModelInfo& info) {
  return 3 * static_cast<size_t>(info.width) * static_cast<size_t>(info.height);
}

// The middle of a 4:2:0 picture in the shape of the model's; it shares the picture's memory.
AvFramePtr middle_of(const AVFrame& frame, const ModelInfo& info) {
  const Crop crop = centre_crop(frame.width, frame.height, info.width, info.height, 2, 2);
  AvFramePtr middle(av_frame_clone(&frame));
  if (!middle) throw Error("picture", "memory", "none");
  middle->width = crop.width;
  middle->height = crop.height;
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    middle->data[plane] +=
        static_cast<ptrdiff_t>(crop.y >> shift) * frame.linesize[plane] + (crop.x >> shift);
  }
  return middle;
}

}  // namespace

std::vector<std::vector<uint8_t>> read_clip(const std::string& path, const ModelInfo& info,
                                            int chunks) {
  ClipReader video(path, 0, 0);
  FrameConverter converter(info.width, info.height);
  FrameSampler sampler(info.fps);
  int64_t read = 0;
  const size_t bytes = frame_bytes(info);
  std::vector<std::vector<uint8_t>> clip;
  for (int c = 0; c < chunks; ++c) {
    clip.emplace_back(bytes * static_cast<size_t>(info.frames_per_chunk));
    for (int f = 0; f < info.frames_per_chunk;) {
      const AVFrame* frame = video.next();
      if (frame == nullptr) throw Error(path, std::to_string(chunks) + " chunks of video", c);
      if (!sampler.accept(1e3 * static_cast<double>(read++) / video.fps())) continue;
      converter.to_rgb(*middle_of(*frame, info),
                       clip.back().data() + bytes * static_cast<size_t>(f++));
    }
  }
  return clip;
}

std::vector<std::vector<uint8_t>> draw_looped_clip(const ModelInfo& info, int chunks) {
  std::vector<std::vector<uint8_t>> clip;
  const double frames = chunks * info.frames_per_chunk;
  for (int c = 0; c < chunks; ++c) {
    clip.emplace_back();
    clip.back().reserve(frame_bytes(info) * static_cast<size_t>(info.frames_per_chunk));
    for (int f = 0; f < info.frames_per_chunk; ++f) {
      const double turn = 2 * M_PI * (c * info.frames_per_chunk + f) / frames;
      for (int y = 0; y < info.height; ++y) {
        for (int x = 0; x < info.width; ++x) {
          const double a = std::sin(0.03 * x + 0.05 * y + 5 * turn), b = std::sin(0.06 * y - turn);
          clip.back().push_back(static_cast<uint8_t>(127 + 70 * a + 40 * b));
          clip.back().push_back(static_cast<uint8_t>(127 - 60 * a + 30 * b));
          clip.back().push_back(static_cast<uint8_t>(127 + 90 * b));
        }
      }
    }
  }
  return clip;
}

}  // namespace driftless
