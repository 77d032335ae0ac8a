#include "stream/session.h"

#include <algorithm>

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

}  // namespace

Session::Session(const ModelConfig& config, const LatentCodec& codec, const void* owner,
                 std::shared_ptr<const ActiveSettings> settings)
    : config_(config),
      owner_(owner),
      settings_(std::move(settings)),
      encoder_state_(codec.make_encoder_state(config.height, config.width)),
      decoder_state_(codec.make_decoder_state(config.height, config.width)),
      controller_(controller_config(config)) {
  fit_rows();
}

void Session::fit_rows() {
  const size_t steps = static_cast<size_t>(settings_->asked.steps);
  const size_t latent = static_cast<size_t>(config_.latent_height()) *
                        static_cast<size_t>(config_.latent_width()) *
                        static_cast<size_t>(config_.latent_channels());
  while (caches_.size() > steps) caches_.pop_back();
  while (rows_.size() > steps) rows_.pop_back();
  caches_.reserve(steps);
  while (caches_.size() < steps) {
    if (caches_.empty()) {
      caches_.emplace_back(cache_config(config_));
    } else {
      caches_.push_back(caches_.back());
    }
  }
  while (rows_.size() < steps) {
    ChunkInFlight chunk;
    chunk.clean.resize(latent);
    chunk.noisy.resize(latent);
    rows_.push_back(std::move(chunk));
  }
}

ChunkInFlight& Session::begin(const uint8_t* rgb) {
  fit_rows();
  const size_t frame = 3 * static_cast<size_t>(config_.width) * static_cast<size_t>(config_.height);
  const size_t frames = static_cast<size_t>(config_.frames_per_chunk);
  const auto decision =
      controller_.next(last_frame_.empty() ? nullptr : last_frame_.data(), rgb, frames, frame);
  last_frame_.assign(rgb + (frames - 1) * frame, rgb + frames * frame);

  // The finished chunk's buffers come round to the top.
  std::rotate(rows_.begin(), rows_.end() - 1, rows_.end());
  ChunkInFlight& chunk = rows_.front();
  chunk.present = true;
  chunk.index = next_index_++;
  chunk.noise_scale = static_cast<float>(decision.noise_scale);
  chunk.timestep = decision.timestep;
  chunk.settings = settings_;
  for (size_t k = 1; k < rows_.size(); ++k) rows_[k].timestep = config_.schedule.steps[k];
  return chunk;
}

const float* Session::noise_for(const ChunkInFlight& chunk, size_t row,
                                std::vector<float>& scratch) const {
  if (config_.schedule.noise == NoiseSource::fixed) return chunk.settings->noise->data();
  scratch.resize(chunk.noisy.size());
  fill_normal(chunk.settings->asked.seed, 1 + chunk.index, row * scratch.size(), scratch.data(),
              scratch.size());
  return scratch.data();
}

}  // namespace driftless
