#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"

namespace driftless {

using Json = nlohmann::json;

/// Parses a JSON file; throws Error that names the file and the place.
Json load_json(const std::string& path);

/// object[key] as T; throws Error naming `where` and the key when it is missing or of another
/// type.
template <typename T>
T json_get(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) {
    throw Error(where + "." + key, "a value", "nothing");
  }
  try {
    return found->get<T>();
  } catch (const Json::exception& error) {
    throw Error(where + "." + key + ": " + error.what());
  }
}

/// The same with a default for a missing key.
template <typename T>
T json_get(const Json& object, const std::string& key, const std::string& where, T fallback) {
  if (!object.is_object() || !object.contains(key)) return fallback;
  return json_get<T>(object, key, where);
}

}  // namespace driftless
