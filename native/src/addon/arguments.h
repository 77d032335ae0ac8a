#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "media/session_types.h"

namespace driftless::addon {

/// What createEngine() takes.
struct EngineArguments {
  ModelOptions model;
  std::string segmenter_dir;  // empty: no background mode
  bool nvenc = false;         // sessions try the GPU's H.264 encoder first
  bool nvdec = false;         // and its decoder
  size_t max_sessions = 1;
};

// All readers throw a JavaScript TypeError (wrong type) or RangeError (wrong value):
// "Expected <what> for <name> but received <value> of type <type>".

/// A number from min to max, NaN excluded. name is used in messages only.
double read_number(const Napi::Value& value, const std::string& name, double min, double max);

/// A number as above without a fraction.
int64_t read_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max);

/// The bytes of a Uint8Array (a Buffer is one); they belong to JavaScript and may change as soon as
/// JavaScript runs again.
Napi::Uint8Array read_bytes(const Napi::Value& value, const std::string& name, size_t max_bytes);

Napi::Function read_function(const Napi::Value& value, const std::string& name);
EngineArguments read_engine_arguments(const Napi::Value& value);
Transform read_transform(const Napi::Value& value, const std::string& name);
SessionOptions read_session_options(const Napi::Value& value);

}  // namespace driftless::addon
