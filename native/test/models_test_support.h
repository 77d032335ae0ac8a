#pragma once

// A small model with random weights, written to a temporary folder as a real one would be.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "models/model.h"
#include "models/random_weights.h"

namespace driftless {

using TensorMap = std::map<std::string, RandomWeights::Entry>;

// Writes F32 tensors as a safetensors file.
inline void write_safetensors(const std::string& path, const TensorMap& tensors) {
  Json header = Json::object();
  size_t offset = 0;
  for (const auto& [key, entry] : tensors) {
    std::vector<int64_t> dims;
    for (int i = 0; i < entry.shape.rank(); ++i) dims.push_back(entry.shape[i]);
    const size_t bytes = entry.values.size() * sizeof(float);
    header[key] = {{"dtype", "F32"}, {"shape", dims}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  while (text.size() % 8 != 0) text += ' ';
  std::ofstream file(path, std::ios::binary);
  const uint64_t length = text.size();
  for (int i = 0; i < 8; ++i) file.put(static_cast<char>(length >> (8 * i) & 0xff));
  file << text;
  for (const auto& item : tensors) {
    file.write(reinterpret_cast<const char*>(item.second.values.data()),
               static_cast<std::streamsize>(item.second.values.size() * sizeof(float)));
  }
}

inline Json tiny_model_json() {
  return Json::parse(R"({
    "format": 1, "name": "tiny", "version": "0.0.1", "license": "Apache-2.0",
    "width": 64, "height": 32, "fps": 16, "framesPerChunk": 4,
    "autoencoder": {
      "type": "taehv", "file": "autoencoder.safetensors", "latentChannels": 4, "spatialScale": 8,
      "patch": 2, "inputRange": [-1, 1], "outputRange": [-1, 1], "latentClamp": 3.0,
      "encoder": [["conv", 12, 8, 1], ["relu"], ["tpool", 8, 8, 2], ["conv", 8, 8, 2], ["relu"],
                  ["mem", 8, 2], ["tpool", 8, 8, 2], ["conv", 8, 8, 2], ["relu"], ["mem", 8, 3],
                  ["conv", 8, 4, 1]],
      "decoder": [["clamp"], ["conv", 4, 8, 1], ["relu"], ["mem", 8, 3], ["up"], ["conv", 8, 8, 1],
                  ["relu"], ["mem", 8, 2], ["tgrow", 8, 8, 2], ["up"], ["conv", 8, 8, 1], ["relu"],
                  ["tgrow", 8, 8, 2], ["relu"], ["conv", 8, 12, 1]],
      "chromaAnchor": {"channels": [2, 3], "toChroma": [[0.6, -1.2, 0.6], [-0.6, -0.6, 1.2]],
                       "fromChroma": [[0.55, -0.55], [-0.55, 0.0], [0.0, 0.55]], "scale": 3.0},
      "latentMean": [0.1, 0.0, -0.1, 0.0], "latentStd": [1.0, 2.0, 0.5, 1.0]
    },
    "dit": {"file": "dit.safetensors", "dim": 48, "ffn": 96, "heads": 2, "layers": 2,
            "patch": [1, 2, 2], "latentChannels": 4, "conditioning": "clean", "freqDim": 32,
            "textDim": 16, "textLen": 6, "prediction": "x0", "eps": 1e-06},
    "prompt": {"type": "hashed-ngrams", "buckets": 64, "ngrams": 12, "length": 6, "dim": 16},
    "schedule": {"shift": 1.0, "latentScale": 6.0, "noise": "fixed", "timestepOffset": 0,
                 "steps": [700, 500, 400, 200], "noiseScale": 0.7, "motionRange": 0.1,
                 "kvFrames": 4, "sinkFrames": 1, "adaptSinkThreshold": -1}
  })");
}

// A model folder that goes away with the object.
class TinyModel {
 public:
  explicit TinyModel(const Json& json = tiny_model_json()) : json_(json) {
    static int counter = 0;
    dir_ = (std::filesystem::temp_directory_path() /
            ("driftless-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++)))
               .string();
    std::filesystem::create_directories(dir_);
    const ModelConfig config = parse_model_config(json, "tiny");
    const std::unique_ptr<Ops> ops = make_ops("reference");
    RandomWeights autoencoder(1), dit(2);
    autoencoder.keep = dit.keep = true;
    make_codec(config.autoencoder, autoencoder, *ops);
    CausalDit(config.dit, dit, *ops);
    HashedPromptEncoder(std::get<HashedPromptConfig>(config.prompt), dit, make_ops("reference"));
    autoencoder_ = autoencoder.entries();
    dit_ = dit.entries();
    write();
  }
  ~TinyModel() {
    std::error_code ignored;  // a folder left behind in the temporary folder harms nobody
    std::filesystem::remove_all(dir_, ignored);
  }
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;

  // What is on disk follows after write().
  Json& json() { return json_; }
  TensorMap& autoencoder() { return autoencoder_; }
  TensorMap& dit() { return dit_; }
  void write() {
    std::ofstream(dir_ + "/model.json") << json_.dump(2);
    write_safetensors(dir_ + "/autoencoder.safetensors", autoencoder_);
    write_safetensors(dir_ + "/dit.safetensors", dit_);
  }
  const std::string& dir() const { return dir_; }

 private:
  std::string dir_;
  Json json_;
  TensorMap autoencoder_, dit_;
};

// Wan's autoencoder with a handful of channels.
inline WanVaeConfig tiny_wan() {
  WanVaeConfig config = WanVaeConfig::wan21();
  config.dim = 4;
  config.latent_channels = 4;
  config.residual_blocks = 1;
  config.latent_mean = {0.1f, 0.0f, -0.1f, 0.2f};
  config.latent_std = {1.0f, 2.0f, 0.5f, 1.5f};
  return config;
}

// Largest difference in units of the expected values' rms.
inline double relative_error(const float* expected, const float* got, size_t count) {
  double sum = 0, worst = 0;
  for (size_t i = 0; i < count; ++i) {
    const double e = static_cast<double>(expected[i]);
    const double error = std::fabs(e - static_cast<double>(got[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? 1e30 : error;
    sum += e * e;
  }
  return worst / std::sqrt(sum / static_cast<double>(count));
}

// The message of the Error that `call` throws; fails the test when it throws none.
template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error, got none";
  return "";
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks \"" << part << "\"";
}

}  // namespace driftless
