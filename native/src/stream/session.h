#pragma once

// The state of one live session.

#include <cstdint>
#include <memory>
#include <vector>

#include "models/causal_dit.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "stream/noise_controller.h"
#include "stream/pipeline.h"
#include "stream/rolling_cache.h"

namespace driftless {

// Settings as a chunk takes them along: a chunk is finished with what it was begun with.
struct ActiveSettings {
  TransformSettings asked;
  uint64_t revision = 0;
  std::shared_ptr<const PromptKv> prompt;
  std::shared_ptr<const std::vector<float>> noise;  // the stream's fixed noise, [h, w, channels]
};

// One chunk on its way through the denoising steps. Latents are [h, w, channels] at unit scale,
// `noisy` in the network's own scale.
struct ChunkInFlight {
  bool present = false;
  uint64_t index = 0;
  float noise_scale = 0;
  std::shared_ptr<const ActiveSettings> settings;
  std::vector<float> clean, noisy;
  double timestep = 0;
};

class Session : public StreamSession {
 public:
  Session(const ModelConfig& config, const LatentCodec& codec, const void* owner,
          std::shared_ptr<const ActiveSettings> settings);

  const void* owner() const { return owner_; }
  const ActiveSettings& settings() const { return *settings_; }
  void set_settings(std::shared_ptr<const ActiveSettings> settings) {
    settings_ = std::move(settings);
  }

  // Begins a chunk: measures its motion, moves the chunks in flight one row down and returns row 0
  // for the new one. rgb: frames_per_chunk frames. Rows follow the settings' number of steps: a new
  // row starts from the memory of the row above it, a row that goes drops its chunk.
  ChunkInFlight& begin(const uint8_t* rgb);

  // Noise for a chunk entering `row`: the stream's own tensor, or fresh values in `scratch`.
  const float* noise_for(const ChunkInFlight& chunk, size_t row, std::vector<float>& scratch) const;

  size_t rows() const { return rows_.size(); }
  ChunkInFlight& row(size_t index) { return rows_[index]; }
  RollingCache& cache(size_t index) { return caches_[index]; }

  // What the codec remembers of the stream.
  CodecState& encoder_state() { return *encoder_state_; }
  CodecState& decoder_state() { return *decoder_state_; }

 private:
  void fit_rows();

  const ModelConfig& config_;
  const void* owner_;
  std::shared_ptr<const ActiveSettings> settings_;
  std::unique_ptr<CodecState> encoder_state_, decoder_state_;
  NoiseController controller_;
  std::vector<uint8_t> last_frame_;   // empty before the first chunk
  std::vector<RollingCache> caches_;  // by row: memory belongs to a noise level
  std::vector<ChunkInFlight> rows_;
  uint64_t next_index_ = 0;
};

}  // namespace driftless
