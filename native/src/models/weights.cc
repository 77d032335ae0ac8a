#include "models/weights.h"

#include <vector>

#include "core/error.h"

namespace driftless {

FileWeights::FileWeights(const std::string& path) : file_(TensorFile::open(path)) {}

Tensor FileWeights::take(const std::string& key, const Shape& shape, Arena& arena) {
  const std::string prefixed = "model." + key;
  const std::string& name = file_->has(prefixed) ? prefixed : key;
  taken_.insert(name);
  return file_->load_f32(name, shape, arena);
}

void FileWeights::finish() const {
  std::string surplus;
  int count = 0;
  for (const std::string& name : file_->names()) {
    if (taken_.count(name) != 0) continue;
    if (++count <= 5) surplus += (count > 1 ? ", " : "") + name;
  }
  if (count == 0) return;
  throw Error(file_->path() + ": expected " + std::to_string(taken_.size()) + " tensors, got " +
              std::to_string(count) + " that this model does not have: " + surplus +
              (count > 5 ? ", ..." : ""));
}

}  // namespace driftless
