#pragma once

// Weights that need no file: what a bench measures and a test writes to disk. Values depend on the
// seed and the key only.

#include <map>
#include <string>
#include <vector>

#include "models/weights.h"

namespace driftless {

class RandomWeights : public WeightSource {
 public:
  explicit RandomWeights(uint64_t seed) : seed_(seed) {}

  // Matrices and kernels with a spread of 1 / sqrt(inputs), vectors named "…weight" around 1,
  // other vectors small.
  Tensor take(const std::string& key, const Shape& shape, Arena& arena) override;

  // Everything taken so far.
  struct Entry {
    Shape shape;
    std::vector<float> values;
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }
  // Whether take() also keeps a copy in entries(); off by default.
  bool keep = false;

 private:
  uint64_t seed_;
  std::map<std::string, Entry> entries_;
};

}  // namespace driftless
