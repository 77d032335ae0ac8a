#pragma once

// How many values a model's networks hold, from the configuration alone.

#include <cstddef>

#include "models/causal_dit.h"
#include "models/codec_config.h"
#include "models/hashed_prompt_encoder.h"
#include "models/umt5.h"

namespace driftless {

size_t dit_weight_values(const DitConfig& config);
size_t codec_weight_values(const CodecConfig& config);
// UMT5 stays as a whole, or reads one block at a time (`resident`).
size_t prompt_weight_values(const HashedPromptConfig& config);
size_t prompt_weight_values(const Umt5Config& config, bool resident);

}  // namespace driftless
