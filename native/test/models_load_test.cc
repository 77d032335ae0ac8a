#include <functional>

#include "models_test_support.h"

namespace driftless {
namespace {

void load(const std::string& dir) { Model::load(dir, "reference", 1); }

TEST(ModelLoad, ReadsAFolder) {
  const TinyModel tiny;
  const auto model = Model::load(tiny.dir(), "reference", 1);
  EXPECT_EQ(model->config().name, "tiny");
  EXPECT_EQ(model->config().latent_width(), 8);
  EXPECT_EQ(model->config().dit.in_channels, 8);  // noisy and clean
}

TEST(ModelLoad, NamesAMissingFile) {
  TinyModel tiny;
  std::filesystem::remove(tiny.dir() + "/dit.safetensors");
  expect_contains(error_of([&] { load(tiny.dir()); }), "dit.safetensors");
  std::filesystem::remove(tiny.dir() + "/model.json");
  expect_contains(error_of([&] { load(tiny.dir()); }), "model.json");
}

TEST(ModelLoad, NamesAMissingTensor) {
  TinyModel tiny;
  tiny.dit().erase("blocks.1.ffn.0.bias");
  tiny.write();
  const std::string message = error_of([&] { load(tiny.dir()); });
  expect_contains(message, "dit.safetensors");
  expect_contains(message, "blocks.1.ffn.0.bias");
}

TEST(ModelLoad, NamesASurplusTensor) {
  TinyModel tiny;
  tiny.autoencoder()["encoder.99.weight"] = RandomWeights::Entry{Shape{1}, {0.0f}};
  tiny.write();
  const std::string message = error_of([&] { load(tiny.dir()); });
  expect_contains(message, "autoencoder.safetensors");
  expect_contains(message, "encoder.99.weight");
}

TEST(ModelLoad, NamesAMisshapedTensor) {
  TinyModel tiny;
  tiny.dit()["head.modulation"].shape = Shape{2, 1, 48};
  tiny.write();
  const std::string message = error_of([&] { load(tiny.dir()); });
  expect_contains(message, "head.modulation");
  expect_contains(message, "[1, 2, 48]");
  expect_contains(message, "[2, 1, 48]");
}

TEST(ModelLoad, AcceptsWansKeyPrefix) {
  TinyModel tiny;
  TensorMap prefixed;
  for (const auto& [key, entry] : tiny.dit()) prefixed["model." + key] = entry;
  tiny.dit() = prefixed;
  tiny.write();
  EXPECT_NO_THROW(load(tiny.dir()));
}

// Each of these edits makes one mistake, and the message must name the key.
struct Mistake {
  const char* key;
  std::function<void(Json&)> make;
};

TEST(ModelConfig, NamesTheKeyOfEachMistake) {
  const Mistake mistakes[] = {
      {"tiny.width", [](Json& j) { j["width"] = 65; }},
      {"tiny.fps", [](Json& j) { j.erase("fps"); }},
      {"\"framesPerchunk\"", [](Json& j) { j["framesPerchunk"] = 4; }},
      {"tiny.format", [](Json& j) { j["format"] = 2; }},
      {"dit.dim", [](Json& j) { j["dit"]["dim"] = "48"; }},
      {"dit.conditioning", [](Json& j) { j["dit"]["conditioning"] = "dirty"; }},
      {"dit.patch",
       [](Json& j) {
         j["dit"]["patch"] = {2, 2, 2};
       }},
      {"autoencoder.encoder[0]",
       [](Json& j) {
         j["autoencoder"]["encoder"][0] = {"conv", 12, 8};
       }},
      {"autoencoder.encoder[1]", [](Json& j) { j["autoencoder"]["encoder"][1] = {"rely"}; }},
      {"autoencoder.latentStd",
       [](Json& j) {
         j["autoencoder"]["latentStd"] = {1, 1, 1, 0};
       }},
      {"autoencoder.file", [](Json& j) { j["autoencoder"]["file"] = "../x.safetensors"; }},
      {"prompt.length", [](Json& j) { j["prompt"]["length"] = 7; }},
      {"schedule.sinkFrames", [](Json& j) { j["schedule"]["sinkFrames"] = 4; }},
      {"schedule.steps",
       [](Json& j) {
         j["schedule"]["steps"] = {700, 0};
       }},
      {"schedule.noiseScale", [](Json& j) { j["schedule"]["noiseScale"] = 1.5; }},
  };
  for (const Mistake& mistake : mistakes) {
    Json json = tiny_model_json();
    mistake.make(json);
    expect_contains(error_of([&] { parse_model_config(json, "tiny"); }), mistake.key);
  }
}

TEST(ModelConfig, LayersMustAddUpToTheScales) {
  TinyModel tiny;
  tiny.json()["autoencoder"]["encoder"][3] = {"conv", 8, 8, 1};
  tiny.write();
  expect_contains(error_of([&] { load(tiny.dir()); }), "spatial scale");
  tiny.json() = tiny_model_json();
  tiny.json()["autoencoder"]["decoder"][1] = {"conv", 5, 8, 1};
  tiny.write();
  expect_contains(error_of([&] { load(tiny.dir()); }), "decoder.1");
}

}  // namespace
}  // namespace driftless
