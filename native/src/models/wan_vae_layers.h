#pragma once

// The building blocks of Wan2.1's causal 3-D autoencoder, each over a few frames at a time.
// A causal convolution sees two frames before the first one it is given; what it saw last is kept
// per session, so that a stream gives the same result as the whole clip at once.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

// What one temporal convolution remembers: its last input frames. Empty means zeros.
struct WanVaeSlot {
  Tensor frames;
  bool started = false;  // the layer has seen the first frame of the stream
};

// One direction's memory of one session, a slot for each temporal convolution.
struct WanVaeState {
  explicit WanVaeState(const MemorySource& source = host_memory(), size_t bytes = 4096)
      : memory(bytes, 0, source) {}

  Arena memory;
  std::vector<WanVaeSlot> slots;
  bool started = false;
};

class WanLayer {
 public:
  virtual ~WanLayer() = default;
  // x [frames, h, w, c]; the result lies in `out`, intermediate values in `scratch`.
  virtual Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const = 0;
};

// Hands out slot numbers while layers are built.
struct WanLayerContext {
  WeightSource& weights;
  Ops& ops;
  Arena& parameters;
  DType dtype;              // of what the first convolution gives, and then of all up to the head
  size_t slots = 0;         // temporal convolutions that remember
  size_t convolutions = 0;  // all causal convolutions, pointwise ones included
};

// Kernel 3 in time over the frames before; `kernel` (1 or 3) in space.
class WanCausalConv {
 public:
  // `dtype`: of the result.
  WanCausalConv(WanLayerContext& context, const std::string& key, int64_t in, int64_t out,
                int64_t kernel, DType dtype);
  // residual: absent or like the result.
  Tensor run(const Tensor& x, const Tensor& residual, WanVaeState& state, Arena& out) const;
  // Where its memory lies in WanVaeState::slots.
  size_t slot() const { return slot_; }

 private:
  Ops& ops_;
  size_t slot_;
  int64_t in_, out_;
  DType dtype_;
  std::unique_ptr<PackedConv> conv_;
};

// RMS norm, SiLU, convolution, twice, around a shortcut.
std::unique_ptr<WanLayer> make_wan_residual(WanLayerContext& context, const std::string& key,
                                            int64_t in, int64_t out);
// Single-head attention within each frame.
std::unique_ptr<WanLayer> make_wan_attention(WanLayerContext& context, const std::string& key,
                                             int64_t channels);
// Half the size; with `temporal` also half the frames after the first one.
std::unique_ptr<WanLayer> make_wan_downsample(WanLayerContext& context, const std::string& key,
                                              int64_t channels, bool temporal);
// Twice the size and half the channels; with `temporal` also twice the frames after the first.
std::unique_ptr<WanLayer> make_wan_upsample(WanLayerContext& context, const std::string& key,
                                            int64_t channels, bool temporal);
// One causal convolution of kernel 3.
std::unique_ptr<WanLayer> make_wan_conv(WanLayerContext& context, const std::string& key,
                                        int64_t in, int64_t out);
// RMS norm, SiLU and a convolution, whose result is f32.
std::unique_ptr<WanLayer> make_wan_head(WanLayerContext& context, const std::string& key,
                                        int64_t in, int64_t out);
// A convolution of kernel 1.
std::unique_ptr<WanLayer> make_wan_pointwise(WanLayerContext& context, const std::string& key,
                                             int64_t in, int64_t out);

}  // namespace driftless
