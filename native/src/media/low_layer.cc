#include "media/low_layer.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

/// Means of factor x factor pixels. What is left over of the source at its ends is left out.
void shrink_plane(const uint8_t* from, int from_stride, uint8_t* to, int to_stride, int width,
                  int height, int factor) {
  const int count = factor * factor;
  for (int y = 0; y < height; ++y) {
    const uint8_t* rows = from + static_cast<ptrdiff_t>(y) * factor * from_stride;
    uint8_t* out = to + static_cast<ptrdiff_t>(y) * to_stride;
    for (int x = 0; x < width; ++x) {
      int sum = count / 2;
      for (int dy = 0; dy < factor; ++dy) {
        const uint8_t* row = rows + static_cast<ptrdiff_t>(dy) * from_stride + x * factor;
        for (int dx = 0; dx < factor; ++dx) sum += row[dx];
      }
      out[x] = static_cast<uint8_t>(sum / count);
    }
  }
}

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
  int factor = 1;
  while (std::max(picture.width, picture.height) / factor > kMostLongSide) factor *= 2;
  if (factor == 1) return picture;
  const int width = std::max(2, picture.width / factor & ~1);
  const int height = std::max(2, picture.height / factor & ~1);
  // The encoder may still hold a reference to the last one.
  buffer_->frame = make_yuv_frame(width, height);
  AVFrame& small = *buffer_->frame;
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    shrink_plane(picture.data[plane], picture.linesize[plane], small.data[plane],
                 small.linesize[plane], width >> shift, height >> shift, factor);
  }
  return small;
}

}  // namespace driftless
