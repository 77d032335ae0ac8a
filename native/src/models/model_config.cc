#include "models/model_config.h"

#include <algorithm>

#include "core/error.h"
#include "models/config_section.h"

namespace driftless {

namespace {

// One entry of a layer list: a type and a fixed number of positive integers.
AutoencoderLayer parse_layer(const Json& json, const std::string& where) {
  using Type = AutoencoderLayer::Type;
  struct Form {
    const char* name;
    Type type;
    size_t numbers;
    const char* text;
  };
  static const Form kForms[] = {
      {"conv", Type::conv, 3, "[\"conv\", in, out, stride] or [\"conv\", in, out, stride, false]"},
      {"relu", Type::relu, 0, "[\"relu\"]"},
      {"clamp", Type::clamp, 0, "[\"clamp\"]"},
      {"up", Type::up, 0, "[\"up\"]"},
      {"tpool", Type::tpool, 3, "[\"tpool\", in, out, steps]"},
      {"tgrow", Type::tgrow, 3, "[\"tgrow\", in, out, steps]"},
      {"mem", Type::mem, 2, "[\"mem\", channels, convs]"},
  };
  if (!json.is_array() || json.empty() || !json[0].is_string()) {
    throw Error(where, "[type, numbers...]", json.dump());
  }
  const std::string name = json[0].get<std::string>();
  for (const Form& form : kForms) {
    if (name != form.name) continue;
    int64_t n[3] = {};
    // A last "false" is a convolution without bias.
    const bool no_bias = form.type == Type::conv && json.size() == 5 && json[4] == false;
    bool good = no_bias || json.size() == form.numbers + 1;
    for (size_t i = 1; good && i <= form.numbers; ++i) {
      good = json[i].is_number_integer() && json[i].get<int64_t>() >= 1 &&
             json[i].get<int64_t>() <= 4096;
      if (good) n[i - 1] = json[i].get<int64_t>();
    }
    if (good && form.type == Type::conv) good = n[2] <= 2;
    if (!good) throw Error(where, form.text, json.dump());
    AutoencoderLayer layer;
    layer.type = form.type;
    layer.in = n[0];
    layer.out = form.type == Type::mem ? n[0] : n[1];
    if (form.type == Type::conv) layer.stride = n[2];
    if (no_bias) layer.bias = false;
    if (form.type == Type::tpool || form.type == Type::tgrow) layer.steps = n[2];
    if (form.type == Type::mem) layer.convs = n[1];
    return layer;
  }
  throw Error(where, "conv, relu, clamp, up, tpool, tgrow or mem", "\"" + name + "\"");
}

std::vector<AutoencoderLayer> parse_layers(const Section& section, const char* key) {
  const Json& list = section.json(key);
  if (!list.is_array() || list.empty()) throw Error(section.path(key), "a list", list.dump());
  std::vector<AutoencoderLayer> layers;
  for (size_t i = 0; i < list.size(); ++i) {
    layers.push_back(parse_layer(list[i], section.path(key) + "[" + std::to_string(i) + "]"));
  }
  return layers;
}

std::vector<float> parse_latent_std(const Section& s, size_t channels) {
  std::vector<float> values = s.floats("latentStd", channels);
  for (float value : values) {
    if (!(value > 0)) throw Error(s.path("latentStd"), "positive values", value);
  }
  return values;
}

AutoencoderConfig parse_taehv(const Section& s) {
  AutoencoderConfig config;
  config.latent_channels = s.integer("latentChannels", 1, 256);
  config.spatial_scale = s.integer("spatialScale", 1, 64);
  config.patch = s.integer("patch", 1, 16);
  config.latent_clamp = static_cast<float>(s.number("latentClamp", 0.1, 1000));
  const std::vector<float> input = s.floats("inputRange", 2);
  const std::vector<float> output = s.floats("outputRange", 2);
  if (!(input[0] < input[1])) throw Error(s.path("inputRange"), "[low, high]", "low >= high");
  if (!(output[0] < output[1])) throw Error(s.path("outputRange"), "[low, high]", "low >= high");
  config.input_low = input[0];
  config.input_high = input[1];
  config.output_low = output[0];
  config.output_high = output[1];
  config.encoder = parse_layers(s, "encoder");
  config.decoder = parse_layers(s, "decoder");
  const size_t channels = static_cast<size_t>(config.latent_channels);
  config.latent_mean = s.floats("latentMean", channels);
  config.latent_std = parse_latent_std(s, channels);
  if (!s.has("chromaAnchor") || s.json("chromaAnchor").is_null()) return config;
  const Section a(s.json("chromaAnchor"), s.path("chromaAnchor"),
                  {"channels", "toChroma", "fromChroma", "scale"});
  config.has_anchor = true;
  const auto anchor_channels = a.get<std::vector<int64_t>>("channels");
  DL_CHECK_EQ(a.path("channels") + ": number of channels", size_t{2}, anchor_channels.size());
  for (size_t i = 0; i < 2; ++i) {
    DL_CHECK(anchor_channels[i] >= 0 && anchor_channels[i] < config.latent_channels,
             a.path("channels"), "0 to " + std::to_string(config.latent_channels - 1),
             anchor_channels[i]);
    config.anchor.channels[i] = anchor_channels[i];
  }
  config.anchor.to_chroma = a.matrix<6>("toChroma", 3);
  config.anchor.from_chroma = a.matrix<6>("fromChroma", 2);
  config.anchor.scale = static_cast<float>(a.number("scale", 1e-3, 1e3));
  return config;
}

WanVaeConfig parse_wan_vae(const Section& s) {
  WanVaeConfig config;
  config.dim = s.integer("dim", 1, 4096);
  config.latent_channels = s.integer("latentChannels", 1, 256);
  config.multipliers = s.get<std::vector<int64_t>>("multipliers");
  // Eight times smaller in space and four times in time is what the codec's interface promises.
  DL_CHECK_EQ(s.path("multipliers") + ": number of values", size_t{4}, config.multipliers.size());
  for (int64_t value : config.multipliers) {
    DL_CHECK(value >= 1 && value <= 64, s.path("multipliers"), "1 to 64", value);
  }
  config.residual_blocks = s.integer("residualBlocks", 1, 16);
  config.temporal_down = s.get<std::vector<bool>>("temporalDown");
  DL_CHECK_EQ(s.path("temporalDown") + ": number of values", size_t{3},
              config.temporal_down.size());
  DL_CHECK_EQ(s.path("temporalDown") + ": halvings", 2,
              std::count(config.temporal_down.begin(), config.temporal_down.end(), true));
  const size_t channels = static_cast<size_t>(config.latent_channels);
  config.latent_mean = s.floats("latentMean", channels);
  config.latent_std = parse_latent_std(s, channels);
  return config;
}

// The keys depend on the type, which is read first.
CodecConfig parse_codec(const Json& json, const std::string& where, std::string* file) {
  const std::string type = json_get<std::string>(json, "type", where);
  if (type == "wan") {
    const Section s(json, where,
                    {"type", "file", "dim", "latentChannels", "multipliers", "residualBlocks",
                     "temporalDown", "latentMean", "latentStd"});
    *file = s.file("file");
    return parse_wan_vae(s);
  }
  if (type != "taehv") throw Error(where + ".type", "\"taehv\" or \"wan\"", "\"" + type + "\"");
  const Section s(json, where,
                  {"type", "file", "latentChannels", "spatialScale", "patch", "inputRange",
                   "outputRange", "latentClamp", "encoder", "decoder", "latentMean", "latentStd"},
                  {"chromaAnchor"});
  *file = s.file("file");
  return parse_taehv(s);
}

void parse_dit(const Section& s, ModelConfig& config) {
  DitConfig& dit = config.dit;
  dit.dim = s.integer("dim", 2, 16384);
  dit.ffn = s.integer("ffn", 1, 65536);
  dit.heads = s.integer("heads", 1, 256);
  dit.layers = s.integer("layers", 1, 256);
  const auto patch = s.get<std::vector<int64_t>>("patch");
  if (patch.size() != 3 || patch[0] != 1 || patch[1] < 1 || patch[1] != patch[2]) {
    throw Error(s.path("patch"), "[1, p, p]", s.json("patch").dump());
  }
  dit.patch = patch[1];
  dit.out_channels = s.integer("latentChannels", 1, 256);
  DL_CHECK_EQ(s.path("latentChannels"), config.latent_channels(), dit.out_channels);
  config.clean_conditioning = s.choice("conditioning", {"none", "clean"}) == "clean";
  dit.in_channels = dit.out_channels * (config.clean_conditioning ? 2 : 1);
  dit.freq_dim = s.integer("freqDim", 2, 4096);
  dit.text_dim = s.integer("textDim", 1, 16384);
  dit.text_len = s.integer("textLen", 1, 4096);
  dit.eps = static_cast<float>(s.number("eps", 0, 1));
  config.prediction =
      s.choice("prediction", {"flow", "x0"}) == "x0" ? Prediction::x0 : Prediction::flow;
}

PromptConfig parse_hashed_prompt(const Section& s, const DitConfig& dit) {
  HashedPromptConfig config;
  config.buckets = s.integer("buckets", 2, 1 << 24);
  config.ngrams = s.integer("ngrams", 1, 256);
  config.length = s.integer("length", 2, 4096);
  config.dim = s.integer("dim", 1, 16384);
  DL_CHECK_EQ(s.path("length"), dit.text_len, config.length);
  DL_CHECK_EQ(s.path("dim"), dit.text_dim, config.dim);
  if (!s.has("aliases")) return config;
  config.aliases = s.get<std::map<std::string, std::string>>("aliases");
  for (const auto& [words, meaning] : config.aliases) {
    const std::vector<std::string> read = split_words(words);
    std::string plain;
    for (const std::string& word : read) plain += (plain.empty() ? "" : " ") + word;
    DL_CHECK(plain == words && !read.empty() && read.size() <= HashedPromptConfig::kLongestAlias,
             s.path("aliases"), "keys of 1 to 3 lower-case words, a space between them",
             "\"" + words + "\"");
    DL_CHECK(!split_words(meaning).empty(), s.path("aliases") + "." + words, "words",
             "\"" + meaning + "\"");
  }
  return config;
}

PromptConfig parse_umt5_prompt(const Section& s, const DitConfig& dit) {
  Umt5PromptConfig config;
  config.file = s.file("file");
  config.tokenizer_file = s.file("tokenizer");
  config.length = s.integer("length", 2, 4096);
  Umt5Config& network = config.network;
  network.vocab = s.integer("vocab", 1, 1 << 24);
  network.dim = s.integer("dim", 1, 16384);
  network.attention_dim = s.integer("attentionDim", 1, 16384);
  network.ffn = s.integer("ffn", 1, 65536);
  network.heads = s.integer("heads", 1, 256);
  network.layers = s.integer("layers", 1, 256);
  network.buckets = s.integer("buckets", 4, 1024);
  network.max_distance = s.integer("maxDistance", 2, 65536);
  network.eps = static_cast<float>(s.number("eps", 0, 1));
  DL_CHECK_EQ(s.path("length"), dit.text_len, config.length);
  DL_CHECK_EQ(s.path("dim"), dit.text_dim, network.dim);
  return config;
}

// The keys depend on the type, which is read first.
PromptConfig parse_prompt(const Json& json, const std::string& where, const DitConfig& dit) {
  const std::string type = json_get<std::string>(json, "type", where);
  if (type == "umt5") {
    const Section s(json, where,
                    {"type", "file", "tokenizer", "length", "vocab", "dim", "attentionDim", "ffn",
                     "heads", "layers", "buckets", "maxDistance", "eps"});
    return parse_umt5_prompt(s, dit);
  }
  if (type != "hashed-ngrams") {
    throw Error(where + ".type", "\"hashed-ngrams\" or \"umt5\"", "\"" + type + "\"");
  }
  const Section s(json, where, {"type", "buckets", "ngrams", "length", "dim"}, {"aliases"});
  return parse_hashed_prompt(s, dit);
}

std::map<std::string, ModelFile> parse_files(const Json& json, const std::string& where) {
  std::map<std::string, ModelFile> files;
  if (!json.is_object()) throw Error(where, "an object", json.type_name());
  for (const auto& [name, value] : json.items()) {
    const Section s(value, where + "." + name, {"bytes", "sha256"}, {"source"});
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
      throw Error(where, "file names without a folder", "\"" + name + "\"");
    }
    ModelFile file;
    file.bytes = static_cast<uint64_t>(s.integer("bytes", 0, int64_t{1} << 50));
    file.sha256 = s.get<std::string>("sha256");
    if (s.has("source")) file.source = s.get<std::string>("source");
    const bool digits = file.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    DL_CHECK(digits && file.sha256.size() == 64, s.path("sha256"),
             "64 lower-case hexadecimal digits", "\"" + file.sha256 + "\"");
    files[name] = file;
  }
  return files;
}

ScheduleConfig parse_schedule(const Section& s) {
  ScheduleConfig config;
  config.shift = s.number("shift", 0.01, 100);
  config.latent_scale = s.number("latentScale", 1e-3, 1e3);
  config.raw_latents = s.has("rawLatents") && s.get<bool>("rawLatents");
  config.noise =
      s.choice("noise", {"fixed", "fresh"}) == "fixed" ? NoiseSource::fixed : NoiseSource::fresh;
  config.timestep_offset = s.number("timestepOffset", -1000, 1000);
  config.steps = s.get<std::vector<int>>("steps");
  if (config.steps.empty()) throw Error(s.path("steps"), "at least one step", "none");
  for (int t : config.steps) {
    DL_CHECK(t >= 1 && t <= 1000, s.path("steps"), "timesteps from 1 to 1000", t);
  }
  config.noise_scale = s.number("noiseScale", 0.01, 1);
  config.motion_range = s.number("motionRange", 0, config.noise_scale);
  config.kv_frames = static_cast<int>(s.integer("kvFrames", 1, 1024));
  config.sink_frames = static_cast<int>(s.integer("sinkFrames", 0, config.kv_frames - 1));
  config.adapt_sink_threshold = static_cast<float>(s.number("adaptSinkThreshold", -1, 1));
  if (s.has("blendChunks"))
    config.blend_chunks = static_cast<int>(s.integer("blendChunks", 0, 256));
  if (s.has("promptRing") && s.choice("promptRing", {"keep", "recache"}) == "recache") {
    config.prompt_ring = PromptRing::recache;
  }
  if (s.has("contextPass") && s.choice("contextPass", {"none", "clean"}) == "clean") {
    config.context_pass = ContextPass::clean;
  }
  if (s.has("holdStill")) config.hold_still = s.number("holdStill", 0, 0.95);
  config.drift_guard = !s.has("driftGuard") || s.choice("driftGuard", {"soft", "off"}) == "soft";
  return config;
}

// Several sizes cost a session the memory of the largest, so they are about equally large.
std::vector<PictureSize> parse_sizes(const Section& s, const PictureSize& own, int64_t unit) {
  constexpr size_t kMostSizes = 16;
  const Json& list = s.json("sizes");
  if (!list.is_array() || list.size() > kMostSizes) {
    throw Error(s.path("sizes"),
                "a list of up to " + std::to_string(kMostSizes) + " pairs [width, height]",
                list.dump());
  }
  std::vector<PictureSize> sizes;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = s.path("sizes") + "[" + std::to_string(i) + "]";
    const Json& pair = list[i];
    const auto fits = [&](const Json& side) {
      return side.is_number_integer() && side.get<int64_t>() >= unit &&
             side.get<int64_t>() <= 8192 && side.get<int64_t>() % unit == 0;
    };
    if (!pair.is_array() || pair.size() != 2 || !fits(pair[0]) || !fits(pair[1])) {
      throw Error(where, "[width, height], multiples of " + std::to_string(unit), pair.dump());
    }
    const PictureSize size{pair[0].get<int>(), pair[1].get<int>()};
    if (size.area() < own.area() / 2 || size.area() > own.area() * 3 / 2) {
      throw Error(where, "half to one and a half times the pixels of width x height", pair.dump());
    }
    if (size == own) continue;
    for (const PictureSize& other : sizes) {
      if (size == other) throw Error(where, "each size once", pair.dump());
    }
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

int64_t ModelConfig::most_latents() const {
  const int64_t scale = codec_spatial_scale(autoencoder);
  int64_t most = 0;
  for (const PictureSize& size : sizes()) {
    most = std::max(most, (size.height / scale) * (size.width / scale));
  }
  return most;
}

ModelConfig parse_model_config(const Json& json, const std::string& where) {
  const Section s(json, where,
                  {"format", "name", "version", "license", "width", "height", "fps",
                   "framesPerChunk", "autoencoder", "dit", "prompt", "schedule"},
                  {"architecture", "files", "sizes"});
  s.integer("format", 1, 1);
  ModelConfig config;
  config.name = s.get<std::string>("name");
  config.version = s.get<std::string>("version");
  config.license = s.get<std::string>("license");
  config.width = static_cast<int>(s.integer("width", 16, 8192));
  config.height = static_cast<int>(s.integer("height", 16, 8192));
  config.fps = s.number("fps", 1, 240);
  config.frames_per_chunk = static_cast<int>(s.integer("framesPerChunk", 1, 64));

  config.autoencoder =
      parse_codec(s.json("autoencoder"), s.path("autoencoder"), &config.autoencoder_file);
  if (auto* taehv = std::get_if<AutoencoderConfig>(&config.autoencoder)) {
    taehv->frames_per_latent = config.frames_per_chunk;
  }
  DL_CHECK_EQ(s.path("framesPerChunk"), codec_frames_per_latent(config.autoencoder),
              config.frames_per_chunk);

  const Section dit(s.json("dit"), s.path("dit"),
                    {"file", "dim", "ffn", "heads", "layers", "patch", "latentChannels",
                     "conditioning", "freqDim", "textDim", "textLen", "prediction", "eps"});
  parse_dit(dit, config);
  config.dit_file = dit.file("file");

  config.prompt = parse_prompt(s.json("prompt"), s.path("prompt"), config.dit);
  if (s.has("files")) config.files = parse_files(s.json("files"), s.path("files"));

  config.schedule = parse_schedule(Section(
      s.json("schedule"), s.path("schedule"),
      {"shift", "latentScale", "noise", "timestepOffset", "steps", "noiseScale", "motionRange",
       "kvFrames", "sinkFrames", "adaptSinkThreshold"},
      {"holdStill", "rawLatents", "blendChunks", "promptRing", "contextPass", "driftGuard"}));

  // A word for people; what a model is, its sections say.
  if (s.has("architecture")) config.architecture = s.get<std::string>("architecture");

  const int64_t unit = codec_spatial_scale(config.autoencoder) * config.dit.patch;
  DL_CHECK(config.width % unit == 0, s.path("width"), "a multiple of " + std::to_string(unit),
           config.width);
  DL_CHECK(config.height % unit == 0, s.path("height"), "a multiple of " + std::to_string(unit),
           config.height);
  if (s.has("sizes")) {
    config.other_sizes = parse_sizes(s, {config.width, config.height}, unit);
  }
  return config;
}

}  // namespace driftless
