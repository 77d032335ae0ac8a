// Sessions that are painted at the smaller size.

#include <algorithm>

#include "allocation_count.h"
#include "stream/picture_size.h"
#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

TEST(SmallerPicture, IsThreeQuartersInWholeTokens) {
  ModelConfig config = parse_model_config(tiny_model_json(), "tiny");
  const struct {
    int width, height;
    PictureSize smaller;
  } cases[] = {{256, 144, {192, 112}}, {832, 480, {624, 368}}, {64, 32, {48, 32}}};
  for (const auto& c : cases) {
    config.width = c.width;
    config.height = c.height;
    EXPECT_TRUE(smaller_picture(config) == c.smaller) << c.width << " x " << c.height;
  }
  config.width = 32;
  config.height = 16;
  EXPECT_FALSE(smaller_picture(config));
}

TransformSettings settings(const char* prompt, bool smaller, int steps = 1, uint64_t seed = 0) {
  TransformSettings settings{prompt, 1, steps, seed};
  settings.smaller_picture = smaller;
  return settings;
}

std::unique_ptr<Pipeline> load(const TinyModel& tiny, int threads = 1) {
  return Pipeline::load(ModelOptions{tiny.dir(), "cpu", threads});
}

TEST(SmallerPicture, ComesOutAtTheFullSizeWithoutAGap) {
  const TinyModel tiny;
  const auto pipeline = load(tiny);
  EXPECT_EQ(pipeline->info().smaller_width, 48);
  EXPECT_EQ(pipeline->info().smaller_height, 32);
  const auto full = pipeline->open(settings("rain", false));
  const auto changed = pipeline->open(settings("rain", false));
  for (int i = 0; i < 12; ++i) {
    if (i == 4) {
      EXPECT_EQ(pipeline->update(*changed, settings("rain", true)), 2u);
    }
    if (i == 8) {
      EXPECT_EQ(pipeline->update(*changed, settings("rain", false)), 3u);
    }
    const Out a = run_one(*pipeline, *full, tiny_chunk(0, i));
    const Out b = run_one(*pipeline, *changed, tiny_chunk(0, i));
    EXPECT_TRUE(b.result.has_frames);
    EXPECT_EQ(b.result.chunk_index_out, static_cast<uint64_t>(i));
    EXPECT_EQ(b.result.settings_revision, i < 4 ? 1u : i < 8 ? 2u : 3u);
    EXPECT_EQ(a.pixels == b.pixels, i < 4) << "chunk " << i;
  }
}

TEST(SmallerPicture, IsRefusedWhereThereIsNone) {
  Json json = tiny_model_json();
  json["width"] = 32;
  json["height"] = 16;
  const TinyModel tiny(json);
  const auto pipeline = load(tiny);
  EXPECT_EQ(pipeline->info().smaller_width, 0);
  expect_contains(error_of([&] { pipeline->open(settings("rain", true)); }), "smaller picture");
}

TEST(SmallerPicture, DropsTheChunksInFlight) {
  const TinyModel tiny;
  const auto pipeline = load(tiny);
  const auto session = pipeline->open(settings("rain", false, 3));
  std::vector<uint64_t> out;
  for (int i = 0; i < 8; ++i) {
    if (i == 4) pipeline->update(*session, settings("rain", true, 3));
    const ChunkResult result = run_one(*pipeline, *session, tiny_chunk(0, i)).result;
    if (result.has_frames) out.push_back(result.chunk_index_out);
  }
  EXPECT_EQ(out, (std::vector<uint64_t>{0, 1, 4, 5}));
}

// Sizes and steps side by side, changing on the way, with the rings made anew by prompts.
TEST(SmallerPicture, CompanyDoesNotChangeAPicture) {
  Json json = tiny_model_json();
  json["schedule"]["promptRing"] = "recache";
  json["schedule"]["contextPass"] = "clean";
  const TinyModel tiny(json);
  for (int threads : {1, 2}) {
    const auto alone = load(tiny, threads), together = load(tiny, threads);
    std::vector<std::unique_ptr<StreamSession>> single, shared;
    for (int s = 0; s < 3; ++s) {
      const TransformSettings wanted = settings("rain", s == 1, 1 + s % 2, 5);
      single.push_back(alone->open(wanted));
      shared.push_back(together->open(wanted));
    }
    for (int i = 0; i < 12; ++i) {
      for (size_t s = 0; s < 3; ++s) {
        if ((i + static_cast<int>(s)) % 4 != 3) continue;
        const TransformSettings next =
            settings(i % 2 == 0 ? "neon" : "rain", (i / 4 + static_cast<int>(s)) % 2 == 0,
                     1 + static_cast<int>(s) % 2, 5);
        alone->update(*single[s], next);
        together->update(*shared[s], next);
      }
      std::vector<Pixels> in, out(3, Pixels(kTinyChunk, 0));
      std::vector<Pipeline::Job> jobs;
      for (int s = 0; s < 3; ++s) in.push_back(tiny_chunk(s, i));
      for (size_t s = 0; s < 3; ++s) {
        jobs.push_back({shared[s].get(), in[s].data(), out[s].data(), {}});
      }
      together->run(jobs.data(), 3);
      for (size_t s = 0; s < 3; ++s) {
        const Out expected = run_one(*alone, *single[s], in[s]);
        ASSERT_TRUE(expected.pixels == out[s])
            << "chunk " << i << " session " << s << " threads " << threads;
      }
    }
  }
}

// The default model on a picture that moves, against a stream that was smaller all the time. Had
// the new memory begun from nothing, its first chunk would be that of a fresh stream.
TEST(SmallerPicture, TakesOverWhereTheFullOneStood) {
  const auto pipeline =
      Pipeline::load({std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano", "cpu", 1});
  const ModelInfo& info = pipeline->info();
  const auto chunk = [&](int index) {
    Pixels pixels;
    for (int f = 0; f < info.frames_per_chunk; ++f) {
      const double t = index * info.frames_per_chunk + f;
      for (int i = 0; i < info.width * info.height; ++i) {
        const double x = i % info.width, y = i / info.width;
        const double light = 128 + 60 * std::sin(0.05 * x + 0.02 * t) + 40 * std::cos(0.06 * y);
        for (const double part : {1.0, 0.9, 0.7}) {
          pixels.push_back(static_cast<uint8_t>(std::clamp(part * light, 0.0, 255.0)));
        }
      }
    }
    return pixels;
  };
  const auto run = [&](StreamSession& session, const Pixels& in) {
    Pixels out(in.size());
    Pipeline::Job job{&session, in.data(), out.data(), {}};
    pipeline->run(&job, 1);
    return out;
  };
  const auto steady = pipeline->open(settings("watercolour", true));
  const auto changed = pipeline->open(settings("watercolour", false));
  for (int i = 0; i < 8; ++i) {
    run(*steady, chunk(i));
    run(*changed, chunk(i));
  }
  pipeline->update(*changed, settings("watercolour", true));
  const auto fresh = pipeline->open(settings("watercolour", true));
  const Pixels in = chunk(8), expected = run(*steady, in);
  const double taken_over = mean_difference(expected, run(*changed, in));
  const double from_nothing = mean_difference(expected, run(*fresh, in));
  EXPECT_LT(taken_over, 0.75 * from_nothing);
}

TEST(SmallerPicture, NeverTakesMoreThanThePlanSays) {
  for (const char* noise : {"fixed", "fresh"}) {
    for (const char* ring : {"keep", "recache"}) {
      Json json = tiny_model_json();
      json["schedule"]["noise"] = noise;
      json["schedule"]["promptRing"] = ring;
      const TinyModel tiny(json);
      const auto pipeline = load(tiny);
      const SessionBytes plan = pipeline->info().memory.session;
      const auto opened = pipeline->open(settings("rain", true));
      const auto& session = static_cast<const Session&>(*opened);
      SessionBytes smaller = Session::bytes(parse_model_config(json, "tiny"), {4, 1});
      PictureMemory::count(parse_model_config(json, "tiny"), {64, 32}, {48, 32}, {4, 1}, smaller);
      EXPECT_EQ(session.arena_bytes(), smaller.arena());
      EXPECT_EQ(session.codec_bytes(), smaller.codec);
      EXPECT_LT(smaller.sum(), plan.sum());
      for (int i = 0; i < 6; ++i) {
        if (i == 2) pipeline->update(*opened, settings("rain", false, 2));
        if (i == 4) pipeline->update(*opened, settings("neon", true, 3));
        run_one(*pipeline, *opened, tiny_chunk(0, i));
        EXPECT_LE(session.arena_bytes() + session.codec_bytes(), plan.sum());
      }
      EXPECT_EQ(session.arena_bytes(), smaller.arena());
    }
  }
}

TEST(SmallerPicture, AChunkTakesNoMemoryOnceEverythingIsWarm) {
  if (!counts_allocations()) GTEST_SKIP() << "a sanitizer has its own allocator";
  const TinyModel tiny;
  const auto pipeline = load(tiny);
  const auto small = pipeline->open(settings("rain", true, 2));
  const auto large = pipeline->open(settings("rain", false, 2));
  const Pixels in = tiny_chunk(0, 0);
  Pixels out(kTinyChunk), other(kTinyChunk);
  Pipeline::Job jobs[] = {{small.get(), in.data(), out.data(), {}},
                          {large.get(), in.data(), other.data(), {}}};
  for (int chunk = 0; chunk < 3; ++chunk) pipeline->run(jobs, 2);
  const AllocationCount count;
  for (int chunk = 0; chunk < 6; ++chunk) pipeline->run(jobs, 2);
  EXPECT_EQ(count.allocations(), 0);
}

}  // namespace
}  // namespace driftless
