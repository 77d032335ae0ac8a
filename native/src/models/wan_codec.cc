#include "models/wan_codec.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace driftless {

namespace {

struct WanCodecState : CodecState {
  WanVaeState vae;

  size_t bytes() const override {
    size_t values = 0;
    for (const WanVaeSlot& slot : vae.slots) values += slot.frames.size();
    return values * sizeof(float);
  }
};

WanVaeState& own_state(CodecState& state) {
  auto* own = dynamic_cast<WanCodecState*>(&state);
  if (own == nullptr) throw Error("wan vae state", "one of this autoencoder", "another's");
  return own->vae;
}

size_t bytes_of(const std::vector<WanVaeMemory>& memory, int64_t height, int64_t width) {
  size_t values = 0;
  for (const WanVaeMemory& slot : memory) values += slot.values(height, width);
  return values * sizeof(float);
}

std::unique_ptr<CodecState> make_state(const std::vector<WanVaeMemory>& memory, int64_t height,
                                       int64_t width) {
  auto state = std::make_unique<WanCodecState>();
  for (const WanVaeMemory& slot : memory) {
    state->vae.slots.emplace_back();
    state->vae.slots.back().frames.assign(slot.values(height, width), 0.0f);
  }
  return state;
}

}  // namespace

CodecStateBytes wan_codec_state_bytes(const WanVaeConfig& config, int64_t height, int64_t width) {
  return {bytes_of(wan_encoder_memory(config), height, width),
          bytes_of(wan_decoder_memory(config), height, width)};
}

WanCodec::WanCodec(const WanVaeConfig& config, WeightSource& weights, Ops& ops)
    : vae_(config, weights, ops), ops_(ops) {}

std::unique_ptr<CodecState> WanCodec::make_encoder_state(int64_t height, int64_t width) const {
  return make_state(wan_encoder_memory(vae_.config()), height, width);
}

std::unique_ptr<CodecState> WanCodec::make_decoder_state(int64_t height, int64_t width) const {
  return make_state(wan_decoder_memory(vae_.config()), height, width);
}

void WanCodec::encode(const Tensor& rgb, CodecState& state, const Tensor& z) {
  const ArenaScope scope(ops_.arena());
  WanVaeState& own = own_state(state);
  const int64_t primers = own.started ? 0 : 1, frames = rgb.dim(0), latents = z.dim(0);
  DL_CHECK_EQ("wan vae: frames", latents * WanVae::kFramesPerLatent, frames);
  const Tensor pixels = ops_.arena().tensor({primers + frames, rgb.dim(1), rgb.dim(2), rgb.dim(3)});
  ops_.u8_to_f32(rgb, 2.0f, -1.0f, pixels.slice(primers, primers + frames));
  if (primers == 1) std::copy_n(pixels.at(1).f32(), pixels.at(0).count(), pixels.f32());
  const Tensor all = ops_.arena().tensor({primers + latents, z.dim(1), z.dim(2), z.dim(3)});
  vae_.encode(pixels, own, true, all);
  std::copy_n(all.at(primers).f32(), z.count(), z.f32());
}

void WanCodec::decode(const Tensor& z, CodecState& state, const Tensor& rgb) {
  const ArenaScope scope(ops_.arena());
  WanVaeState& own = own_state(state);
  const int64_t primers = own.started ? 0 : 1, frames = rgb.dim(0), latents = z.dim(0);
  DL_CHECK_EQ("wan vae: frames", latents * WanVae::kFramesPerLatent, frames);
  const Tensor all = ops_.arena().tensor({primers + latents, z.dim(1), z.dim(2), z.dim(3)});
  std::copy_n(z.f32(), z.count(), all.at(primers).f32());
  if (primers == 1) std::copy_n(z.f32(), z.at(0).count(), all.f32());
  const Tensor pixels = ops_.arena().tensor({primers + frames, rgb.dim(1), rgb.dim(2), rgb.dim(3)});
  vae_.decode(all, own, pixels);
  ops_.f32_to_u8(pixels.slice(primers, primers + frames), 0.5f, 0.5f, rgb);
}

}  // namespace driftless
