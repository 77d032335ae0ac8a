#include "stream/session.h"

#include <algorithm>

#include "core/error.h"
#include "core/philox.h"

namespace driftless {

namespace {

NoiseControllerConfig controller_config(const ModelConfig& config) {
  NoiseControllerConfig controller;
  controller.noise_scale = config.schedule.noise_scale;
  controller.motion_range = config.schedule.motion_range;
  controller.timestep_offset = config.schedule.timestep_offset;
  return controller;
}

RollingConfig cache_config(const ModelConfig& config) {
  RollingConfig cache;
  const int64_t p = config.dit.patch;
  cache.tokens_per_frame =
      static_cast<int>((config.latent_height() / p) * (config.latent_width() / p));
  cache.kv_frames = config.schedule.kv_frames;
  cache.sink_frames = config.schedule.sink_frames;
  cache.sink_threshold = config.schedule.adapt_sink_threshold;
  cache.layers = static_cast<int>(config.dit.layers);
  cache.heads = static_cast<int>(config.dit.heads);
  cache.head_dim = static_cast<int>(config.dit.head_dim());
  return cache;
}

size_t latent_values(const ModelConfig& config) {
  return static_cast<size_t>(config.latent_height()) * static_cast<size_t>(config.latent_width()) *
         static_cast<size_t>(config.latent_channels());
}

size_t frame_bytes(const ModelConfig& config) {
  return 3 * static_cast<size_t>(config.width) * static_cast<size_t>(config.height);
}

// Of the history: row k is k chunks behind the newest, so its window reaches as much further back.
size_t newest_frames(const ModelConfig& config, size_t steps) {
  return static_cast<size_t>(config.schedule.kv_frames - config.schedule.sink_frames) + steps - 1;
}

}  // namespace

SessionBytes Session::bytes(const ModelConfig& config, int max_steps) {
  const size_t steps = static_cast<size_t>(max_steps);
  const ScheduleConfig& schedule = config.schedule;
  const bool fixed = schedule.noise == NoiseSource::fixed;
  const size_t latent = Arena::rounded(latent_values(config) * sizeof(float));
  const size_t chunk = (fixed ? 3 : 2) * latent;
  SessionBytes bytes;
  bytes.rings = steps * RollingCache::bytes(cache_config(config));
  bytes.latents = steps * chunk + (fixed ? latent : 0);
  bytes.prompt = PromptBlend::bytes(config.dit);
  if (schedule.blend_chunks > 1) bytes.prompt += steps * PromptKv::bytes(config.dit);
  if (schedule.prompt_ring == PromptRing::recache) {
    const size_t sinks = static_cast<size_t>(schedule.sink_frames);
    bytes.history =
        chunk + LatentHistory::bytes(latent_values(config), sinks, newest_frames(config, steps));
  }
  bytes.picture = Arena::rounded(frame_bytes(config));
  bytes.codec = codec_state_bytes(config.autoencoder, config.height, config.width).sum();
  return bytes;
}

Session::Session(const ModelConfig& config, const LatentCodec& codec,
                 std::shared_ptr<const void> owner, int max_steps,
                 std::shared_ptr<const ActiveSettings> settings)
    : config_(config),
      owner_(std::move(owner)),
      settings_(std::move(settings)),
      encoder_state_(codec.make_encoder_state(config.height, config.width)),
      decoder_state_(codec.make_decoder_state(config.height, config.width)),
      memory_(bytes(config, max_steps).arena()),
      controller_(controller_config(config)),
      last_frame_(static_cast<uint8_t*>(memory_.allocate(frame_bytes(config)))),
      blend_(memory_, config.dit) {
  const size_t steps = static_cast<size_t>(max_steps);
  if (config.schedule.noise == NoiseSource::fixed) {
    noise_ = memory_.tensor({static_cast<int64_t>(latent_values(config))}).f32();
  }
  caches_.reserve(steps);
  chunks_.reserve(steps);
  for (size_t i = 0; i < steps; ++i) {
    caches_.emplace_back(cache_config(config), memory_);
    chunks_.push_back(make_chunk());
    if (config.schedule.blend_chunks > 1) chunks_.back().blend = PromptKv::in(memory_, config.dit);
  }
  if (config.schedule.prompt_ring == PromptRing::recache) {
    history_.emplace(memory_, latent_values(config),
                     static_cast<size_t>(config.schedule.sink_frames),
                     newest_frames(config, steps));
    recache_ = make_chunk();
  }
  blend_.stand(settings_->prompt->text);
  fit_rows();
}

ChunkInFlight Session::make_chunk() {
  const Shape latent{static_cast<int64_t>(latent_values(config_))};
  ChunkInFlight chunk;
  chunk.clean = memory_.tensor(latent).f32();
  chunk.noisy = memory_.tensor(latent).f32();
  if (noise_ != nullptr) chunk.noise = memory_.tensor(latent).f32();
  return chunk;
}

void Session::set_settings(std::shared_ptr<const ActiveSettings> settings) {
  const auto before = std::exchange(settings_, std::move(settings));
  if (settings_->prompt == before->prompt) return;
  if (next_index_ == 0) {
    blend_.stand(settings_->prompt->text);
  } else {
    blend_.aim(settings_->prompt->text, config_.schedule.blend_chunks);
  }
}

void Session::fit_rows() {
  const size_t steps = static_cast<size_t>(settings_->asked.steps);
  DL_CHECK(steps <= chunks_.size(), "steps of this session",
           "at most " + std::to_string(chunks_.size()), steps);
  for (; rows_ > steps; --rows_) {
    chunks_[rows_ - 1].present = false;
    chunks_[rows_ - 1].settings.reset();
  }
  for (; rows_ < steps; ++rows_) {
    if (rows_ > 0) caches_[rows_].copy_from(caches_[rows_ - 1]);
  }
}

ChunkInFlight& Session::begin(const uint8_t* rgb) {
  fit_rows();
  renew_sinks();
  const size_t frame = frame_bytes(config_);
  const size_t frames = static_cast<size_t>(config_.frames_per_chunk);
  const NoiseController::Decision& decision =
      controller_.next(next_index_ == 0 ? nullptr : last_frame_, rgb, frames, frame);
  std::copy_n(rgb + (frames - 1) * frame, frame, last_frame_);

  // The finished chunk's buffers come round to the top.
  std::rotate(chunks_.begin(), chunks_.begin() + static_cast<long>(rows_) - 1,
              chunks_.begin() + static_cast<long>(rows_));
  ChunkInFlight& chunk = chunks_.front();
  chunk.present = true;
  chunk.index = next_index_++;
  chunk.noise_scale = static_cast<float>(decision.noise_scale);
  chunk.timestep = decision.timestep;
  chunk.settings = settings_;
  const bool arriving = blend_.moving();
  blend_.step();
  chunk.blended = blend_.moving();
  recache_due_ = history_ && arriving && !chunk.blended;
  if (noise_ != nullptr) {
    const size_t values = latent_values(config_);
    const uint64_t seed = settings_->asked.seed;
    if (noise_seed_ != seed) fill_normal(seed, 0, 0, noise_, values);
    noise_seed_ = seed;
    std::copy_n(noise_, values, chunk.noise);
  }
  for (size_t k = 1; k < rows_; ++k) chunks_[k].timestep = config_.schedule.steps[k];
  return chunk;
}

void Session::guard(const ChunkInFlight& chunk, float* x0) {
  if (!drift_guard) return;
  if (guarded_ != chunk.settings) {
    const bool first = guarded_ == nullptr;
    const TransformSettings& now = chunk.settings->asked;
    const TransformSettings& before = first ? now : guarded_->asked;
    // Strength comes after the guard.
    if (now.prompt != before.prompt || now.seed != before.seed || now.steps != before.steps) {
      drift_guard->restart();
    }
    guarded_ = chunk.settings;
  }
  const size_t channels = static_cast<size_t>(config_.latent_channels());
  drift_guard->apply(chunk.clean, x0, latent_values(config_) / channels);
}

// One sink of every row, when the guard's corrections have gone on for long.
void Session::renew_sinks() {
  const int sinks = config_.schedule.sink_frames;
  if (!drift_guard || !drift_guard->take_renewal() || sinks == 0) return;
  const auto turn = drift_guard->counters().renewals % static_cast<uint64_t>(sinks);
  for (size_t row = 0; row < rows_; ++row) caches_[row].renew_sink(static_cast<int>(turn));
}

}  // namespace driftless
