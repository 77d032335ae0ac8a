#pragma once

// The state of one live session.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/arena.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "stream/drift_guard.h"
#include "stream/latent_history.h"
#include "stream/memory_plan.h"
#include "stream/noise_controller.h"
#include "stream/pipeline.h"
#include "stream/prompt_bank.h"
#include "stream/prompt_blend.h"
#include "stream/rolling_cache.h"

namespace driftless {

// Settings as a chunk takes them along: a chunk is finished with what it was begun with.
struct ActiveSettings {
  TransformSettings asked;
  uint64_t revision = 0;
  std::shared_ptr<const Prompt> prompt;
};

// One chunk on its way through the denoising steps. Latents are [h, w, channels] at unit scale,
// `noisy` in the network's own scale.
struct ChunkInFlight {
  bool present = false;
  uint64_t index = 0;
  float noise_scale = 0;
  double timestep = 0;
  std::shared_ptr<const ActiveSettings> settings;
  float *clean = nullptr, *noisy = nullptr;
  float* noise = nullptr;  // the stream's fixed noise; absent where each step draws its own
  bool blended = false;    // the prompt is on its way from another one, and lies in `blend`
  PromptKv blend;

  const PromptKv& prompt() const { return blended ? blend : settings->prompt->kv; }
};

class Session : public StreamSession {
 public:
  // Takes all memory that it will ever need, for up to `max_steps` steps.
  Session(const ModelConfig& config, const LatentCodec& codec, std::shared_ptr<const void> owner,
          int max_steps, std::shared_ptr<const ActiveSettings> settings);
  static SessionBytes bytes(const ModelConfig& config, int max_steps);

  const void* owner() const { return owner_.get(); }
  const ActiveSettings& settings() const { return *settings_; }
  // From the next chunk on. A new prompt comes in over the model's number of blended chunks.
  void set_settings(std::shared_ptr<const ActiveSettings> settings);

  // Begins a chunk: measures its motion, moves the chunks in flight one row down and returns row 0
  // for the new one. rgb: frames_per_chunk frames. Rows follow the settings' number of steps: a new
  // row starts from the memory of the row above it, a row that goes drops its chunk.
  ChunkInFlight& begin(const uint8_t* rgb);

  // What it holds: the arena, and beside it the codec's states.
  size_t arena_bytes() const { return memory_.capacity(); }
  size_t codec_bytes() const { return encoder_state_->bytes() + decoder_state_->bytes(); }

  size_t rows() const { return rows_; }
  ChunkInFlight& row(size_t index) { return chunks_[index]; }
  RollingCache& cache(size_t index) { return caches_[index]; }

  // Keeps a finished latent, [h, w, channels] at unit scale, from wandering off. Does nothing
  // without a guard.
  void guard(const ChunkInFlight& chunk, float* x0);
  std::optional<DriftGuard> drift_guard;

  // What the codec remembers of the stream.
  CodecState& encoder_state() { return *encoder_state_; }
  CodecState& decoder_state() { return *decoder_state_; }

  // Where the prompt stands; the newest chunk takes it in when it is `blended`.
  const PromptBlend& blend() const { return blend_; }

  // Latents for the rings to be made anew from; present where the model wants that.
  LatentHistory* history() { return history_ ? &*history_ : nullptr; }
  // A chunk to make them anew with, and whether the newest chunk asks for it.
  ChunkInFlight& recache_chunk() { return recache_; }
  bool recache_due() const { return recache_due_; }

 private:
  ChunkInFlight make_chunk();
  void fit_rows();
  void renew_sinks();

  const ModelConfig& config_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const ActiveSettings> settings_;
  std::unique_ptr<CodecState> encoder_state_, decoder_state_;
  Arena memory_;
  NoiseController controller_;
  uint8_t* last_frame_;
  float* noise_ = nullptr;  // of the settings' seed
  std::optional<uint64_t> noise_seed_;
  PromptBlend blend_;
  bool recache_due_ = false;
  std::vector<RollingCache> caches_;   // by row: memory belongs to a noise level
  std::vector<ChunkInFlight> chunks_;  // by row
  size_t rows_ = 0;                    // in use
  std::optional<LatentHistory> history_;
  ChunkInFlight recache_;
  uint64_t next_index_ = 0;
  std::shared_ptr<const ActiveSettings> guarded_;  // of the last finished latent
};

}  // namespace driftless
