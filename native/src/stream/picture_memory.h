#pragma once

// What a session remembers in the size of its picture: rings, latents, and the autoencoder's
// memories. Another size needs another one.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/arena.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "ops/ops.h"
#include "stream/latent_history.h"
#include "stream/memory_plan.h"
#include "stream/picture_size.h"
#include "stream/rolling_cache.h"

namespace driftless {

class PictureMemory {
 public:
  // Takes all that it will ever need. `ops` and `places` must outlive it. full: of the pictures
  // that go in and come out; size: that they are painted at.
  PictureMemory(const ModelConfig& config, const LatentCodec& codec, Ops& ops, LayerPlaces& places,
                const PictureSize& full, const PictureSize& size, const StreamRows& rows);
  // Fills in rings, latents, history, scaled and codec.
  static void count(const ModelConfig& config, const PictureSize& full, const PictureSize& size,
                    const StreamRows& rows, SessionBytes& bytes);

  const PictureSize& size() const { return size_; }
  // [1, h, w, channels] of one chunk.
  const Shape& latent_shape() const { return latent_shape_; }
  size_t latent_values() const { return static_cast<size_t>(latent_shape_.count()); }

  // All but the codec's states.
  size_t bytes() const;
  size_t codec_bytes() const { return encoder_->bytes() + decoder_->bytes(); }

  // Of one chunk in flight, of latent_shape() each; noise is absent where each step draws its own.
  struct Latents {
    Tensor clean, noisy, noise;
  };
  const Latents& latents(size_t chunk) const { return latents_[chunk]; }
  const Latents& recache_latents() const { return latents_.back(); }

  // The stream's fixed noise, drawn with this seed; absent where each step draws its own.
  const Tensor& noise(uint64_t seed);

  RollingCache& cache(size_t row) { return caches_[row]; }
  std::optional<LatentHistory>& history() { return history_; }

  // rgb: one chunk of frames of the full size, bytes in the operations' memory.
  void encode(LatentCodec& codec, const Tensor& rgb, const Tensor& clean);
  void decode(LatentCodec& codec, const Tensor& latents, const Tensor& rgb);

 private:
  Ops& ops_;
  const PictureSize size_;
  const int frames_;  // in a chunk
  const Shape latent_shape_;
  std::unique_ptr<CodecState> encoder_, decoder_;
  Arena arena_;
  Tensor noise_;
  std::optional<uint64_t> noise_seed_;
  std::vector<RollingCache> caches_;  // by row: memory belongs to a noise level
  std::vector<Latents> latents_;      // by chunk; then those that rings are made anew with
  std::optional<LatentHistory> history_;
  // Where the size is not the full one: both ways, and a chunk of pictures of this size.
  struct Scaling {
    Resampling across, down;
  };
  std::optional<Scaling> shrink_, grow_;
  Tensor scaled_;
};

}  // namespace driftless
