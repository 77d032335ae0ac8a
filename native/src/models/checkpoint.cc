#include "models/checkpoint.h"

#include <string>

#include "core/error.h"
#include "models/tensor_list.h"

namespace driftless {

namespace {

using Layer = AutoencoderLayer;

// Dimension of a tensor under its key, with or without the checkpoint's prefix.
class Shapes {
 public:
  explicit Shapes(const TensorFile& file) : file_(file) {}

  bool has(const std::string& key) const { return file_.has(name_in_file(file_, key)); }
  Shape of(const std::string& key, int rank) const {
    const std::string name = name_in_file(file_, key);
    const Shape shape = file_.entry(name).shape;
    DL_CHECK_EQ(file_.path() + " tensor " + name + " rank", rank, shape.rank());
    for (int axis = 0; axis < rank; ++axis) {
      DL_CHECK(shape[axis] >= 1, file_.path() + " tensor " + name, "no empty dimension",
               shape.text());
    }
    return shape;
  }
  // How many of "<prefix>0<suffix>", "<prefix>1<suffix>", ... there are.
  int64_t count(const std::string& prefix, const std::string& suffix) const {
    int64_t n = 0;
    while (has(prefix + std::to_string(n) + suffix)) ++n;
    return n;
  }
  const std::string& path() const { return file_.path(); }

 private:
  const TensorFile& file_;
};

Layer conv(int64_t in, int64_t out, int64_t stride, bool bias) {
  Layer layer;
  layer.type = Layer::Type::conv;
  layer.in = in;
  layer.out = out;
  layer.stride = stride;
  layer.bias = bias;
  return layer;
}

Layer temporal(Layer::Type type, int64_t channels, int64_t steps) {
  Layer layer;
  layer.type = type;
  layer.in = layer.out = channels;
  layer.steps = steps;
  return layer;
}

Layer plain(Layer::Type type) {
  Layer layer;
  layer.type = type;
  return layer;
}

void add_memory(std::vector<Layer>& layers, int64_t channels) {
  constexpr int kMemoryBlocks = 3;
  Layer layer;
  layer.type = Layer::Type::mem;
  layer.in = layer.out = channels;
  layer.convs = 3;
  layers.insert(layers.end(), kMemoryBlocks, layer);
}

WanVaeConfig wan_config_of(const Shapes& shapes) {
  WanVaeConfig config = WanVaeConfig::wan21();
  config.dim = shapes.of("encoder.conv1.weight", 5)[0];
  config.latent_channels = shapes.of("conv2.weight", 5)[0];
  DL_CHECK_EQ(shapes.path() + " conv2.weight: latent channels",
              static_cast<int64_t>(config.latent_mean.size()), config.latent_channels);
  config.multipliers.clear();
  config.temporal_down.clear();
  config.residual_blocks = 0;
  int64_t channels = config.dim, blocks = 0;
  const auto end_stage = [&] {
    DL_CHECK(channels % config.dim == 0, shapes.path() + ": encoder stage",
             "a multiple of " + std::to_string(config.dim) + " channels", channels);
    config.multipliers.push_back(channels / config.dim);
    config.residual_blocks = blocks;
    blocks = 0;
  };
  for (int64_t i = 0;; ++i) {
    const std::string key = "encoder.downsamples." + std::to_string(i);
    if (shapes.has(key + ".residual.2.weight")) {
      channels = shapes.of(key + ".residual.2.weight", 5)[0];
      ++blocks;
    } else if (shapes.has(key + ".resample.1.weight")) {
      config.temporal_down.push_back(shapes.has(key + ".time_conv.weight"));
      end_stage();
    } else {
      break;
    }
  }
  end_stage();
  // The codec's promise of 8 times in space and 4 in time.
  DL_CHECK_EQ(shapes.path() + ": encoder stages", size_t{4}, config.multipliers.size());
  return config;
}

AutoencoderConfig taehv_config_of(const Shapes& shapes) {
  const Shape first = shapes.of("decoder.1.weight", 4);
  std::vector<int64_t> widths = {first[0]};
  for (const char* key : {"decoder.8.weight", "decoder.14.weight", "decoder.20.weight"}) {
    widths.push_back(shapes.of(key, 4)[0]);
  }
  return taehv_config(shapes.of("encoder.0.weight", 4)[0], widths, first[1]);
}

}  // namespace

DitConfig dit_config_of(const TensorFile& file, int64_t head_dim, int64_t text_len) {
  const Shapes shapes(file);
  DitConfig config;
  const Shape patch = shapes.of("patch_embedding.weight", 5);
  config.dim = patch[0];
  config.in_channels = patch[1];
  config.patch = patch[3];
  DL_CHECK_EQ(file.path() + " patch_embedding.weight",
              (Shape{config.dim, config.in_channels, 1, config.patch, config.patch}), patch);
  DL_CHECK(head_dim >= 2 && config.dim % head_dim == 0, "head dimension",
           "a divisor of " + std::to_string(config.dim), head_dim);
  config.heads = config.dim / head_dim;
  config.layers = shapes.count("blocks.", ".modulation");
  DL_CHECK(config.layers > 0, file.path(), "a tensor named blocks.0.modulation", "none");
  config.ffn = shapes.of("blocks.0.ffn.0.weight", 2)[0];
  config.freq_dim = shapes.of("time_embedding.0.weight", 2)[1];
  config.text_dim = shapes.of("text_embedding.0.weight", 2)[1];
  config.text_len = text_len;
  const int64_t area = config.patch * config.patch;
  const int64_t out = shapes.of("head.head.weight", 2)[0];
  DL_CHECK(out % area == 0, file.path() + " head.head.weight: rows",
           "a multiple of the patch's " + std::to_string(area), out);
  config.out_channels = out / area;
  return config;
}

Umt5Config umt5_config_of(const TensorFile& file) {
  const Shapes shapes(file);
  Umt5Config config;
  const Shape embedding = shapes.of("token_embedding.weight", 2);
  config.vocab = embedding[0];
  config.dim = embedding[1];
  config.layers = shapes.count("blocks.", ".norm1.weight");
  DL_CHECK(config.layers > 0, file.path(), "a tensor named blocks.0.norm1.weight", "none");
  config.attention_dim = shapes.of("blocks.0.attn.q.weight", 2)[0];
  config.ffn = shapes.of("blocks.0.ffn.fc1.weight", 2)[0];
  const Shape bias = shapes.of("blocks.0.pos_embedding.embedding.weight", 2);
  config.buckets = bias[0];
  config.heads = bias[1];
  return config;
}

CodecConfig codec_config_of(const TensorFile& file) {
  const Shapes shapes(file);
  if (shapes.has("encoder.conv1.weight")) return wan_config_of(shapes);
  if (shapes.has("encoder.0.weight")) return taehv_config_of(shapes);
  throw Error(file.path(),
              "an autoencoder with encoder.conv1.weight (Wan2.1) or encoder.0.weight (TAEHV)",
              "neither");
}

AutoencoderConfig taehv_config(int64_t encoder_width, const std::vector<int64_t>& decoder_widths,
                               int64_t latent_channels) {
  DL_CHECK_EQ("taehv: stages of the decoder", size_t{4}, decoder_widths.size());
  const int64_t width = encoder_width;
  AutoencoderConfig config;
  config.latent_channels = latent_channels;
  config.input_low = config.output_low = 0;
  config.latent_mean.assign(static_cast<size_t>(latent_channels), 0.0f);
  config.latent_std.assign(static_cast<size_t>(latent_channels), 1.0f);

  config.encoder = {conv(3, width, 1, true), plain(Layer::Type::relu)};
  for (int64_t steps : {2, 2, 1}) {
    config.encoder.push_back(temporal(Layer::Type::tpool, width, steps));
    config.encoder.push_back(conv(width, width, 2, false));
    add_memory(config.encoder, width);
  }
  config.encoder.push_back(conv(width, latent_channels, 1, true));

  config.decoder = {plain(Layer::Type::clamp), conv(latent_channels, decoder_widths[0], 1, true),
                    plain(Layer::Type::relu)};
  const int64_t grow[] = {1, 2, 2};
  for (size_t stage = 0; stage < 3; ++stage) {
    add_memory(config.decoder, decoder_widths[stage]);
    config.decoder.push_back(plain(Layer::Type::up));
    config.decoder.push_back(temporal(Layer::Type::tgrow, decoder_widths[stage], grow[stage]));
    config.decoder.push_back(conv(decoder_widths[stage], decoder_widths[stage + 1], 1, false));
  }
  config.decoder.push_back(plain(Layer::Type::relu));
  config.decoder.push_back(conv(decoder_widths[3], 3, 1, true));
  return config;
}

}  // namespace driftless
