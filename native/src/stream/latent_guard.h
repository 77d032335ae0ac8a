#pragma once

// The drift guard on a session's latents, in whatever memory these lie. What it measures of one
// chunk corrects the next one: averages take seconds, and nobody has to wait for numbers that are
// on their way from a GPU.

#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "ops/ops.h"
#include "stream/drift_guard.h"

namespace driftless {

class LatentGuard {
 public:
  // `ops` must outlive it.
  LatentGuard(const DriftGuardConfig& config, Ops& ops);

  // Measures a finished latent beside the input's, [.., channels] each at unit scale, and corrects
  // it by what follow() made of the ones before. While all corrections are 0 it is not touched.
  void apply(const Tensor& input, const Tensor& finished);

  // Takes in what apply() measured, waiting for it where it must. Once after each apply().
  void follow();

  DriftGuard& guard() { return guard_; }
  const DriftGuard& guard() const { return guard_; }

 private:
  Ops& ops_;
  DriftGuard guard_;
  Arena memory_;
  Tensor moments_;     // [2, 2 * channels]: of the input, of the finished one
  Tensor correction_;  // [2, channels]: scale, shift
  bool correcting_ = false;
  // The same on the host.
  std::vector<float> moments_here_, correction_here_;
  ChannelFeatures input_, finished_;
};

}  // namespace driftless
