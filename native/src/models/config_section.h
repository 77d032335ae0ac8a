#pragma once

// One object of model.json, read strictly: a misspelt key is an error that names it.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace driftless {

// An object that must have exactly the given keys, some of them optional.
class Section {
 public:
  Section(const Json& json, std::string where, std::initializer_list<const char*> required,
          std::initializer_list<const char*> optional = {})
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw Error(where_, "an object", json.type_name());
    for (const char* key : required) {
      if (!json.contains(key)) throw Error(where_ + "." + key, "a value", "nothing");
    }
    for (const auto& item : json.items()) {
      const auto same = [&](const char* key) { return item.key() == key; };
      if (std::any_of(required.begin(), required.end(), same)) continue;
      if (std::any_of(optional.begin(), optional.end(), same)) continue;
      throw Error(where_ + ": expected no key \"" + item.key() + "\", got it");
    }
  }

  bool has(const char* key) const { return json_.contains(key); }
  const Json& json(const char* key) const { return json_.at(key); }
  std::string path(const char* key) const { return where_ + "." + key; }

  template <typename T>
  T get(const char* key) const {
    return json_get<T>(json_, key, where_);
  }

  // A whole number within [low, high].
  int64_t integer(const char* key, int64_t low, int64_t high) const {
    const Json& value = json_.at(key);
    if (!value.is_number_integer() || value.get<int64_t>() < low || value.get<int64_t>() > high) {
      throw Error(path(key), std::to_string(low) + " to " + std::to_string(high), value.dump());
    }
    return value.get<int64_t>();
  }

  double number(const char* key, double low, double high) const {
    const Json& value = json_.at(key);
    if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high)) {
      throw Error(path(key), std::to_string(low) + " to " + std::to_string(high), value.dump());
    }
    return value.get<double>();
  }

  // One of a few words.
  std::string choice(const char* key, std::initializer_list<const char*> words) const {
    const std::string got = get<std::string>(key);
    std::string text;
    for (const char* word : words) {
      if (got == word) return got;
      text += (text.empty() ? "\"" : " or \"") + std::string(word) + "\"";
    }
    throw Error(path(key), text, "\"" + got + "\"");
  }

  // A name of a file beside model.json.
  std::string file(const char* key) const {
    const std::string name = get<std::string>(key);
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
      throw Error(path(key), "a file name without a folder", "\"" + name + "\"");
    }
    return name;
  }

  std::vector<float> floats(const char* key, size_t count) const {
    const auto values = get<std::vector<float>>(key);
    DL_CHECK_EQ(path(key) + ": number of values", count, values.size());
    return values;
  }

  // rows x columns numbers, row by row.
  template <size_t N>
  std::array<float, N> matrix(const char* key, size_t columns) const {
    const auto rows = get<std::vector<std::vector<float>>>(key);
    DL_CHECK_EQ(path(key) + ": number of rows", N / columns, rows.size());
    std::array<float, N> values{};
    for (size_t r = 0; r < rows.size(); ++r) {
      DL_CHECK_EQ(path(key) + ": values per row", columns, rows[r].size());
      std::copy(rows[r].begin(), rows[r].end(), values.begin() + static_cast<long>(r * columns));
    }
    return values;
  }

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace driftless
