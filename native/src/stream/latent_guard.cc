#include "stream/latent_guard.h"

#include <algorithm>
#include <cmath>

namespace driftless {

LatentGuard::LatentGuard(const DriftGuardConfig& config, Ops& ops)
    : ops_(ops), guard_(config), memory_(4096, 0, ops.memory()) {
  const int64_t channels = config.channels;
  moments_ = memory_.tensor({2, 2 * channels});
  correction_ = memory_.tensor({2, channels});
  moments_here_.resize(static_cast<size_t>(4 * channels));
  correction_here_.resize(static_cast<size_t>(2 * channels));
  input_.resize(static_cast<size_t>(2 * channels));
  finished_.resize(static_cast<size_t>(2 * channels));
}

void LatentGuard::apply(const Tensor& input, const Tensor& finished) {
  const Shape features{2, correction_.dim(1)};
  ops_.channel_moments(input, moments_.at(0).reshape(features));
  ops_.channel_moments(finished, moments_.at(1).reshape(features));
  if (!correcting_) return;
  ops_.affine_channels(finished, correction_.at(0), correction_.at(1), finished);
}

void LatentGuard::follow() {
  ops_.copy(moments_, Tensor(moments_.shape(), moments_here_.data()));
  // A chunk that is broken teaches nothing.
  if (!std::all_of(moments_here_.begin(), moments_here_.end(),
                   [](float value) { return std::isfinite(value); })) {
    return;
  }
  const auto middle = moments_here_.begin() + static_cast<long>(input_.size());
  std::copy(moments_here_.begin(), middle, input_.begin());
  std::copy(middle, moments_here_.end(), finished_.begin());
  correcting_ = guard_.follow(input_, finished_);
  if (!correcting_) return;
  const size_t channels = input_.size() / 2;
  for (size_t c = 0; c < channels; ++c) {
    const DriftGuard::Map map = guard_.map(c);
    correction_here_[c] = static_cast<float>(map.scale);
    correction_here_[channels + c] = static_cast<float>(map.shift);
  }
  ops_.copy(Tensor(correction_.shape(), correction_here_.data()), correction_);
}

}  // namespace driftless
