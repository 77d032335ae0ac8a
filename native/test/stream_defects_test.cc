// Defects of the public implementation, each stated as what a stream should do. Every claim must
// hold for live sessions and must not hold in reference mode, which repeats the defects: so each
// test proves that it can fail.
//
// Not here, because they lie in the public code's host side, which the reference mode does not
// repeat: noise from one global generator, so that a picture depends on who shares the batch (the
// reference mode is handed its noise; PipelineTest.CompanyDoesNotChangeAPicture holds the promise),
// the prompt's layers run again in every forward (both modes are handed finished keys and values),
// absolute starts of the staged Python API, per-layer device synchronisation, unbounded input
// queues, stale input after a prompt change, and settings of one client that rebuild everybody's
// model.

#include <climits>
#include <cmath>
#include <set>

#include "core/philox.h"
#include "models/wan_vae.h"
#include "models_test_support.h"
#include "stream/pipeline.h"
#include "stream/reference_ring.h"
#include "stream/reference_stream.h"
#include "stream/rolling_cache.h"
#include "stream/session.h"

namespace driftless {
namespace {

enum class Mode { live, reference };

class Defects : public testing::TestWithParam<Mode> {
 protected:
  bool live() const { return GetParam() == Mode::live; }

  void claim(const char* what, bool holds) const {
    if (live()) {
      EXPECT_TRUE(holds) << "expected of a live session: " << what;
    } else {
      EXPECT_FALSE(holds) << "the reference mode should show the defect, but: " << what;
    }
  }
};

// --- The key/value ring, frame by frame ----------------------------------------------------------

// One row of one layer in either mode. A frame's keys equal its values; frames are alike, so that
// no sink ever deserves to be refreshed.
class Memory {
 public:
  static constexpr int kTokens = 4, kHeads = 1, kDim = 12;
  static constexpr size_t kFrame = static_cast<size_t>(kTokens) * kDim;

  Memory(Mode mode, int kv, int sinks, float threshold) : mode_(mode) {
    if (mode == Mode::live) {
      RollingConfig config;
      config.tokens_per_frame = kTokens;
      config.kv_frames = kv;
      config.sink_frames = sinks;
      config.sink_threshold = threshold;
      config.layers = 1;
      config.heads = kHeads;
      config.head_dim = kDim;
      rolling_ = std::make_unique<RollingCache>(config, *ops_);
    } else {
      RingConfig config;
      config.tokens_per_frame = kTokens;
      config.kv_frames = kv;
      config.sink_frames = sinks;
      config.sink_threshold = threshold;
      reference_ = std::make_unique<ReferenceCache>(config, 1, kDim);
    }
  }

  // Frames that attention sees with frame n, after all frames before it.
  std::set<int> held_at(int n) {
    KvView view;
    for (; next_ <= n; ++next_) view = take(next_);
    std::set<int> held;
    for (int slot = 0; slot < view.tokens / kTokens; ++slot) {
      for (int candidate = 0; candidate <= n; ++candidate) {
        const std::vector<float> v = frame(candidate);
        if (std::equal(v.begin(), v.end(), view.v_f32() + static_cast<size_t>(slot) * kFrame)) {
          held.insert(candidate);
        }
      }
    }
    return held;
  }

 private:
  static std::vector<float> frame(int n) {
    std::vector<float> common(kFrame), own(kFrame);
    fill_normal(1, 0, 0, common.data(), kFrame);
    fill_normal(2, static_cast<uint64_t>(n), 0, own.data(), kFrame);
    for (size_t i = 0; i < kFrame; ++i) own[i] = common[i] + 0.1f * own[i];
    return own;
  }

  static Tensor chunk(std::vector<float>& values) {
    constexpr auto kWidth = static_cast<int64_t>(kFrame / kTokens);
    return Tensor({static_cast<int64_t>(values.size()) / kWidth, kWidth}, values.data());
  }

  KvView take(int n) {
    std::vector<float> kv = frame(n);
    if (mode_ == Mode::live) {
      const KvView view = rolling_->append(turn(), chunk(kv), chunk(kv));
      rolling_->finish();
      return view;
    }
    // A session of the public implementation begins with two frames in one chunk.
    if (n == 0) return {};
    if (n == 1) {
      const std::vector<float> first = frame(0);
      kv.insert(kv.begin(), first.begin(), first.end());
    }
    const int frames = n == 1 ? 2 : 1;
    reference_->begin((n + 1 - frames) * kTokens);
    return reference_->append(turn(), chunk(kv), chunk(kv));
  }

  KvTurn turn() {
    if (mode_ == Mode::reference) return KvTurn{*ops_, 0, {}, {}};
    return KvTurn{*ops_, 0, rolling_->moment(), memory_.tensor(rolling_->rotated_shape())};
  }

  Mode mode_;
  int next_ = 0;
  Arena memory_;
  std::unique_ptr<Ops> ops_ = make_ops("reference");
  std::unique_ptr<RollingCache> rolling_;
  std::unique_ptr<ReferenceCache> reference_;
};

// An empty slot is unlike everything; the public code takes it for a bad sink and replaces the
// third anchor as soon as the ring is full.
TEST_P(Defects, AnchorsOfASteadyStreamAreItsFirstFrames) {
  Memory memory(GetParam(), 6, 3, 0.2f);
  claim("the sinks keep frames 0 to 2", memory.held_at(30) == std::set<int>({0, 1, 2, 28, 29, 30}));
}

// The public code never queues the slot after the first chunk: with one sink less than usual it
// holds frame 2 for good.
TEST_P(Defects, AllSlotsButTheSinksRoll) {
  Memory memory(GetParam(), 5, 2, -1.0f);
  claim("three slots hold the newest three frames",
        memory.held_at(30) == std::set<int>({0, 1, 28, 29, 30}));
}

// --- Whole streams -------------------------------------------------------------------------------

using Values = std::vector<float>;
using Pixels = std::vector<uint8_t>;

constexpr size_t kFrames = 4, kFrameBytes = 64 * 32 * 3;

// Four frames of a pattern; `speed` moves it.
Pixels chunk_of(int index, double speed) {
  Pixels pixels(kFrames * kFrameBytes);
  for (size_t i = 0; i < pixels.size(); ++i) {
    const double t = speed * (4.0 * index + static_cast<double>(i / kFrameBytes));
    const double x = static_cast<double>(i / 3 % 64), y = static_cast<double>(i / 192 % 32);
    pixels[i] = static_cast<uint8_t>(
        127.5 + 100 * std::sin(0.2 * x + 0.3 * y + t + static_cast<double>(i % 3)));
  }
  return pixels;
}

double rms_difference(const Values& a, const Values& b) {
  double sum = 0, own = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
    own += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  }
  return std::sqrt(sum / own);
}

// A model of the public family: no clean latents, flow, timesteps 100 below the noise level.
Json public_model() {
  Json json = tiny_model_json();
  json["dit"]["conditioning"] = "none";
  json["dit"]["prediction"] = "flow";
  json["schedule"]["timestepOffset"] = -100;
  json["schedule"]["latentScale"] = 1.0;
  json["schedule"]["noiseScale"] = 0.8;
  json["schedule"]["kvFrames"] = 6;
  json["schedule"]["sinkFrames"] = 3;
  json["schedule"]["adaptSinkThreshold"] = 0.2;
  return json;
}

// Streams of one model, one after another on the same engine, in either mode. What comes out is
// pixels for live sessions and latents in reference mode; claims compare like with like.
class Engine {
 public:
  Engine(Mode mode, int steps, int refresh_frame = 50) : mode_(mode), steps_(steps) {
    if (mode == Mode::live) {
      pipeline_ = Pipeline::load(ModelOptions{tiny_.dir(), "cpu", 1});
    } else {
      model_ = Model::load(tiny_.dir(), "cpu", 1);
      const ModelConfig& model = model_->config();
      ReferenceStreamConfig config;
      config.steps = step_list(model.schedule.steps, steps);
      config.kv_frames = model.schedule.kv_frames;
      config.sink_frames = model.schedule.sink_frames;
      config.sink_threshold = model.schedule.adapt_sink_threshold;
      config.noise_scale = model.schedule.noise_scale;
      config.latent_height = model.latent_height();
      config.latent_width = model.latent_width();
      config.refresh_frame = refresh_frame;
      reference_ = std::make_unique<ReferenceStream>(config, model_->dit());
      latent_shape_ =
          Shape{1, model.latent_height(), model.latent_width(), model.latent_channels()};
      noise_.resize(static_cast<size_t>(2 * latent_shape_.count()));
      fill_normal(0, 0, 0, noise_.data(), noise_.size());
    }
    open();
  }

  // Begins the next session.
  void open() {
    chunks_ = 0;
    if (mode_ == Mode::live) {
      session_ = pipeline_->open(TransformSettings{"rain", 1, steps_, 0});
    } else {
      encoder_ = model_->codec().make_encoder_state(32, 64);
    }
  }

  // Takes a chunk; returns the finished values, none while the stream fills.
  Values take(const Pixels& pixels) {
    const int index = chunks_++;
    if (mode_ == Mode::live) {
      Pixels out(pixels.size());
      Pipeline::Job job{session_.get(), pixels.data(), out.data(), {}};
      pipeline_->run(&job, 1);
      return job.result.has_frames ? Values(out.begin(), out.end()) : Values();
    }
    Values latent(static_cast<size_t>(latent_shape_.count()));
    const Tensor rgb(DType::u8, {4, 32, 64, 3}, const_cast<uint8_t*>(pixels.data()));
    model_->codec().encode(rgb, *encoder_, Tensor(latent_shape_, latent.data()));
    if (index == 0) {
      first_ = latent;
      return {};
    }
    if (index == 1) {
      first_.insert(first_.end(), latent.begin(), latent.end());
      return reference_
          ->prepare(Tensor(shape(2), first_.data()), noise(2), model_->encode_prompt("rain"),
                    Pixels(pixels.end() - static_cast<long>(kFrameBytes), pixels.end()))
          .back();
    }
    const ReferenceStream::Iteration done =
        reference_->next(pixels.data(), kFrames, Tensor(latent_shape_, latent.data()), noise(1));
    return done.finished ? done.x0.back() : Values();
  }

  // Frames that a row has written to its memory so far.
  int64_t remembered(int row) {
    if (mode_ == Mode::live) {
      return dynamic_cast<Session&>(*session_).cache(static_cast<size_t>(row)).frames();
    }
    return reference_->cache(row).layer(0).ring.global_end() / reference_->tokens_per_frame();
  }

 private:
  Shape shape(int64_t frames) const {
    return {frames, latent_shape_[1], latent_shape_[2], latent_shape_[3]};
  }
  std::vector<Tensor> noise(int64_t frames) {
    return std::vector<Tensor>(static_cast<size_t>(steps_), Tensor(shape(frames), noise_.data()));
  }

  TinyModel tiny_{public_model()};
  Mode mode_;
  int steps_, chunks_ = 0;
  std::unique_ptr<CodecState> encoder_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<StreamSession> session_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ReferenceStream> reference_;
  Shape latent_shape_;
  Values first_, noise_;  // the same noise for every chunk, so that a still stream is still
};

// Whether a session gives the same after another one as on a fresh engine.
bool owes_nothing_to_the_session_before(Mode mode, double speed, int chunks) {
  Engine used(mode, 1), fresh(mode, 1);
  for (int i = 0; i < 16; ++i) used.take(chunk_of(i, speed));
  used.open();
  for (int i = 0; i < chunks; ++i) {
    if (used.take(chunk_of(i, speed)) != fresh.take(chunk_of(i, speed))) return false;
  }
  return true;
}

// The public code's evict queues outlive a session. Still picture: its timestep is the list's own.
TEST_P(Defects, RingsBelongToASession) {
  claim("a session after another overwrites slots in the same order",
        owes_nothing_to_the_session_before(GetParam(), 0.0, 16));
}

// The public code writes the timestep that motion asks for into its step list. Two chunks, because
// the first session's evict queues show only later.
TEST_P(Defects, StepListSurvivesMotion) {
  claim("a session after a moving one starts at the same timestep",
        owes_nothing_to_the_session_before(GetParam(), 0.6, 2));
}

// Positions that start over while stored keys keep theirs: a still stream jumps there.
TEST_P(Defects, NoJumpInPosition) {
  Engine engine(GetParam(), 1);
  Values before;
  double worst = 0;
  int at = 0;
  for (int i = 0; i < 120; ++i) {
    const Values now = engine.take(chunk_of(0, 0));
    if (i >= 40) {
      const double change = rms_difference(now, before);
      if (change > worst) {
        worst = change;
        at = i;
      }
    }
    before = now;
  }
  claim("no chunk of a still stream differs by more than 0.2 % from the one before", worst < 2e-3);
  if (!live()) {
    EXPECT_EQ(at, 50) << "worst change " << worst;
  }
}

// Without that reset the public code ends at 1024 frames, the length of its tables. Ours have no
// end, but anchors at absolute positions move away from the present for ever.
TEST_P(Defects, AgeDoesNotShow) {
  Engine engine(GetParam(), 1, INT_MAX);
  Values young, old;
  for (int i = 0; i <= 1100; ++i) {
    const Values now = engine.take(chunk_of(0, 0));
    if (i == 60) young = now;
    old = now;
  }
  claim("chunk 1100 of a still stream looks like chunk 60", rms_difference(old, young) < 2e-3);
}

// While the public code's stream batch fills, rows without a chunk run on zeros, write their ring
// and leave a trace in its queue.
TEST_P(Defects, OnlyChunksAreRemembered) {
  Engine engine(GetParam(), 4);
  const int prepared = live() ? 0 : 2;  // frames that all rows begin with
  bool holds = true;
  for (int i = 0; i < 5; ++i) {
    engine.take(chunk_of(i, 0.1));
    const int chunks = i + 1 - prepared;
    for (int row = 0; chunks > 0 && row < 4; ++row) {
      holds = holds && engine.remembered(row) == prepared + std::max(0, chunks - row);
    }
  }
  claim("a row remembers the chunks that came to it and nothing else", holds);
}

// The public code hands on raw latents, but its decoder undoes a normalisation.
TEST_P(Defects, DecoderUndoesWhatTheEncoderDid) {
  WanVaeConfig config = WanVaeConfig::wan21();
  config.dim = 8;
  RandomWeights weights(3);
  const std::unique_ptr<Ops> ops = make_ops("reference");
  WanVae vae(config, weights, *ops);
  const Shape shape{1, 2, 2, config.latent_channels};
  const Pixels bytes = chunk_of(0, 0);
  Values pixels(16 * 16 * 3), raw(static_cast<size_t>(shape.count())), given(raw.size());
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(bytes[i]) / 127.5f - 1;
  const Tensor frame({1, 16, 16, 3}, pixels.data());
  WanVaeState first = vae.encoder_state(), second = vae.encoder_state();
  vae.encode(frame, first, false, Tensor(shape, raw.data()));
  vae.encode(frame, second, live(), Tensor(shape, given.data()));
  for (size_t i = 0; i < given.size(); ++i) {
    const size_t c = i % static_cast<size_t>(config.latent_channels);
    given[i] = given[i] * config.latent_std[c] + config.latent_mean[c];  // as decode() does
  }
  claim("the decoder sees the latent that the encoder made", rms_difference(raw, given) < 1e-5);
}

std::string name_of(const testing::TestParamInfo<Mode>& info) {
  return info.param == Mode::live ? "live" : "reference";
}

INSTANTIATE_TEST_SUITE_P(Modes, Defects, testing::Values(Mode::live, Mode::reference), name_of);

}  // namespace
}  // namespace driftless
