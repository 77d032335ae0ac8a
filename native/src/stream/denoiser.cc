#include "stream/denoiser.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "models/weights.h"

namespace driftless {

namespace {

// How far the picture moves from the original to the repainted one, and beyond it. The root makes
// the upper third of the scale up to 1 look fully repainted, as people expect, while 0 is still
// exactly the original.
float blend_of(float strength) { return strength < 1 ? std::sqrt(strength) : strength; }

// The first values of a flat tensor, in this shape.
Tensor shaped(const Tensor& flat, const Shape& shape) {
  return flat.slice(0, shape.count()).reshape(shape);
}

}  // namespace

Denoiser::Denoiser(const ModelConfig& config, CausalDit& dit, Ops& ops)
    : config_(config),
      dit_(dit),
      ops_(ops),
      schedule_(config.schedule.shift),
      scale_(static_cast<float>(config.schedule.latent_scale)),
      latent_({config.latent_height() * config.latent_width(), config.latent_channels()}),
      memory_(2 * Arena::rounded(static_cast<size_t>(latent_.count()) * sizeof(float)) + 4096, 0,
              ops.memory()),
      estimate_(memory_.tensor({latent_.count()})),
      drawn_(memory_.tensor({latent_.count()})) {
  const bool raw = config.schedule.raw_latents;
  std::vector<float> scale, shift;
  for (size_t c = 0; c < static_cast<size_t>(config.latent_channels()); ++c) {
    scale.push_back(raw ? scale_ * codec_latent_std(config.autoencoder)[c] : scale_);
    shift.push_back(raw ? scale_ * codec_latent_mean(config.autoencoder)[c] : 0.0f);
  }
  input_scale_ = parameter(scale, {config.latent_channels()}, ops, memory_);
  input_shift_ = parameter(shift, {config.latent_channels()}, ops, memory_);
}

void Denoiser::make_room(size_t sessions, size_t rows_each) {
  const auto rows = static_cast<int64_t>(sessions * rows_each);
  dit_rows_.reserve(sessions * rows_each);
  if (rows <= room_rows_) return;
  const Shape input{rows, latent_[0] * config_.dit.in_channels}, output{rows, latent_.count()};
  // Before the larger one is taken; where that fails, the next forward takes what it needs.
  room_rows_ = 0;
  room_.reset();
  const auto bytes = [](const Shape& shape) {
    return Arena::rounded(static_cast<size_t>(shape.count()) * sizeof(float));
  };
  room_ = std::make_unique<Arena>(bytes(input) + bytes(output), 0, ops_.memory());
  input_ = room_->tensor(input);
  output_ = room_->tensor(output);
  room_rows_ = rows;
}

// The stream's own tensor, or fresh values.
Tensor Denoiser::noise_for(const ChunkInFlight& chunk, size_t step) {
  if (chunk.latents.noise.present()) return chunk.latents.noise;
  const Tensor noise = shaped(drawn_, chunk.latents.clean.shape());
  ops_.normal_noise(chunk.settings->asked.seed, 1 + chunk.index,
                    step * static_cast<size_t>(noise.count()), noise);
  return noise;
}

void Denoiser::enter(ChunkInFlight& chunk) {
  const Tensor& noisy = chunk.latents.noisy;
  ops_.affine_channels(chunk.latents.clean, input_scale_, input_shift_, noisy);
  ops_.axpby(1.0f - chunk.noise_scale, noisy, chunk.noise_scale, noise_for(chunk, 0), noisy);
}

void Denoiser::forward(std::vector<Row>& rows) {
  make_room(rows.size(), 1);
  for (size_t from = 0; from < rows.size();) {
    size_t to = from + 1;
    const PictureSize& size = rows[from].session->picture().size();
    while (to < rows.size() && rows[to].session->picture().size() == size) ++to;
    forward_as_fits(rows.data() + from, to - from, from);
    from = to;
  }
}

// In halves where a GPU has no room left for all at once. A row that is tried again writes into its
// ring what it wrote before.
void Denoiser::forward_as_fits(Row* rows, size_t count, size_t at) {
  try {
    return forward_group(rows, count, at);
  } catch (const OutOfMemory&) {
    if (count == 1) throw;
  }
  const size_t half = count / 2;
  forward_as_fits(rows, half, at);
  forward_as_fits(rows + half, count - half, at + half);
}

// at: of the first row in its list, and so in input_ and output_.
void Denoiser::forward_group(Row* rows, size_t count, size_t at) {
  const Shape latent = rows[0].session->picture().latent_shape();
  const int64_t channels = config_.latent_channels(), in_channels = config_.dit.in_channels;
  const int64_t n = static_cast<int64_t>(count), first = static_cast<int64_t>(at);
  const auto part = [&](const Tensor& of, int64_t last) {
    const Tensor rest = of.slice(first, of.dim(0));
    return shaped(rest.reshape({rest.count()}), {n, latent[1], latent[2], last});
  };
  const Tensor input = part(input_, in_channels);
  const Tensor output = part(output_, config_.dit.out_channels);
  dit_rows_.clear();
  for (int64_t r = 0; r < n; ++r) {
    Row& row = rows[r];
    const ChunkInFlight& chunk = *row.chunk;
    row.output = output.slice(r, r + 1);
    const Tensor in = input.slice(r, r + 1);
    ops_.copy_channels(chunk.latents.noisy, 0, channels, in, 0);
    if (config_.clean_conditioning) {
      ops_.copy_channels(chunk.latents.clean, 0, channels, in, channels);
    }
    dit_rows_.push_back(DitRow{1, &chunk.timestep, &row.session->cache(row.step), &chunk.prompt()});
  }
  dit_.forward(dit_rows_.data(), n, input, output);
}

void Denoiser::predict(const Row& row) {
  const ChunkInFlight& chunk = *row.chunk;
  x0_ = shaped(estimate_, row.output.shape());
  if (config_.prediction == Prediction::x0) return ops_.copy(row.output, x0_);
  // x0 = noisy - sigma * flow, at the level that the network was told, which an offset may set
  // below the true one.
  const float sigma = schedule_.sigma(chunk.timestep);
  ops_.axpby(1.0f / scale_, chunk.latents.noisy, -sigma / scale_, row.output, x0_);
}

void Denoiser::step_down(ChunkInFlight& chunk, size_t step) {
  chunk.timestep = config_.schedule.steps[step];
  const float sigma = schedule_.sigma(chunk.timestep);
  ops_.axpby((1.0f - sigma) * scale_, x0_, sigma, noise_for(chunk, step), chunk.latents.noisy);
}

void Denoiser::show_clean(ChunkInFlight& chunk) {
  chunk.timestep = 0;
  ops_.axpby(scale_, x0_, 0.0f, x0_, chunk.latents.noisy);
}

void Denoiser::mix(const ChunkInFlight& chunk, const Tensor& latents) const {
  const float blend = blend_of(chunk.settings->asked.strength);
  ops_.axpby(1.0f - blend, chunk.latents.clean, blend, x0_, latents);
}

Tensor Denoiser::replay(Session& session, ChunkInFlight& chunk, size_t rows) {
  for (size_t k = 0; k < std::min(rows, session.rows()); ++k) {
    if (k > 0) step_down(chunk, k);
    replayed_.assign(1, Row{nullptr, &session, &chunk, k, {}});
    forward(replayed_);
    predict(replayed_[0]);
    session.cache(k).finish();
  }
  return replayed_.empty() ? Tensor() : replayed_[0].output;
}

void Denoiser::recache(Session& session) {
  const ChunkInFlight& newest = session.row(0);
  LatentHistory& history = *session.history();
  ChunkInFlight& chunk = session.recache_chunk();
  chunk.settings = newest.settings;
  if (chunk.latents.noise.present()) ops_.copy(newest.latents.noise, chunk.latents.noise);
  for (size_t k = 0; k < session.rows(); ++k) session.cache(k).restart();
  for (size_t i = 0; i < history.size(); ++i) {
    const LatentHistory::Entry& entry = history[i];
    chunk.index = entry.index;
    chunk.noise_scale = entry.noise_scale;
    chunk.timestep = entry.timestep;
    ops_.copy(entry.clean, chunk.latents.clean);
    enter(chunk);
    // Row k has seen the chunks up to k before the newest one that has been through row 0.
    replay(session, chunk, static_cast<size_t>(newest.index - entry.index));
  }
  chunk.settings.reset();
}

}  // namespace driftless
