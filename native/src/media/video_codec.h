#pragma once

#include <optional>
#include <string>

namespace driftless {

/// The codecs that travel between the SFU and the engine. Cameras send any of them; viewers get VP8
/// or H.264.
enum class VideoCodec { kVp8, kH264, kVp9, kAv1 };

/// "vp8", "h264", "vp9" or "av1".
inline const char* codec_name(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kVp8:
      return "vp8";
    case VideoCodec::kH264:
      return "h264";
    case VideoCodec::kVp9:
      return "vp9";
    case VideoCodec::kAv1:
      return "av1";
  }
  return "";
}

/// The codec with that lower-case name, or nothing.
inline std::optional<VideoCodec> parse_codec(const std::string& name) {
  if (name == "vp8") return VideoCodec::kVp8;
  if (name == "h264") return VideoCodec::kH264;
  if (name == "vp9") return VideoCodec::kVp9;
  if (name == "av1") return VideoCodec::kAv1;
  return std::nullopt;
}

}  // namespace driftless
