#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

struct AVFrame;

namespace driftless {

struct AvFrameDeleter {
  void operator()(AVFrame* frame) const;
};

/// A decoded picture, or one to encode, in the planar format that FFmpeg gave it.
using AvFramePtr = std::unique_ptr<AVFrame, AvFrameDeleter>;

/// An empty frame without buffers. Throws driftless::Error when memory is short.
AvFramePtr make_frame();

/// A frame with its own 4:2:0 buffers of that size in pixels (both at least 1), limited range
/// BT.601. Throws driftless::Error when the size is impossible or memory is short.
AvFramePtr make_yuv_frame(int width, int height);

/// One encoded picture: a VP8 frame, or one H.264 access unit in Annex B form.
struct EncodedPicture {
  std::vector<uint8_t> data;
  bool key_frame = false;
  int width = 0, height = 0;   // pixels
  double capture_time_ms = 0;  // Unix epoch; the time at which the camera took the frame
};

}  // namespace driftless
