#pragma once

// What one golden case found: integers are compared first and exactly, then
// floats.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace driftless {

class Comparison {
 public:
  // A float tensor passes when its largest error is at most `tolerance` times
  // its rms.
  explicit Comparison(std::string name, double tolerance = 2e-4)
      : name_(std::move(name)), tolerance_(tolerance) {}

  void integers(const std::string& what, const int32_t* expected, const int32_t* got, size_t count);
  // A single integer that the file holds as number `index` of tensor `what`.
  void integer(const std::string& what, size_t index, int64_t expected, int64_t got);
  void floats(const std::string& what, const float* expected, const float* got, size_t count);
  void floats(const std::string& what, const Tensor& expected, const std::vector<float>& got);
  // Doubles, equal within `tolerance` absolutely.
  void doubles(const std::string& what, double expected, double got, double tolerance);
  void fail(const std::string& message);

  const std::string& name() const { return name_; }
  bool ok() const { return failures_.empty(); }
  double max_rel_err() const { return max_rel_err_; }
  const std::string& worst() const { return worst_; }
  size_t values() const { return values_; }
  // At most a handful of messages: later ones follow from the first.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  std::string name_;
  double tolerance_;
  double max_rel_err_ = 0;
  std::string worst_;
  size_t values_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace driftless
