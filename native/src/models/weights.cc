#include "models/weights.h"

#include <vector>

#include "core/error.h"

namespace driftless {

FileWeights::FileWeights(const std::string& path) : file_(path) {
  static const std::string kPrefix = "model.";
  const std::vector<std::string> names = file_.names();
  bool all = !names.empty();
  for (const std::string& name : names) all = all && name.rfind(kPrefix, 0) == 0;
  if (all) prefix_ = kPrefix;
}

Tensor FileWeights::take(const std::string& key, const Shape& shape, Arena& arena) {
  const std::string name = prefix_ + key;
  taken_.insert(name);
  return file_.load_f32(name, shape, arena);
}

void FileWeights::finish() const {
  std::string surplus;
  int count = 0;
  for (const std::string& name : file_.names()) {
    if (taken_.count(name) != 0) continue;
    if (++count <= 5) surplus += (count > 1 ? ", " : "") + name;
  }
  if (count == 0) return;
  throw Error(file_.path() + ": expected " + std::to_string(taken_.size()) + " tensors, got " +
              std::to_string(count) + " that this model does not have: " + surplus +
              (count > 5 ? ", ..." : ""));
}

}  // namespace driftless
