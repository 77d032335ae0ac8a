#pragma once

// A streaming autoencoder as the pipeline sees it: pixels of one session go in chunk by chunk and
// come back as latents, and the other way round. What a session must remember between chunks is in
// a state object that the session owns.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/tensor.h"

namespace driftless {

// One direction's memory of one session, in the memory of the codec's operations. Only the codec
// that made it can use it.
class CodecState {
 public:
  virtual ~CodecState() = default;
  // Bytes of the values that it holds.
  virtual size_t bytes() const = 0;
};

// What the states of one session take, before they are made.
struct CodecStateBytes {
  size_t encoder = 0;
  size_t decoder = 0;
  size_t sum() const { return encoder + decoder; }
};

// Calls with different states may run side by side in tasks of Ops::each(). What a session gets
// depends only on its own states and chunks.
class LatentCodec {
 public:
  virtual ~LatentCodec() = default;

  virtual int64_t latent_channels() const = 0;
  // Rows and columns of pixels for each of latents.
  virtual int64_t spatial_scale() const = 0;
  // Pixel frames for each latent frame.
  virtual int64_t frames_per_latent() const = 0;

  // Memory of a new stream of pictures of this size (pixels, multiples of spatial_scale), all of it
  // allocated at once: bytes() of the results is state_bytes().
  virtual std::unique_ptr<CodecState> make_encoder_state(int64_t height, int64_t width) const = 0;
  virtual std::unique_ptr<CodecState> make_decoder_state(int64_t height, int64_t width) const = 0;
  virtual CodecStateBytes state_bytes(int64_t height, int64_t width) const = 0;

  // rgb: n * frames_per_latent frames [., height, width, 3] of bytes -> z [n, height / scale,
  // width / scale, latent_channels], normalised with the latent statistics. Throws Error for other
  // shapes and for a state that another kind of codec made.
  virtual void encode(const Tensor& rgb, CodecState& state, const Tensor& z) = 0;

  // z as above -> rgb as above.
  virtual void decode(const Tensor& z, CodecState& state, const Tensor& rgb) = 0;
};

}  // namespace driftless
