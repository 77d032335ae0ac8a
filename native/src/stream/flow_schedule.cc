#include "stream/flow_schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace driftless {

FlowSchedule::FlowSchedule(double shift, int entries) {
  sigmas_.resize(static_cast<size_t>(entries));
  timesteps_.resize(static_cast<size_t>(entries));
  for (int i = 0; i < entries; ++i) {
    // Single precision from the first operation on, because the recorded table was made that way.
    const float s = static_cast<float>(1.0 - static_cast<double>(i) / entries);
    const float k = static_cast<float>(shift);
    const float sigma = k * s / (1.0f + (k - 1.0f) * s);
    sigmas_[static_cast<size_t>(i)] = sigma;
    timesteps_[static_cast<size_t>(i)] = sigma * 1000.0f;
  }
}

int FlowSchedule::nearest(double t) const {
  int best = 0;
  double best_distance = std::fabs(static_cast<double>(timesteps_[0]) - t);
  for (size_t i = 1; i < timesteps_.size(); ++i) {
    const double distance = std::fabs(static_cast<double>(timesteps_[i]) - t);
    if (distance < best_distance) {
      best_distance = distance;
      best = static_cast<int>(i);
    }
  }
  return best;
}

std::vector<int> step_list(const std::vector<int>& all, int n) {
  std::vector<int> steps;
  for (int t : all) {
    if (t > 0) steps.push_back(t);
  }
  if (n < 1 || static_cast<size_t>(n) > steps.size()) {
    throw Error("steps: expected 1 to " + std::to_string(steps.size()) + ", got " +
                std::to_string(n));
  }
  steps.resize(static_cast<size_t>(n));
  return steps;
}

void add_noise(const float* x0, const float* noise, float sigma, size_t count, float* out) {
  const float keep = 1.0f - sigma;
  for (size_t i = 0; i < count; ++i) out[i] = keep * x0[i] + sigma * noise[i];
}

void x0_from_flow(const float* x_t, const float* flow, float sigma, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = x_t[i] - sigma * flow[i];
}

}  // namespace driftless
