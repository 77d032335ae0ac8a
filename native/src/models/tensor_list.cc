#include "models/tensor_list.h"

#include <set>

namespace driftless {

namespace {

// Collects a list; a linear layer or a convolution is a weight with its bias.
class Lister {
 public:
  TensorList list;

  void add(const std::string& key, Shape shape) { list.push_back({key, shape}); }
  void layer(const std::string& key, Shape weight) {
    add(key + ".weight", weight);
    add(key + ".bias", {weight[0]});
  }
};

class WanTensors : public WanVaeBlocks, public Lister {
 public:
  void conv(const std::string& key, int64_t in, int64_t out) override {
    layer(key, {out, in, 3, 3, 3});
  }
  void residual(const std::string& key, int64_t in, int64_t out) override {
    norm(key + ".residual.0", in);
    conv(key + ".residual.2", in, out);
    norm(key + ".residual.3", out);
    conv(key + ".residual.6", out, out);
    if (in != out) pointwise(key + ".shortcut", in, out);
  }
  void attention(const std::string& key, int64_t channels) override {
    add(key + ".norm.gamma", {channels, 1, 1});
    layer(key + ".to_qkv", {3 * channels, channels, 1, 1});
    layer(key + ".proj", {channels, channels, 1, 1});
  }
  void downsample(const std::string& key, int64_t channels, bool temporal) override {
    layer(key + ".resample.1", {channels, channels, 3, 3});
    if (temporal) layer(key + ".time_conv", {channels, channels, 3, 1, 1});
  }
  void upsample(const std::string& key, int64_t channels, bool temporal) override {
    layer(key + ".resample.1", {channels / 2, channels, 3, 3});
    if (temporal) layer(key + ".time_conv", {2 * channels, channels, 3, 1, 1});
  }
  void head(const std::string& key, int64_t in, int64_t out) override {
    norm(key + ".0", in);
    conv(key + ".2", in, out);
  }
  void pointwise(const std::string& key, int64_t in, int64_t out) override {
    layer(key, {out, in, 1, 1, 1});
  }

 private:
  void norm(const std::string& key, int64_t channels) { add(key + ".gamma", {channels, 1, 1, 1}); }
};

void list_stack(const std::string& prefix, const std::vector<AutoencoderLayer>& layers,
                Lister& out) {
  using Type = AutoencoderLayer::Type;
  for (size_t i = 0; i < layers.size(); ++i) {
    const AutoencoderLayer& layer = layers[i];
    const std::string key = prefix + "." + std::to_string(i);
    if (layer.type == Type::conv) {
      out.add(key + ".weight", {layer.out, layer.in, 3, 3});
      if (layer.bias) out.add(key + ".bias", {layer.out});
    } else if (layer.type == Type::tpool) {
      out.add(key + ".conv.weight", {layer.out, layer.in * layer.steps, 1, 1});
    } else if (layer.type == Type::tgrow) {
      out.add(key + ".conv.weight", {layer.out * layer.steps, layer.in, 1, 1});
    } else if (layer.type == Type::mem) {
      // A ReLU stands between the convolutions and takes an index.
      for (int64_t c = 0; c < layer.convs; ++c) {
        out.layer(key + ".conv." + std::to_string(2 * c),
                  {layer.in, c == 0 ? 2 * layer.in : layer.in, 3, 3});
      }
    }
  }
}

}  // namespace

TensorList dit_tensors(const DitConfig& config) {
  const int64_t d = config.dim, p = config.patch;
  Lister out;
  out.layer("patch_embedding", {d, config.in_channels, 1, p, p});
  out.layer("text_embedding.0", {d, config.text_dim});
  out.layer("text_embedding.2", {d, d});
  out.layer("time_embedding.0", {d, config.freq_dim});
  out.layer("time_embedding.2", {d, d});
  out.layer("time_projection.1", {6 * d, d});
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i);
    out.add(block + ".modulation", {1, 6, d});
    for (const char* attention : {".self_attn", ".cross_attn"}) {
      for (const char* matrix : {".q", ".k", ".v", ".o"}) {
        out.layer(block + attention + matrix, {d, d});
      }
      out.add(block + attention + ".norm_q.weight", {d});
      out.add(block + attention + ".norm_k.weight", {d});
    }
    out.add(block + ".norm3.weight", {d});
    out.add(block + ".norm3.bias", {d});
    out.layer(block + ".ffn.0", {config.ffn, d});
    out.layer(block + ".ffn.2", {d, config.ffn});
  }
  out.add("head.modulation", {1, 2, d});
  out.layer("head.head", {config.out_channels * p * p, d});
  return out.list;
}

TensorList umt5_tensors(const Umt5Config& config) {
  const int64_t d = config.dim, a = config.attention_dim, f = config.ffn;
  Lister out;
  out.add("token_embedding.weight", {config.vocab, d});
  out.add("norm.weight", {d});
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i);
    out.add(block + ".norm1.weight", {d});
    out.add(block + ".norm2.weight", {d});
    out.add(block + ".pos_embedding.embedding.weight", {config.buckets, config.heads});
    for (const char* matrix : {".attn.q", ".attn.k", ".attn.v"}) {
      out.add(block + matrix + ".weight", {a, d});
    }
    out.add(block + ".attn.o.weight", {d, a});
    out.add(block + ".ffn.gate.0.weight", {f, d});
    out.add(block + ".ffn.fc1.weight", {f, d});
    out.add(block + ".ffn.fc2.weight", {d, f});
  }
  return out.list;
}

TensorList hashed_prompt_tensors(const HashedPromptConfig& config) {
  Lister out;
  out.add("prompt.embedding.weight", {config.buckets, config.dim});
  out.add("prompt.position", {config.length, config.dim});
  out.layer("prompt.pool.0", {config.dim, config.dim});
  out.layer("prompt.pool.2", {config.dim, config.dim});
  return out.list;
}

TensorList codec_tensors(const CodecConfig& config) {
  if (const auto* wan = std::get_if<WanVaeConfig>(&config)) {
    WanTensors out;
    walk_wan_encoder(*wan, out);
    walk_wan_decoder(*wan, out);
    return out.list;
  }
  const auto& taehv = std::get<AutoencoderConfig>(config);
  Lister out;
  list_stack("encoder", taehv.encoder, out);
  list_stack("decoder", taehv.decoder, out);
  return out.list;
}

int64_t count_parameters(const TensorList& list) {
  int64_t sum = 0;
  for (const TensorSpec& tensor : list) sum += tensor.shape.count();
  return sum;
}

std::string name_in_file(const TensorFile& file, const std::string& key) {
  const std::string prefixed = "model." + key;
  return file.has(prefixed) ? prefixed : key;
}

std::vector<std::string> compare_tensors(const TensorFile& file, const TensorList& expected) {
  using Type = TensorFile::Type;
  std::vector<std::string> findings;
  const auto find = [&](const std::string& name, const std::string& wanted,
                        const std::string& got) {
    findings.push_back(file.path() + " tensor " + name + ": expected " + wanted + ", got " + got);
  };
  std::set<std::string> known;
  for (const TensorSpec& tensor : expected) {
    const std::string name = name_in_file(file, tensor.key);
    known.insert(name);
    if (!file.has(name)) {
      find(name, tensor.shape.text(), "none");
      continue;
    }
    const TensorFile::Entry& entry = file.entry(name);
    if (entry.shape != tensor.shape) find(name, tensor.shape.text(), entry.shape.text());
    const bool is_float = entry.type == Type::F32 || entry.type == Type::F16 ||
                          entry.type == Type::BF16 || entry.type == Type::F8_E4M3;
    if (!is_float) find(name, "F32, F16, BF16 or F8_E4M3", tensor_type_name(entry.type));
  }
  for (const std::string& name : file.names()) {
    if (known.count(name) == 0) find(name, "none", file.entry(name).shape.text());
  }
  return findings;
}

}  // namespace driftless
