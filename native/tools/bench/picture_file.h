#pragma once

#include <string>

#include "media/picture.h"

namespace driftless {

/// Writes a 4:2:0 limited-range frame as a binary PPM picture.
void write_picture(const std::string& path, const AVFrame& frame);

}  // namespace driftless
