#pragma once

// What one golden case found: integers are compared first and exactly, then
// floats.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace driftless {

// How far a float tensor may be off, as a share of its rms: its largest error (f32), or the rms
// of its errors, where factors have fewer significant bits (bf16 has 8, f16 11).
struct ComparisonBound {
  double share = 2e-4;
  bool of_rms = false;
};

class Comparison {
 public:
  explicit Comparison(std::string name) : name_(std::move(name)) {}

  // For all comparisons from now on.
  static void set_bound(const ComparisonBound& bound) { bound_ = bound; }
  static const ComparisonBound& bound() { return bound_; }

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
  // Largest share seen: of largest errors or of their rms, as the bound has it.
  double max_rel_err() const { return max_rel_err_; }
  const std::string& worst() const { return worst_; }
  size_t values() const { return values_; }
  // At most a handful of messages: later ones follow from the first.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  inline static ComparisonBound bound_;

  std::string name_;
  double max_rel_err_ = 0;
  std::string worst_;
  size_t values_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace driftless
