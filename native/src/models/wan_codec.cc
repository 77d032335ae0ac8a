#include "models/wan_codec.h"

#include <numeric>
#include <vector>

#include "core/error.h"
#include "models/codec_memory.h"

namespace driftless {

namespace {

struct WanCodecState : CodecState {
  WanCodecState(const MemorySource& source, size_t bytes) : vae(source, bytes) {}

  WanVaeState vae;

  size_t bytes() const override {
    size_t bytes = 0;
    for (const WanVaeSlot& slot : vae.slots)
      bytes += slot.frames.present() ? slot.frames.bytes() : 0;
    return bytes;
  }
};

WanVaeState& own_state(CodecState& state) {
  auto* own = dynamic_cast<WanCodecState*>(&state);
  if (own == nullptr) throw Error("wan vae state", "one of this autoencoder", "another's");
  return own->vae;
}

DType dtype_of(const WanVaeMemory& slot, DType dtype) { return slot.of_input ? DType::f32 : dtype; }

std::vector<size_t> sizes_of(const std::vector<WanVaeMemory>& memory, int64_t height, int64_t width,
                             DType dtype) {
  std::vector<size_t> sizes;
  for (const WanVaeMemory& slot : memory) {
    sizes.push_back(slot.values(height, width) * dtype_size(dtype_of(slot, dtype)));
  }
  return sizes;
}

size_t bytes_of(const std::vector<WanVaeMemory>& memory, int64_t height, int64_t width,
                DType dtype) {
  const std::vector<size_t> sizes = sizes_of(memory, height, width, dtype);
  return std::accumulate(sizes.begin(), sizes.end(), size_t{0});
}

std::unique_ptr<CodecState> make_state(const std::vector<WanVaeMemory>& memory, int64_t height,
                                       int64_t width, Ops& ops, DType dtype) {
  const std::vector<size_t> sizes = sizes_of(memory, height, width, dtype);
  auto state = std::make_unique<WanCodecState>(ops.memory(), memory_bytes(sizes));
  for (const WanVaeMemory& slot : memory) {
    Tensor& frames = state->vae.slots.emplace_back().frames;
    remembered(frames, static_cast<int64_t>(slot.values(height, width)), state->vae.memory, ops,
               dtype_of(slot, dtype));
  }
  return state;
}

}  // namespace

CodecStateBytes wan_codec_state_bytes(const WanVaeConfig& config, int64_t height, int64_t width) {
  return {bytes_of(wan_encoder_memory(config), height, width, config.dtype),
          bytes_of(wan_decoder_memory(config), height, width, config.dtype)};
}

WanCodec::WanCodec(const WanVaeConfig& config, WeightSource& weights, Ops& ops)
    : vae_(config, weights, ops), ops_(ops) {}

std::unique_ptr<CodecState> WanCodec::make_encoder_state(int64_t height, int64_t width) const {
  return make_state(wan_encoder_memory(vae_.config()), height, width, ops_, vae_.config().dtype);
}

std::unique_ptr<CodecState> WanCodec::make_decoder_state(int64_t height, int64_t width) const {
  return make_state(wan_decoder_memory(vae_.config()), height, width, ops_, vae_.config().dtype);
}

void WanCodec::encode(const Tensor& rgb, CodecState& state, const Tensor& z) {
  const ArenaScope scope(ops_.arena());
  WanVaeState& own = own_state(state);
  const int64_t primers = own.started ? 0 : 1, frames = rgb.dim(0), latents = z.dim(0);
  DL_CHECK_EQ("wan vae: frames", latents * WanVae::kFramesPerLatent, frames);
  const Tensor pixels = ops_.arena().tensor({primers + frames, rgb.dim(1), rgb.dim(2), rgb.dim(3)});
  ops_.u8_to_f32(rgb, 2.0f, -1.0f, pixels.slice(primers, primers + frames));
  if (primers == 1) ops_.copy(pixels.at(1), pixels.at(0));
  const Tensor all = ops_.arena().tensor({primers + latents, z.dim(1), z.dim(2), z.dim(3)});
  ops_.repeated(codec_key(state, pixels), [&](int64_t) { vae_.encode(pixels, own, true, all); });
  ops_.copy(all.slice(primers, primers + latents), z);
}

void WanCodec::decode(const Tensor& z, CodecState& state, const Tensor& rgb) {
  const ArenaScope scope(ops_.arena());
  WanVaeState& own = own_state(state);
  const int64_t primers = own.started ? 0 : 1, frames = rgb.dim(0), latents = z.dim(0);
  DL_CHECK_EQ("wan vae: frames", latents * WanVae::kFramesPerLatent, frames);
  const Tensor all = ops_.arena().tensor({primers + latents, z.dim(1), z.dim(2), z.dim(3)});
  ops_.copy(z, all.slice(primers, primers + latents));
  if (primers == 1) ops_.copy(z.at(0), all.at(0));
  const Tensor pixels = ops_.arena().tensor({primers + frames, rgb.dim(1), rgb.dim(2), rgb.dim(3)});
  ops_.repeated(codec_key(state, pixels), [&](int64_t) { vae_.decode(all, own, pixels); });
  ops_.f32_to_u8(pixels.slice(primers, primers + frames), 0.5f, 0.5f, rgb);
}

}  // namespace driftless
