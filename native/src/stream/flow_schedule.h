#pragma once

// Rectified-flow noise levels: x_t = (1 - sigma) * x0 + sigma * noise, with timestep = 1000 *
// sigma.

#include <cstddef>
#include <vector>

namespace driftless {

// The public implementation's table: sigma_i = shift * s / (1 + (shift - 1) * s), s = 1 - i /
// entries. Timesteps are looked up in it (nearest entry), so that sigma(700) is 0.700232 with
// shift 8.
class FlowSchedule {
 public:
  explicit FlowSchedule(double shift = 8.0, int entries = 1000);

  // Index of the table entry whose timestep is nearest to t (0..1000); the first one on a tie.
  int nearest(double t) const;
  float sigma(double t) const { return sigmas_[static_cast<size_t>(nearest(t))]; }

  const std::vector<float>& sigmas() const { return sigmas_; }
  const std::vector<float>& timesteps() const { return timesteps_; }

 private:
  std::vector<float> sigmas_;
  std::vector<float> timesteps_;
};

// The first n entries of a model's step list, trailing zeros not counted.
// Throws Error when n is not in 1..(number of non-zero entries).
std::vector<int> step_list(const std::vector<int>& all, int n);

// out = (1 - sigma) * x0 + sigma * noise. out may be x0.
void add_noise(const float* x0, const float* noise, float sigma, size_t count, float* out);

// The clean estimate of a network that predicts flow v = noise - x0: out = x_t - sigma * v.
// out may be x_t.
void x0_from_flow(const float* x_t, const float* flow, float sigma, size_t count, float* out);

}  // namespace driftless
