// Whole streams on the emulated GPU. Its memory cannot be touched from the host's code there, so
// that these run at all shows that the engine does everything through its operations.

#include "emulated_cuda.h"
#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

class CudaStream : public testing::Test {
 protected:
  // Puts the same chunks through both backends, with what `change` asks for before each.
  template <typename Change>
  static void expect_same_pictures(const TinyModel& model, int chunks, const Change& change) {
    ModelOptions options{model.dir(), "reference", 1, "f32"};
    const auto expected = Pipeline::load(options);
    options.backend = "cuda";
    const auto pipeline = Pipeline::load(options);
    TransformSettings settings{"rain", 1, 1, 3};
    const auto a = expected->open(settings), b = pipeline->open(settings);
    for (int i = 0; i < chunks; ++i) {
      if (change(i, settings)) {
        expected->update(*a, settings);
        pipeline->update(*b, settings);
      }
      const Pixels in = tiny_chunk(0, i);
      const Out x = run_one(*expected, *a, in), y = run_one(*pipeline, *b, in);
      ASSERT_EQ(x.result.has_frames, y.result.has_frames) << "chunk " << i;
      ASSERT_EQ(x.result.chunk_index_out, y.result.chunk_index_out) << "chunk " << i;
      // Sums in another order: a value in many is rounded to the neighbour.
      EXPECT_LT(mean_difference(x.pixels, y.pixels), 0.02) << "chunk " << i;
    }
  }

  EmulatedCuda cuda_;
};

TEST_F(CudaStream, PaintsWhatTheReferencePaints) {
  const TinyModel model;
  expect_same_pictures(model, 9, [](int i, TransformSettings& settings) {
    if (i == 3) settings.prompt = "a marble statue";
    if (i == 4) settings.steps = 3;
    if (i == 6) settings.strength = 0.4f;
    if (i == 7) settings.seed = 9;
    return i == 3 || i == 4 || i == 6 || i == 7;
  });
}

TEST_F(CudaStream, WithEveryPartOfTheSchedule) {
  Json json = tiny_model_json();
  json["dit"]["prediction"] = "flow";
  json["schedule"]["shift"] = 5.0;
  json["schedule"]["noise"] = "fresh";
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  json["schedule"]["contextPass"] = "clean";
  json["schedule"]["promptRing"] = "recache";
  json["schedule"]["blendChunks"] = 3;
  json["schedule"]["holdStill"] = 0.5;
  json["schedule"]["driftGuard"] = "soft";
  const TinyModel model(json);
  expect_same_pictures(model, 12, [](int i, TransformSettings& settings) {
    if (i == 5) settings.prompt = "a marble statue";
    if (i == 6) settings.steps = 2;
    return i == 5 || i == 6;
  });
}

// Keys and values are kept in what the tensor cores take: half the memory, hardly another picture.
TEST_F(CudaStream, KeepsKeysAndValuesInHalfTheMemory) {
  Json json = tiny_model_json();
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  const TinyModel model(json);
  const auto full = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  const auto half = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
  EXPECT_EQ(full->info().memory.session.rings, 2 * half->info().memory.session.rings);
  EXPECT_LT(half->info().memory.prompt, full->info().memory.prompt);
  const auto a = full->open({"rain", 1, 2, 3}), b = half->open({"rain", 1, 2, 3});
  EXPECT_EQ(static_cast<const Session&>(*b).arena_bytes(), half->info().memory.session.arena());
  double worst = 0;
  for (int i = 0; i < 9; ++i) {
    const Pixels in = tiny_chunk(0, i);
    const Out x = run_one(*full, *a, in), y = run_one(*half, *b, in);
    worst = std::max(worst, mean_difference(x.pixels, y.pixels));
  }
  EXPECT_GT(worst, 0) << "bf16 is another arithmetic";
  EXPECT_LT(worst, 2);
}

TEST_F(CudaStream, LeavesNothingBehindAndAFullDeviceRefusesOneSession) {
  const TinyModel model;
  const size_t before = emulation::device_bytes();
  {
    const auto pipeline = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
    const auto first = pipeline->open({"rain", 1, 1, 3});
    // Working memory grows until the ring is full.
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(run_one(*pipeline, *first, tiny_chunk(0, i)).result.has_frames);
    }
    emulation::machine().memory_bytes = emulation::device_bytes() + 1000;
    expect_contains(error_of([&] { pipeline->open({"rain", 1, 1, 4}); }), "out of memory");
    for (int i = 5; i < 8; ++i) {
      EXPECT_TRUE(run_one(*pipeline, *first, tiny_chunk(0, i)).result.has_frames);
    }
    emulation::machine() = {};
    const auto second = pipeline->open({"rain", 1, 1, 4});
    EXPECT_TRUE(run_one(*pipeline, *second, tiny_chunk(0, 0)).result.has_frames);
  }
  EXPECT_EQ(before, emulation::device_bytes());
}

// No room for the batch is no reason to lose a picture.
TEST_F(CudaStream, ABatchThatDoesNotFitIsDoneInParts) {
  const TinyModel model;
  const auto alone = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  const auto together = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  std::vector<std::unique_ptr<StreamSession>> single, shared;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    single.push_back(alone->open({"rain", 1, 1, seed}));
    shared.push_back(together->open({"rain", 1, 1, seed}));
  }
  for (int i = 0; i < 6; ++i) {
    std::vector<Pixels> in, out(4, Pixels(kTinyChunk, 0));
    std::vector<Pipeline::Job> jobs;
    for (int s = 0; s < 4; ++s) in.push_back(tiny_chunk(s, i));
    for (size_t s = 0; s < 4; ++s)
      jobs.push_back({shared[s].get(), in[s].data(), out[s].data(), {}});
    std::vector<Out> expected;
    for (size_t s = 0; s < 4; ++s) expected.push_back(run_one(*alone, *single[s], in[s]));
    if (i == 0) emulation::machine().memory_bytes = emulation::device_bytes();
    together->run(jobs.data(), jobs.size());
    for (size_t s = 0; s < 4; ++s) EXPECT_TRUE(expected[s].pixels == out[s]) << i << " " << s;
    emulation::machine().memory_bytes = size_t{1} << 32;
  }
  EXPECT_GT(emulation::refusals(), 0) << "there was room enough";
}

TEST_F(CudaStream, ALostDeviceIsToldFromOtherFailures) {
  const TinyModel model;
  const auto pipeline = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  const auto session = pipeline->open({"rain", 1, 1, 3});
  emulation::machine().lost = cudaErrorIllegalAddress;
  EXPECT_THROW(run_one(*pipeline, *session, tiny_chunk(0, 0)), DeviceLost);
}

}  // namespace
}  // namespace driftless
