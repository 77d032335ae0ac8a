#pragma once

// What a streaming autoencoder remembers between chunks: tensors in the memory of its operations,
// zeros before the first chunk.

#include <vector>

#include "core/arena.h"
#include "models/latent_codec.h"
#include "ops/ops.h"

namespace driftless {

// `slot` with so many values: as it is, or new zeros in `memory` where it is absent or of another
// size or type.
inline const Tensor& remembered(Tensor& slot, int64_t values, Arena& memory, Ops& ops,
                                DType dtype = DType::f32) {
  if (!slot.present() || slot.count() != values || slot.dtype() != dtype) {
    slot = memory.tensor({values}, dtype);
    ops.clear(slot);
  }
  return slot;
}

// What an arena needs for tensors of so many bytes each; none for empty ones.
inline size_t memory_bytes(const std::vector<size_t>& sizes) {
  size_t bytes = 0;
  for (size_t size : sizes) bytes += size == 0 ? 0 : Arena::rounded(size);
  return bytes;
}

// Of a chunk's way through a network, whose pixels lie here: one session's, in one direction.
inline RepeatKey codec_key(const CodecState& state, const Tensor& pixels) {
  return {reinterpret_cast<intptr_t>(&state), reinterpret_cast<intptr_t>(pixels.data())};
}

// Latent statistics as multiply-adds of affine_channels, from the codec's latents and back.
struct LatentStatistics {
  Tensor scale, shift;  // [channels], normalised = x * scale + shift
  Tensor std, mean;     // [channels], x = normalised * std + mean

  static LatentStatistics of(const std::vector<float>& mean, const std::vector<float>& std,
                             Ops& ops, Arena& parameters);
};

}  // namespace driftless
