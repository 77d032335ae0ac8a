#include "models/weights.h"

#include <vector>

#include "core/error.h"

namespace driftless {

Tensor take_parameter(WeightSource& weights, const std::string& key, const Shape& shape, Ops& ops,
                      Arena& parameters) {
  if (ops.memory().kind() != Memory::device) return weights.take(key, shape, parameters);
  Arena host;
  const Tensor there = parameters.tensor(shape);
  ops.copy(weights.take(key, shape, host), there);
  return there;
}

Tensor parameter(const std::vector<float>& values, const Shape& shape, Ops& ops,
                 Arena& parameters) {
  const Tensor there = parameters.tensor(shape);
  ops.copy(Tensor(shape, const_cast<float*>(values.data())), there);
  return there;
}

FileWeights::FileWeights(const std::string& path) : file_(TensorFile::open(path)) {}

// The key's name in the file, noted as taken.
const std::string& FileWeights::note(const std::string& key) {
  const std::string prefixed = "model." + key;
  return *taken_.insert(file_->has(prefixed) ? prefixed : key).first;
}

Tensor FileWeights::take(const std::string& key, const Shape& shape, Arena& arena) {
  return file_->load_f32(note(key), shape, arena);
}

Tensor FileWeights::take_rows(const std::string& key, const Shape& shape,
                              const std::vector<int32_t>& rows, Arena& arena) {
  return file_->load_rows_f32(note(key), shape, rows, arena);
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
