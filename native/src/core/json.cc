#include "core/json.h"

#include <fstream>

namespace driftless {

Json load_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error("cannot open " + path, "a readable JSON file", "none");
  try {
    return Json::parse(file);
  } catch (const Json::exception& error) {
    throw Error(path + " is not valid JSON: " + error.what());
  }
}

}  // namespace driftless
