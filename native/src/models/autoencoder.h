#pragma once

// The TAEHV-form autoencoder: a list of small layers with one step of memory, run chunk by chunk.
// Four (or another fixed number of) pixel frames become one latent frame and back.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/codec_memory.h"
#include "models/latent_codec.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

// One entry of the layer lists. Temporal layers: tpool joins t consecutive steps in the channels,
// tgrow splits channels into t consecutive steps, mem sees the step before.
struct AutoencoderLayer {
  enum class Type { conv, relu, clamp, up, tpool, tgrow, mem };
  Type type = Type::relu;
  int64_t in = 0, out = 0;  // channels; mem: both equal
  int64_t stride = 1;       // conv
  int64_t steps = 1;        // tpool, tgrow
  int64_t convs = 0;        // mem: convolutions in its residual branch
  bool bias = true;         // conv
};

// Two latent channels that are not learned: the averaged chroma of the pixels, which the decoder
// adds back. It keeps a small autoencoder from losing a colour axis.
struct ChromaAnchor {
  std::array<int64_t, 2> channels{};
  std::array<float, 6> to_chroma{};    // [2, 3], on RGB in 0..1
  std::array<float, 6> from_chroma{};  // [3, 2]
  float scale = 1;
};

struct AutoencoderConfig {
  int64_t latent_channels = 0;
  int64_t spatial_scale = 8;
  int64_t frames_per_latent = 4;
  int64_t patch = 1;                       // pixel (un)shuffle at the picture's end
  float latent_clamp = 3;                  // of the "clamp" layer
  float input_low = -1, input_high = 1;    // what the encoder's pixels span
  float output_low = -1, output_high = 1;  // what the decoder's pixels span
  std::vector<AutoencoderLayer> encoder, decoder;
  // Of what lies between layers; not of the file, but of the operations that the model runs on.
  DType dtype = DType::f32;
  bool has_anchor = false;
  ChromaAnchor anchor;
  std::vector<float> latent_mean, latent_std;  // [latent_channels]
};

// The last input of every mem layer. What is absent takes its size from the first run, and starts
// as zeros.
struct AutoencoderState : CodecState {
  explicit AutoencoderState(const MemorySource& source = host_memory(), size_t bytes = 4096)
      : memory(bytes, 0, source) {}

  Arena memory;
  std::vector<Tensor> past;

  size_t bytes() const override;
};

// What Autoencoder::state_bytes() gives, from the configuration alone.
CodecStateBytes autoencoder_state_bytes(const AutoencoderConfig& config, int64_t height,
                                        int64_t width);

// Whether what a layer takes has come through a convolution, and is of the configured type: pixels
// and latents are f32.
std::vector<bool> follow_convolution(const std::vector<AutoencoderLayer>& layers);

// A list of layers with its weights.
class LayerStack {
 public:
  // Weights under "<prefix>.<index>.…". Throws Error when a layer's input channels differ from what
  // the layers before it give.
  LayerStack(const std::string& prefix, const std::vector<AutoencoderLayer>& layers,
             int64_t in_channels, const AutoencoderConfig& config, WeightSource& weights, Ops& ops);
  ~LayerStack();

  int64_t out_channels() const { return out_channels_; }

  // x [n, h, w, in_channels], n steps in order, f32; so is the result, which lies in `arena`.
  Tensor run(const Tensor& x, AutoencoderState& state, Arena& arena) const;

 private:
  struct Layer;
  Tensor run_layer(size_t index, const Tensor& x, AutoencoderState& state, Arena& arena) const;

  Ops& ops_;
  float clamp_;
  DType dtype_;
  int64_t out_channels_;
  std::vector<Layer> layers_;
};

class Autoencoder : public LatentCodec {
 public:
  // `ops` must outlive the autoencoder. Throws Error when the layers do not add up to the scales.
  Autoencoder(const AutoencoderConfig& config, WeightSource& weights, Ops& ops);

  const AutoencoderConfig& config() const { return config_; }

  int64_t latent_channels() const override { return config_.latent_channels; }
  int64_t spatial_scale() const override { return config_.spatial_scale; }
  int64_t frames_per_latent() const override { return config_.frames_per_latent; }
  std::unique_ptr<CodecState> make_encoder_state(int64_t height, int64_t width) const override;
  std::unique_ptr<CodecState> make_decoder_state(int64_t height, int64_t width) const override;
  CodecStateBytes state_bytes(int64_t height, int64_t width) const override {
    return autoencoder_state_bytes(config_, height, width);
  }
  void encode(const Tensor& rgb, CodecState& state, const Tensor& z) override;
  void decode(const Tensor& z, CodecState& state, const Tensor& rgb) override;

  // The same on floats: pixels in the configured ranges, latents as the network sees them.
  void encode_raw(const Tensor& pixels, AutoencoderState& state, const Tensor& z);
  void decode_raw(const Tensor& z, AutoencoderState& state, const Tensor& pixels);

 private:
  void take_parameters();
  void write_anchor(const Tensor& pixels, const Tensor& z);
  void add_anchor(const Tensor& z, const Tensor& pixels);

  AutoencoderConfig config_;
  Ops& ops_;
  std::unique_ptr<LayerStack> encoder_, decoder_;
  Arena parameters_;
  LatentStatistics statistics_;
  // Pixels to 0..1 and to chroma, and back.
  Tensor unit_scale_, unit_shift_, to_chroma_, from_chroma_;
  Tensor anchor_scale_, anchor_gain_;  // [2], both values the same
};

}  // namespace driftless
