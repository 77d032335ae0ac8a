// Sessions whose pictures have another shape than the model's own.

#include <gtest/gtest.h>

#include "core/json.h"
#include "stream/degradation.h"
#include "stream/model_pipeline.h"
#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

std::string nano_dir() { return std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano"; }

Json sized_json() {
  Json json = tiny_model_json();
  json["sizes"] = {{64, 32}, {48, 48}, {32, 64}};
  return json;
}

// As many pixels as a chunk of that size has.
Pixels chunk_of(const PictureSize& size, int stream, int index) {
  Pixels pixels;
  for (int f = 0; f < 4; ++f) {
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        for (int c = 0; c < 3; ++c) {
          const double t = index * 4 + f;
          pixels.push_back(static_cast<uint8_t>(
              127.5 + 120 * std::sin(0.2 * x + 0.3 * y + 0.4 * t + c + 1.7 * stream)));
        }
      }
    }
  }
  return pixels;
}

TEST(Sizes, ThoseOfTheDefaultModelAreOfAboutAsManyTokens) {
  const ModelConfig config = parse_model_config(load_json(nano_dir() + "/model.json"), "nano");
  ASSERT_EQ(config.sizes().size(), 5u);
  EXPECT_TRUE(config.sizes().front() == full_picture(config));
  for (const PictureSize& size : config.sizes()) {
    EXPECT_GT(size.area(), 0.9 * full_picture(config).area());
    EXPECT_LE(size.area(), full_picture(config).area()) << "a session would take more memory";
    const auto smaller = smaller_picture(config, size);
    ASSERT_TRUE(smaller) << size.width << "x" << size.height;
    EXPECT_LT(smaller->area(), 0.65 * size.area());
    const double shape = static_cast<double>(size.width) / size.height;
    EXPECT_NEAR(static_cast<double>(smaller->width) / smaller->height, shape, 0.05 * shape);
  }
}

TEST(Sizes, ACameraGetsTheOneOfTheNearestShape) {
  const ModelConfig config = parse_model_config(load_json(nano_dir() + "/model.json"), "nano");
  const struct {
    PictureSize camera, painted;
  } cases[] = {
      {{640, 360}, {256, 144}},   {{1280, 720}, {256, 144}}, {{853, 479}, {256, 144}},
      {{1280, 800}, {256, 144}},  {{960, 320}, {256, 144}},  {{4096, 16}, {256, 144}},
      {{640, 480}, {224, 160}},   {{720, 480}, {224, 160}},  {{320, 240}, {224, 160}},
      {{480, 480}, {192, 192}},   {{600, 520}, {192, 192}},  {{480, 640}, {160, 224}},
      {{1050, 1500}, {160, 224}}, {{360, 640}, {144, 256}},  {{720, 1280}, {144, 256}},
      {{90, 160}, {144, 256}},    {{320, 960}, {144, 256}},  {{17, 2000}, {144, 256}},
  };
  for (const auto& c : cases) {
    const PictureSize got = nearest_size(config.sizes(), c.camera);
    EXPECT_TRUE(got == c.painted) << c.camera.width << "x" << c.camera.height << " in " << got.width
                                  << "x" << got.height;
  }
}

TEST(Sizes, AModelThatNamesNoneHasItsOwn) {
  const ModelConfig config = parse_model_config(tiny_model_json(), "tiny");
  EXPECT_EQ(config.sizes().size(), 1u);
  EXPECT_TRUE(nearest_size(config.sizes(), {9, 16}) == full_picture(config));
  ModelInfo bare;  // of a pipeline that says nothing of sizes
  bare.width = 64;
  bare.height = 32;
  EXPECT_TRUE(bare.size_for({9, 16}) == (PictureSize{64, 32}));
}

TEST(Sizes, WrongOnesAreNamed) {
  const struct {
    Json sizes;
    const char* what;
  } cases[] = {{"256x144", "sizes"},
               {{{64, 32}, {40, 40}}, "sizes[1]: expected [width, height], multiples of 16"},
               {{{64}}, "sizes[0]"},
               {{{0, 32}}, "sizes[0]"},
               {{{-32, -64}}, "sizes[0]"},
               {{{128, 64}}, "one and a half times"},
               {{{16, 16}}, "half to"},
               {{{32, 64}, {32, 64}}, "each size once"}};
  for (const auto& c : cases) {
    Json json = tiny_model_json();
    json["sizes"] = c.sizes;
    expect_contains(error_of([&] { parse_model_config(json, "tiny"); }), c.what);
  }
}

TEST(Sizes, AreReadAndWritten) {
  const Json json = sized_json();
  EXPECT_EQ(json["sizes"], Json::parse("[[64,32],[48,48],[32,64]]"));
  const TinyModel tiny(json);
  const auto pipeline = Pipeline::load({tiny.dir(), "cpu", 1});
  ASSERT_EQ(pipeline->info().sizes.size(), 3u);
  EXPECT_TRUE(pipeline->info().sizes[2].full == (PictureSize{32, 64}));
  EXPECT_TRUE(pipeline->info().sizes[2].smaller == (PictureSize{32, 48}));
  expect_contains(error_of([&] {
                    pipeline->open(TransformSettings(), {64, 64});
                  }),
                  "size of a session: expected one of the model's, got 64x64");
}

// Sizes, the smaller pictures of them and numbers of steps, side by side and changing.
TEST(Sizes, CompanyDoesNotChangeAPicture) {
  const PictureSize sizes[] = {{64, 32}, {32, 64}, {48, 48}, {32, 64}, {64, 32}};
  constexpr size_t kSessions = 5;
  Json json = sized_json();
  json["schedule"]["holdStill"] = 0.5;
  json["schedule"]["promptRing"] = "recache";
  const TinyModel tiny(json);
  for (int threads : {1, 2}) {
    const auto alone = Pipeline::load({tiny.dir(), "cpu", threads}),
               together = Pipeline::load({tiny.dir(), "cpu", threads});
    std::vector<std::unique_ptr<StreamSession>> single, shared;
    for (size_t s = 0; s < kSessions; ++s) {
      const TransformSettings wanted{"rain", 1, 1 + static_cast<int>(s) % 2, s};
      single.push_back(alone->open(wanted, sizes[s]));
      shared.push_back(together->open(wanted, sizes[s]));
    }
    for (int i = 0; i < 10; ++i) {
      for (size_t s = 0; s < kSessions; ++s) {
        if ((i + static_cast<int>(s)) % 4 != 3) continue;
        TransformSettings next{i % 2 == 0 ? "neon" : "rain", 1, 1 + static_cast<int>(s) % 2, s};
        next.smaller_picture = (i / 4 + static_cast<int>(s)) % 2 == 0;
        alone->update(*single[s], next);
        together->update(*shared[s], next);
      }
      std::vector<Pixels> in, out;
      std::vector<Pipeline::Job> jobs;
      for (size_t s = 0; s < kSessions; ++s) {
        in.push_back(chunk_of(sizes[s], static_cast<int>(s), i));
        out.push_back(Pixels(in.back().size(), 0));
      }
      for (size_t s = 0; s < kSessions; ++s) {
        jobs.push_back({shared[s].get(), in[s].data(), out[s].data(), {}});
      }
      together->run(jobs.data(), jobs.size());
      for (size_t s = 0; s < kSessions; ++s) {
        Pixels expected(in[s].size(), 0);
        Pipeline::Job job{single[s].get(), in[s].data(), expected.data(), {}};
        alone->run(&job, 1);
        ASSERT_TRUE(expected == out[s]) << "chunk " << i << " session " << s;
        EXPECT_EQ(job.result.has_frames, jobs[s].result.has_frames);
      }
    }
  }
}

// A picture of 16:9 is painted to the last bit as by a model that has no other size.
TEST(Sizes, OthersDoNotChangeTheModelsOwn) {
  const TinyModel one, several(sized_json());
  const auto expected = Pipeline::load({one.dir(), "cpu", 1}),
             got = Pipeline::load({several.dir(), "cpu", 1});
  const auto a = expected->open({"rain", 1, 2, 3}), b = got->open({"rain", 1, 2, 3});
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(run_one(*expected, *a, tiny_chunk(0, i)).pixels ==
                run_one(*got, *b, tiny_chunk(0, i)).pixels);
  }
}

TEST(Sizes, ThePlanIsForTheOneThatTakesMost) {
  const TinyModel tiny(sized_json());
  const ModelConfig config = parse_model_config(sized_json(), "tiny");
  const auto pipeline = Pipeline::load({tiny.dir(), "reference", 1});
  const MemoryPlan& plan = pipeline->info().memory;
  EXPECT_GT(plan.session.sum(), Session::bytes(config, {64, 32}, plan.rows).sum());
  for (const ModelInfo::Size& size : pipeline->info().sizes) {
    const SessionBytes bytes = Session::bytes(config, size.full, plan.rows);
    EXPECT_LE(bytes.sum(), plan.session.sum());
    const auto opened = pipeline->open({"rain", 1, 1, 0}, size.full);
    const auto& session = static_cast<const Session&>(*opened);
    EXPECT_EQ(session.arena_bytes(), bytes.arena());
    EXPECT_EQ(session.codec_bytes(), bytes.codec);
  }
}

TEST(Sizes, WhatASessionCostsGoesByItsPictures) {
  Degradation sessions({4, 0.5});
  sessions.add(0, Slo(), 2);
  EXPECT_EQ(sessions.load(0).rows, 2);
  EXPECT_EQ(sessions.load(0).chunks, 1);
  sessions.set_picture(0, {0.75, 0.6});
  EXPECT_EQ(sessions.load(0).rows, 1.5);
  EXPECT_EQ(sessions.load(0).chunks, 0.75);
  EXPECT_EQ(sessions.level(0).kind, LevelKind::kFull);
  sessions.set_steps(0, 1);
  EXPECT_EQ(sessions.load(0).rows, 0.75) << "other steps do not change the size";
}

}  // namespace
}  // namespace driftless
