#pragma once

// From published checkpoints to a model folder.

#include <cstdint>
#include <functional>
#include <string>

#include "models/model_config.h"

namespace driftless {

struct ImportOptions {
  // Checkpoints in any format that TensorFile::open() knows.
  std::string dit;        // StreamDiffusionV2's model.pt and its relatives
  std::string section;    // of it, where it is a PyTorch archive; empty: the usual ones
  std::string vae;        // Wan2.1_VAE.pth or taew2_1.pth
  std::string text;       // models_t5_umt5-xxl-enc-bf16.pth
  std::string tokenizer;  // spiece.model of google/umt5-xxl

  std::string name;  // of the model; no default
  std::string version = "1";
  std::string license = "unknown";  // the user's business: checkpoints do not carry it
  // StreamDiffusionV2's settings: "v2v", "v2v_fast" or "14b".
  std::string preset = "v2v";
  // Latents as the network was shown them: "raw" (without normalisation, noise scale 0.8) or
  // "normalised" (0.6). Empty: raw with Wan's autoencoder, and normalised with TAEHV, which has no
  // other.
  std::string latents;
  int width = 832, height = 480;  // pixels
  double fps = 16;
  // What shapes do not tell; see checkpoint.h.
  int64_t head_dim = 128;
  int64_t text_len = 512;
};

// Hears what is being done now, one line each.
using ImportProgress = std::function<void(const std::string&)>;

// Makes folder `dir`, which must not exist yet: model.json, one safetensors file per network in
// the types of the source, and the tokenizer. Sources are checked first: checksums where the format
// has them, and every tensor against the sizes read off the shapes. Memory does not grow with the
// model. Throws Error, and leaves nothing behind, when anything is wrong.
ModelConfig import_model(const ImportOptions& options, const std::string& dir,
                         const ImportProgress& progress = nullptr);

}  // namespace driftless
