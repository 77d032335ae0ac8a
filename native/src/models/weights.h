#pragma once

// Where a model's tensors come from. Every tensor is asked for by key and exact shape, and what was
// never asked for is an error too, so that a file of another model cannot be loaded by accident.

#include <memory>
#include <set>
#include <string>

#include "core/arena.h"
#include "core/safetensors.h"
#include "core/tensor.h"

namespace driftless {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // A tensor widened to f32, in `arena`. Throws Error naming the source, the key, the expected
  // and the found shape or type.
  virtual Tensor take(const std::string& key, const Shape& shape, Arena& arena) = 0;
};

// A safetensors file. Keys may all carry one common prefix ("model." in Wan checkpoints), which is
// not part of the keys asked for.
class FileWeights : public WeightSource {
 public:
  explicit FileWeights(const std::string& path);

  Tensor take(const std::string& key, const Shape& shape, Arena& arena) override;

  // Throws Error when the file holds tensors that nobody took.
  void finish() const;

  const SafeTensors& file() const { return file_; }

 private:
  SafeTensors file_;
  std::string prefix_;
  std::set<std::string> taken_;
};

}  // namespace driftless
