#pragma once

// The writing side of model.json.

#include "core/json.h"
#include "models/model_config.h"

namespace driftless {

// What parse_model_config() reads back as the same configuration.
Json model_json(const ModelConfig& config);

}  // namespace driftless
