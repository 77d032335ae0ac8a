#pragma once

// Which tensors each network consists of, from its configuration alone. Nothing is allocated, so
// that a file can be checked, or a model of any size counted, without loading it.

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "core/tensor_file.h"
#include "models/causal_dit.h"
#include "models/codec_config.h"
#include "models/hashed_prompt_encoder.h"
#include "models/umt5.h"

namespace driftless {

struct TensorSpec {
  std::string key;  // without a checkpoint's prefix
  Shape shape;
};

using TensorList = std::vector<TensorSpec>;

// In the order in which the networks take them.
TensorList dit_tensors(const DitConfig& config);
TensorList umt5_tensors(const Umt5Config& config);
TensorList hashed_prompt_tensors(const HashedPromptConfig& config);
TensorList codec_tensors(const CodecConfig& config);

int64_t count_parameters(const TensorList& list);

// Which name a key has in a file: itself, or with the prefix "model." of some of Wan's checkpoints.
std::string name_in_file(const TensorFile& file, const std::string& key);

// Everything in which a file differs from a list: tensors that are missing, surplus or of another
// shape, or that are no floats. Each finding names file, key, what was expected and what came.
std::vector<std::string> compare_tensors(const TensorFile& file, const TensorList& expected);

}  // namespace driftless
