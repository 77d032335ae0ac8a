#include "stream/reference_stream.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

RingConfig ring_config(const ReferenceStreamConfig& config, int tokens_per_frame) {
  RingConfig ring;
  ring.tokens_per_frame = tokens_per_frame;
  ring.kv_frames = config.kv_frames;
  ring.sink_frames = config.sink_frames;
  ring.sink_threshold = config.sink_threshold;
  ring.sub_steps = config.sequential ? static_cast<int>(config.steps.size()) : 1;
  return ring;
}

NoiseControllerConfig controller_config(const ReferenceStreamConfig& config) {
  NoiseControllerConfig controller;
  controller.noise_scale = config.noise_scale;
  return controller;
}

}  // namespace

ReferenceStream::ReferenceStream(const ReferenceStreamConfig& config, CausalDit& dit)
    : config_(config),
      dit_(dit),
      schedule_(config.shift, config.schedule_entries),
      controller_(controller_config(config)),
      channels_(dit.config().in_channels) {
  DL_CHECK_EQ("reference stream: channels in and out", dit.config().in_channels,
              dit.config().out_channels);
  DL_CHECK(!config.steps.empty(), "reference stream: steps", "at least one", "none");
  const int64_t p = dit.config().patch;
  tokens_per_frame_ = static_cast<int>((config.latent_height / p) * (config.latent_width / p));
  latent_size_ = static_cast<size_t>(config.latent_height * config.latent_width * channels_);
  caches_.emplace_back(ring_config(config, tokens_per_frame_),
                       static_cast<int>(dit.config().layers), static_cast<int>(dit.config().dim));
}

// Clean estimates of `rows` rows of `frames` latents each, at timesteps_ and starts_.
void ReferenceStream::forward(int64_t rows, int64_t frames, const float* x,
                              std::vector<float>& x0) {
  const int64_t total = rows * frames;
  std::vector<double> timesteps;
  std::vector<DitRow> batch(static_cast<size_t>(rows));
  for (size_t r = 0; r < batch.size(); ++r) {
    timesteps.insert(timesteps.end(), static_cast<size_t>(frames), timesteps_[r]);
  }
  for (size_t r = 0; r < batch.size(); ++r) {
    caches_[r].begin(starts_[r]);
    batch[r] = DitRow{frames, timesteps.data() + r * static_cast<size_t>(frames), &caches_[r],
                      prompt_.get()};
  }
  const Shape shape{total, config_.latent_height, config_.latent_width, channels_};
  x0.resize(static_cast<size_t>(total) * latent_size_);
  dit_.forward(batch.data(), rows, Tensor(shape, const_cast<float*>(x)), Tensor(shape, x0.data()));
  for (size_t f = 0; f < timesteps.size(); ++f) {
    const size_t at = f * latent_size_;
    x0_from_flow(x + at, x0.data() + at, schedule_.sigma(timesteps[f]), latent_size_,
                 x0.data() + at);
  }
}

std::vector<std::vector<float>> ReferenceStream::prepare(const Tensor& latents,
                                                         const std::vector<Tensor>& noise,
                                                         std::shared_ptr<const PromptKv> prompt,
                                                         std::vector<uint8_t> last_pixels) {
  const size_t steps = config_.steps.size();
  DL_CHECK_EQ("prepare: noise tensors", steps, noise.size());
  caches_.resize(1, caches_[0]);
  caches_[0].restart();
  controller_ = NoiseController(controller_config(config_));
  iterations_ = 0;
  prompt_ = std::move(prompt);
  last_pixels_ = std::move(last_pixels);
  const size_t size = static_cast<size_t>(latents.count());
  std::vector<float> x(size);
  add_noise(latents.f32(), noise[0].f32(), static_cast<float>(config_.noise_scale), size, x.data());
  std::vector<std::vector<float>> x0(steps);
  starts_ = {0};
  for (size_t i = 0; i < steps; ++i) {
    timesteps_ = {static_cast<double>(config_.steps[i])};
    forward(1, latents.dim(0), x.data(), x0[i]);
    if (i + 1 < steps) {
      add_noise(x0[i].data(), noise[i + 1].f32(), schedule_.sigma(config_.steps[i + 1]), size,
                x.data());
    }
  }
  next_start_ = static_cast<int>(latents.dim(0)) * tokens_per_frame_;
  const size_t rows = config_.sequential ? 1 : steps;
  caches_.resize(rows, caches_[0]);
  starts_.assign(rows, next_start_);
  timesteps_.assign(config_.steps.begin(), config_.steps.begin() + static_cast<long>(rows));
  state_.assign(rows * latent_size_, 0.0f);
  return x0;
}

ReferenceStream::Iteration ReferenceStream::next(const uint8_t* pixels, size_t pixel_frames,
                                                 const Tensor& latent,
                                                 const std::vector<Tensor>& noise,
                                                 const AfterForward& after) {
  DL_CHECK_EQ("iteration: noise tensors", config_.steps.size(), noise.size());
  DL_CHECK_EQ("iteration: values of a latent", latent_size_, static_cast<size_t>(latent.count()));
  Iteration out;
  const size_t frame = last_pixels_.size();
  out.decision =
      controller_.next(frame_differences(last_pixels_.data(), pixels, pixel_frames, frame), frame);
  last_pixels_.assign(pixels + (pixel_frames - 1) * frame, pixels + pixel_frames * frame);
  if (next_start_ / tokens_per_frame_ >= config_.refresh_frame) {
    next_start_ = (config_.kv_frames - 1) * tokens_per_frame_;
  }
  out.noisy_in.resize(latent_size_);
  add_noise(latent.f32(), noise[0].f32(), static_cast<float>(out.decision.noise_scale),
            latent_size_, out.noisy_in.data());
  if (config_.sequential) {
    run_sequential(noise, out, after);
  } else {
    run_batch(noise, out, after);
  }
  next_start_ += tokens_per_frame_;
  ++iterations_;
  return out;
}

void ReferenceStream::run_batch(const std::vector<Tensor>& noise, Iteration& out,
                                const AfterForward& after) {
  // Chunks move down the rows; each row keeps its own memory, which belongs to its noise level.
  const size_t rows = caches_.size();
  std::copy_backward(state_.begin(), state_.end() - static_cast<long>(latent_size_), state_.end());
  std::copy(out.noisy_in.begin(), out.noisy_in.end(), state_.begin());
  std::copy_backward(starts_.begin(), starts_.end() - 1, starts_.end());
  starts_[0] = next_start_;
  timesteps_[0] = config_.steps[0] = out.decision.step;
  std::vector<float> x0;
  forward(static_cast<int64_t>(rows), 1, state_.data(), x0);
  for (size_t r = 0; r < rows; ++r) {
    float* row = x0.data() + r * latent_size_;
    out.x0.emplace_back(row, row + latent_size_);
    if (r + 1 < rows) {
      add_noise(row, noise[r + 1].f32(), schedule_.sigma(config_.steps[r + 1]), latent_size_, row);
    }
  }
  state_ = std::move(x0);
  out.finished = iterations_ + 1 >= static_cast<int>(rows);
  if (after) after(0);
}

void ReferenceStream::run_sequential(const std::vector<Tensor>& noise, Iteration& out,
                                     const AfterForward& after) {
  state_ = out.noisy_in;
  starts_ = {next_start_};
  const size_t steps = config_.steps.size();
  for (size_t i = 0; i < steps; ++i) {
    timesteps_ = {static_cast<double>(i == 0 ? out.decision.step : config_.steps[i])};
    std::vector<float> x0;
    forward(1, 1, state_.data(), x0);
    out.x0.push_back(x0);
    if (i + 1 < steps) {
      add_noise(x0.data(), noise[i + 1].f32(), schedule_.sigma(config_.steps[i + 1]), latent_size_,
                x0.data());
    }
    state_ = std::move(x0);
    if (after) after(static_cast<int>(i));
  }
  out.finished = true;
}

}  // namespace driftless
