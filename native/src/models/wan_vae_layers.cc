#include "models/wan_vae_layers.h"

#include <algorithm>
#include <cmath>

#include "models/codec_memory.h"

namespace driftless {

namespace {

// The reference divides by max(norm, 1e-12); this is the same for all but exact zeros.
constexpr float kNormEps = 1e-24f;
constexpr int64_t kTaps = 3;

Tensor take_vector(WanLayerContext& context, const std::string& key, int64_t size,
                   const Shape& shape) {
  return take_parameter(context.weights, key, shape, context.ops, context.parameters)
      .reshape({size});
}

std::unique_ptr<PackedConv> take_conv2d(WanLayerContext& context, const std::string& key,
                                        int64_t in, int64_t out, int64_t kernel,
                                        const ConvOptions& options = {}) {
  Arena arena;
  const Tensor w = context.weights.take(key + ".weight", {out, in, kernel, kernel}, arena);
  const Tensor b = context.weights.take(key + ".bias", {out}, arena);
  return context.ops.pack_conv(w, b, options);
}

// The pointwise convolutions of this network are 3-D by name only.
std::unique_ptr<PackedLinear> take_pointwise(WanLayerContext& context, const std::string& key,
                                             int64_t in, int64_t out) {
  Arena arena;
  const Tensor w = context.weights.take(key + ".weight", {out, in, 1, 1, 1}, arena);
  const Tensor b = context.weights.take(key + ".bias", {out}, arena);
  ++context.convolutions;
  return context.ops.pack_linear(w.reshape({out, in}), b);
}

// The frames of the slot, in this shape.
Tensor frames_before(size_t slot, WanVaeState& state, const Shape& shape, Ops& ops, DType dtype) {
  return remembered(state.slots[slot].frames, shape.count(), state.memory, ops, dtype)
      .reshape(shape);
}

Tensor as_rows(const Tensor& x) { return x.reshape({x.count() / x.dim(-1), x.dim(-1)}); }

class NormSilu {
 public:
  NormSilu(WanLayerContext& context, const std::string& key, int64_t channels)
      : ops_(context.ops), gamma_(take_vector(context, key, channels, {channels, 1, 1, 1})) {}

  Tensor run(const Tensor& x, Arena& arena) const {
    const Tensor y = arena.tensor(x.shape(), x.dtype());
    ops_.rms_norm(as_rows(x), gamma_, kNormEps, as_rows(y));
    ops_.activate(Activation::silu, y, y);
    return y;
  }

 private:
  Ops& ops_;
  Tensor gamma_;
};

class Residual : public WanLayer {
 public:
  Residual(WanLayerContext& context, const std::string& key, int64_t in, int64_t out)
      : ops_(context.ops),
        out_(out),
        norm0_(context, key + ".residual.0.gamma", in),
        conv0_(context, key + ".residual.2", in, out, 3, context.dtype),
        norm1_(context, key + ".residual.3.gamma", out),
        conv1_(context, key + ".residual.6", out, out, 3, context.dtype) {
    if (in != out) shortcut_ = take_pointwise(context, key + ".shortcut", in, out);
  }

  Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const override {
    Tensor around = x;
    if (shortcut_) {
      around = scratch.tensor({x.dim(0), x.dim(1), x.dim(2), out_}, x.dtype());
      ops_.linear(*shortcut_, as_rows(x), as_rows(around));
    }
    const Tensor hidden = conv0_.run(norm0_.run(x, scratch), {}, state, scratch);
    return conv1_.run(norm1_.run(hidden, scratch), around, state, out);
  }

 private:
  Ops& ops_;
  int64_t out_;
  NormSilu norm0_;
  WanCausalConv conv0_;
  NormSilu norm1_;
  WanCausalConv conv1_;
  std::unique_ptr<PackedLinear> shortcut_;
};

class FrameAttention : public WanLayer {
 public:
  FrameAttention(WanLayerContext& context, const std::string& key, int64_t channels)
      : ops_(context.ops),
        gamma_(take_vector(context, key + ".norm.gamma", channels, {channels, 1, 1})) {
    Arena arena;
    const Tensor w =
        context.weights.take(key + ".to_qkv.weight", {3 * channels, channels, 1, 1}, arena);
    const Tensor b = context.weights.take(key + ".to_qkv.bias", {3 * channels}, arena);
    for (int64_t part = 0; part < 3; ++part) {
      const Tensor rows = w.slice(part * channels, (part + 1) * channels);
      qkv_.push_back(ops_.pack_linear(rows.reshape({channels, channels}),
                                      b.slice(part * channels, (part + 1) * channels)));
    }
    proj_ = take_conv2d(context, key + ".proj", channels, channels, 1);
  }

  Tensor run(const Tensor& x, WanVaeState&, Arena& out, Arena& scratch) const override {
    const DType dtype = x.dtype();
    const Tensor normed = scratch.tensor(x.shape(), dtype);
    ops_.rms_norm(as_rows(x), gamma_, kNormEps, as_rows(normed));
    Tensor parts[3];
    for (int i = 0; i < 3; ++i) {
      parts[i] = scratch.tensor(x.shape(), dtype);
      ops_.linear(*qkv_[static_cast<size_t>(i)], as_rows(normed), as_rows(parts[i]));
    }
    const int64_t pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
    for (int64_t frame = 0; frame < x.dim(0); ++frame) {
      void* q = parts[0].at(frame).data();
      const AttentionRow row{
          q, parts[1].at(frame).data(), parts[2].at(frame).data(), q, pixels, pixels, dtype, dtype};
      ops_.attention(&row, 1, 1, channels, 1.0f / std::sqrt(static_cast<float>(channels)));
    }
    const Tensor y = out.tensor(x.shape(), dtype);
    ops_.conv2d(*proj_, parts[0], {}, x, Activation::none, y);
    return y;
  }

 private:
  Ops& ops_;
  Tensor gamma_;
  std::vector<std::unique_ptr<PackedLinear>> qkv_;
  std::unique_ptr<PackedConv> proj_;
};

// The reference pads only right and below before its 3x3 convolution of stride 2. On 2x2 blocks of
// pixels that is a convolution over a block and its right and lower neighbours.
class Downsample : public WanLayer {
 public:
  Downsample(WanLayerContext& context, const std::string& key, int64_t channels, bool temporal)
      : ops_(context.ops), channels_(channels) {
    Arena arena;
    const Tensor w =
        context.weights.take(key + ".resample.1.weight", {channels, channels, 3, 3}, arena);
    const Tensor b = context.weights.take(key + ".resample.1.bias", {channels}, arena);
    const Tensor blocks = arena.zeros({channels, 4 * channels, 3, 3});
    for (int64_t o = 0; o < channels; ++o) {
      for (int64_t i = 0; i < channels; ++i) {
        for (int64_t dy = 0; dy < 3; ++dy) {
          for (int64_t dx = 0; dx < 3; ++dx) {
            const int64_t channel = i * 4 + (dy % 2) * 2 + dx % 2;
            const int64_t to = ((o * 4 * channels + channel) * 3 + 1 + dy / 2) * 3 + 1 + dx / 2;
            blocks.f32()[to] = w.f32()[((o * channels + i) * 3 + dy) * 3 + dx];
          }
        }
      }
    }
    conv_ = ops_.pack_conv(blocks, b);
    if (temporal) {
      slot_ = context.slots++;
      ++context.convolutions;
      const Tensor tw =
          context.weights.take(key + ".time_conv.weight", {channels, channels, kTaps, 1, 1}, arena);
      const Tensor tb = context.weights.take(key + ".time_conv.bias", {channels}, arena);
      const Tensor joined = arena.tensor({channels, kTaps * channels});
      for (int64_t o = 0; o < channels; ++o) {
        for (int64_t i = 0; i < channels; ++i) {
          for (int64_t k = 0; k < kTaps; ++k) {
            joined.f32()[(o * kTaps + k) * channels + i] = tw.f32()[(o * channels + i) * kTaps + k];
          }
        }
      }
      time_ = ops_.pack_linear(joined, tb);
    }
  }

  Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const override {
    const int64_t n = x.dim(0), h = x.dim(1) / 2, w = x.dim(2) / 2, c = channels_;
    const Tensor blocks = scratch.tensor({n, h, w, 4 * c}, x.dtype());
    ops_.pixel_unshuffle(x, blocks);
    const Tensor small = (time_ ? scratch : out).tensor({n, h, w, c}, x.dtype());
    ops_.conv2d(*conv_, blocks, {}, {}, Activation::none, small);
    return time_ ? halve_frames(small, state, out, scratch) : small;
  }

 private:
  // The first frame of a stream passes; afterwards each pair joins the frame before it.
  Tensor halve_frames(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const {
    WanVaeSlot& slot = state.slots[slot_];
    const int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = channels_;
    const Tensor past = frames_before(slot_, state, {1, h, w, c}, ops_, x.dtype());
    if (!slot.started) {
      slot.started = true;
      ops_.copy(x.at(n - 1), past);
      const Tensor y = out.tensor(x.shape(), x.dtype());
      ops_.copy(x, y);
      return y;
    }
    const int64_t pairs = n / 2;
    const Tensor joined = scratch.tensor({pairs, h, w, kTaps * c}, x.dtype());
    for (int64_t pair = 0; pair < pairs; ++pair) {
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        const int64_t source = 2 * pair + tap - 1;
        ops_.copy_channels(source < 0 ? past.at(0) : x.at(source), 0, c, joined.at(pair), tap * c);
      }
    }
    ops_.copy(x.at(n - 1), past);
    const Tensor y = out.tensor({pairs, h, w, c}, x.dtype());
    ops_.linear(*time_, as_rows(joined), as_rows(y));
    return y;
  }

  Ops& ops_;
  int64_t channels_;
  size_t slot_ = 0;
  std::unique_ptr<PackedConv> conv_;
  std::unique_ptr<PackedLinear> time_;
};

class Upsample : public WanLayer {
 public:
  Upsample(WanLayerContext& context, const std::string& key, int64_t channels, bool temporal)
      : ops_(context.ops), channels_(channels) {
    ConvOptions twice;
    twice.upsample2 = true;
    conv_ = take_conv2d(context, key + ".resample.1", channels, channels / 2, 3, twice);
    if (temporal) {
      time_ = std::make_unique<WanCausalConv>(context, key + ".time_conv", channels, 2 * channels,
                                              1, context.dtype);
    }
  }

  Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const override {
    Tensor frames = x;
    if (time_) {
      WanVaeSlot& slot = state.slots[time_->slot()];
      // The first frame of a stream is not doubled and not remembered.
      if (!slot.started) {
        slot.started = true;
      } else {
        const Tensor halves = time_->run(x, {}, state, scratch);
        frames = scratch.tensor({2 * x.dim(0), x.dim(1), x.dim(2), channels_}, x.dtype());
        ops_.channels_to_frames(halves, frames);
      }
    }
    const Tensor y =
        out.tensor({frames.dim(0), 2 * frames.dim(1), 2 * frames.dim(2), channels_ / 2}, x.dtype());
    ops_.conv2d(*conv_, frames, {}, {}, Activation::none, y);
    return y;
  }

 private:
  Ops& ops_;
  int64_t channels_;
  std::unique_ptr<PackedConv> conv_;
  std::unique_ptr<WanCausalConv> time_;
};

class Conv : public WanLayer {
 public:
  Conv(WanLayerContext& context, const std::string& key, int64_t in, int64_t out)
      : conv_(context, key, in, out, 3, context.dtype) {}
  Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena&) const override {
    return conv_.run(x, {}, state, out);
  }

 private:
  WanCausalConv conv_;
};

class Head : public WanLayer {
 public:
  Head(WanLayerContext& context, const std::string& key, int64_t in, int64_t out)
      : norm_(context, key + ".0.gamma", in), conv_(context, key + ".2", in, out, 3, DType::f32) {}
  Tensor run(const Tensor& x, WanVaeState& state, Arena& out, Arena& scratch) const override {
    return conv_.run(norm_.run(x, scratch), {}, state, out);
  }

 private:
  NormSilu norm_;
  WanCausalConv conv_;
};

class Pointwise : public WanLayer {
 public:
  Pointwise(WanLayerContext& context, const std::string& key, int64_t in, int64_t out)
      : ops_(context.ops), out_(out), linear_(take_pointwise(context, key, in, out)) {}
  Tensor run(const Tensor& x, WanVaeState&, Arena& out, Arena&) const override {
    const Tensor y = out.tensor({x.dim(0), x.dim(1), x.dim(2), out_}, x.dtype());
    ops_.linear(*linear_, as_rows(x), as_rows(y));
    return y;
  }

 private:
  Ops& ops_;
  int64_t out_;
  std::unique_ptr<PackedLinear> linear_;
};

}  // namespace

// The three taps in time become the channels of three frames.
WanCausalConv::WanCausalConv(WanLayerContext& context, const std::string& key, int64_t in,
                             int64_t out, int64_t kernel, DType dtype)
    : ops_(context.ops), slot_(context.slots++), in_(in), out_(out), dtype_(dtype) {
  ++context.convolutions;
  Arena arena;
  const int64_t area = kernel * kernel;
  const Tensor w = context.weights.take(key + ".weight", {out, in, kTaps, kernel, kernel}, arena);
  const Tensor b = context.weights.take(key + ".bias", {out}, arena);
  const Tensor joined = arena.tensor({out, kTaps * in, kernel, kernel});
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t k = 0; k < kTaps; ++k) {
        std::copy_n(w.f32() + ((o * in + i) * kTaps + k) * area, area,
                    joined.f32() + (o * kTaps * in + k * in + i) * area);
      }
    }
  }
  ConvOptions options;
  options.frames = kTaps;
  conv_ = ops_.pack_conv(joined, b, options);
}

Tensor WanCausalConv::run(const Tensor& x, const Tensor& residual, WanVaeState& state,
                          Arena& out) const {
  const int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2);
  // The two frames before x.
  const Tensor past = frames_before(slot_, state, {kTaps - 1, h, w, in_}, ops_, x.dtype());
  const Tensor y = out.tensor({n, h, w, out_}, dtype_);
  ops_.conv_frames(*conv_, x, past, residual, Activation::none, y);
  if (n == 1) {
    ops_.copy(past.at(1), past.at(0));
    ops_.copy(x.at(0), past.at(1));
  } else {
    ops_.copy(x.slice(n - 2, n), past);
  }
  return y;
}

std::unique_ptr<WanLayer> make_wan_residual(WanLayerContext& context, const std::string& key,
                                            int64_t in, int64_t out) {
  return std::make_unique<Residual>(context, key, in, out);
}

std::unique_ptr<WanLayer> make_wan_attention(WanLayerContext& context, const std::string& key,
                                             int64_t channels) {
  return std::make_unique<FrameAttention>(context, key, channels);
}

std::unique_ptr<WanLayer> make_wan_downsample(WanLayerContext& context, const std::string& key,
                                              int64_t channels, bool temporal) {
  return std::make_unique<Downsample>(context, key, channels, temporal);
}

std::unique_ptr<WanLayer> make_wan_upsample(WanLayerContext& context, const std::string& key,
                                            int64_t channels, bool temporal) {
  return std::make_unique<Upsample>(context, key, channels, temporal);
}

std::unique_ptr<WanLayer> make_wan_conv(WanLayerContext& context, const std::string& key,
                                        int64_t in, int64_t out) {
  return std::make_unique<Conv>(context, key, in, out);
}

std::unique_ptr<WanLayer> make_wan_head(WanLayerContext& context, const std::string& key,
                                        int64_t in, int64_t out) {
  return std::make_unique<Head>(context, key, in, out);
}

std::unique_ptr<WanLayer> make_wan_pointwise(WanLayerContext& context, const std::string& key,
                                             int64_t in, int64_t out) {
  return std::make_unique<Pointwise>(context, key, in, out);
}

}  // namespace driftless
