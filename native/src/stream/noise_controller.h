#pragma once

// The motion-aware noise controller: the faster the picture moves, the less noise is mixed in, so
// that moving structure survives.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace driftless {

struct NoiseControllerConfig {
  double noise_scale = 0.8;   // for a still picture
  double motion_range = 0.1;  // how much the fastest motion takes off
  double motion_sigma = 0.2;  // rms frame difference (pixels in [-1, 1]) that counts as fastest
  double smoothing = 0.9;     // weight of the new value
  double carry = 0.1;         // weight of the value before; not 1 - 0.9, which is not 0.1 in binary
  double timestep_offset = -100;  // added to 1000 * noise_scale for the timestep
};

class NoiseController {
 public:
  explicit NoiseController(const NoiseControllerConfig& config);

  // What one chunk asked for.
  struct Decision {
    std::vector<float> r;    // rms difference of each frame to the one before, pixels in [-1, 1]
    float d = 0;             // clamp(max r / motion_sigma, 0, 1)
    double noise_scale = 0;  // smoothed
    double timestep = 0;     // 1000 * noise_scale + offset, exact
    int step = 0;            // the same truncated as the public implementation does
  };

  // differences: of a chunk's frames of `values` bytes each, as Ops::frame_differences() says. The
  // decision stays valid until the next call.
  const Decision& next(const std::vector<uint64_t>& differences, size_t values);

  // The decision of the newest call.
  const Decision& last() const { return decision_; }

  double noise_scale() const { return noise_scale_; }

 private:
  NoiseControllerConfig config_;
  double noise_scale_;
  Decision decision_;  // kept, so that its list is allocated once
};

// For pixels in the host's memory, in any layout: `frames` is `count` frames of `values` bytes (a
// multiple of 3) each, `previous` the one before them or null.
std::vector<uint64_t> frame_differences(const uint8_t* previous, const uint8_t* frames,
                                        size_t count, size_t values);

}  // namespace driftless
