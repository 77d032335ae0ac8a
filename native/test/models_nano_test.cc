// The default model's own vectors, written by its training: the engine must compute what was
// trained. Weights are 16-bit and widened on both sides, so only the order of sums differs.

#include "core/safetensors.h"
#include "models_test_support.h"
#include "stream/rolling_cache.h"

namespace driftless {
namespace {

constexpr double kTolerance = 2e-3;

std::string vectors(const char* name) {
  return std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/drift-nano/" + name + ".safetensors";
}

class DriftNano : public testing::TestWithParam<const char*> {
 protected:
  DriftNano()
      : model_(
            Model::load(std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano", GetParam(), 1)) {}

  // [n, c, h, w] of a file -> [n, h, w, c].
  Tensor images(const SafeTensors& file, const std::string& name) {
    const Tensor from = file.load_f32(name, arena_);
    const Tensor to = arena_.tensor({from.dim(0), from.dim(2), from.dim(3), from.dim(1)});
    model_->ops().nchw_to_nhwc(from, to);
    return to;
  }

  void expect_close(const char* what, const Tensor& expected, const Tensor& got) {
    ASSERT_EQ(expected.shape(), got.shape()) << what;
    EXPECT_LT(relative_error(expected.f32(), got.f32(), static_cast<size_t>(got.count())),
              kTolerance)
        << what;
  }

  std::unique_ptr<Model> model_;
  Arena arena_;
};

TEST_P(DriftNano, AutoencoderStreams) {
  const SafeTensors file(vectors("autoencoder"));
  const Tensor pixels = images(file, "pixels");
  const Tensor latents = images(file, "latents");
  const Tensor decoded = images(file, "decoded");
  auto& autoencoder = dynamic_cast<Autoencoder&>(model_->codec());
  AutoencoderState encoder, decoder;
  const int64_t per_latent = autoencoder.config().frames_per_latent;
  const Tensor z = arena_.tensor(latents.shape());
  const Tensor y = arena_.tensor(decoded.shape());
  for (int64_t i = 0; i < latents.dim(0); ++i) {
    const int64_t from = i * per_latent, to = from + per_latent;
    autoencoder.encode_raw(pixels.slice(from, to), encoder, z.slice(i, i + 1));
    autoencoder.decode_raw(latents.slice(i, i + 1), decoder, y.slice(from, to));
  }
  expect_close("latents", latents, z);
  expect_close("decoded", decoded, y);
}

TEST(HashedPrompt, ReadsAliasesByTheirMeaningTheLongestFirst) {
  HashedPromptConfig config{64, 12, 8, 4, {}};
  const auto plain = [&](const std::string& words) {
    HashedPromptConfig without = config;
    without.aliases.clear();
    return hash_words(words, without);
  };
  config.aliases = {{"golden hour", "warm light"}, {"golden", "yellow"}, {"light", "lamp"}};
  EXPECT_EQ(hash_words("A Golden-Hour, golden light", config), plain("a warm light yellow lamp"));
  EXPECT_EQ(hash_words("hour", config), plain("hour"));
  EXPECT_EQ(hash_words("", config), plain(""));
  EXPECT_EQ(hash_words("golden hour golden hour golden hour golden hour", config).size(), 7u);
}

TEST(HashedPrompt, RefusesAliasesThatNoPromptCanContain) {
  for (const char* key : {"Golden", "a  b", "", "one two three four", "b&w", " a"}) {
    Json json = tiny_model_json();
    json["prompt"]["aliases"] = {{key, "words"}};
    expect_contains(error_of([&] { parse_model_config(json, "tiny"); }), "prompt.aliases");
  }
  Json json = tiny_model_json();
  json["prompt"]["aliases"] = {{"a", "..."}};
  expect_contains(error_of([&] { parse_model_config(json, "tiny"); }), "prompt.aliases.a");
}

TEST_P(DriftNano, PromptsEncode) {
  const SafeTensors file(vectors("prompt"));
  const char* const prompts[] = {"watercolour", "Turn this into a glowing NEON night, please!",
                                 "an unseen prompt: marble statue in a garden"};
  for (int i = 0; i < 3; ++i) {
    const std::string number = std::to_string(i);
    const Tensor ids = file.load_i32("ids" + number, arena_);
    const auto words =
        hash_words(prompts[i], std::get<HashedPromptConfig>(model_->config().prompt));
    for (int64_t w = 0; w < ids.dim(0); ++w) {
      for (int64_t g = 0; g < ids.dim(1); ++g) {
        const auto word = static_cast<size_t>(w), gram = static_cast<size_t>(g);
        const bool there = word < words.size() && gram < words[word].size();
        EXPECT_EQ(ids.i32()[w * ids.dim(1) + g], there ? words[word][gram] : 0) << prompts[i];
      }
    }
    const Tensor expected = file.load_f32("encoded" + number, arena_);
    const Tensor text = arena_.tensor(expected.shape());
    model_->embed_prompt(prompts[i], text);
    expect_close(prompts[i], expected, text);
    const Tensor context = file.load_f32("context" + number, arena_);
    model_->dit().encode_prompt(text, [&](const char* name, int64_t, const Tensor& value) {
      if (std::string(name) == "context") expect_close("context", context, value);
    });
  }
}

TEST_P(DriftNano, TransformerStreamsThroughTheRing) {
  const SafeTensors file(vectors("dit"));
  const Tensor noisy = images(file, "noisy"), clean = images(file, "clean");
  const Tensor expected = images(file, "x0");
  const Tensor timestep = file.load_f32("timestep", arena_);
  const ModelConfig& config = model_->config();
  const int64_t frames = noisy.dim(0), h = noisy.dim(1), w = noisy.dim(2), c = noisy.dim(3);
  RollingConfig ring;
  ring.tokens_per_frame = static_cast<int>(h / config.dit.patch * (w / config.dit.patch));
  ring.kv_frames = config.schedule.kv_frames;
  ring.sink_frames = config.schedule.sink_frames;
  ring.layers = static_cast<int>(config.dit.layers);
  ring.heads = static_cast<int>(config.dit.heads);
  ring.head_dim = static_cast<int>(config.dit.head_dim());
  RollingCache cache(ring, model_->ops());
  ASSERT_GT(frames, ring.kv_frames + 1) << "the vectors must run past the ring's first turn";
  const auto prompt = model_->encode_prompt("watercolour");
  const Tensor x = arena_.tensor({1, h, w, config.dit.in_channels});
  const Tensor y = arena_.tensor(expected.shape());
  for (int64_t f = 0; f < frames; ++f) {
    for (int64_t p = 0; p < h * w; ++p) {
      std::copy_n(noisy.at(f).f32() + p * c, c, x.f32() + p * config.dit.in_channels);
      std::copy_n(clean.at(f).f32() + p * c, c, x.f32() + p * config.dit.in_channels + c);
    }
    const double t = static_cast<double>(timestep.f32()[f]);
    const DitRow row{1, &t, &cache, prompt.get()};
    model_->dit().forward(&row, 1, x, y.slice(f, f + 1));
    cache.finish();
  }
  expect_close("x0", expected, y);
}

INSTANTIATE_TEST_SUITE_P(Backends, DriftNano, testing::Values("reference", "cpu"));

}  // namespace
}  // namespace driftless
