#pragma once

// Pictures for benches of long streams: a clip that begins again when it ends.

#include <cstdint>
#include <string>
#include <vector>

#include "stream/pipeline.h"

namespace driftless {

// The first `chunks` chunks of a video file at the model's rate and size,
// cropped around the centre. Throws Error when it
// cannot be read or is shorter.
std::vector<std::vector<uint8_t>> read_clip(const std::string& path, const ModelInfo& info,
                                            int chunks);

// The same of moving colour waves that end where they begin.
std::vector<std::vector<uint8_t>> draw_looped_clip(const ModelInfo& info, int chunks);

}  // namespace driftless
