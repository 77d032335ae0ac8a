// Sizes from configurations and from files: nothing here allocates a network of published size.

#include <algorithm>

#include "models/checkpoint.h"
#include "models/model_json.h"
#include "models/tensor_list.h"
#include "models/wan_vae.h"
#include "models_test_support.h"

namespace driftless {
namespace {

std::string golden(const std::string& name) {
  return std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/" + name;
}

DitConfig wan_dit(int64_t dim, int64_t ffn, int64_t heads, int64_t layers) {
  DitConfig config;
  config.dim = dim;
  config.ffn = ffn;
  config.heads = heads;
  config.layers = layers;
  config.in_channels = config.out_channels = 16;
  config.text_dim = 4096;
  config.text_len = 512;
  return config;
}

double millions(const TensorList& list) {
  return static_cast<double>(count_parameters(list)) / 1e6;
}

TensorList part_of(const TensorList& list, const std::string& prefix) {
  TensorList part;
  std::copy_if(list.begin(), list.end(), std::back_inserter(part),
               [&](const TensorSpec& tensor) { return tensor.key.rfind(prefix, 0) == 0; });
  return part;
}

// The published sizes, from the published shapes alone.
TEST(PublishedSizes, CausalDit) {
  const TensorList small = dit_tensors(wan_dit(1536, 8960, 12, 30));
  EXPECT_EQ(small.size(), 825u);
  EXPECT_NEAR(millions(small), 1419, 0.5);
  const TensorList large = dit_tensors(wan_dit(5120, 13824, 40, 40));
  EXPECT_EQ(large.size(), 1095u);
  EXPECT_NEAR(millions(large), 14290, 5);
}

TEST(PublishedSizes, OtherNetworks) {
  EXPECT_NEAR(millions(umt5_tensors(Umt5Config())), 5680, 5);
  const TensorList wan = codec_tensors(WanVaeConfig::wan21());
  EXPECT_NEAR(millions(wan), 126.9, 0.05);
  // The pointwise layers on either side of the latents stand outside of both.
  EXPECT_NEAR(millions(part_of(wan, "encoder.")), 53.6, 0.05);
  EXPECT_NEAR(millions(part_of(wan, "decoder.")), 73.3, 0.05);
  const TensorList taehv = codec_tensors(taehv_config(64, {256, 128, 64, 64}, 16));
  EXPECT_NEAR(millions(part_of(taehv, "encoder.")), 1.47, 0.01);
  EXPECT_NEAR(millions(part_of(taehv, "decoder.")), 9.84, 0.01);
}

// What a network takes when it is built is what its list says.
void expect_taken(const TensorList& list, const RandomWeights& taken) {
  EXPECT_EQ(list.size(), taken.entries().size());
  for (const TensorSpec& tensor : list) {
    const auto found = taken.entries().find(tensor.key);
    ASSERT_NE(found, taken.entries().end()) << tensor.key;
    EXPECT_EQ(found->second.shape, tensor.shape) << tensor.key;
  }
}

class TensorLists : public testing::Test {
 protected:
  TensorLists() : ops(make_ops("reference")), weights(3) { weights.keep = true; }
  std::unique_ptr<Ops> ops;
  RandomWeights weights;
};

TEST_F(TensorLists, CausalDit) {
  DitConfig config = wan_dit(24, 20, 2, 2);
  config.text_dim = 12;
  config.freq_dim = 8;
  CausalDit(config, weights, *ops);
  expect_taken(dit_tensors(config), weights);
}

TEST_F(TensorLists, Umt5) {
  Umt5Config config;
  config.vocab = 10;
  config.dim = 6;
  config.attention_dim = 8;
  config.ffn = 5;
  config.heads = 2;
  config.layers = 2;
  Umt5Encoder(config, weights, *ops);
  expect_taken(umt5_tensors(config), weights);
}

TEST_F(TensorLists, WanVae) {
  WanVaeConfig config = WanVaeConfig::wan21();
  config.dim = 2;
  WanVae(config, weights, *ops);
  expect_taken(codec_tensors(config), weights);
}

TEST_F(TensorLists, Taehv) {
  const AutoencoderConfig config = taehv_config(2, {5, 4, 3, 2}, 4);
  Autoencoder(config, weights, *ops);
  expect_taken(codec_tensors(config), weights);
}

TEST_F(TensorLists, HashedPrompts) {
  const HashedPromptConfig config{8, 4, 3, 6, {}};
  HashedPromptEncoder(config, weights, make_ops("reference"));
  expect_taken(hashed_prompt_tensors(config), weights);
}

// The sizes of the recorded networks, which their manifest tells, come out of their files.
TEST(Checkpoint, SizesComeFromShapes) {
  const Json models = load_json(golden("reference/manifest.json"))["models"];
  const auto file = TensorFile::open(golden("reference/dit_weights.safetensors"));
  const DitConfig dit = dit_config_of(*file, 128, 16);
  EXPECT_EQ(dit.dim, models["dit"]["dim"]);
  EXPECT_EQ(dit.heads, models["dit"]["heads"]);
  EXPECT_EQ(dit.ffn, models["dit"]["ffn"]);
  EXPECT_EQ(dit.layers, models["dit"]["layers"]);
  EXPECT_EQ(dit.freq_dim, models["dit"]["freq_dim"]);
  EXPECT_EQ(dit.text_dim, models["dit"]["text_dim"]);
  EXPECT_EQ(dit.out_channels, models["dit"]["out_dim"]);
  EXPECT_EQ(compare_tensors(*file, dit_tensors(dit)), std::vector<std::string>());
  const auto text = TensorFile::open(golden("reference/umt5_weights.safetensors"));
  const Umt5Config umt5 = umt5_config_of(*text);
  EXPECT_EQ(umt5.vocab, models["umt5"]["vocab"]);
  EXPECT_EQ(umt5.attention_dim, models["umt5"]["dim_attn"]);
  EXPECT_EQ(umt5.ffn, models["umt5"]["dim_ffn"]);
  EXPECT_EQ(umt5.heads, models["umt5"]["heads"]);
  EXPECT_EQ(umt5.layers, models["umt5"]["layers"]);
  EXPECT_EQ(compare_tensors(*text, umt5_tensors(umt5)), std::vector<std::string>());
}

TEST(Checkpoint, ReadsTheLayoutOfModelPt) {
  const auto file = TensorFile::open(golden("checkpoints/model.pt"));
  const DitConfig config = dit_config_of(*file, 4, 16);
  EXPECT_EQ(config.dim, 8);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.text_len, 16);
  EXPECT_EQ(compare_tensors(*file, dit_tensors(config)), std::vector<std::string>());
  // A network can be built from it as it is.
  FileWeights weights(file->path());
  const auto ops = make_ops("reference");
  CausalDit(config, weights, *ops);
  EXPECT_NO_THROW(weights.finish());
  expect_contains(error_of([&] { dit_config_of(*file, 3); }), "divisor of 8");
}

TEST(Checkpoint, TellsAutoencodersApart) {
  const auto taehv = TensorFile::open(golden("checkpoints/taew2_1.pth"));
  const auto config = std::get<AutoencoderConfig>(codec_config_of(*taehv));
  EXPECT_EQ(config.latent_channels, 16);
  EXPECT_EQ(config.encoder.size(), 18u);
  EXPECT_EQ(config.decoder.size(), 23u);
  // The layer with too many channels is found; importing takes the last of them.
  const std::vector<std::string> findings = compare_tensors(*taehv, codec_tensors(config));
  ASSERT_EQ(findings.size(), 1u);
  expect_contains(findings[0], "decoder.7.conv.weight: expected [4, 4, 1, 1], got [8, 4, 1, 1]");

  TensorMap tensors;
  WanVaeConfig wan = WanVaeConfig::wan21();
  wan.dim = 2;
  wan.multipliers = {1, 2, 4, 8};
  wan.residual_blocks = 3;
  wan.temporal_down = {true, false, true};
  for (const TensorSpec& tensor : codec_tensors(wan)) {
    tensors[tensor.key] = {tensor.shape,
                           std::vector<float>(static_cast<size_t>(tensor.shape.count()))};
  }
  const TinyModel folder;  // for its temporary folder
  const std::string path = folder.dir() + "/vae.safetensors";
  write_safetensors(path, tensors);
  const auto got = std::get<WanVaeConfig>(codec_config_of(*TensorFile::open(path)));
  EXPECT_EQ(got.dim, 2);
  EXPECT_EQ(got.multipliers, wan.multipliers);
  EXPECT_EQ(got.residual_blocks, 3);
  EXPECT_EQ(got.temporal_down, wan.temporal_down);

  const auto neither = TensorFile::open(golden("checkpoints/umt5.pth"));
  expect_contains(error_of([&] { codec_config_of(*neither); }), "neither");
}

TEST(ModelJson, WritesWhatItReads) {
  const std::string path = std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano/model.json";
  const Json nano = load_json(path);
  EXPECT_EQ(model_json(parse_model_config(nano, path)), nano);
  Json tiny = tiny_model_json();
  tiny["files"]["dit.safetensors"] = {
      {"bytes", 7}, {"sha256", std::string(64, 'a')}, {"source", "model.pt"}};
  tiny["architecture"] = "something";
  tiny["schedule"]["rawLatents"] = true;
  tiny["schedule"]["blendChunks"] = 9;
  tiny["schedule"]["promptRing"] = "recache";
  tiny["schedule"]["contextPass"] = "clean";
  tiny["autoencoder"]["encoder"][3] = {"conv", 8, 8, 2, false};
  EXPECT_EQ(model_json(parse_model_config(tiny, "tiny")), tiny);
}

}  // namespace
}  // namespace driftless
