// A transformer that is split over several devices: the pictures are those of one device, to the
// bit, however many chunks are under way and wherever a block is just moving.

#include <map>
#include <random>

#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

Json layered_model_json(int layers = 5) {
  Json json = tiny_model_json();
  json["dit"]["layers"] = layers;
  return json;
}

ModelOptions options_for(const TinyModel& model, const char* backend) {
  ModelOptions options;
  options.dir = model.dir();
  options.backend = backend;
  return options;
}

// A session's chunks on their way through a pipeline with several under way.
class Feed {
 public:
  Feed(Pipeline& pipeline, const TransformSettings& settings)
      : pipeline_(pipeline), session_(pipeline.open(settings)), flights_(pipeline.depth()) {}
  ~Feed() {
    while (begun_ > ended_) finish();
  }

  // Begins the next chunk once so many are under way; the others are finished first.
  void push(size_t under_way) {
    const bool rest = pipeline_.wants_rest(*session_);
    while (begun_ - ended_ > (rest ? 0 : under_way)) finish();
    Flight& flight = flights_[begun_ % flights_.size()];
    flight.in = tiny_chunk(0, static_cast<int>(begun_));
    flight.out.assign(kTinyChunk, 0);
    flight.job = {session_.get(), flight.in.data(), flight.out.data(), {}};
    pipeline_.start(&flight.job, 1);
    ++begun_;
  }
  void finish() {
    pipeline_.finish();
    const Flight& flight = flights_[ended_++ % flights_.size()];
    if (flight.job.result.has_frames) pictures[flight.job.result.chunk_index_out] = flight.out;
  }

  std::map<uint64_t, Pixels> pictures;  // by chunk
  StreamSession& session() { return *session_; }

 private:
  struct Flight {
    Pixels in, out;
    Pipeline::Job job;
  };
  Pipeline& pipeline_;
  std::unique_ptr<StreamSession> session_;
  std::vector<Flight> flights_;
  size_t begun_ = 0, ended_ = 0;
};

void expect_same(const std::map<uint64_t, Pixels>& expected, const std::map<uint64_t, Pixels>& got,
                 size_t least) {
  size_t compared = 0;
  for (const auto& [index, pixels] : got) {
    const auto found = expected.find(index);
    if (found == expected.end()) continue;
    EXPECT_EQ(found->second, pixels) << "chunk " << index;
    ++compared;
  }
  EXPECT_GE(compared, least);
}

class Ranks : public testing::TestWithParam<const char*> {};

TEST_P(Ranks, PaintWhatOneDevicePaintsWithSeveralChunksUnderWay) {
  Json json = layered_model_json();
  json["schedule"]["blendChunks"] = 3;
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  json["schedule"]["holdStill"] = 0.5;
  const TinyModel model(json);
  const auto one = Pipeline::load(options_for(model, "cpu"));
  const auto split = Pipeline::load(options_for(model, GetParam()));
  EXPECT_EQ(one->depth(), 1u);
  ASSERT_GT(split->depth(), 2u);
  for (int steps : {1, 3}) {
    TransformSettings settings{"rain", 1, steps, 3};
    Feed expected(*one, settings), got(*split, settings);
    for (int i = 0; i < 24; ++i) {
      if (i == 6) settings.prompt = "a marble statue";
      if (i == 13) settings.strength = 0.4f;
      if (i == 17) settings.seed = 9;
      if (i == 6 || i == 13 || i == 17) {
        one->update(expected.session(), settings);
        split->update(got.session(), settings);
      }
      expected.push(0);
      got.push(split->depth() - 1);
    }
    expected.finish();
    while (got.pictures.size() + (static_cast<size_t>(steps) - 1) * split->depth() < 24) {
      got.finish();
    }
    EXPECT_EQ(got.pictures.begin()->first, 0u);
    expect_same(expected.pictures, got.pictures, 24 - (steps - 1) * split->depth());
  }
}

// Where chunks are done before the next ones come, a step takes a chunk as on one device.
TEST_P(Ranks, AreNoChunkLaterThanOneDeviceAtTheCamerasPace) {
  const TinyModel model(layered_model_json());
  const auto split = Pipeline::load(options_for(model, GetParam()));
  Feed feed(*split, {"rain", 1, 3, 3});
  for (int i = 0; i < 20; ++i) {
    // After a jam in between the older of the chunks that wait for the same step are dropped.
    feed.push(i >= 6 && i < 10 ? split->depth() - 1 : 0);
  }
  feed.finish();
  EXPECT_EQ(feed.pictures.rbegin()->first, 17u);
  EXPECT_GE(feed.pictures.size(), 18 - 2 * (split->depth() - 1));
}

TEST_P(Ranks, TakeChangesOfStepsAndSizeInBetween) {
  Json json = layered_model_json();
  json["schedule"]["promptRing"] = "recache";
  json["schedule"]["blendChunks"] = 2;
  json["schedule"]["driftGuard"] = "soft";
  const TinyModel model(json);
  const auto split = Pipeline::load(options_for(model, GetParam()));
  TransformSettings settings{"rain", 1, 1, 3};
  Feed feed(*split, settings);
  std::mt19937 random(3);
  for (int i = 0; i < 80; ++i) {
    if (random() % 6 == 0) {
      settings.steps = 1 + static_cast<int>(random() % 3);
      settings.smaller_picture = random() % 4 == 0;
      settings.prompt = random() % 2 ? "rain" : "neon night";
      split->update(feed.session(), settings);
    }
    feed.push(random() % split->depth());
  }
  EXPECT_GT(feed.pictures.size(), 20u);
}

TEST_P(Ranks, ACleanContextPassIsDoneChunkByChunk) {
  Json json = layered_model_json();
  json["schedule"]["contextPass"] = "clean";
  const TinyModel model(json);
  const auto one = Pipeline::load(options_for(model, "cpu"));
  const auto split = Pipeline::load(options_for(model, GetParam()));
  EXPECT_EQ(split->depth(), 1u);
  Feed expected(*one, {"rain", 1, 2, 3}), got(*split, {"rain", 1, 2, 3});
  for (int i = 0; i < 9; ++i) {
    expected.push(0);
    got.push(0);
  }
  expect_same(expected.pictures, got.pictures, 7);
}

INSTANTIATE_TEST_SUITE_P(Counts, Ranks,
                         testing::Values("cpu,cpu", "cpu, cpu, cpu", "cpu,cpu,cpu,cpu,cpu"),
                         [](const auto& item) {
                           return std::to_string(split_backends(item.param).size());
                         });

TEST(RankOptions, AreRefusedWithTheReason) {
  const TinyModel model(layered_model_json(2));
  expect_contains(error_of([&] { Pipeline::load(options_for(model, "cpu,cpu,cpu")); }),
                  "ranks: expected at most one for each of the model's 2 blocks, got 3");
  expect_contains(error_of([&] { Pipeline::load(options_for(model, "cpu,,cpu")); }),
                  "names with commas between them");
  expect_contains(error_of([&] { Pipeline::load(options_for(model, "cpu,gpu")); }), "\"gpu\"");
}

// The transformer alone, fed with noise.
class SplitDit : public testing::Test {
 protected:
  SplitDit() : model_(layered_model_json(6)) {}

  struct Network {
    Network(const TinyModel& model, const char* backend)
        : model(Model::load(model.dir(), backend, 1)),
          prompt(this->model->encode_prompt("rain")),
          cache(ring(this->model->config()), this->model->dit().places()) {}

    static RollingConfig ring(const ModelConfig& config) {
      RollingConfig ring;
      ring.tokens_per_frame = static_cast<int>(config.latent_height() * config.latent_width() / 4);
      ring.kv_frames = config.schedule.kv_frames;
      ring.sink_frames = config.schedule.sink_frames;
      ring.layers = static_cast<int>(config.dit.layers);
      ring.heads = static_cast<int>(config.dit.heads);
      ring.head_dim = static_cast<int>(config.dit.head_dim());
      return ring;
    }

    Tensor latents(int64_t channels) {
      const ModelConfig& config = model->config();
      return memory.tensor({1, config.latent_height(), config.latent_width(), channels});
    }

    void start(int i, KvCache* other = nullptr) {
      const DitConfig& dit = model->config().dit;
      const Tensor x = latents(dit.in_channels);
      model->ops().normal_noise(7, static_cast<uint64_t>(i), 0, x);
      outputs.push_back(latents(dit.out_channels));
      const double time = 500;
      const DitRow row{1, &time, other == nullptr ? &cache : other, prompt.get(), {}};
      model->dit().start(&row, 1, x, outputs.back());
      if (other == nullptr) cache.finish();
    }

    std::unique_ptr<Model> model;
    std::shared_ptr<const PromptKv> prompt;
    RollingCache cache;
    Arena memory;
    std::vector<Tensor> outputs;
  };

  static bool same(const Tensor& a, const Tensor& b) {
    return std::equal(a.f32(), a.f32() + a.count(), b.f32());
  }

  TinyModel model_;
};

TEST_F(SplitDit, BlocksMoveBetweenForwardsAndNobodyNotices) {
  Network one(model_, "cpu"), split(model_, "cpu,cpu,cpu");
  DitRanks& ranks = *split.model->dit().ranks();
  EXPECT_EQ(ranks.shares(), (std::vector<int64_t>{2, 2, 2}));
  ranks.keep_balance(false);
  std::mt19937 random(5);
  const int chunks = 150;
  int under_way = 0, moves = 0;
  for (int i = 0; i < chunks; ++i) {
    one.start(i);
    split.start(i);
    if (++under_way == 4) {
      split.model->dit().finish();
      --under_way;
    }
    // Often several in a row, and there and back.
    while (random() % 2 == 0) {
      const size_t boundary = random() % 2;
      const int direction = random() % 2 ? 1 : -1;
      const size_t giver = direction > 0 ? boundary + 1 : boundary;
      if (ranks.shares()[giver] == 1) continue;
      ranks.move_boundary(boundary, direction);
      ++moves;
    }
    // A prompt that is encoded while blocks move.
    if (i == 50 || i == 51) split.prompt = split.model->encode_prompt("neon night");
    if (i == 50) one.prompt = one.model->encode_prompt("neon night");
  }
  for (; under_way > 0; --under_way) split.model->dit().finish();
  for (int i = 0; i < chunks; ++i) {
    const auto n = static_cast<size_t>(i);
    ASSERT_TRUE(same(one.outputs[n], split.outputs[n])) << "chunk " << i;
  }
  EXPECT_GT(moves, 50);
  EXPECT_EQ(ranks.shares()[0] + ranks.shares()[1] + ranks.shares()[2], 6);
  expect_contains(error_of([&] { ranks.move_boundary(2, 1); }), "boundary");
}

// A memory that fails in the second rank.
class Broken : public KvCache {
 public:
  int query_position(const KvMoment&) const override { return 0; }
  int key_position(const KvMoment&) const override { return 0; }
  KvView append(const KvTurn& turn, const Tensor& k, const Tensor& v) override {
    if (turn.layer == 4) throw Error("memory", "a good one", "a broken one");
    return KvView{k.data(), v.data(), static_cast<int>(k.dim(0)), k.dtype()};
  }
};

TEST_F(SplitDit, AnErrorInARankIsThatForwardsAlone) {
  Network one(model_, "cpu"), split(model_, "cpu,cpu");
  Broken broken;
  split.start(0);
  split.start(1, &broken);
  split.start(1);
  one.start(0);
  one.start(1);
  CausalDit& dit = split.model->dit();
  dit.finish();
  EXPECT_TRUE(same(one.outputs[0], split.outputs[0]));
  expect_contains(error_of([&] { dit.finish(); }), "a broken one");
  dit.finish();
  EXPECT_TRUE(same(one.outputs[1], split.outputs[2]));
  expect_contains(error_of([&] { dit.finish(); }), "a forward that was begun");
}

}  // namespace
}  // namespace driftless
