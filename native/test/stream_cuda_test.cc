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
  // What lies between the autoencoder's layers too.
  EXPECT_EQ(full->info().memory.session.codec, 2 * half->info().memory.session.codec);
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

// f16 has three bits more than bf16 in the same memory.
TEST_F(CudaStream, IsNearerToF32InF16ThanInBf16) {
  const TinyModel model;
  const auto full = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  const auto expected = full->open({"rain", 1, 2, 3});
  std::vector<Out> pictures;
  for (int i = 0; i < 4; ++i) pictures.push_back(run_one(*full, *expected, tiny_chunk(0, i)));
  const auto worst = [&](const char* dtype) {
    const auto pipeline = Pipeline::load({model.dir(), "cuda", 1, dtype});
    EXPECT_EQ(full->info().memory.session.rings, 2 * pipeline->info().memory.session.rings);
    const auto session = pipeline->open({"rain", 1, 2, 3});
    double most = 0;
    for (int i = 0; i < 4; ++i) {
      const Out out = run_one(*pipeline, *session, tiny_chunk(0, i));
      most = std::max(most, mean_difference(pictures[static_cast<size_t>(i)].pixels, out.pixels));
    }
    return most;
  };
  const double half = worst("f16"), bf16 = worst("bf16");
  EXPECT_GT(half, 0) << "f16 is another arithmetic";
  EXPECT_LT(half, bf16 / 3);
  EXPECT_THROW(Pipeline::load({model.dir(), "cpu", 1, "f16"}), Error);
}

// And in a quarter, with anchors that are compared and replaced.
TEST_F(CudaStream, KeepsKeysAndValuesInEightBits) {
  Json json = tiny_model_json();
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  json["schedule"]["blendChunks"] = 2;
  const TinyModel model(json);
  const auto wide = Pipeline::load({model.dir(), "cuda", 1, "fp8"});
  const auto narrow = Pipeline::load({model.dir(), "cuda", 1, "fp8-kv"});
  EXPECT_EQ(wide->info().memory.session.rings, 2 * narrow->info().memory.session.rings);
  EXPECT_GT(narrow->info().memory.row, wide->info().memory.row) << "one layer's values, widened";
  TransformSettings settings{"rain", 1, 2, 3};
  const auto a = wide->open(settings), b = narrow->open(settings);
  EXPECT_EQ(static_cast<const Session&>(*b).arena_bytes(), narrow->info().memory.session.arena());
  double worst = 0;
  for (int i = 0; i < 9; ++i) {
    if (i == 5) {
      settings.prompt = "a marble statue";
      wide->update(*a, settings);
      narrow->update(*b, settings);
    }
    const Pixels in = tiny_chunk(0, i);
    const Out x = run_one(*wide, *a, in), y = run_one(*narrow, *b, in);
    worst = std::max(worst, mean_difference(x.pixels, y.pixels));
  }
  EXPECT_GT(worst, 0) << "8 bits are another arithmetic";
  EXPECT_LT(worst, 4);
}

// Full rings and prompts are what cuDNN is tried for when a model is loaded.
TEST_F(CudaStream, HasCudnnAttendWhereItIsBetter) {
  Json json = tiny_model_json();
  json["dit"]["layers"] = 3;
  const TinyModel model(json);
  const auto ours = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
  cuda_.use_cudnn();
  recorded_cudnn() = {};
  const auto library = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
  EXPECT_GT(recorded_cudnn().plans, 1);
  const auto a = ours->open({"rain", 1, 1, 3}), b = library->open({"rain", 1, 1, 3});
  const int tried = recorded_cudnn().runs;
  for (int i = 0; i < 8; ++i) {
    const Pixels in = tiny_chunk(0, i);
    const Out x = run_one(*ours, *a, in), y = run_one(*library, *b, in);
    EXPECT_LT(mean_difference(x.pixels, y.pixels), 2) << "chunk " << i;
  }
  // Every block asks the prompt, and its ring once that is full.
  EXPECT_GE(recorded_cudnn().runs, tried + 3 * (8 + 3));
  EXPECT_EQ(std::vector<std::string>(), recorded_cudnn().problems);
}

TEST_F(CudaStream, KeepsTheBlocksWeightsInEightBits) {
  const TinyModel model;
  const size_t before = emulation::device_bytes();
  const auto half = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
  const size_t half_bytes = emulation::device_bytes() - before;
  const auto eighth = Pipeline::load({model.dir(), "cuda", 1, "fp8"});
  EXPECT_LT(emulation::device_bytes() - before, 2 * half_bytes);
  const auto a = half->open({"rain", 1, 1, 3}), b = eighth->open({"rain", 1, 1, 3});
  double worst = 0;
  for (int i = 0; i < 3; ++i) {
    const Pixels in = tiny_chunk(0, i);
    const Out x = run_one(*half, *a, in), y = run_one(*eighth, *b, in);
    worst = std::max(worst, mean_difference(x.pixels, y.pixels));
  }
  EXPECT_GT(worst, 0) << "fp8 is another arithmetic";
  EXPECT_LT(worst, 4);
  EXPECT_THROW(Pipeline::load({model.dir(), "cpu", 1, "fp8"}), Error);
}

// One GPU: the autoencoder has a stream of its own beside the blocks', so a batch may be begun
// while another is under way. The pictures are the same to the bit.
TEST_F(CudaStream, RunsTheAutoencoderBesideTheBlocks) {
  const TinyModel model;
  const auto beside = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  ::setenv("DRIFTLESS_CUDA_OVERLAP", "off", 1);
  const auto after = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  ::unsetenv("DRIFTLESS_CUDA_OVERLAP");
  EXPECT_EQ(beside->depth(), 2u);
  EXPECT_EQ(after->depth(), 1u);
  const auto a = beside->open({"rain", 1, 1, 3}), b = after->open({"rain", 1, 1, 3});
  std::vector<Pixels> in, out(5, Pixels(kTinyChunk, 0));
  std::vector<Pipeline::Job> jobs;
  for (int i = 0; i < 5; ++i) in.push_back(tiny_chunk(0, i));
  for (size_t i = 0; i < 5; ++i) jobs.push_back({a.get(), in[i].data(), out[i].data(), {}});
  for (size_t i = 0; i < 5; ++i) {
    beside->start(&jobs[i], 1);
    if (i > 0) beside->finish();
  }
  beside->finish();
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(jobs[i].result.has_frames) << "chunk " << i;
    EXPECT_EQ(jobs[i].result.chunk_index_out, i);
    EXPECT_EQ(run_one(*after, *b, in[i]).pixels, out[i]) << "chunk " << i;
  }
}

// Three GPUs that hold a part of the blocks each; every launch must be on its own GPU.
TEST_F(CudaStream, SplitsTheTransformerOverGpus) {
  emulation::machine().devices = 3;
  Json json = tiny_model_json();
  json["dit"]["layers"] = 5;
  json["schedule"]["adaptSinkThreshold"] = 0.999;
  json["schedule"]["blendChunks"] = 2;
  const TinyModel model(json);
  const size_t before = emulation::device_bytes();
  {
    const auto one = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
    const auto split = Pipeline::load({model.dir(), "cuda:0,cuda:1,cuda:2", 1, "bf16"});
    EXPECT_EQ(split->depth(), 4u);
    EXPECT_GT(emulation::connections(), 3);
    TransformSettings settings{"rain", 1, 1, 3};
    const auto a = one->open(settings), b = split->open(settings);
    for (int i = 0; i < 9; ++i) {
      if (i == 4) {
        settings.prompt = "a marble statue";
        one->update(*a, settings);
        split->update(*b, settings);
      }
      const Pixels in = tiny_chunk(0, i);
      EXPECT_EQ(run_one(*one, *a, in).pixels, run_one(*split, *b, in).pixels) << "chunk " << i;
    }
  }
  EXPECT_EQ(before, emulation::device_bytes());
  expect_contains(error_of([&] {
                    Pipeline::load({model.dir(), "cuda:0,cuda:3", 1, "f32"});
                  }),
                  "CUDA device");
}

// The same, with tokens that go from GPU to GPU over NCCL.
TEST_F(CudaStream, HandsTokensOnOverNccl) {
  emulation::machine().devices = 3;
  Json json = tiny_model_json();
  json["dit"]["layers"] = 4;
  const TinyModel model(json);
  const auto one = Pipeline::load({model.dir(), "cuda", 1, "bf16"});
  RecordedNccl& recorded = recorded_nccl();
  recorded = {};
  cuda_.use_nccl();
  {
    const auto split = Pipeline::load({model.dir(), "cuda:2,cuda:0,cuda:1", 1, "bf16"});
    EXPECT_EQ(3, recorded.comms);
    TransformSettings settings{"rain", 1, 1, 3};
    const auto a = one->open(settings), b = split->open(settings);
    const int before = recorded.transfers;
    for (int i = 0; i < 3; ++i) {
      if (i == 1) {
        settings.prompt = "a marble statue";
        one->update(*a, settings);
        split->update(*b, settings);
      }
      const Pixels in = tiny_chunk(0, i);
      EXPECT_EQ(run_one(*one, *a, in).pixels, run_one(*split, *b, in).pixels) << "chunk " << i;
    }
    // Tokens and timesteps over two links each, and the contexts of prompts.
    EXPECT_GE(recorded.transfers, before + 3 * 2 * 2 + 2);
    recorded.breaks = true;
    EXPECT_THROW(run_one(*split, *b, tiny_chunk(0, 3)), DeviceLost);
    // One GPU has nobody to send to.
    EXPECT_EQ(Pipeline::load({model.dir(), "cuda", 1, "bf16"})->depth(), 2u);
  }
  EXPECT_EQ(0, recorded.comms);
  expect_contains(error_of([&] {
                    Pipeline::load({model.dir(), "cuda:1,cuda:1", 1, "bf16"});
                  }),
                  "ranks over NCCL: expected a GPU for each, got cuda:1 twice");
  expect_contains(error_of([&] {
                    Pipeline::load({model.dir(), "cuda,cpu", 1, "f32"});
                  }),
                  "ranks over NCCL: expected GPUs alone, got cpu");
  recorded.fails = true;
  expect_contains(error_of([&] {
                    Pipeline::load({model.dir(), "cuda:0,cuda:1", 1, "bf16"});
                  }),
                  "ncclCommInitAll: expected success, got refused");
  EXPECT_EQ(std::vector<std::string>(), recorded.problems);
}

// A block's weights, keys and values go to the next GPU and back.
TEST_F(CudaStream, MovesBlocksBetweenGpus) {
  emulation::machine().devices = 2;
  Json json = tiny_model_json();
  json["dit"]["layers"] = 3;
  const TinyModel tiny(json);
  const auto one = Model::load(tiny.dir(), "cuda", 1, "f32");
  const auto split = Model::load(tiny.dir(), "cuda:0,cuda:1", 1, "f32");
  DitRanks& ranks = *split->dit().ranks();
  ranks.keep_balance(false);
  Arena host;
  const DitConfig& dit = one->config().dit;
  const int64_t h = one->config().latent_height(), w = one->config().latent_width();
  const RollingConfig ring{static_cast<int>(h * w / 4),
                           4,
                           1,
                           -1,
                           static_cast<int>(dit.layers),
                           static_cast<int>(dit.heads),
                           static_cast<int>(dit.head_dim()),
                           dit.kv_dtype};
  struct Side {
    Model& model;
    std::shared_ptr<const PromptKv> prompt;
    RollingCache cache;
    Arena memory;
  };
  const auto side = [&](Model& model) {
    return Side{model, model.encode_prompt("rain"), RollingCache(ring, model.dit().places()),
                Arena(size_t{1} << 16, 0, model.ops().memory())};
  };
  Side a = side(*one), b = side(*split);
  for (int i = 0; i < 8; ++i) {
    std::vector<Tensor> outputs;
    for (Side* side : {&a, &b}) {
      Ops& ops = side->model.ops();
      const Tensor x = side->memory.tensor({1, h, w, dit.in_channels});
      const Tensor y = side->memory.tensor({1, h, w, dit.out_channels});
      ops.normal_noise(7, static_cast<uint64_t>(i), 0, x);
      const double time = 500;
      const DitRow row{1, &time, &side->cache, side->prompt.get(), {}};
      side->model.dit().start(&row, 1, x, y);
      // While the forward is under way.
      if (side == &b && (i == 2 || i == 5)) ranks.move_boundary(0, 1);
      if (side == &b && (i == 3 || i == 6)) ranks.move_boundary(0, -1);
      side->model.dit().finish();
      side->cache.finish();
      outputs.push_back(host.tensor(y.shape()));
      ops.copy(y, outputs.back());
    }
    EXPECT_EQ(
        relative_error(outputs[0].f32(), outputs[1].f32(), static_cast<size_t>(outputs[0].count())),
        0)
        << "chunk " << i;
  }
}

TEST_F(CudaStream, ABlockStaysWhereTheOtherGpuHasNoRoom) {
  emulation::machine().devices = 2;
  Json json = tiny_model_json();
  json["dit"]["layers"] = 4;
  const TinyModel model(json);
  const auto split = Model::load(model.dir(), "cuda:0,cuda:1", 1, "bf16");
  DitRanks& ranks = *split->dit().ranks();
  const std::vector<int64_t> before = ranks.shares();
  emulation::machine().memory_bytes = emulation::device_bytes() + 1000;
  EXPECT_FALSE(ranks.move_if_room(0, 1));
  EXPECT_FALSE(ranks.move_if_room(0, -1));
  EXPECT_EQ(ranks.shares(), before);
  emulation::machine().memory_bytes = size_t{1} << 32;
  EXPECT_TRUE(ranks.move_if_room(0, 1));
  EXPECT_EQ(ranks.shares(), (std::vector<int64_t>{before[0] + 1, before[1] - 1}));
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

// No room for the batch is no reason to lose a picture, wherever the room ends.
TEST_F(CudaStream, ABatchThatDoesNotFitIsDoneInParts) {
  const TinyModel model;
  const auto alone = Pipeline::load({model.dir(), "cuda", 1, "f32"});
  std::vector<Out> expected;
  std::vector<Pixels> in;
  for (int s = 0; s < 4; ++s) {
    const auto session = alone->open({"rain", 1, 1, static_cast<uint64_t>(s)});
    in.push_back(tiny_chunk(s, 0));
    expected.push_back(run_one(*alone, *session, in.back()));
  }
  // What is too little, of what the batch takes as a whole.
  size_t whole = 0;
  for (size_t missing : {0, 1, 20000, 1 << 30}) {
    const auto together = Pipeline::load({model.dir(), "cuda", 1, "f32"});
    std::vector<std::unique_ptr<StreamSession>> shared;
    std::vector<Pixels> out(4, Pixels(kTinyChunk, 0));
    std::vector<Pipeline::Job> jobs;
    for (size_t s = 0; s < 4; ++s) {
      shared.push_back(together->open({"rain", 1, 1, s}));
      jobs.push_back({shared[s].get(), in[s].data(), out[s].data(), {}});
    }
    const int refused = emulation::refusals();
    const size_t before = emulation::device_bytes();
    if (missing > 0) {
      emulation::machine().memory_bytes = before + (whole > missing ? whole - missing : 0);
    }
    together->run(jobs.data(), jobs.size());
    emulation::machine().memory_bytes = size_t{1} << 32;
    if (missing == 0) whole = emulation::device_bytes() - before;
    for (size_t s = 0; s < 4; ++s) EXPECT_TRUE(expected[s].pixels == out[s]) << missing << " " << s;
    EXPECT_EQ(emulation::refusals() > refused, missing > 0) << missing << " of " << whole;
  }
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
