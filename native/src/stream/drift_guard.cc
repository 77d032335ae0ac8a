#include "stream/drift_guard.h"

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace driftless {

namespace {

double beyond(double value, double allowed) { return value - std::clamp(value, -allowed, allowed); }

bool finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

DriftGuard::DriftGuard(const DriftGuardConfig& config)
    : config_(config),
      blend_(1 - std::exp(-config.chunk_s / config.average_s)),
      slew_(config.slew * config.chunk_s) {
  const size_t features = 2 * static_cast<size_t>(config.channels);
  for (ChannelFeatures* list : {&input_, &output_, &input_slow_, &output_slow_, &input_anchor_,
                                &output_anchor_, &correction_}) {
    list->assign(features, 0.0);
  }
}

void DriftGuard::restart() {
  anchored_ = false;
  release_ = true;
  age_s_ = wandering_ = 0;
  measured_ = 0;
}

bool DriftGuard::take_renewal() {
  const bool renewal = renewal_;
  renewal_ = false;
  return renewal;
}

// Averages what is shown, corrections included, until the anchor is complete.
void DriftGuard::take_anchor() {
  if (release_) {
    const bool faded = std::all_of(correction_.begin(), correction_.end(),
                                   [](double value) { return value == 0; });
    if (!faded || age_s_ <= config_.settle_s) return;
    release_ = false;
    age_s_ = config_.chunk_s;
  }
  const double weight = 1.0 / static_cast<double>(++measured_);
  for (size_t i = 0; i < correction_.size(); ++i) {
    if (measured_ == 1) input_anchor_[i] = output_anchor_[i] = 0;
    input_anchor_[i] += weight * (input_[i] - input_anchor_[i]);
    output_anchor_[i] += weight * (output_[i] + correction_[i] - output_anchor_[i]);
  }
  if (age_s_ < config_.anchor_s) return;
  input_slow_ = input_anchor_;
  for (size_t i = 0; i < correction_.size(); ++i) {
    output_slow_[i] = output_anchor_[i] - correction_[i];
  }
  anchored_ = true;
  away_s_ = 0;
  ++counters_.anchors;
}

void DriftGuard::follow_anchor() {
  excursion_ = 0;
  for (size_t i = 0; i < input_.size(); ++i) {
    input_slow_[i] += blend_ * (input_[i] - input_slow_[i]);
    output_slow_[i] += blend_ * (output_[i] - output_slow_[i]);
    excursion_ = std::max(excursion_, std::abs(input_slow_[i] - input_anchor_[i]));
  }
  away_s_ = excursion_ > config_.scene ? away_s_ + config_.chunk_s : 0;
  if (away_s_ >= config_.scene_s) {
    anchored_ = false;
    measured_ = 0;
    age_s_ = wandering_ = 0;
  }
}

bool DriftGuard::correct() {
  const double allowed = config_.bound + config_.gain * excursion_;
  bool any = false;
  if (anchored_) wandering_ = 0;
  for (size_t i = 0; i < correction_.size(); ++i) {
    double target = release_ ? 0 : correction_[i];
    if (anchored_) {
      const double away = output_slow_[i] - output_anchor_[i];
      target = std::clamp(-beyond(away, allowed), -config_.limit, config_.limit);
      wandering_ = std::max(wandering_, std::abs(away) / allowed);
    }
    correction_[i] += std::clamp(target - correction_[i], -slew_, slew_);
    any = any || correction_[i] != 0;
  }
  at_work_s_ = any && anchored_ ? at_work_s_ + config_.chunk_s : 0;
  if (at_work_s_ >= config_.persistent_s) {
    at_work_s_ = 0;
    renewal_ = true;
    ++counters_.renewals;
  }
  if (any) ++counters_.corrected;
  return any;
}

DriftGuard::Map DriftGuard::map(size_t channel) const {
  const double scale = std::exp(correction_[correction_.size() / 2 + channel]);
  return {scale, output_[channel] * (1 - scale) + correction_[channel]};
}

bool DriftGuard::follow(const ChannelFeatures& input, const ChannelFeatures& finished) {
  if (!finite(input) || !finite(finished)) return false;
  input_ = input;
  output_ = finished;
  age_s_ += config_.chunk_s;
  if (anchored_) {
    follow_anchor();
  } else {
    take_anchor();
  }
  return correct();
}

}  // namespace driftless
