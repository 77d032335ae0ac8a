#pragma once

// Moving pictures for the media tests. They are textured, so that an encoder has something to spend
// its bits on, and they move, so that frames differ.

#include <cmath>
#include <cstdint>
#include <vector>

#include "media/encoder.h"
#include "media/picture.h"

extern "C" {
#include <libavutil/frame.h>
}

namespace driftless {

/// A 4:2:0 picture whose brightness is a moving pattern and whose chroma is one flat colour.
inline AvFramePtr moving_picture(int width, int height, int index, uint8_t u = 100,
                                 uint8_t v = 160) {
  AvFramePtr frame = make_yuv_frame(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double wave = std::sin(0.21 * (x + 3 * index)) * std::cos(0.17 * (y - 2 * index));
      frame->data[0][y * frame->linesize[0] + x] = static_cast<uint8_t>(126 + 70 * wave);
    }
  }
  for (int y = 0; y < (height + 1) / 2; ++y) {
    for (int x = 0; x < (width + 1) / 2; ++x) {
      frame->data[1][y * frame->linesize[1] + x] = u;
      frame->data[2][y * frame->linesize[2] + x] = v;
    }
  }
  return frame;
}

/// moving_picture() under grain that no encoder can predict, for tests of the rate control.
inline AvFramePtr grainy_picture(int width, int height, int index) {
  AvFramePtr frame = moving_picture(width, height, index);
  uint32_t state = 12345u + 977u * static_cast<uint32_t>(index);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      state = state * 1664525u + 1013904223u;
      uint8_t& pixel = frame->data[0][y * frame->linesize[0] + x];
      pixel = static_cast<uint8_t>(pixel + (state >> 24) % 40 - 20);
    }
  }
  return frame;
}

/// Peak signal to noise ratio of the brightness of two pictures of one size, in dB.
inline double luma_psnr(const AVFrame& a, const AVFrame& b) {
  double sum = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const double d =
          static_cast<double>(a.data[0][y * a.linesize[0] + x]) - b.data[0][y * b.linesize[0] + x];
      sum += d * d;
    }
  }
  const double mean = sum / (static_cast<double>(a.width) * a.height);
  return mean == 0 ? 99 : 10 * std::log10(255.0 * 255.0 / mean);
}

/// `count` encoded frames of moving_picture(), 33 ms apart from capture time `start_ms`.
inline std::vector<EncodedPicture> encode_clip(VideoCodec codec, int width, int height, int count,
                                               double start_ms = 1000) {
  EncoderOptions options;
  options.codec = codec;
  options.width = width;
  options.height = height;
  options.bitrate_bps = 1'000'000;
  Encoder encoder(options);
  std::vector<EncodedPicture> clip;
  for (int i = 0; i < count; ++i) {
    clip.push_back(encoder.encode(*moving_picture(width, height, i), start_ms + 33.0 * i));
  }
  return clip;
}

}  // namespace driftless
