#include <algorithm>
#include <string>

#include "core/error.h"
#include "models/autoencoder.h"

namespace driftless {

using Type = AutoencoderLayer::Type;

struct LayerStack::Layer {
  AutoencoderLayer spec;
  std::vector<std::unique_ptr<PackedConv>> convs;
  bool relu_after = false;  // the next layer is a ReLU and is done here
  bool skip = false;        // done by the layer before
  bool up_before = false;   // the layer before enlarges, and is done here
};

namespace {

std::unique_ptr<PackedConv> take_conv(WeightSource& weights, Ops& ops, const std::string& key,
                                      int64_t out, int64_t in, int64_t kernel, bool bias,
                                      const ConvOptions& options) {
  Arena arena;
  const Tensor w = weights.take(key + ".weight", {out, in, kernel, kernel}, arena);
  const Tensor b = bias ? weights.take(key + ".bias", {out}, arena) : Tensor();
  return ops.pack_conv(w, b, options);
}

}  // namespace

LayerStack::~LayerStack() = default;

LayerStack::LayerStack(const std::string& prefix, const std::vector<AutoencoderLayer>& layers,
                       int64_t in_channels, float clamp, WeightSource& weights, Ops& ops)
    : ops_(ops), clamp_(clamp) {
  int64_t channels = in_channels;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string key = prefix + "." + std::to_string(i);
    Layer layer;
    layer.spec = layers[i];
    const AutoencoderLayer& s = layer.spec;
    const bool has_channels = s.in > 0;
    if (has_channels) DL_CHECK_EQ(key + ": input channels", channels, s.in);
    const bool conv_follows =
        i + 1 < layers.size() && layers[i + 1].type == Type::conv && layers[i + 1].stride == 1;
    ConvOptions options;
    switch (s.type) {
      case Type::conv:
        layer.up_before = i > 0 && layers[i - 1].type == Type::up && s.stride == 1;
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
          ConvOptions first;
          first.second_input_channels = s.in;
          layer.convs.push_back(take_conv(weights, ops, key + ".conv." + std::to_string(2 * c),
                                          s.in, c == 0 ? 2 * s.in : s.in, 3, true,
                                          c == 0 ? first : options));
        }
        break;
      case Type::up:
        layer.skip = conv_follows;
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
}

// Returns the layer's input one step earlier, and keeps the last step for the next run.
Tensor LayerStack::remember(size_t index, const Tensor& x, AutoencoderState& state,
                            Arena& arena) const {
  const int64_t steps = x.dim(0), step = x.count() / steps;
  const Tensor& past = remembered(state.past[index], step, state.memory, ops_);
  const Tensor before = arena.tensor(x.shape());
  ops_.copy(past, before.at(0));
  if (steps > 1) ops_.copy(x.slice(0, steps - 1), before.slice(1, steps));
  ops_.copy(x.at(steps - 1), past);
  return before;
}

Tensor LayerStack::run_layer(size_t index, const Tensor& x, AutoencoderState& state,
                             Arena& arena) const {
  const Layer& layer = layers_[index];
  const AutoencoderLayer& s = layer.spec;
  const int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2);
  switch (s.type) {
    case Type::conv: {
      const int64_t oh = layer.up_before ? 2 * h : (h + s.stride - 1) / s.stride;
      const int64_t ow = layer.up_before ? 2 * w : (w + s.stride - 1) / s.stride;
      const Tensor y = arena.tensor({n, oh, ow, s.out});
      ops_.conv2d(*layer.convs[0], x, {}, {},
                  layer.relu_after ? Activation::relu : Activation::none, y);
      return y;
    }
    case Type::relu: {
      const Tensor y = arena.tensor(x.shape());
      ops_.activate(Activation::relu, x, y);
      return y;
    }
    case Type::clamp: {
      const Tensor y = arena.tensor(x.shape());
      ops_.tanh_clamp(x, clamp_, y);
      return y;
    }
    case Type::up: {
      const Tensor y = arena.tensor({n, 2 * h, 2 * w, x.dim(3)});
      ops_.upsample2(x, y);
      return y;
    }
    case Type::tpool: {
      DL_CHECK(n % s.steps == 0, "steps for a temporal pool",
               "a multiple of " + std::to_string(s.steps), n);
      const Tensor joined = arena.tensor({n / s.steps, h, w, s.in * s.steps});
      if (s.steps > 1) ops_.frames_to_channels(x, joined);
      const Tensor y = arena.tensor({n / s.steps, h, w, s.out});
      ops_.conv2d(*layer.convs[0], s.steps > 1 ? joined : x, {}, {}, Activation::none, y);
      return y;
    }
    case Type::tgrow: {
      const Tensor wide = arena.tensor({n, h, w, s.out * s.steps});
      ops_.conv2d(*layer.convs[0], x, {}, {}, Activation::none, wide);
      if (s.steps == 1) return wide;
      const Tensor y = arena.tensor({n * s.steps, h, w, s.out});
      ops_.channels_to_frames(wide, y);
      return y;
    }
    case Type::mem: {
      const Tensor before = remember(index, x, state, arena);
      Tensor y = x;
      for (size_t c = 0; c < layer.convs.size(); ++c) {
        const bool last = c + 1 == layer.convs.size();
        const Tensor next = arena.tensor(x.shape());
        ops_.conv2d(*layer.convs[c], y, c == 0 ? before : Tensor(), last ? x : Tensor(),
                    Activation::relu, next);
        y = next;
      }
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
  return y;
}

}  // namespace driftless
