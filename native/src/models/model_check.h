#pragma once

// Whether a model folder is complete and what it says it is, without loading it.

#include <cstdint>
#include <string>
#include <vector>

#include "models/model_config.h"
#include "models/tensor_list.h"

namespace driftless {

// The tensors of each safetensors file of a model.
struct FileTensors {
  std::string file;
  TensorList tensors;
};
std::vector<FileTensors> model_tensors(const ModelConfig& config);

struct ModelReport {
  std::string dir;
  std::string name, version, architecture, license;  // empty where model.json cannot be read
  uint64_t bytes = 0;                                // of the files that are there
  int64_t parameters = 0;                            // that the configuration asks for
  bool hashes_checked = false;        // model.json lists hashes and all were computed
  std::vector<std::string> findings;  // empty: nothing is wrong

  bool ok() const { return findings.empty(); }
};

// Checks model.json, that every tensor is there in the right shape and in a float type and no other
// is, and the sizes of listed files; with `hashes` also reads every byte and compares the SHA-256
// of listed files. Never throws for what is wrong with a model: that is what findings are for.
ModelReport check_model(const std::string& dir, bool hashes);

}  // namespace driftless
