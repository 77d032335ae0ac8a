#include <algorithm>
#include <string>

#include "core/error.h"
#include "models/autoencoder.h"

namespace driftless {

using Type = AutoencoderLayer::Type;

struct LayerStack::Layer {
  AutoencoderLayer spec;
  std::vector<std::unique_ptr<PackedConv>> convs;
  bool relu_after = false;   // the next layer is a ReLU and is done here
  bool skip = false;         // done by the layer before
  bool up_before = false;    // a layer before enlarges, and is done here
  bool before_mem = false;   // the next layer looks at the step before
  bool room_before = false;  // what it takes has room for the step before in front of it
};

std::vector<bool> follow_convolution(const std::vector<AutoencoderLayer>& layers) {
  std::vector<bool> after;
  bool convolved = false;
  for (const AutoencoderLayer& layer : layers) {
    after.push_back(convolved);
    convolved = convolved || layer.type == Type::conv || layer.type == Type::tpool ||
                layer.type == Type::tgrow;
  }
  return after;
}

namespace {

std::unique_ptr<PackedConv> take_conv(WeightSource& weights, Ops& ops, const std::string& key,
                                      int64_t out, int64_t in, int64_t kernel, bool bias,
                                      const ConvOptions& options) {
  Arena arena;
  const Tensor w = weights.take(key + ".weight", {out, in, kernel, kernel}, arena);
  const Tensor b = bias ? weights.take(key + ".bias", {out}, arena) : Tensor();
  return ops.pack_conv(w, b, options);
}

// The first convolution of a mem layer: its weights have the step before behind the present one,
// and conv_frames() wants the earlier first.
std::unique_ptr<PackedConv> take_memory(WeightSource& weights, Ops& ops, const std::string& key,
                                        int64_t channels) {
  Arena arena;
  const Tensor w = weights.take(key + ".weight", {channels, 2 * channels, 3, 3}, arena);
  const Tensor b = weights.take(key + ".bias", {channels}, arena);
  const Tensor turned = arena.tensor(w.shape());
  const int64_t half = channels * 9;
  for (int64_t part = 0; part < 2 * channels; ++part) {
    std::copy_n(w.f32() + part * half, half, turned.f32() + (part ^ 1) * half);
  }
  ConvOptions options;
  options.frames = 2;
  return ops.pack_conv(turned, b, options);
}

// Whether the enlargement at `index` is done by a convolution that follows, at once or behind a
// pointwise layer: that gives the same for every copy of a pixel, so it may come first.
bool joins_convolution(const std::vector<AutoencoderLayer>& layers, size_t index) {
  size_t next = index + 1;
  if (next < layers.size() && layers[next].type == Type::tgrow) ++next;
  return next < layers.size() && layers[next].type == Type::conv && layers[next].stride == 1;
}

}  // namespace

LayerStack::~LayerStack() = default;

LayerStack::LayerStack(const std::string& prefix, const std::vector<AutoencoderLayer>& layers,
                       int64_t in_channels, const AutoencoderConfig& config, WeightSource& weights,
                       Ops& ops)
    : ops_(ops), clamp_(config.latent_clamp), dtype_(config.dtype) {
  int64_t channels = in_channels;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string key = prefix + "." + std::to_string(i);
    Layer layer;
    layer.spec = layers[i];
    const AutoencoderLayer& s = layer.spec;
    const bool has_channels = s.in > 0;
    if (has_channels) DL_CHECK_EQ(key + ": input channels", channels, s.in);
    ConvOptions options;
    switch (s.type) {
      case Type::conv:
        for (size_t back = 1; back <= 2 && back <= i; ++back) {
          const bool enlarges = layers[i - back].type == Type::up;
          layer.up_before |= enlarges && joins_convolution(layers, i - back);
        }
        options.stride = static_cast<int>(s.stride);
        options.upsample2 = layer.up_before;
        layer.convs.push_back(take_conv(weights, ops, key, s.out, s.in, 3, s.bias, options));
        break;
      case Type::tpool:
        layer.convs.push_back(
            take_conv(weights, ops, key + ".conv", s.out, s.in * s.steps, 1, false, options));
        break;
      case Type::tgrow:
        layer.convs.push_back(
            take_conv(weights, ops, key + ".conv", s.out * s.steps, s.in, 1, false, options));
        break;
      case Type::mem:
        for (int64_t c = 0; c < s.convs; ++c) {
          const std::string conv = key + ".conv." + std::to_string(2 * c);
          layer.convs.push_back(c == 0
                                    ? take_memory(weights, ops, conv, s.in)
                                    : take_conv(weights, ops, conv, s.in, s.in, 3, true, options));
        }
        break;
      case Type::up:
        layer.skip = joins_convolution(layers, i);
        break;
      case Type::relu:
        layer.skip = i > 0 && layers[i - 1].type == Type::conv;
        break;
      case Type::clamp:
        break;
    }
    if (has_channels) channels = s.out;
    layer.relu_after = i + 1 < layers.size() && layers[i + 1].type == Type::relu;
    layers_.push_back(std::move(layer));
  }
  out_channels_ = channels;
  Layer* last = nullptr;
  for (Layer& layer : layers_) {
    if (layer.skip) continue;
    layer.room_before = last != nullptr && layer.spec.type == Type::mem;
    if (last != nullptr) last->before_mem = layer.room_before;
    last = &layer;
  }
}

Tensor LayerStack::run_layer(size_t index, const Tensor& x, AutoencoderState& state,
                             Arena& arena) const {
  const Layer& layer = layers_[index];
  const AutoencoderLayer& s = layer.spec;
  const int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2);
  // The end of the list is f32 again, where a convolution can write it.
  const DType dtype =
      index + 1 + (layer.relu_after ? 1 : 0) == layers_.size() ? DType::f32 : dtype_;
  // The step before a layer of memory goes where convolutions find it beside the others.
  const auto result = [&](const Shape& shape, DType type) {
    if (!layer.before_mem) return arena.tensor(shape, type);
    const int64_t steps = shape[0];
    return arena.tensor({steps + 1, shape[1], shape[2], shape[3]}, type).slice(1, steps + 1);
  };
  switch (s.type) {
    case Type::conv: {
      const int64_t oh = layer.up_before ? 2 * h : (h + s.stride - 1) / s.stride;
      const int64_t ow = layer.up_before ? 2 * w : (w + s.stride - 1) / s.stride;
      const Tensor y = result({n, oh, ow, s.out}, dtype);
      ops_.conv2d(*layer.convs[0], x, {}, {},
                  layer.relu_after ? Activation::relu : Activation::none, y);
      return y;
    }
    case Type::relu: {
      const Tensor y = result(x.shape(), x.dtype());
      ops_.activate(Activation::relu, x, y);
      return y;
    }
    case Type::clamp: {
      const Tensor y = result(x.shape(), x.dtype());
      ops_.tanh_clamp(x, clamp_, y);
      return y;
    }
    case Type::up: {
      const Tensor y = result({n, 2 * h, 2 * w, x.dim(3)}, x.dtype());
      ops_.upsample2(x, y);
      return y;
    }
    case Type::tpool: {
      DL_CHECK(n % s.steps == 0, "steps for a temporal pool",
               "a multiple of " + std::to_string(s.steps), n);
      const Tensor joined = arena.tensor({n / s.steps, h, w, s.in * s.steps}, x.dtype());
      if (s.steps > 1) ops_.frames_to_channels(x, joined);
      const Tensor y = result({n / s.steps, h, w, s.out}, dtype);
      ops_.conv2d(*layer.convs[0], s.steps > 1 ? joined : x, {}, {}, Activation::none, y);
      return y;
    }
    case Type::tgrow: {
      const Shape merged = {n, h, w, s.out * s.steps};
      const Tensor wide = s.steps == 1 ? result(merged, dtype) : arena.tensor(merged, dtype);
      ops_.conv2d(*layer.convs[0], x, {}, {}, Activation::none, wide);
      if (s.steps == 1) return wide;
      const Tensor y = result({n * s.steps, h, w, s.out}, dtype);
      ops_.channels_to_frames(wide, y);
      return y;
    }
    case Type::mem: {
      const Tensor past = remembered(state.past[index], h * w * s.in, state.memory, ops_, x.dtype())
                              .reshape({1, h, w, s.in});
      Tensor before = past;
      if (layer.room_before) {
        before = Tensor(x.dtype(), past.shape(), static_cast<char*>(x.data()) - past.bytes(),
                        x.memory());
        ops_.copy(past, before);
      }
      Tensor y = x;
      for (size_t c = 0; c < layer.convs.size(); ++c) {
        const bool last = c + 1 == layer.convs.size();
        const Tensor residual = last ? x : Tensor();
        const Tensor next =
            last ? result(x.shape(), x.dtype()) : arena.tensor(x.shape(), x.dtype());
        if (c == 0) {
          ops_.conv_frames(*layer.convs[c], y, before, residual, Activation::relu, next);
        } else {
          ops_.conv2d(*layer.convs[c], y, {}, residual, Activation::relu, next);
        }
        y = next;
      }
      ops_.copy(x.slice(n - 1, n), past);
      return y;
    }
  }
  throw Error("autoencoder layer: expected a known type");
}

Tensor LayerStack::run(const Tensor& x, AutoencoderState& state, Arena& arena) const {
  state.past.resize(layers_.size());
  Tensor y = x;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (!layers_[i].skip) y = run_layer(i, y, state, arena);
  }
  if (y.dtype() == DType::f32) return y;
  const Tensor wide = arena.tensor(y.shape());
  ops_.convert(y, wide);
  return wide;
}

}  // namespace driftless
