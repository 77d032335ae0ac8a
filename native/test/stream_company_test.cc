// Many sessions in one batch: whoever comes and goes, each gets what it would get alone.

#include <random>

#include "stream_test_clips.h"

namespace driftless {
namespace {

// A session in company, and its twin that runs alone on another pipeline.
struct Pair {
  int clip = 0;
  int next = 0;
  std::unique_ptr<StreamSession> shared, alone;
  Pixels out = Pixels(kTinyChunk, 0);
};

class Company : public testing::TestWithParam<const char*> {
 protected:
  // Random joins, leaves, pauses and changes of all settings over `chunks` turns.
  void run(const Json& json, unsigned seed, int chunks) {
    const TinyModel tiny(json);
    const auto together = Pipeline::load(ModelOptions{tiny.dir(), GetParam(), 1});
    const auto apart = Pipeline::load(ModelOptions{tiny.dir(), GetParam(), 1});
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
    const auto any_settings = [&] {
      static const char* prompts[] = {"rain", "neon night", "a marble statue"};
      return TransformSettings{prompts[below(3)], static_cast<float>(below(5)) / 4, 1 + below(4),
                               static_cast<uint64_t>(below(2))};
    };
    std::vector<Pair> pairs;
    int clips = 0;
    size_t largest = 0;
    for (int turn = 0; turn < chunks; ++turn) {
      if (pairs.size() < 4 && below(3) == 0) {
        const TransformSettings settings = any_settings();
        pairs.emplace_back();
        pairs.back().clip = clips++;
        pairs.back().shared = together->open(settings);
        pairs.back().alone = apart->open(settings);
      }
      if (!pairs.empty() && below(8) == 0) pairs.erase(pairs.begin() + below(pairs.size()));
      std::shuffle(pairs.begin(), pairs.end(), random);
      std::vector<Pixels> in;
      std::vector<Pair*> who;
      for (Pair& pair : pairs) {
        if (below(4) == 0) {
          const TransformSettings settings = any_settings();
          ASSERT_EQ(together->update(*pair.shared, settings), apart->update(*pair.alone, settings));
        }
        if (below(5) == 0) continue;  // its camera is late
        who.push_back(&pair);
        in.push_back(tiny_chunk(pair.clip, pair.next++));
      }
      std::vector<Pipeline::Job> jobs;
      for (size_t i = 0; i < who.size(); ++i) {
        jobs.push_back({who[i]->shared.get(), in[i].data(), who[i]->out.data(), {}});
      }
      together->run(jobs.data(), jobs.size());
      largest = std::max(largest, jobs.size());
      for (size_t i = 0; i < who.size(); ++i) {
        const Out alone = run_one(*apart, *who[i]->alone, in[i]);
        const ChunkResult& got = jobs[i].result;
        ASSERT_EQ(got.has_frames, alone.result.has_frames) << "turn " << turn;
        ASSERT_EQ(got.noise_scale, alone.result.noise_scale);
        if (!got.has_frames) continue;
        ASSERT_EQ(got.chunk_index_out, alone.result.chunk_index_out);
        ASSERT_EQ(got.settings_revision, alone.result.settings_revision);
        ASSERT_EQ(got.settings_complete, alone.result.settings_complete);
        ASSERT_TRUE(who[i]->out == alone.pixels) << "turn " << turn << ", clip " << who[i]->clip;
      }
    }
    EXPECT_EQ(largest, 4u);
  }
};

TEST_P(Company, RandomComingAndGoing) { run(tiny_model_json(), 1, 60); }

// Every way in which a model may differ at once.
TEST_P(Company, RandomComingAndGoingOfAnotherFamily) {
  Json json = tiny_model_json();
  json["dit"]["conditioning"] = "none";
  json["dit"]["prediction"] = "flow";
  Json& schedule = json["schedule"];
  schedule["noise"] = "fresh";
  schedule["adaptSinkThreshold"] = 0.5;
  schedule["blendChunks"] = 2;
  schedule["promptRing"] = "recache";
  schedule["contextPass"] = "clean";
  run(json, 2, 40);
}

INSTANTIATE_TEST_SUITE_P(Backends, Company, testing::Values("reference", "cpu", "cpu,cpu"));

}  // namespace
}  // namespace driftless
