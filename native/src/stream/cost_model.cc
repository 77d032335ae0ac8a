#include "stream/cost_model.h"

#include <algorithm>
#include <cmath>

namespace driftless {

namespace {

// How the first guess is divided. Measured with the default model on one core: 4, 24 and 72 of
// 100; transformers of the Wan family have dearer rows.
constexpr std::array<double, 3> kFirstShares = {0.05, 0.35, 0.60};
// Without a warm-up the device is believed to be fast until it was measured: the first batch tells.
constexpr double kUnknownGuessMs = 20;
// A pace within this of 1 is left to the fit: it moves only what the recent batches speak about.
constexpr double kSamePace = 0.25;
// Weight of a batch, relative to the one after it.
constexpr double kMemory = 0.9;
// Relative error from which on a batch weighs less (Huber's weights).
constexpr double kUsualError = 0.1;
// Weight of the former costs, in batches; and the share of a chunk's cost, beside its own size,
// that each of the three may easily be wrong by. An error that all three could explain goes to the
// large ones.
constexpr double kRidge = 0.1;
constexpr double kDoubt = 0.1;
// Spread that is assumed until enough batches were seen to tell.
constexpr double kFirstSpread = 1.2;
constexpr size_t kFewSamples = 8;
constexpr double kUpperQuantile = 0.9;

using Vector = std::array<double, 3>;

Vector features(const BatchLoad& load) { return {1, load.rows, load.chunks}; }

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Solves a x = b for a symmetric positive definite matrix, by elimination.
Vector solve(std::array<Vector, 3> a, Vector b) {
  for (size_t i = 0; i < 3; ++i) {
    for (size_t r = i + 1; r < 3; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (size_t c = i; c < 3; ++c) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  Vector x{};
  for (size_t i = 3; i-- > 0;) {
    double rest = b[i];
    for (size_t c = i + 1; c < 3; ++c) rest -= a[i][c] * x[c];
    x[i] = rest / a[i][i];
  }
  return x;
}

}  // namespace

CostModel::CostModel(double first_guess_ms) : spread_(kFirstSpread) {
  const double guess = first_guess_ms > 0 ? first_guess_ms : kUnknownGuessMs;
  for (size_t i = 0; i < costs_.size(); ++i) costs_[i] = guess * kFirstShares[i];
}

double CostModel::expected_ms(const BatchLoad& load) const {
  return load.empty() ? 0 : dot(costs_, features(load));
}

// Of measured / expected over the newest `samples`, by nearest rank.
double CostModel::ratio_quantile(size_t samples, double share) const {
  std::array<double, kWindow> ratios{};
  for (size_t age = 0; age < samples; ++age) {
    ratios[age] = sample(age).measured_ms / expected_ms(sample(age).load);
  }
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(samples)));
  const auto nth = ratios.begin() + static_cast<std::ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(ratios.begin(), nth, ratios.begin() + static_cast<std::ptrdiff_t>(samples));
  return *nth;
}

void CostModel::observe(const BatchLoad& load, double measured_ms) {
  if (load.empty() || !(measured_ms > 0) || !std::isfinite(measured_ms)) return;
  samples_[observed_++ % kWindow] = {load, measured_ms};
  const size_t samples = std::min(observed_, kWindow);
  const double pace = ratio_quantile(std::min(observed_, kPaceWindow), 0.5);
  if (std::abs(pace - 1) > kSamePace) {
    for (double& cost : costs_) cost *= pace;
  }
  fit(samples);
  spread_ = std::max(1.0, ratio_quantile(samples, kUpperQuantile));
  if (observed_ < kFewSamples) spread_ = std::max(spread_, kFirstSpread);
}

// One step of iteratively reweighted least squares from the costs at hand, in units of what one
// chunk of one step costs.
void CostModel::fit(size_t samples) {
  const double unit = costs_[0] + costs_[1] + costs_[2];
  std::array<Vector, 3> normal{};
  Vector right{};
  for (size_t i = 0; i < 3; ++i) {
    const double doubt = costs_[i] / unit + kDoubt;
    normal[i][i] = kRidge / (doubt * doubt);
  }
  double weight = 1;
  for (size_t age = 0; age < samples; ++age, weight *= kMemory) {
    const Vector x = features(sample(age).load);
    const double expected = dot(costs_, x);
    const double error = sample(age).measured_ms / expected - 1;
    const double trust = weight * std::min(1.0, kUsualError / std::max(std::abs(error), 1e-9));
    const double scale = unit / expected;
    for (size_t r = 0; r < 3; ++r) {
      right[r] += trust * x[r] * scale * error;
      for (size_t c = 0; c < 3; ++c) normal[r][c] += trust * x[r] * x[c] * scale * scale;
    }
  }
  const Vector step = solve(normal, right);
  const double least = 1e-6 * unit;  // keeps every expectation above zero
  for (size_t i = 0; i < 3; ++i) costs_[i] = std::max(least, costs_[i] + unit * step[i]);
}

}  // namespace driftless
