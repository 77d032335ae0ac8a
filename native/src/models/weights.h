#pragma once

// Where a model's tensors come from. Every tensor is asked for by key and exact shape, and what was
// never asked for is an error too, so that a file of another model cannot be loaded by accident.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "core/tensor_file.h"
#include "ops/ops.h"

namespace driftless {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // A tensor widened to f32, in `arena`. Throws Error naming the source, the key, the expected
  // and the found shape or type.
  virtual Tensor take(const std::string& key, const Shape& shape, Arena& arena) = 0;
};

// A weight that operations use as it is, where they want it: in `parameters`, an arena of
// ops.memory().
Tensor take_parameter(WeightSource& weights, const std::string& key, const Shape& shape, Ops& ops,
                      Arena& parameters);
// The same for numbers that come from a configuration.
Tensor parameter(const std::vector<float>& values, const Shape& shape, Ops& ops, Arena& parameters);

// A file of tensors in any format that TensorFile::open() knows. A key may carry the prefix
// "model.", as some of Wan's checkpoints have it; it is not part of the keys asked for.
class FileWeights : public WeightSource {
 public:
  explicit FileWeights(const std::string& path);

  Tensor take(const std::string& key, const Shape& shape, Arena& arena) override;

  // Rows of a matrix of this shape, which counts as taken; the others are not read.
  Tensor take_rows(const std::string& key, const Shape& shape, const std::vector<int32_t>& rows,
                   Arena& arena);

  // Throws Error when the file holds tensors that nobody took.
  void finish() const;

  const TensorFile& file() const { return *file_; }

 private:
  const std::string& note(const std::string& key);

  std::unique_ptr<TensorFile> file_;
  std::set<std::string> taken_;
};

}  // namespace driftless
