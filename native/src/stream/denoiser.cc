#include "stream/denoiser.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
      latent_({config.most_latents(), config.latent_channels()}),
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

void Denoiser::make_room(Batch& batch, size_t sessions, size_t rows_each) {
  const auto rows = static_cast<int64_t>(sessions * rows_each);
  batch.rows.reserve(sessions * rows_each);
  dit_rows_.reserve(sessions * rows_each);
  make_input_room(rows);
  if (rows <= batch.room_rows) return;
  // Before the larger one is taken; where that fails, the next forward takes what it needs.
  batch.room_rows = 0;
  batch.room.reset();
  batch.room = room_for({rows, latent_.count()}, batch.output);
  batch.room_rows = rows;
}

void Denoiser::make_input_room(int64_t rows) {
  if (rows <= room_rows_) return;
  room_rows_ = 0;
  room_.reset();
  room_ = room_for({rows, latent_[0] * config_.dit.in_channels}, input_);
  room_rows_ = rows;
}

std::unique_ptr<Arena> Denoiser::room_for(const Shape& shape, Tensor& tensor) const {
  const size_t bytes = Arena::rounded(static_cast<size_t>(shape.count()) * sizeof(float));
  auto room = std::make_unique<Arena>(bytes, 0, ops_.memory());
  tensor = room->tensor(shape);
  return room;
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

void Denoiser::start(Batch& batch) {
  batch.error = nullptr;
  try {
    make_room(batch, batch.rows.size(), 1);
    for (size_t from = 0; from < batch.rows.size();) {
      size_t to = from + 1;
      const PictureSize& size = batch.rows[from].session->picture().size();
      while (to < batch.rows.size() && batch.rows[to].session->picture().size() == size) ++to;
      start_as_fits(batch, from, to - from);
      from = to;
    }
  } catch (...) {
    batch.error = std::current_exception();  // those that were begun must be finished first
  }
}

void Denoiser::finish_oldest() {
  Batch& batch = *under_way_.front();
  under_way_.erase(under_way_.begin());
  --batch.forwards;
  try {
    dit_.finish();
  } catch (...) {
    if (!batch.error) batch.error = std::current_exception();
  }
}

void Denoiser::finish(Batch& batch) {
  while (batch.forwards > 0) finish_oldest();
  if (batch.error) std::rethrow_exception(std::exchange(batch.error, nullptr));
}

// In halves where a GPU has no room left for all at once, and one after another where it has none
// for two. A row that is tried again writes into its ring what it wrote before.
void Denoiser::start_as_fits(Batch& batch, size_t from, size_t count) {
  try {
    return start_group(batch, from, count);
  } catch (const OutOfMemory&) {
    if (count == 1 && under_way_.empty()) throw;
  }
  if (count == 1) {
    finish_oldest();
    return start_as_fits(batch, from, count);
  }
  const size_t half = count / 2;
  start_as_fits(batch, from, half);
  start_as_fits(batch, from + half, count - half);
}

void Denoiser::start_group(Batch& batch, size_t from, size_t count) {
  const Shape latent = batch.rows[from].session->picture().latent_shape();
  const int64_t channels = config_.latent_channels(), in_channels = config_.dit.in_channels;
  const int64_t n = static_cast<int64_t>(count), first = static_cast<int64_t>(from);
  const auto part = [&](const Tensor& of, int64_t last) {
    const Tensor rest = of.slice(first, of.dim(0));
    return shaped(rest.reshape({rest.count()}), {n, latent[1], latent[2], last});
  };
  const Tensor input = part(input_, in_channels);
  const Tensor output = part(batch.output, config_.dit.out_channels);
  dit_rows_.clear();
  for (int64_t r = 0; r < n; ++r) {
    Row& row = batch.rows[from + static_cast<size_t>(r)];
    const ChunkInFlight& chunk = *row.chunk;
    row.output = output.slice(r, r + 1);
    const Tensor in = input.slice(r, r + 1);
    ops_.copy_channels(chunk.latents.noisy, 0, channels, in, 0);
    if (config_.clean_conditioning) {
      ops_.copy_channels(chunk.latents.clean, 0, channels, in, channels);
    }
    dit_rows_.push_back(
        DitRow{1, &chunk.timestep, &row.session->cache(row.step), &chunk.prompt(), {}});
  }
  dit_.start(dit_rows_.data(), n, input, output);
  ++batch.forwards;
  under_way_.push_back(&batch);
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
    replayed_.rows.assign(1, Row{nullptr, &session, &chunk, k, {}});
    start(replayed_);
    finish(replayed_);
    predict(replayed_.rows[0]);
    session.cache(k).finish();
  }
  return replayed_.rows.empty() ? Tensor() : replayed_.rows[0].output;
}

void Denoiser::recache(Session& session) {
  const ChunkInFlight& newest = session.newest();
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
    replay(session, chunk, session.rows_past(entry.index));
  }
  chunk.settings.reset();
}

}  // namespace driftless
