// A prompt that changes while a stream runs.

#include <cmath>

#include "core/philox.h"
#include "models_test_support.h"
#include "stream/latent_history.h"
#include "stream/prompt_bank.h"
#include "stream/prompt_blend.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

class Blend : public testing::Test {
 protected:
  Blend() {
    config_.text_len = 3;
    config_.text_dim = 5;
    fill_normal(1, 0, 0, a_.data(), a_.size());
    fill_normal(2, 0, 0, b_.data(), b_.size());
    fill_normal(3, 0, 0, c_.data(), c_.size());
  }

  static Tensor text(std::vector<float>& values) { return Tensor({3, 5}, values.data()); }
  // Whether the blend stands at a + share * (b - a).
  static void expect_between(const PromptBlend& blend, const std::vector<float>& a,
                             const std::vector<float>& b, float share) {
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_NEAR(blend.text().f32()[i], a[i] + share * (b[i] - a[i]), 1e-6f) << i;
    }
  }

  std::unique_ptr<Ops> ops_ = make_ops("reference");
  DitConfig config_;
  Arena arena_;
  std::vector<float> a_ = std::vector<float>(15), b_ = a_, c_ = a_;
};

TEST_F(Blend, GoesStraightAndArrivesExactly) {
  PromptBlend blend(arena_, *ops_, config_);
  blend.stand(text(a_));
  EXPECT_FALSE(blend.moving());
  blend.aim(text(b_), 4);
  for (int i = 1; i <= 4; ++i) {
    EXPECT_TRUE(blend.moving());
    blend.step();
    expect_between(blend, a_, b_, static_cast<float>(i) / 4);
  }
  EXPECT_FALSE(blend.moving());
  blend.step();
  EXPECT_TRUE(std::equal(b_.begin(), b_.end(), blend.text().f32()));
}

TEST_F(Blend, TurnsWhereItStands) {
  PromptBlend blend(arena_, *ops_, config_);
  blend.stand(text(a_));
  blend.aim(text(b_), 4);
  blend.step();
  const std::vector<float> here(blend.text().f32(), blend.text().f32() + 15);
  blend.aim(text(c_), 2);
  EXPECT_TRUE(std::equal(here.begin(), here.end(), blend.text().f32()));
  blend.step();
  expect_between(blend, here, c_, 0.5f);
  blend.step();
  EXPECT_TRUE(std::equal(c_.begin(), c_.end(), blend.text().f32()));
}

TEST_F(Blend, NoChunksIsAtOnce) {
  PromptBlend blend(arena_, *ops_, config_);
  blend.stand(text(a_));
  for (int chunks : {0, 1}) {
    blend.aim(text(chunks == 0 ? b_ : c_), chunks);
    blend.step();
    EXPECT_FALSE(blend.moving());
  }
  EXPECT_TRUE(std::equal(c_.begin(), c_.end(), blend.text().f32()));
}

TEST(LatentHistory, KeepsTheFirstAndTheNewest) {
  for (size_t first : {0u, 2u}) {
    Arena arena;
    const auto ops = make_ops("reference");
    LatentHistory history(arena, *ops, 1, first, 3);
    std::vector<uint64_t> expected;
    for (uint64_t n = 0; n < 9; ++n) {
      float value = static_cast<float>(n);
      history.push(n, value, value, Tensor({1}, &value));
      expected.push_back(n);
      if (expected.size() > first + 3) expected.erase(expected.begin() + static_cast<long>(first));
      ASSERT_EQ(history.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(history[i].index, expected[i]) << "after " << n << ", entry " << i;
        EXPECT_EQ(history[i].clean.f32()[0], static_cast<float>(expected[i]));
      }
    }
  }
}

TEST(PromptBank, LendsOnePromptToAllWhoWantIt) {
  const TinyModel tiny;
  const auto model = Model::load(tiny.dir(), "reference", 1);
  PromptBank bank(*model);
  auto a = bank.get("rain");
  EXPECT_EQ(a, bank.get("rain"));
  const auto b = bank.get("neon");
  EXPECT_NE(a, b);
  EXPECT_EQ(bank.held(), 2u);
  EXPECT_EQ(a->memory.capacity() + a->kv.bytes(), PromptBank::bytes(model->config().dit));
  a.reset();
  EXPECT_FALSE(bank.holds("rain"));
  EXPECT_EQ(bank.held(), 1u);
}

class PromptChange : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Pipeline> load(int blend_chunks, const char* ring, int kv_frames = 4) {
    tiny_.json()["schedule"]["blendChunks"] = blend_chunks;
    tiny_.json()["schedule"]["promptRing"] = ring;
    tiny_.json()["schedule"]["kvFrames"] = kv_frames;
    tiny_.write();
    return Pipeline::load(ModelOptions{tiny_.dir(), GetParam(), 1});
  }
  static TransformSettings settings(const char* prompt, int steps = 1) {
    return TransformSettings{prompt, 1, steps, 4};
  }

  TinyModel tiny_;
};

// Each chunk of the blend is farther from the old picture and nearer to the new one.
TEST_P(PromptChange, ComesInStepByStep) {
  const auto pipeline = load(3, "keep");
  const auto changed = pipeline->open(settings("rain")), old = pipeline->open(settings("rain"));
  const auto target = pipeline->open(settings("neon night"));
  std::vector<double> from_old, from_new;
  for (int i = 0; i < 6; ++i) {
    if (i == 2) pipeline->update(*changed, settings("neon night"));
    const Pixels in = tiny_chunk(0, i);
    const Out out = run_one(*pipeline, *changed, in);
    from_old.push_back(mean_difference(out.pixels, run_one(*pipeline, *old, in).pixels));
    from_new.push_back(mean_difference(out.pixels, run_one(*pipeline, *target, in).pixels));
    EXPECT_EQ(out.result.settings_complete, i < 2 || i >= 4) << i;
  }
  EXPECT_EQ(from_old[1], 0);
  for (size_t i : {2u, 3u, 4u}) EXPECT_GT(from_old[i], from_old[i - 1]) << i;
  for (size_t i : {2u, 3u, 4u}) EXPECT_LT(from_new[i], from_new[i - 1]) << i;
}

TEST_P(PromptChange, AnInterruptedBlendGoesOnFromWhereItIs) {
  const auto pipeline = load(4, "keep");
  const auto a = pipeline->open(settings("rain")), b = pipeline->open(settings("rain"));
  for (int i = 0; i < 3; ++i) {
    if (i == 1) pipeline->update(*a, settings("neon night"));
    if (i == 1) pipeline->update(*b, settings("neon night"));
    EXPECT_TRUE(run_one(*pipeline, *a, tiny_chunk(0, i)).pixels ==
                run_one(*pipeline, *b, tiny_chunk(0, i)).pixels);
  }
  // Half-way, one of them turns back: the next picture is nearer to where it was than a jump.
  EXPECT_EQ(pipeline->update(*a, settings("rain")), 3u);
  for (int i = 3; i < 7; ++i) {
    const Out turned = run_one(*pipeline, *a, tiny_chunk(0, i));
    EXPECT_EQ(turned.result.settings_complete, i == 6);
    EXPECT_EQ(turned.result.settings_revision, 3u);
    EXPECT_FALSE(turned.pixels == run_one(*pipeline, *b, tiny_chunk(0, i)).pixels);
  }
}

// As long as nothing of the stream lies outside of its window, a ring that is made anew is the ring
// of a stream that always had the new prompt. The autoencoder remembers two chunks more.
TEST_P(PromptChange, RecachedRingsAreThoseOfTheNewPrompt) {
  const auto pipeline = load(1, "recache", 8);
  const auto changed = pipeline->open(settings("rain")), target = pipeline->open(settings("neon"));
  for (int i = 0; i < 8; ++i) {
    if (i == 4) pipeline->update(*changed, settings("neon"));
    const Out got = run_one(*pipeline, *changed, tiny_chunk(0, i));
    const Out wanted = run_one(*pipeline, *target, tiny_chunk(0, i));
    EXPECT_EQ(got.pixels == wanted.pixels, i >= 6) << "chunk " << i;
  }
}

// With several steps, chunks in flight go on under the old prompt and leave a trace in the rings of
// the later rows; still the picture is nearer to the new one than with rings that are kept.
TEST_P(PromptChange, RecachingIsNearerThanKeeping) {
  double away[2];
  for (int recached : {0, 1}) {
    const auto pipeline = load(1, recached ? "recache" : "keep", 8);
    const auto changed = pipeline->open(settings("rain", 3));
    const auto target = pipeline->open(settings("neon", 3));
    for (int i = 0; i < 10; ++i) {
      if (i == 5) pipeline->update(*changed, settings("neon", 3));
      const Out got = run_one(*pipeline, *changed, tiny_chunk(0, i));
      const Out wanted = run_one(*pipeline, *target, tiny_chunk(0, i));
      away[recached] = mean_difference(got.pixels, wanted.pixels);
    }
  }
  EXPECT_GT(away[1], 0);
  EXPECT_LT(away[1], away[0]);
}

INSTANTIATE_TEST_SUITE_P(Backends, PromptChange, testing::Values("reference", "cpu"));

}  // namespace
}  // namespace driftless
