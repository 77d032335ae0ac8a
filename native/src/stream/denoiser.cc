#include "stream/denoiser.h"

#include <algorithm>
#include <cmath>

#include "core/philox.h"

namespace driftless {

namespace {

// How far the picture moves from the original to the repainted one, and beyond it. The root makes
// the upper third of the scale up to 1 look fully repainted, as people expect, while 0 is still
// exactly the original.
float blend_of(float strength) { return strength < 1 ? std::sqrt(strength) : strength; }

}  // namespace

Denoiser::Denoiser(const ModelConfig& config, CausalDit& dit)
    : config_(config),
      dit_(dit),
      schedule_(config.schedule.shift),
      scale_(static_cast<float>(config.schedule.latent_scale)),
      latent_size_(static_cast<size_t>(config.latent_height() * config.latent_width() *
                                       config.latent_channels())),
      x0_(latent_size_),
      noise_(latent_size_) {
  const bool raw = config.schedule.raw_latents;
  for (size_t c = 0; c < static_cast<size_t>(config.latent_channels()); ++c) {
    input_scale_.push_back(raw ? scale_ * codec_latent_std(config.autoencoder)[c] : scale_);
    input_shift_.push_back(raw ? scale_ * codec_latent_mean(config.autoencoder)[c] : 0.0f);
  }
}

void Denoiser::make_room(size_t sessions, size_t rows_each) {
  const size_t rows = sessions * rows_each;
  const size_t pixels = latent_size_ / input_scale_.size();
  dit_rows_.reserve(rows);
  input_.reserve(rows * pixels * static_cast<size_t>(config_.dit.in_channels));
  output_.reserve(rows * latent_size_);
}

// The stream's own tensor, or fresh values.
const float* Denoiser::noise_for(const ChunkInFlight& chunk, size_t step) {
  if (chunk.latents.noise != nullptr) return chunk.latents.noise;
  fill_normal(chunk.settings->asked.seed, 1 + chunk.index, step * chunk.values, noise_.data(),
              chunk.values);
  return noise_.data();
}

void Denoiser::enter(ChunkInFlight& chunk) {
  const float* eps = noise_for(chunk, 0);
  const size_t channels = input_scale_.size();
  for (size_t i = 0; i < chunk.values; ++i) {
    const float input =
        input_scale_[i % channels] * chunk.latents.clean[i] + input_shift_[i % channels];
    chunk.latents.noisy[i] = (1.0f - chunk.noise_scale) * input + chunk.noise_scale * eps[i];
  }
}

void Denoiser::forward(std::vector<Row>& rows) {
  const size_t pixels = latent_size_ / input_scale_.size();
  input_.resize(rows.size() * pixels * static_cast<size_t>(config_.dit.in_channels));
  output_.resize(rows.size() * latent_size_);
  for (size_t from = 0; from < rows.size();) {
    size_t to = from + 1;
    const PictureSize& size = rows[from].session->picture().size();
    while (to < rows.size() && rows[to].session->picture().size() == size) ++to;
    forward_group(rows.data() + from, to - from, from);
    from = to;
  }
}

// at: of the first row in its list, and so in input_ and output_.
void Denoiser::forward_group(Row* rows, size_t count, size_t at) {
  const Shape latent = rows[0].session->picture().latent_shape();
  const int64_t in_channels = config_.dit.in_channels;
  const size_t channels = input_scale_.size(), values = static_cast<size_t>(latent.count());
  float* const input =
      input_.data() + at * latent_size_ / channels * static_cast<size_t>(in_channels);
  float* const output = output_.data() + at * latent_size_;
  float* in = input;
  dit_rows_.clear();
  for (size_t r = 0; r < count; ++r) {
    const ChunkInFlight& chunk = *rows[r].chunk;
    rows[r].output = output + r * values;
    for (size_t i = 0; i < values; i += channels, in += in_channels) {
      std::copy_n(chunk.latents.noisy + i, channels, in);
      if (config_.clean_conditioning) {
        std::copy_n(chunk.latents.clean + i, channels, in + channels);
      }
    }
    dit_rows_.push_back(
        DitRow{1, &chunk.timestep, &rows[r].session->cache(rows[r].step), &chunk.prompt()});
  }
  const auto n = static_cast<int64_t>(count);
  dit_.forward(dit_rows_.data(), n, Tensor({n, latent[1], latent[2], in_channels}, input),
               Tensor({n, latent[1], latent[2], config_.dit.out_channels}, output));
}

void Denoiser::predict(const Row& row) {
  const ChunkInFlight& chunk = *row.chunk;
  if (config_.prediction == Prediction::x0) {
    std::copy_n(row.output, chunk.values, x0_.data());
    return;
  }
  // The level that the network was told, which an offset may set below the true one.
  const float sigma = schedule_.sigma(chunk.timestep);
  x0_from_flow(chunk.latents.noisy, row.output, sigma, chunk.values, x0_.data());
  for (size_t i = 0; i < chunk.values; ++i) x0_[i] /= scale_;
}

void Denoiser::step_down(ChunkInFlight& chunk, size_t step) {
  const float sigma = schedule_.sigma(config_.schedule.steps[step]);
  const float* eps = noise_for(chunk, step);
  chunk.timestep = config_.schedule.steps[step];
  for (size_t i = 0; i < chunk.values; ++i) {
    chunk.latents.noisy[i] = (1.0f - sigma) * scale_ * x0_[i] + sigma * eps[i];
  }
}

void Denoiser::show_clean(ChunkInFlight& chunk) {
  chunk.timestep = 0;
  for (size_t i = 0; i < chunk.values; ++i) chunk.latents.noisy[i] = scale_ * x0_[i];
}

void Denoiser::mix(const ChunkInFlight& chunk, float* latents) const {
  const float blend = blend_of(chunk.settings->asked.strength);
  for (size_t i = 0; i < chunk.values; ++i) {
    const float clean = chunk.latents.clean[i];
    latents[i] = clean + blend * (x0_[i] - clean);
  }
}

float* Denoiser::replay(Session& session, ChunkInFlight& chunk, size_t rows) {
  for (size_t k = 0; k < std::min(rows, session.rows()); ++k) {
    if (k > 0) step_down(chunk, k);
    replayed_.assign(1, Row{nullptr, &session, &chunk, k});
    forward(replayed_);
    predict(replayed_[0]);
    session.cache(k).finish();
  }
  return output_.data();
}

void Denoiser::recache(Session& session) {
  const ChunkInFlight& newest = session.row(0);
  LatentHistory& history = *session.history();
  ChunkInFlight& chunk = session.recache_chunk();
  chunk.settings = newest.settings;
  if (chunk.latents.noise != nullptr) {
    std::copy_n(newest.latents.noise, chunk.values, chunk.latents.noise);
  }
  for (size_t k = 0; k < session.rows(); ++k) session.cache(k).restart();
  for (size_t i = 0; i < history.size(); ++i) {
    const LatentHistory::Entry& entry = history[i];
    chunk.index = entry.index;
    chunk.noise_scale = entry.noise_scale;
    chunk.timestep = entry.timestep;
    std::copy_n(entry.clean, chunk.values, chunk.latents.clean);
    enter(chunk);
    // Row k has seen the chunks up to k before the newest one that has been through row 0.
    replay(session, chunk, static_cast<size_t>(newest.index - entry.index));
  }
  chunk.settings.reset();
}

}  // namespace driftless
