#include "stream_test_clips.h"

namespace driftless {
namespace {

class PipelineTest : public testing::TestWithParam<const char*> {
 protected:
  PipelineTest() : pipeline_(load(1)) {}

  std::unique_ptr<Pipeline> load(int threads) const {
    return Pipeline::load(ModelOptions{tiny_.dir(), GetParam(), threads});
  }
  static TransformSettings settings(const char* prompt, int steps = 1, uint64_t seed = 0,
                                    float strength = 1) {
    return TransformSettings{prompt, strength, steps, seed};
  }

  TinyModel tiny_;
  std::unique_ptr<Pipeline> pipeline_;
};

TEST_P(PipelineTest, TellsTheModelsSizes) {
  EXPECT_EQ(pipeline_->info().name, "tiny");
  EXPECT_EQ(pipeline_->info().width, 64);
  EXPECT_EQ(pipeline_->info().height, 32);
  EXPECT_EQ(pipeline_->info().frames_per_chunk, 4);
}

TEST_P(PipelineTest, FramesBelongToTheChunkNStepsBack) {
  for (int steps = 1; steps <= 4; ++steps) {
    const auto session = pipeline_->open(settings("rain", steps));
    for (int i = 0; i < 7; ++i) {
      const Out out = run_one(*pipeline_, *session, tiny_chunk(0, i));
      EXPECT_EQ(out.result.has_frames, i + 1 >= steps);
      if (out.result.has_frames) {
        EXPECT_EQ(out.result.chunk_index_out, static_cast<uint64_t>(i + 1 - steps));
      }
      EXPECT_EQ(out.result.settings_revision, out.result.has_frames ? 1u : 0u);
      EXPECT_GT(out.result.noise_scale, 0.5f);
      EXPECT_LE(out.result.noise_scale, 0.7f + 1e-6f);
    }
  }
}

// The promise of batching: who shares a batch changes nothing, down to the last bit.
TEST_P(PipelineTest, CompanyDoesNotChangeAPicture) {
  const bool has_threads = std::string(GetParam()) != "reference";
  for (int threads = 1; threads <= (has_threads ? 2 : 1); ++threads) {
    const auto alone = load(threads), together = load(threads);
    const TransformSettings wanted[] = {settings("rain", 1, 5), settings("a marble statue", 3, 6),
                                        settings("neon", 2, 7)};
    std::vector<std::unique_ptr<StreamSession>> single, shared;
    for (const TransformSettings& s : wanted) {
      single.push_back(alone->open(s));
      shared.push_back(together->open(s));
    }
    for (int i = 0; i < 8; ++i) {
      std::vector<Pixels> in, out(3, Pixels(kTinyChunk, 0));
      std::vector<Pipeline::Job> jobs;
      for (int s = 0; s < 3; ++s) in.push_back(tiny_chunk(s, i));
      // The company changes from call to call: all three, then others.
      for (size_t s = 0; s < 3; ++s) {
        const size_t who = (s + static_cast<size_t>(i)) % 3;
        jobs.push_back({shared[who].get(), in[who].data(), out[who].data(), {}});
      }
      if (i % 2 == 0) {
        together->run(jobs.data(), 3);
      } else {
        together->run(jobs.data(), 2);
        together->run(jobs.data() + 2, 1);
      }
      for (size_t s = 0; s < 3; ++s) {
        const Out expected = run_one(*alone, *single[s], in[s]);
        ASSERT_TRUE(expected.pixels == out[s])
            << "chunk " << i << " session " << s << " threads " << threads;
      }
    }
  }
}

TEST_P(PipelineTest, SameSeedSamePictureOtherSeedOther) {
  const auto a = pipeline_->open(settings("rain", 1, 1));
  const auto b = pipeline_->open(settings("rain", 1, 1));
  const auto c = pipeline_->open(settings("rain", 1, 2));
  const Pixels in = tiny_chunk(0, 0);
  const Pixels first = run_one(*pipeline_, *a, in).pixels;
  EXPECT_TRUE(first == run_one(*pipeline_, *b, in).pixels);
  EXPECT_GT(mean_difference(first, run_one(*pipeline_, *c, in).pixels), 0.0);
}

TEST_P(PipelineTest, StrengthZeroKeepsTheOriginal) {
  const auto none = pipeline_->open(settings("rain", 1, 1, 0.0f));
  const auto other = pipeline_->open(settings("neon", 1, 2, 0.0f));
  const auto full = pipeline_->open(settings("rain", 1, 1, 1.0f));
  const Pixels in = tiny_chunk(0, 0);
  const Pixels kept = run_one(*pipeline_, *none, in).pixels;
  // Neither prompt nor noise reaches the picture.
  EXPECT_TRUE(kept == run_one(*pipeline_, *other, in).pixels);
  EXPECT_GT(mean_difference(kept, run_one(*pipeline_, *full, in).pixels), 0.0);
}

TEST_P(PipelineTest, StrengthAboveOneExaggerates) {
  const Pixels in = tiny_chunk(0, 0);
  const auto painted = [&](float strength) {
    const auto session = pipeline_->open(settings("rain", 1, 1, strength));
    return run_one(*pipeline_, *session, in).pixels;
  };
  const Pixels none = painted(0);
  double before = 0;
  for (const float strength : {0.25f, 1.0f, 1.5f, 2.0f}) {
    const double away = mean_difference(none, painted(strength));
    EXPECT_GT(away, before) << strength;
    before = away;
  }
}

TEST_P(PipelineTest, NewPromptTakesEffectAtTheNextChunkWithoutAGap) {
  const auto steady = pipeline_->open(settings("rain"));
  const auto changed = pipeline_->open(settings("rain"));
  for (int i = 0; i < 8; ++i) {
    if (i == 4) {
      EXPECT_EQ(pipeline_->update(*changed, settings("neon night in the city")), 2u);
    }
    const Out a = run_one(*pipeline_, *steady, tiny_chunk(0, i));
    const Out b = run_one(*pipeline_, *changed, tiny_chunk(0, i));
    EXPECT_TRUE(b.result.has_frames);
    EXPECT_EQ(b.result.settings_revision, i < 4 ? 1u : 2u);
    EXPECT_EQ(a.pixels == b.pixels, i < 4) << "chunk " << i;
  }
}

TEST_P(PipelineTest, ChunksInFlightKeepTheirSettings) {
  const auto session = pipeline_->open(settings("rain", 3));
  std::vector<uint64_t> revisions;
  std::vector<bool> complete;
  for (int i = 0; i < 12; ++i) {
    if (i == 4) pipeline_->update(*session, settings("neon", 3));
    const Out out = run_one(*pipeline_, *session, tiny_chunk(0, i));
    if (!out.result.has_frames) continue;
    revisions.push_back(out.result.settings_revision);
    complete.push_back(out.result.settings_complete);
  }
  EXPECT_EQ(revisions, (std::vector<uint64_t>{1, 1, 1, 1, 2, 2, 2, 2, 2, 2}));
  // The model's default: the fourth chunk is the first with nothing of the former prompt.
  EXPECT_EQ(complete, (std::vector<bool>{1, 1, 1, 1, 0, 0, 0, 1, 1, 1}));
}

TEST_P(PipelineTest, StepsChangeInAStream) {
  const auto session = pipeline_->open(settings("rain", 1));
  std::vector<int> indices;
  for (int i = 0; i < 12; ++i) {
    if (i == 3) pipeline_->update(*session, settings("rain", 3));
    if (i == 8) pipeline_->update(*session, settings("rain", 1));
    const Out out = run_one(*pipeline_, *session, tiny_chunk(0, i));
    indices.push_back(out.result.has_frames ? static_cast<int>(out.result.chunk_index_out) : -1);
  }
  // More steps: the batch fills again. Fewer: what is in flight makes way for what is new.
  EXPECT_EQ(indices, (std::vector<int>{0, 1, 2, -1, -1, 3, 4, 5, 8, 9, 10, 11}));
}

TEST_P(PipelineTest, BadSettingsChangeNothing) {
  const auto session = pipeline_->open(settings("rain"));
  const float nan = std::nanf("");
  const struct {
    const char* what;
    TransformSettings settings;
  } bad[] = {
      {"strength", settings("x", 1, 0, 2.01f)},
      {"strength", settings("x", 1, 0, -0.1f)},
      {"strength", settings("x", 1, 0, nan)},
      {"steps", settings("x", 0)},
      {"steps", settings("x", 5)},
      {"prompt", TransformSettings{std::string(5000, 'a'), 1, 1, 0}},
  };
  for (const auto& entry : bad) {
    expect_contains(error_of([&] { pipeline_->open(entry.settings); }), entry.what);
    expect_contains(error_of([&] { pipeline_->update(*session, entry.settings); }), entry.what);
  }
  EXPECT_EQ(run_one(*pipeline_, *session, tiny_chunk(0, 0)).result.settings_revision, 1u);
  EXPECT_EQ(pipeline_->update(*session, settings("fine")), 2u);
}

TEST_P(PipelineTest, RefusesStrangersAndRepeats) {
  const auto session = pipeline_->open(settings("rain"));
  const auto other = load(1);
  const Pixels in = tiny_chunk(0, 0);
  expect_contains(error_of([&] { run_one(*other, *session, in); }), "session");
  Pixels out(kTinyChunk);
  Pipeline::Job twice[] = {{session.get(), in.data(), out.data(), {}},
                           {session.get(), in.data(), out.data(), {}}};
  expect_contains(error_of([&] { pipeline_->run(twice, 2); }), "once");
  Pipeline::Job nothing{nullptr, in.data(), out.data(), {}};
  expect_contains(error_of([&] { pipeline_->run(&nothing, 1); }), "session");
  EXPECT_NO_THROW(run_one(*pipeline_, *session, in));
}

TEST_P(PipelineTest, OddPromptsAreFine) {
  for (const char* prompt : {"", "   ", "\xe6\xb0\xb4\xe5\xbd\xa9", "!!!",
                             "a\x01"
                             "b"}) {
    const auto session = pipeline_->open(settings(prompt));
    EXPECT_TRUE(run_one(*pipeline_, *session, tiny_chunk(0, 0)).result.has_frames);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, PipelineTest, testing::Values("reference", "cpu"));

TEST(PipelineLoad, NamesWhatIsWrong) {
  expect_contains(error_of([] {
                    Pipeline::load(ModelOptions{"/nowhere", "cpu", 1});
                  }),
                  "/nowhere/model.json");
  const TinyModel tiny;
  expect_contains(error_of([&] { Pipeline::load(ModelOptions{tiny.dir(), "gpu", 1}); }), "gpu");
  expect_contains(error_of([&] { Pipeline::load(ModelOptions{tiny.dir(), "cpu", 0}); }), "threads");
}

// The same promise at the default model's sizes, where a matrix library picks other kernels.
TEST(PipelineDefaultModel, CompanyDoesNotChangeAPicture) {
  const std::string dir = std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano";
  for (int threads : {1, 2}) {
    const auto pipeline = Pipeline::load(ModelOptions{dir, "cpu", threads});
    const ModelInfo& info = pipeline->info();
    const size_t bytes = static_cast<size_t>(info.frames_per_chunk * info.width * info.height) * 3;
    Pixels in(bytes), alone(bytes), shared(bytes), other(bytes);
    for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<uint8_t>(i / 96 + i % 3 * 80);
    const TransformSettings first{"watercolour", 1, 1, 1}, second{"neon night", 1, 2, 2};
    const auto a = pipeline->open(first), b = pipeline->open(first), c = pipeline->open(second);
    for (int i = 0; i < 3; ++i) {
      Pipeline::Job single{a.get(), in.data(), alone.data(), {}};
      pipeline->run(&single, 1);
      Pipeline::Job both[] = {{c.get(), in.data(), other.data(), {}},
                              {b.get(), in.data(), shared.data(), {}}};
      pipeline->run(both, 2);
      ASSERT_TRUE(alone == shared) << "chunk " << i << ", threads " << threads;
    }
  }
}

// The guard of a session measures an anchor for each look, and leaves a steady stream alone.
TEST(PipelineDriftGuard, AnchorsEachLookAndCanBeTurnedOff) {
  const auto run = [](const std::string& dir, bool option, bool change_look) {
    ModelOptions options;
    options.dir = dir;
    options.drift_guard = option;
    const auto pipeline = Pipeline::load(options);
    const auto session = pipeline->open(TransformSettings{"rain", 1, 1, 1});
    Out out;
    for (int i = 0; i < 80; ++i) {
      if (i == 30) pipeline->update(*session, TransformSettings{"rain", 0.5f, 1, 1});
      if (i == 50 && change_look) pipeline->update(*session, TransformSettings{"neon", 1, 1, 1});
      out = run_one(*pipeline, *session, tiny_chunk(0, i));
    }
    return out;
  };
  const TinyModel tiny;
  const Out steady = run(tiny.dir(), true, false), changed = run(tiny.dir(), true, true);
  EXPECT_EQ(steady.result.guard.anchors, 1u);
  EXPECT_EQ(changed.result.guard.anchors, 2u);
  // Another strength is another picture.
  EXPECT_EQ(steady.result.picture_guard.anchors, 2u);
  EXPECT_EQ(steady.result.guard.corrected + changed.result.guard.corrected, 0u);
  EXPECT_EQ(run(tiny.dir(), false, false).result.guard.anchors, 0u);
  Json json = tiny_model_json();
  json["schedule"]["driftGuard"] = "off";
  const TinyModel off(json);
  const Out unguarded = run(off.dir(), true, false);
  EXPECT_EQ(unguarded.result.guard.anchors, 0u);
  EXPECT_TRUE(unguarded.pixels == steady.pixels);
}

// A model that predicts flow, takes no clean latents and wants fresh noise runs on the same loop.
TEST(PipelineOptions, FlowModelWithFreshNoise) {
  Json json = tiny_model_json();
  json["dit"]["conditioning"] = "none";
  json["dit"]["prediction"] = "flow";
  json["schedule"]["noise"] = "fresh";
  json["schedule"]["timestepOffset"] = -100;
  json["schedule"]["latentScale"] = 1.0;
  json["schedule"]["adaptSinkThreshold"] = 0.2;
  const TinyModel tiny(json);
  const auto pipeline = Pipeline::load(ModelOptions{tiny.dir(), "cpu", 1});
  const auto session = pipeline->open(TransformSettings{"rain", 1, 2, 3});
  Out last;
  for (int i = 0; i < 12; ++i) last = run_one(*pipeline, *session, tiny_chunk(0, i));
  EXPECT_TRUE(last.result.has_frames);
}

}  // namespace
}  // namespace driftless
