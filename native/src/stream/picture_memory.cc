#include "stream/picture_memory.h"

namespace driftless {

namespace {

Shape latent_shape_of(const ModelConfig& config, const PictureSize& size) {
  const int64_t scale = codec_spatial_scale(config.autoencoder);
  return Shape{1, size.height / scale, size.width / scale, config.latent_channels()};
}

RollingConfig cache_config(const ModelConfig& config, const PictureSize& size) {
  const Shape latent = latent_shape_of(config, size);
  const int64_t p = config.dit.patch;
  RollingConfig cache;
  cache.tokens_per_frame = static_cast<int>((latent[1] / p) * (latent[2] / p));
  cache.kv_frames = config.schedule.kv_frames;
  cache.sink_frames = config.schedule.sink_frames;
  cache.sink_threshold = config.schedule.adapt_sink_threshold;
  cache.layers = static_cast<int>(config.dit.layers);
  cache.heads = static_cast<int>(config.dit.heads);
  cache.head_dim = static_cast<int>(config.dit.head_dim());
  cache.dtype = config.dit.ring_dtype;
  return cache;
}

// Of the history: each row is some chunks behind the one before it, so its window reaches as much
// further back.
size_t newest_frames(const ModelConfig& config, const StreamRows& rows) {
  return static_cast<size_t>(config.schedule.kv_frames - config.schedule.sink_frames) +
         (rows.steps - 1) * rows.depth;
}

size_t arena_bytes_of(const ModelConfig& config, const PictureSize& full, const PictureSize& size,
                      const StreamRows& rows) {
  SessionBytes bytes;
  PictureMemory::count(config, full, size, rows, bytes);
  return bytes.latents + bytes.history + bytes.scaled;
}

}  // namespace

void PictureMemory::count(const ModelConfig& config, const PictureSize& full,
                          const PictureSize& size, const StreamRows& rows, SessionBytes& bytes) {
  const ScheduleConfig& schedule = config.schedule;
  const bool fixed = schedule.noise == NoiseSource::fixed;
  const size_t values = static_cast<size_t>(latent_shape_of(config, size).count());
  const size_t latent = Arena::rounded(values * sizeof(float));
  const size_t chunk = (fixed ? 3 : 2) * latent;
  bytes.rings = rows.steps * RollingCache::bytes(cache_config(config, size));
  bytes.latents = rows.chunks() * chunk + (fixed ? latent : 0);
  bytes.history = 0;
  if (schedule.prompt_ring == PromptRing::recache) {
    bytes.history = chunk + LatentHistory::bytes(values, static_cast<size_t>(schedule.sink_frames),
                                                 newest_frames(config, rows));
  }
  bytes.scaled = 0;
  if (size != full) {
    bytes.scaled = Arena::rounded(static_cast<size_t>(size.rgb(config.frames_per_chunk).count()));
  }
  bytes.codec = codec_state_bytes(config.autoencoder, size.height, size.width).sum();
}

PictureMemory::PictureMemory(const ModelConfig& config, const LatentCodec& codec, Ops& ops,
                             LayerPlaces& places, const PictureSize& full, const PictureSize& size,
                             const StreamRows& rows)
    : ops_(ops),
      size_(size),
      frames_(config.frames_per_chunk),
      latent_shape_(latent_shape_of(config, size)),
      encoder_(codec.make_encoder_state(size.height, size.width)),
      decoder_(codec.make_decoder_state(size.height, size.width)),
      arena_(arena_bytes_of(config, full, size, rows), 0, ops.memory()) {
  const bool fixed = config.schedule.noise == NoiseSource::fixed;
  const bool recache = config.schedule.prompt_ring == PromptRing::recache;
  if (fixed) noise_ = arena_.tensor(latent_shape_);
  caches_.reserve(rows.steps);
  for (size_t i = 0; i < rows.steps; ++i) caches_.emplace_back(cache_config(config, size), places);
  for (size_t i = 0; i < rows.chunks() + (recache ? 1 : 0); ++i) {
    Latents latents;
    latents.clean = arena_.tensor(latent_shape_);
    latents.noisy = arena_.tensor(latent_shape_);
    if (fixed) latents.noise = arena_.tensor(latent_shape_);
    latents_.push_back(latents);
  }
  if (recache) {
    history_.emplace(arena_, ops, latent_values(), static_cast<size_t>(config.schedule.sink_frames),
                     newest_frames(config, rows));
  }
  if (size == full) return;
  shrink_ = Scaling{Resampling::triangle(full.width, size.width),
                    Resampling::triangle(full.height, size.height)};
  grow_ = Scaling{Resampling::triangle(size.width, full.width),
                  Resampling::triangle(size.height, full.height)};
  scaled_ = arena_.tensor(size.rgb(frames_), DType::u8);
}

size_t PictureMemory::bytes() const {
  size_t bytes = arena_.capacity();
  for (const RollingCache& cache : caches_) bytes += RollingCache::bytes(cache.config());
  return bytes;
}

const Tensor& PictureMemory::noise(uint64_t seed) {
  if (noise_.present() && noise_seed_ != seed) ops_.normal_noise(seed, 0, 0, noise_);
  noise_seed_ = seed;
  return noise_;
}

void PictureMemory::encode(LatentCodec& codec, const Tensor& rgb, const Tensor& clean) {
  if (shrink_) ops_.resample(shrink_->across, shrink_->down, rgb, scaled_);
  codec.encode(shrink_ ? scaled_ : rgb, *encoder_, clean);
}

void PictureMemory::decode(LatentCodec& codec, const Tensor& latents, const Tensor& rgb) {
  codec.decode(latents, *decoder_, grow_ ? scaled_ : rgb);
  if (grow_) ops_.resample(grow_->across, grow_->down, scaled_, rgb);
}

}  // namespace driftless
