#pragma once

// Wan2.1's autoencoder as a LatentCodec.
//
// The network treats the first frame of a stream on its own: 1 + 4k frames are 1 + k latents, and
// the first latent decodes to one frame. Here every four frames are one latent from the start: a
// stream is primed with its own first frame, whose latent is dropped, and the decoder with its
// first latent, whose single frame is dropped. The price is paid once per stream: one more frame
// through the encoder and one more latent step through the decoder, about a quarter of a chunk's
// work each. The first chunk then looks like one whose picture stood still before it.

#include <memory>

#include "models/latent_codec.h"
#include "models/wan_vae.h"

namespace driftless {

// What WanCodec::state_bytes() gives, from the configuration alone.
CodecStateBytes wan_codec_state_bytes(const WanVaeConfig& config, int64_t height, int64_t width);

class WanCodec : public LatentCodec {
 public:
  // Takes the weights under Wan2.1_VAE's keys. `ops` must outlive the codec.
  WanCodec(const WanVaeConfig& config, WeightSource& weights, Ops& ops);

  int64_t latent_channels() const override { return vae_.config().latent_channels; }
  int64_t spatial_scale() const override { return WanVae::kSpatialScale; }
  int64_t frames_per_latent() const override { return WanVae::kFramesPerLatent; }
  std::unique_ptr<CodecState> make_encoder_state(int64_t height, int64_t width) const override;
  std::unique_ptr<CodecState> make_decoder_state(int64_t height, int64_t width) const override;
  CodecStateBytes state_bytes(int64_t height, int64_t width) const override {
    return wan_codec_state_bytes(vae_.config(), height, width);
  }
  void encode(const Tensor& rgb, CodecState& state, const Tensor& z) override;
  void decode(const Tensor& z, CodecState& state, const Tensor& rgb) override;

 private:
  WanVae vae_;
  Ops& ops_;
};

}  // namespace driftless
