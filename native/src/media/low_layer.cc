#include "media/low_layer.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

/// Means of 2x2 pixels. A last odd row or column of the source is left out.
void halve_plane(const uint8_t* from, int from_stride, uint8_t* to, int to_stride, int width,
                 int height) {
  for (int y = 0; y < height; ++y) {
    const uint8_t* upper = from + static_cast<ptrdiff_t>(2 * y) * from_stride;
    const uint8_t* lower = upper + from_stride;
    uint8_t* row = to + static_cast<ptrdiff_t>(y) * to_stride;
    for (int x = 0; x < width; ++x) {
      const int sum = upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1];
      row[x] = static_cast<uint8_t>((sum + 2) / 4);
    }
  }
}

int half_of(int pixels) { return std::max(2, pixels / 2 & ~1); }

}  // namespace

struct LowLayer::Buffer {
  AvFramePtr frame;
};

LowLayer::LowLayer(VideoCodec codec, int64_t bitrate_bps) : buffer_(std::make_unique<Buffer>()) {
  options_.codec = codec;
  options_.bitrate_bps = bitrate_bps;
}

LowLayer::~LowLayer() = default;

EncodedPicture LowLayer::encode(const AVFrame& picture, double fps, double capture_time_ms) {
  if (picture.format != AV_PIX_FMT_YUV420P && picture.format != AV_PIX_FMT_YUVJ420P) {
    throw Error("picture for the lower layer", "4:2:0 planes in the host's memory",
                "format " + std::to_string(picture.format));
  }
  const AVFrame& small = shrunk(picture);
  if (!encoder_ || small.width != options_.width || small.height != options_.height) {
    options_.width = small.width;
    options_.height = small.height;
    options_.fps = fps;
    encoder_ = std::make_unique<Encoder>(options_);
  }
  if (key_frame_wanted_) encoder_->request_key_frame();
  key_frame_wanted_ = false;
  return encoder_->encode(small, capture_time_ms);
}

const AVFrame& LowLayer::shrunk(const AVFrame& picture) {
  if (std::max(picture.width, picture.height) < kHalvedFromPx) return picture;
  const int width = half_of(picture.width);
  const int height = half_of(picture.height);
  // The encoder may still hold a reference to the last one.
  buffer_->frame = make_yuv_frame(width, height);
  AVFrame& small = *buffer_->frame;
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    halve_plane(picture.data[plane], picture.linesize[plane], small.data[plane],
                small.linesize[plane], width >> shift, height >> shift);
  }
  return small;
}

}  // namespace driftless
