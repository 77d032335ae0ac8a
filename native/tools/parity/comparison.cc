#include "parity/comparison.h"

#include <cmath>
#include <sstream>

namespace driftless {

void Comparison::fail(const std::string& message) {
  if (failures_.size() < 6) failures_.push_back(message);
}

void Comparison::integers(const std::string& what, const int32_t* expected, const int32_t* got,
                          size_t count) {
  for (size_t i = 0; i < count; ++i) integer(what, i, expected[i], got[i]);
}

void Comparison::integer(const std::string& what, size_t index, int64_t expected, int64_t got) {
  ++values_;
  if (expected == got) return;
  fail(what + "[" + std::to_string(index) + "]: expected " + std::to_string(expected) + ", got " +
       std::to_string(got));
}

void Comparison::doubles(const std::string& what, double expected, double got, double tolerance) {
  ++values_;
  if (std::fabs(expected - got) <= tolerance) return;
  std::ostringstream text;
  text.precision(12);
  text << what << ": expected " << expected << ", got " << got;
  fail(text.str());
}

void Comparison::floats(const std::string& what, const float* expected, const float* got,
                        size_t count) {
  if (count == 0) return;
  values_ += count;
  double sum = 0, squares = 0, worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const double e = static_cast<double>(expected[i]);
    const double error = std::fabs(e - static_cast<double>(got[i]));
    sum += e * e;
    squares += error * error;
    // A NaN must not hide behind a comparison that is always false.
    if (!(error <= worst)) {
      worst = std::isnan(error) ? INFINITY : error;
      at = i;
    }
  }
  const double rms = std::sqrt(sum / static_cast<double>(count));
  const double error = bound_.of_rms ? std::sqrt(squares / static_cast<double>(count)) : worst;
  const double relative = rms > 0 ? error / rms : error;
  if (relative > max_rel_err_) {
    max_rel_err_ = relative;
    worst_ = what;
  }
  if (relative <= bound_.share) return;
  std::ostringstream text;
  text << what << "[" << at << "]: expected " << expected[at] << ", got " << got[at] << " ("
       << (bound_.of_rms ? "rms error " : "error ") << relative << " of rms " << rms << ", allowed "
       << bound_.share << ")";
  fail(text.str());
}

void Comparison::floats(const std::string& what, const Tensor& expected,
                        const std::vector<float>& got) {
  if (static_cast<size_t>(expected.count()) != got.size()) {
    fail(what + ": expected " + std::to_string(expected.count()) + " values, got " +
         std::to_string(got.size()));
    return;
  }
  floats(what, expected.f32(), got.data(), got.size());
}

}  // namespace driftless
