// Repeated work as CUDA graphs, on the emulated device: never another result than without them.

#include "emulated_cuda.h"
#include "ops_test_support.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

constexpr RepeatKey kKey = {4};

class CudaReplay : public testing::Test {
 protected:
  CudaReplay() : ops_(make_cuda_ops({})) {}

  Tensor tensor(float value) {
    const Tensor host = host_.tensor({8}), there = device_.tensor({8});
    std::fill_n(host.f32(), 8, value);
    ops_->copy(host, there);
    return there;
  }
  float first(const Tensor& there) {
    const Tensor host = host_.tensor({8});
    ops_->copy(there, host);
    return host.f32()[0];
  }
  void expect_counts(int64_t graphs, int64_t direct, int64_t made) {
    const cuda::ReplayCounts counts = replay_counts(*ops_);
    EXPECT_EQ(graphs, counts.graphs);
    EXPECT_EQ(direct, counts.direct);
    EXPECT_EQ(made, counts.made);
  }

  EmulatedCuda cuda_;
  std::unique_ptr<Ops> ops_;
  Arena host_, device_{size_t{1} << 16, 0, cuda_memory()};
};

TEST_F(CudaReplay, TheSameStepsBecomeAGraph) {
  const Tensor x = tensor(1), y = tensor(0);
  for (int i = 1; i <= 4; ++i) {
    ops_->repeated(kKey, [&](int64_t) {
      ops_->axpby(2, x, 0, x, y);
      ops_->axpby(1, y, 1, x, x);
    });
    EXPECT_EQ(std::pow(3.0f, static_cast<float>(i)), first(x));
  }
  expect_counts(3, 1, 1);
}

TEST_F(CudaReplay, NothingIsDoneTwiceAndNothingLeftOutWhereStepsDiffer) {
  const Tensor x = tensor(1), y = tensor(1), z = tensor(1);
  const auto twice = [&](const Tensor& t) { ops_->axpby(2, t, 0, t, t); };
  for (int i = 0; i < 8; ++i) {
    // Another second step in every other round, and now and then none, or one more.
    ops_->repeated(kKey, [&](int64_t) {
      twice(x);
      if (i != 5) twice(i % 2 == 0 ? y : z);
      if (i == 6) twice(z);
    });
  }
  EXPECT_EQ(256, first(x));
  EXPECT_EQ(16, first(y));
  EXPECT_EQ(16, first(z));
}

TEST_F(CudaReplay, WhatTheHostHandsOverIsReadAnew) {
  Arena on_device(size_t{1} << 20, 0, cuda_memory());
  const Tensor y = on_device.tensor({1, 8}), expected = host_.tensor({1, 8});
  const auto reference = make_ops("reference");
  for (int i = 0; i < 4; ++i) {
    const double t = 100.0 * i + 7;
    ops_->repeated(kKey, [&](int64_t) { ops_->timestep_embedding(&t, y); });
    const Tensor got = host_.tensor({1, 8});
    ops_->copy(y, got);
    reference->timestep_embedding(&t, expected);
    expect_close(expected, got);
  }
  expect_counts(3, 1, 1);
}

TEST_F(CudaReplay, MoreThanThereIsRoomForIsHandedOverAllTheSame) {
  constexpr int64_t kMany = 20000;
  Arena on_device(size_t{1} << 20, 0, cuda_memory());
  const Tensor y = on_device.tensor({kMany, 2}), got = host_.tensor({kMany, 2});
  std::vector<double> t(kMany);
  for (int i = 0; i < 4; ++i) {
    for (int64_t n = 0; n < kMany; ++n) t[static_cast<size_t>(n)] = static_cast<double>(n % 7 + i);
    ops_->repeated(kKey, [&](int64_t) { ops_->timestep_embedding(t.data(), y); });
    ops_->copy(y, got);
    for (int64_t n = 0; n < kMany; n += 999) {
      EXPECT_NEAR(std::cos(t[static_cast<size_t>(n)]), got.f32()[2 * n], 1e-6);
    }
  }
  expect_counts(2, 2, 1);
}

TEST_F(CudaReplay, AValueReadBackInBetweenIsUpToDate) {
  const Tensor x = tensor(1), y = tensor(0);
  for (int i = 1; i <= 3; ++i) {
    double difference = -1;
    ops_->repeated(kKey, [&](int64_t) {
      ops_->axpby(2, x, 0, x, x);
      difference = ops_->mean_square_difference(x, y);
      ops_->axpby(0.5f, x, 0, x, y);
    });
    const float now = std::pow(2.0f, static_cast<float>(i));
    const float before = i == 1 ? 0 : now / 4;
    EXPECT_EQ(static_cast<double>((now - before) * (now - before)), difference);
    EXPECT_EQ(now / 2, first(y));
  }
  EXPECT_EQ(0, replay_counts(*ops_).graphs);
}

TEST_F(CudaReplay, ADriverThatMakesNoGraphsIsDoneWithout) {
  emulation::machine().makes_graphs = false;
  const Tensor x = tensor(1);
  for (int i = 0; i < 3; ++i) {
    ops_->repeated(kKey, [&](int64_t) { ops_->axpby(2, x, 0, x, x); });
  }
  EXPECT_EQ(8, first(x));
  expect_counts(0, 3, 0);
}

TEST_F(CudaReplay, WorkThatFailsLeavesNothingWaiting) {
  const Tensor x = tensor(1), narrow = device_.tensor({3});
  for (int i = 0; i < 4; ++i) {
    const auto work = [&](int64_t) {
      ops_->axpby(2, x, 0, x, x);
      if (i == 2) ops_->axpby(1, x, 0, x, narrow);
    };
    if (i == 2) {
      EXPECT_THROW(ops_->repeated(kKey, work), Error);
    } else {
      ops_->repeated(kKey, work);
    }
  }
  EXPECT_EQ(8, first(x)) << "in the round that failed nothing had been started yet";
}

TEST_F(CudaReplay, WorkInsideOfWorkBelongsToIt) {
  const Tensor x = tensor(1);
  for (int i = 0; i < 3; ++i) {
    ops_->repeated(
        kKey, [&](int64_t) { ops_->repeated({5}, [&](int64_t) { ops_->axpby(2, x, 0, x, x); }); });
  }
  EXPECT_EQ(8, first(x));
  expect_counts(2, 1, 1);
}

TEST_F(CudaReplay, OnlySoManyGraphsAreKept) {
  const size_t before = emulation::device_bytes();
  const Tensor x = tensor(0);
  for (int64_t key = 0; key < 400; ++key) {
    for (int i = 0; i < 2; ++i) {
      ops_->repeated({key}, [&](int64_t) { ops_->axpby(1, x, 0, x, x); });
    }
  }
  expect_counts(400, 400, 400);
  EXPECT_LT(emulation::device_bytes() - before, size_t{1} << 20);
}

// Sessions that come in changing company, with other prompts, other steps and anchors that change:
// to the bit what they are without graphs.
TEST_F(CudaReplay, AStreamIsTheSameWithGraphsAndWithout) {
  Json json = tiny_model_json();
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  json["schedule"]["blendChunks"] = 2;
  const TinyModel model(json);
  struct Side {
    std::unique_ptr<Pipeline> pipeline;
    std::vector<std::unique_ptr<StreamSession>> sessions;
  };
  const auto side = [&](bool graphs) {
    cuda_.use_graphs(graphs);
    Side made{Pipeline::load({model.dir(), "cuda", 1, "f32"}), {}};
    for (uint64_t seed = 0; seed < 2; ++seed) {
      made.sessions.push_back(made.pipeline->open({"rain", 1, 1, seed}));
    }
    return made;
  };
  const Side with = side(true), without = side(false);
  const int before = emulation::graph_launches();
  for (int chunk = 0; chunk < 11; ++chunk) {
    std::vector<size_t> company;
    for (size_t s = 0; s < 2; ++s) {
      if (chunk < 5 || (static_cast<size_t>(chunk) + s) % 3 != 0) company.push_back(s);
    }
    std::vector<std::vector<Pixels>> pictures;
    for (const Side* each : {&without, &with}) {
      if (chunk == 3) each->pipeline->update(*each->sessions[1], {"a statue", 1, 2, 1});
      std::vector<Pixels> in, out(company.size(), Pixels(kTinyChunk, 0));
      std::vector<Pipeline::Job> jobs;
      for (size_t s : company) in.push_back(tiny_chunk(static_cast<int>(s), chunk));
      for (size_t i = 0; i < company.size(); ++i) {
        jobs.push_back({each->sessions[company[i]].get(), in[i].data(), out[i].data(), {}});
      }
      each->pipeline->run(jobs.data(), jobs.size());
      pictures.push_back(out);
    }
    EXPECT_TRUE(pictures[0] == pictures[1]) << "chunk " << chunk;
  }
  EXPECT_GT(emulation::graph_launches() - before, 30) << "most forwards, and both ways of pictures";
}

}  // namespace
}  // namespace driftless
