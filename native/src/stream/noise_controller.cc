#include "stream/noise_controller.h"

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace driftless {

NoiseController::NoiseController(const NoiseControllerConfig& config)
    : config_(config), noise_scale_(config.noise_scale) {}

const NoiseController::Decision& NoiseController::next(const std::vector<uint64_t>& differences,
                                                       size_t values) {
  Decision& decision = decision_;
  decision.r.resize(differences.size());
  float fastest = 0;
  for (size_t f = 0; f < differences.size(); ++f) {
    const double mean = static_cast<double>(differences[f]) / static_cast<double>(values);
    decision.r[f] = static_cast<float>(std::sqrt(mean) / 127.5);
    fastest = std::max(fastest, decision.r[f]);
  }
  decision.d = std::clamp(fastest / static_cast<float>(config_.motion_sigma), 0.0f, 1.0f);
  // Double throughout: in single precision a still picture at 0.8 gives step 699 instead of 700.
  const double target =
      config_.noise_scale - config_.motion_range * static_cast<double>(decision.d);
  noise_scale_ = target * config_.smoothing + noise_scale_ * config_.carry;
  decision.noise_scale = noise_scale_;
  decision.timestep = 1000.0 * noise_scale_ + config_.timestep_offset;
  decision.step =
      static_cast<int>(1000.0 * noise_scale_) + static_cast<int>(config_.timestep_offset);
  return decision;
}

std::vector<uint64_t> frame_differences(const uint8_t* previous, const uint8_t* frames,
                                        size_t count, size_t values) {
  const auto tensor = [](Shape shape, const uint8_t* at) {
    return Tensor(DType::u8, shape, const_cast<uint8_t*>(at));
  };
  const auto pixels = static_cast<int64_t>(values / 3);
  std::vector<uint64_t> differences(count);
  make_ops("reference")
      ->frame_differences(tensor({1, pixels, 3}, previous),
                          tensor({static_cast<int64_t>(count), 1, pixels, 3}, frames),
                          differences.data());
  return differences;
}

}  // namespace driftless
