#include "stream/noise_controller.h"

#include <algorithm>
#include <cmath>

namespace driftless {

NoiseController::NoiseController(const NoiseControllerConfig& config)
    : config_(config), noise_scale_(config.noise_scale) {}

float frame_difference(const uint8_t* a, const uint8_t* b, size_t values) {
  // Bytes differ by integers, so the sum is exact and does not depend on its order.
  uint64_t sum = 0;
  constexpr size_t kBlock = 1 << 14;  // 16384 * 255^2 fits in 32 bits
  for (size_t begin = 0; begin < values; begin += kBlock) {
    const size_t end = std::min(values, begin + kBlock);
    uint32_t block = 0;
    for (size_t i = begin; i < end; ++i) {
      const int32_t diff = static_cast<int32_t>(a[i]) - static_cast<int32_t>(b[i]);
      block += static_cast<uint32_t>(diff * diff);
    }
    sum += block;
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(values);
  return static_cast<float>(std::sqrt(mean) / 127.5);
}

const NoiseController::Decision& NoiseController::next(const uint8_t* previous,
                                                       const uint8_t* frames, size_t frame_count,
                                                       size_t values) {
  Decision& decision = decision_;
  decision.r.assign(frame_count, 0.0f);
  float fastest = 0;
  const uint8_t* before = previous;
  for (size_t f = 0; f < frame_count; ++f) {
    const uint8_t* frame = frames + f * values;
    if (before != nullptr) decision.r[f] = frame_difference(frame, before, values);
    fastest = std::max(fastest, decision.r[f]);
    before = frame;
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

}  // namespace driftless
