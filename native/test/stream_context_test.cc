// The clean-context pass: what the ring of the last row holds of a finished chunk.

#include <memory>

#include "stream/session.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

class ContextPassTest : public testing::TestWithParam<const char*> {
 protected:
  ContextPassTest() : plain_(load("none")), clean_(load("clean")) {}

  std::unique_ptr<Pipeline> load(const char* pass) {
    tiny_.json()["schedule"]["contextPass"] = pass;
    tiny_.write();
    return Pipeline::load(ModelOptions{tiny_.dir(), GetParam(), 1});
  }
  static Session& session_of(const std::unique_ptr<StreamSession>& session) {
    return static_cast<Session&>(*session);
  }

  TinyModel tiny_;
  std::unique_ptr<Pipeline> plain_, clean_;
};

TEST_P(ContextPassTest, TheRingHoldsTheFinishedLatent) {
  const auto model = Model::load(tiny_.dir(), GetParam(), 1, "auto");
  const ModelConfig& config = model->config();
  const int64_t c = config.latent_channels();
  const Shape latent{1, config.latent_height(), config.latent_width(), c};
  Arena arena;
  for (int steps = 1; steps <= 2; ++steps) {
    const auto opened = clean_->open(TransformSettings{"rain", 0.5f, steps, 3});
    Session& session = session_of(opened);
    const size_t last = static_cast<size_t>(steps) - 1;
    for (int i = 0; i < 7; ++i) {
      RollingCache before(session.cache(last).config(), model->ops());
      before.copy_from(session.cache(last));
      if (!run_one(*clean_, *opened, tiny_chunk(0, i)).result.has_frames) continue;
      const auto index = static_cast<uint64_t>(i - steps + 1);
      const auto found = std::find_if(session.chunks().begin(), session.chunks().end(),
                                      [&](const ChunkInFlight& one) { return one.index == index; });
      ASSERT_NE(found, session.chunks().end());
      const ChunkInFlight& chunk = *found;
      // What was finished, at unit scale beside its clean latents, at time 0 over the same past.
      const Tensor x = arena.tensor({1, latent[1], latent[2], 2 * c});
      model->ops().copy_channels(chunk.latents.noisy, 0, c, x, 0);
      model->ops().copy_channels(chunk.latents.clean, 0, c, x, c);
      const double time = 0;
      const DitRow row{1, &time, &before, &chunk.prompt()};
      model->dit().forward(&row, 1, x, arena.tensor(latent));
      const int slot = before.slot();
      before.finish();
      ASSERT_EQ(session.cache(last).frames(), before.frames());
      for (int layer = 0; layer < config.dit.layers; ++layer) {
        const KvView got = session.cache(last).stored(layer, slot);
        const KvView wanted = before.stored(layer, slot);
        const int64_t values = got.tokens * config.dit.dim;
        EXPECT_TRUE(std::equal(got.k_f32(), got.k_f32() + values, wanted.k_f32())) << "chunk " << i;
        EXPECT_TRUE(std::equal(got.v_f32(), got.v_f32() + values, wanted.v_f32())) << "chunk " << i;
      }
    }
  }
}

TEST_P(ContextPassTest, TheFirstPictureIsTheSameAndLaterOnesDiffer) {
  const TransformSettings settings{"rain", 1, 1, 3};
  const auto a = plain_->open(settings), b = clean_->open(settings);
  for (int i = 0; i < 4; ++i) {
    const bool same = run_one(*plain_, *a, tiny_chunk(0, i)).pixels ==
                      run_one(*clean_, *b, tiny_chunk(0, i)).pixels;
    EXPECT_EQ(same, i == 0) << "chunk " << i;
  }
}

TEST_P(ContextPassTest, CompanyDoesNotChangeAPicture) {
  const TransformSettings settings{"rain", 1, 2, 3};
  const auto alone = clean_->open(settings), shared = clean_->open(settings);
  const auto other = clean_->open(TransformSettings{"neon", 1, 1, 4});
  for (int i = 0; i < 5; ++i) {
    const Pixels in = tiny_chunk(0, i), in_other = tiny_chunk(1, i);
    Pixels out(kTinyChunk, 0), out_other(kTinyChunk, 0);
    Pipeline::Job jobs[] = {{other.get(), in_other.data(), out_other.data(), {}},
                            {shared.get(), in.data(), out.data(), {}}};
    clean_->run(jobs, 2);
    EXPECT_TRUE(run_one(*clean_, *alone, in).pixels == out) << "chunk " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ContextPassTest, testing::Values("reference", "cpu"));

}  // namespace
}  // namespace driftless
