#pragma once

// What a look does to a clip, in numbers that need no ground truth.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/looped_clip.h"
#include "stream/pipeline.h"

namespace driftless {

struct RestyleQuality {
  std::string prompt;
  // Correlation of the gradient magnitudes of output and input, both softened a little: 1 keeps
  // every contour.
  double structure = 0;
  // Mean absolute difference of successive frames, of 255, and that of the input.
  double flicker = 0, input_flicker = 0;
  // The same of the output while the input stands perfectly still.
  double frozen_flicker = 0;
  // Mean absolute difference to the input, of 255.
  double effect = 0;
  double ms_per_chunk = 0;  // median
  // The frames themselves, as many as went in, chunk by chunk.
  std::vector<std::vector<uint8_t>> chunks;
};

// Puts a clip through a stream of its own, then its last frame, frozen, for three seconds. The
// first chunk, with which memories fill, is left out of the numbers. painted: the pictures' size.
RestyleQuality measure_restyle(Pipeline& pipeline, const TransformSettings& settings,
                               const PictureSize& painted,
                               const std::vector<std::vector<uint8_t>>& clip);

}  // namespace driftless
