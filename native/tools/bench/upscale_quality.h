#pragma once

// What enlarging to the camera's size costs and keeps still.

#include <cstdint>
#include <string>
#include <vector>

#include "media/picture.h"
#include "stream/pipeline.h"

namespace driftless {

// The camera's frames at the model's rate, as many as make `chunks` chunks, cropped around the
// centre to the model's shape and as large as viewers get them.
std::vector<AvFramePtr> read_camera(const std::string& path, const ModelInfo& info, int chunks);

struct UpscaleQuality {
  int width = 0, height = 0;
  double ms_per_frame = 0;  // median, processor time
  // Mean absolute difference of successive frames' brightness, over the camera's at the same size.
  double flicker_ratio = 0;
};

// chunks: what the model made of the camera's frames. The first chunk is left out of the numbers.
UpscaleQuality measure_upscale(const ModelInfo& info,
                               const std::vector<std::vector<uint8_t>>& chunks,
                               const std::vector<AvFramePtr>& camera);

}  // namespace driftless
