#pragma once

#include <string>
#include <vector>

#include "media/encoder.h"

namespace driftless {

constexpr double kCameraFps = 30;

/// Two seconds of a video file as a 30 fps VP8 camera, looped by playing them forwards and
/// backwards. Throws driftless::Error when the file cannot be read.
std::vector<EncodedPicture> camera_clip(const std::string& path, int width, int height);

}  // namespace driftless
