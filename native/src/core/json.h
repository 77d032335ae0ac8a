#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace driftless {

using Json = nlohmann::json;

/// Parses a JSON file; throws Error that names the file and the place.
Json load_json(const std::string& path);

/// Throws Error unless every number that is to become a whole one is small enough for that: the
/// conversion of a larger float is undefined.
template <typename T>
void check_whole_numbers(const Json& value, const std::string& what) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr double kLimit = 9007199254740992.0;  // 2^53: floats below it hold each whole number
    if (!value.is_number_float()) return;
    const double number = value.template get<double>();
    if (!(number > -kLimit && number < kLimit) || (std::is_unsigned_v<T> && number < 0)) {
      throw Error(what, "a whole number", value.dump());
    }
  }
}
template <typename T>
void check_whole_numbers_in(const Json& value, const std::string& what, const std::vector<T>*) {
  if (!value.is_array()) return;
  for (const Json& each : value) check_whole_numbers<T>(each, what);
}
template <typename T>
void check_whole_numbers_in(const Json& value, const std::string& what, const T*) {
  check_whole_numbers<T>(value, what);
}

/// object[key] as T; throws Error naming `where` and the key when it is missing or of another
/// type.
template <typename T>
T json_get(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) {
    throw Error(where + "." + key, "a value", "nothing");
  }
  check_whole_numbers_in(*found, where + "." + key, static_cast<const T*>(nullptr));
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
