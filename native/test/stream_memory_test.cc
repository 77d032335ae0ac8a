// What the memory plan says against what is taken.

#include "models/random_weights.h"
#include "models/weight_count.h"
#include "stream/memory_plan.h"
#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

ModelConfig tiny_config(const Json& json = tiny_model_json()) {
  return parse_model_config(json, "tiny");
}

// The public models' shapes: Wan's networks of 1.3B and 14B parameters at 480 x 832.
ModelConfig wan_config(int64_t dim, int64_t ffn, int64_t heads, int64_t layers) {
  ModelConfig config = tiny_config();
  config.width = 832;
  config.height = 480;
  config.autoencoder = WanVaeConfig::wan21();
  config.clean_conditioning = false;
  config.prediction = Prediction::flow;
  config.dit = DitConfig();
  config.dit.dim = dim;
  config.dit.ffn = ffn;
  config.dit.heads = heads;
  config.dit.layers = layers;
  config.dit.in_channels = config.dit.out_channels = 16;
  config.dit.text_dim = 4096;
  config.dit.text_len = 512;
  config.schedule.kv_frames = 6;
  config.schedule.sink_frames = 2;
  return config;
}

double gib(size_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

size_t values_of(const RandomWeights& weights) {
  size_t values = 0;
  for (const auto& item : weights.entries()) {
    values += static_cast<size_t>(item.second.shape.count());
  }
  return values;
}

TEST(WeightCount, CountsWhatTheNetworksTake) {
  const std::unique_ptr<Ops> ops = make_ops("reference");
  const ModelConfig config = tiny_config();
  RandomWeights dit(1), taehv(1), prompt(1), wan(1), umt5(1);
  dit.keep = taehv.keep = prompt.keep = wan.keep = umt5.keep = true;
  CausalDit(config.dit, dit, *ops);
  EXPECT_EQ(dit_weight_values(config.dit), values_of(dit));
  make_codec(config.autoencoder, taehv, *ops);
  EXPECT_EQ(codec_weight_values(config.autoencoder), values_of(taehv));
  const auto& words = std::get<HashedPromptConfig>(config.prompt);
  HashedPromptEncoder(words, prompt, make_ops("reference"));
  EXPECT_EQ(prompt_weight_values(words), values_of(prompt));
  Umt5Config small_umt5;
  small_umt5.vocab = 40;
  small_umt5.dim = 12;
  small_umt5.attention_dim = 8;
  small_umt5.ffn = 20;
  small_umt5.heads = 2;
  small_umt5.layers = 3;
  Umt5Encoder(small_umt5, umt5, *ops);
  EXPECT_EQ(prompt_weight_values(small_umt5, true), values_of(umt5));
  WanVaeConfig small = WanVaeConfig::wan21();
  small.dim = 4;
  make_codec(small, wan, *ops);
  EXPECT_EQ(codec_weight_values(small), values_of(wan));
}

TEST(MemoryPlan, IsWhatASessionTakesToTheByte) {
  for (const char* noise : {"fixed", "fresh"}) {
    for (const char* ring : {"keep", "recache"}) {
      for (int blend : {0, 4}) {
        for (int steps : {1, 3}) {
          Json json = tiny_model_json();
          json["schedule"]["noise"] = noise;
          json["schedule"]["promptRing"] = ring;
          json["schedule"]["blendChunks"] = blend;
          json["schedule"]["holdStill"] = steps == 1 ? 0.0 : 0.5;
          const TinyModel tiny(json);
          const auto pipeline =
              Pipeline::load(ModelOptions{tiny.dir(), "reference", 1, "f32", false, steps, 0});
          const SessionBytes plan = pipeline->info().memory.session;
          const auto opened = pipeline->open(TransformSettings{"rain", 1, 1, 0});
          const auto& session = static_cast<const Session&>(*opened);
          EXPECT_EQ(session.arena_bytes(), plan.arena());
          EXPECT_EQ(session.codec_bytes(), plan.codec);
          // And nothing more while it runs, through all that may happen to it.
          for (int i = 0; i < 6; ++i) {
            if (i == 2) pipeline->update(*opened, TransformSettings{"neon", 1, steps, 1});
            run_one(*pipeline, *opened, tiny_chunk(0, i));
          }
          EXPECT_EQ(session.arena_bytes(), plan.arena());
          EXPECT_EQ(session.codec_bytes(), plan.codec);
        }
      }
    }
  }
}

// The published arithmetic, which is for 16 bits: ours are 32.
TEST(MemoryPlan, KnowsTheLargeModels) {
  const struct {
    ModelConfig config;
    double rings_gib, cross_mb, parameters;
  } models[] = {{wan_config(1536, 8960, 12, 30), 1.607, 94, 1.42e9},
                {wan_config(5120, 13824, 40, 40), 7.141, 419, 14.3e9}};
  for (const auto& model : models) {
    const MemoryPlan one = plan_memory(model.config, 1, 0), four = plan_memory(model.config, 4, 0);
    EXPECT_NEAR(gib(one.session.rings), 2 * model.rings_gib, 0.002 * model.rings_gib);
    EXPECT_EQ(four.session.rings, 4 * one.session.rings);
    const size_t text = PromptBank::bytes(model.config.dit) - PromptKv::bytes(model.config.dit);
    EXPECT_NEAR(static_cast<double>(one.prompt - text) / 1e6, 2 * model.cross_mb, 2);
    EXPECT_NEAR(static_cast<double>(dit_weight_values(model.config.dit)), model.parameters,
                0.01 * model.parameters);
    EXPECT_EQ(one.session.codec, codec_state_bytes(model.config.autoencoder, 480, 832).sum());
  }
}

class MemoryLimit : public testing::Test {
 protected:
  // Room for so many sessions with so many prompts, and a byte less than one more session.
  std::unique_ptr<Pipeline> load(size_t sessions, size_t prompts, size_t more = 0) {
    const MemoryPlan plan = plan_memory(tiny_config(), 4, 0);
    ModelOptions options{tiny_.dir(), "cpu", 1};
    options.memory_limit_bytes = plan.total(sessions, prompts) + more;
    return Pipeline::load(options);
  }
  static TransformSettings settings(const char* prompt) { return {prompt, 1, 1, 0}; }

  TinyModel tiny_;
};

TEST_F(MemoryLimit, RefusesTheSessionThatDoesNotFitAndNobodyElse) {
  const auto pipeline = load(2, 2, 1000);
  const auto a = pipeline->open(settings("rain"));
  auto b = pipeline->open(settings("neon"));
  const std::string error = error_of([&] { pipeline->open(settings("rain")); });
  for (const char* part : {"memory of a session", "free of the limit", "a need of", "rings",
                           "rows at work", "weights hold", "2 other sessions"}) {
    expect_contains(error, part);
  }
  EXPECT_TRUE(run_one(*pipeline, *a, tiny_chunk(0, 0)).result.has_frames);
  b.reset();
  EXPECT_NO_THROW(pipeline->open(settings("neon")));
}

TEST_F(MemoryLimit, CountsAPromptOnce) {
  const auto pipeline = load(2, 1);
  const auto a = pipeline->open(settings("rain"));
  expect_contains(error_of([&] { pipeline->open(settings("neon")); }), "memory of a session");
  const auto b = pipeline->open(settings("rain"));
  expect_contains(error_of([&] { pipeline->update(*b, settings("neon")); }), "memory of a prompt");
  // The refused change has changed nothing.
  EXPECT_EQ(pipeline->update(*b, settings("rain")), 2u);
  EXPECT_EQ(run_one(*pipeline, *b, tiny_chunk(0, 0)).result.settings_revision, 2u);
}

TEST_F(MemoryLimit, AModelThatLeavesNoRoomIsNotLoaded) {
  expect_contains(error_of([&] { load(1, 0); }), "memory of a session");
  EXPECT_NO_THROW(load(1, 1));
}

TEST_F(MemoryLimit, FewerStepsTakeLess) {
  ModelOptions options{tiny_.dir(), "cpu", 1, "auto", false, 2, 0};
  const auto pipeline = Pipeline::load(options);
  EXPECT_LT(pipeline->info().memory.session.rings, plan_memory(tiny_config(), 4, 0).session.rings);
  EXPECT_NO_THROW(pipeline->open({"rain", 1, 2, 0}));
  expect_contains(error_of([&] { pipeline->open({"rain", 1, 3, 0}); }), "steps");
  options.max_steps = 5;
  expect_contains(error_of([&] { Pipeline::load(options); }), "max steps");
}

}  // namespace
}  // namespace driftless
