#pragma once

#include <optional>
#include <string>

namespace driftless {

/// The codecs that travel between the SFU and the engine.
enum class VideoCodec { kVp8, kH264 };

/// "vp8" or "h264".
inline const char* codec_name(VideoCodec codec) {
  return codec == VideoCodec::kVp8 ? "vp8" : "h264";
}

/// The codec with that lower-case name, or nothing.
inline std::optional<VideoCodec> parse_codec(const std::string& name) {
  if (name == "vp8") return VideoCodec::kVp8;
  if (name == "h264") return VideoCodec::kH264;
  return std::nullopt;
}

}  // namespace driftless
