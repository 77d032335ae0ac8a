#pragma once

// One stream denoised exactly as the public implementation does it, with every random number handed
// in. It works on latents; who encodes and decodes them does not matter to it. Live sessions run on
// Pipeline, which shares the parts but not the quirks.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "models/causal_dit.h"
#include "stream/flow_schedule.h"
#include "stream/noise_controller.h"
#include "stream/reference_ring.h"

namespace driftless {

struct ReferenceStreamConfig {
  std::vector<int> steps;  // timesteps
  int kv_frames = 6;
  int sink_frames = 3;
  float sink_threshold = 0.2f;
  int64_t latent_height = 0, latent_width = 0;
  int refresh_frame = 50;   // position at which RoPE positions start over
  bool sequential = false;  // all steps of a chunk at once on one row, instead of a stream batch
  double noise_scale = 0.8;
  double shift = 8.0;
  int schedule_entries = 1000;
};

// Latents are [n, latent_height, latent_width, channels] throughout.
class ReferenceStream {
 public:
  // `dit` must predict flow and outlive the stream. Throws Error when it sees clean latents too.
  ReferenceStream(const ReferenceStreamConfig& config, CausalDit& dit);

  // Denoises the first `frames` latents together through all steps, which fills the memory.
  // noise: one tensor like `latents` for the input and one for each step after the first.
  // last_pixels: the last pixel frame that went into the latents.
  // Returns the clean estimates of every step, last step last.
  // Called again it begins the next session on the same objects, as the public implementation does,
  // which leaves two things of the session before in place: the evict queues of row 0, and the last
  // timestep of row 0 as the first of the step list (stream batch only; the vector that the loop
  // writes to is the list itself).
  std::vector<std::vector<float>> prepare(const Tensor& latents, const std::vector<Tensor>& noise,
                                          std::shared_ptr<const PromptKv> prompt,
                                          std::vector<uint8_t> last_pixels);

  struct Iteration {
    NoiseController::Decision decision;
    std::vector<float> noisy_in;         // the new latent as the model received it
    std::vector<std::vector<float>> x0;  // per row (sequential: per step), before re-noising
    bool finished = false;               // x0.back() is a finished latent
  };
  // Called after each forward with its index in the iteration.
  using AfterForward = std::function<void(int forward)>;

  // Takes one new latent [1, ...] made of `pixel_frames` frames, in bytes one after another.
  // noise: for the input, then for each re-noising (row r goes to step r + 1).
  Iteration next(const uint8_t* pixels, size_t pixel_frames, const Tensor& latent,
                 const std::vector<Tensor>& noise, const AfterForward& after = nullptr);

  // State, for comparison with recordings.
  int rows() const { return static_cast<int>(caches_.size()); }
  const ReferenceCache& cache(int row) const { return caches_[static_cast<size_t>(row)]; }
  const std::vector<int>& row_starts() const { return starts_; }           // tokens, last forward
  const std::vector<double>& row_timesteps() const { return timesteps_; }  // last forward
  const std::vector<float>& row_latents() const { return state_; }
  int tokens_per_frame() const { return tokens_per_frame_; }

 private:
  void forward(int64_t rows, int64_t frames, const float* x, std::vector<float>& x0);
  void run_batch(const std::vector<Tensor>& noise, Iteration& out, const AfterForward& after);
  void run_sequential(const std::vector<Tensor>& noise, Iteration& out, const AfterForward& after);

  ReferenceStreamConfig config_;
  CausalDit& dit_;
  FlowSchedule schedule_;
  NoiseController controller_;
  int tokens_per_frame_;
  size_t latent_size_;
  int64_t channels_;
  std::shared_ptr<const PromptKv> prompt_;
  std::vector<ReferenceCache> caches_;
  std::vector<int> starts_;
  std::vector<double> timesteps_;
  std::vector<float> state_;  // [rows, latent]
  std::vector<uint8_t> last_pixels_;
  int next_start_ = 0;
  int iterations_ = 0;
};

}  // namespace driftless
