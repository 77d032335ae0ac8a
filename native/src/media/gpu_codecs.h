#pragma once

#include <string>

namespace driftless {

/// GPUs that sessions try before the processor; -1: none.
struct GpuCodecs {
  int encoder = -1;  // H.264 by NVENC
  int decoder = -1;  // H.264 and VP8 by NVDEC
};

/// FFmpeg's name of what encodes H.264 (libx264, h264_nvenc), and why it is not the GPU that was
/// asked to ("libx264: ...").
std::string describe_encoder(int gpu);

/// What decodes: "nvdec" or "software", and why it is not the GPU that was asked to
/// ("software: ..."). A picture is decoded to find out.
std::string describe_decoder(int gpu);

}  // namespace driftless
