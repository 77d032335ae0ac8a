#include "models/model_json.h"

#include <cstdio>
#include <cstdlib>

namespace driftless {

namespace {

// The shortest decimal that is this float again, so that 0.6 does not become 0.6000000238.
double decimal(float value) {
  char text[32];
  for (int digits = 6; digits <= 9; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(value));
    if (std::strtof(text, nullptr) == value) break;
  }
  return std::strtod(text, nullptr);
}

template <typename Floats>
Json decimals(const Floats& values) {
  Json list = Json::array();
  for (float value : values) list.push_back(decimal(value));
  return list;
}

Json rows(const std::array<float, 6>& values, size_t columns) {
  Json list = Json::array();
  for (size_t r = 0; r < values.size() / columns; ++r) {
    Json row = Json::array();
    for (size_t c = 0; c < columns; ++c) row.push_back(decimal(values[r * columns + c]));
    list.push_back(row);
  }
  return list;
}

Json layer_json(const AutoencoderLayer& layer) {
  using Type = AutoencoderLayer::Type;
  switch (layer.type) {
    case Type::conv:
      if (!layer.bias) return {"conv", layer.in, layer.out, layer.stride, false};
      return {"conv", layer.in, layer.out, layer.stride};
    case Type::relu:
      return Json::array({"relu"});
    case Type::clamp:
      return Json::array({"clamp"});
    case Type::up:
      return Json::array({"up"});
    case Type::tpool:
      return {"tpool", layer.in, layer.out, layer.steps};
    case Type::tgrow:
      return {"tgrow", layer.in, layer.out, layer.steps};
    case Type::mem:
      return {"mem", layer.in, layer.convs};
  }
  throw Error("autoencoder layer: expected a known type");
}

Json layers_json(const std::vector<AutoencoderLayer>& layers) {
  Json list = Json::array();
  for (const AutoencoderLayer& layer : layers) list.push_back(layer_json(layer));
  return list;
}

Json codec_json(const ModelConfig& config) {
  Json json = {{"file", config.autoencoder_file},
               {"latentMean", decimals(codec_latent_mean(config.autoencoder))},
               {"latentStd", decimals(codec_latent_std(config.autoencoder))},
               {"latentChannels", codec_latent_channels(config.autoencoder)}};
  if (const auto* wan = std::get_if<WanVaeConfig>(&config.autoencoder)) {
    json["type"] = "wan";
    json["dim"] = wan->dim;
    json["multipliers"] = wan->multipliers;
    json["residualBlocks"] = wan->residual_blocks;
    json["temporalDown"] = wan->temporal_down;
    return json;
  }
  const auto& taehv = std::get<AutoencoderConfig>(config.autoencoder);
  json["type"] = "taehv";
  json["spatialScale"] = taehv.spatial_scale;
  json["patch"] = taehv.patch;
  json["inputRange"] = {decimal(taehv.input_low), decimal(taehv.input_high)};
  json["outputRange"] = {decimal(taehv.output_low), decimal(taehv.output_high)};
  json["latentClamp"] = decimal(taehv.latent_clamp);
  json["encoder"] = layers_json(taehv.encoder);
  json["decoder"] = layers_json(taehv.decoder);
  if (taehv.has_anchor) {
    json["chromaAnchor"] = {{"channels", taehv.anchor.channels},
                            {"toChroma", rows(taehv.anchor.to_chroma, 3)},
                            {"fromChroma", rows(taehv.anchor.from_chroma, 2)},
                            {"scale", decimal(taehv.anchor.scale)}};
  }
  return json;
}

Json dit_json(const ModelConfig& config) {
  const DitConfig& dit = config.dit;
  return {{"file", config.dit_file},
          {"dim", dit.dim},
          {"ffn", dit.ffn},
          {"heads", dit.heads},
          {"layers", dit.layers},
          {"patch", {1, dit.patch, dit.patch}},
          {"latentChannels", dit.out_channels},
          {"conditioning", config.clean_conditioning ? "clean" : "none"},
          {"freqDim", dit.freq_dim},
          {"textDim", dit.text_dim},
          {"textLen", dit.text_len},
          {"prediction", config.prediction == Prediction::x0 ? "x0" : "flow"},
          {"eps", decimal(dit.eps)}};
}

Json prompt_json(const PromptConfig& config) {
  if (const auto* umt5 = std::get_if<Umt5PromptConfig>(&config)) {
    const Umt5Config& network = umt5->network;
    return {{"type", "umt5"},
            {"file", umt5->file},
            {"tokenizer", umt5->tokenizer_file},
            {"length", umt5->length},
            {"vocab", network.vocab},
            {"dim", network.dim},
            {"attentionDim", network.attention_dim},
            {"ffn", network.ffn},
            {"heads", network.heads},
            {"layers", network.layers},
            {"buckets", network.buckets},
            {"maxDistance", network.max_distance},
            {"eps", decimal(network.eps)}};
  }
  const auto& hashed = std::get<HashedPromptConfig>(config);
  Json json = {{"type", "hashed-ngrams"},
               {"buckets", hashed.buckets},
               {"ngrams", hashed.ngrams},
               {"length", hashed.length},
               {"dim", hashed.dim}};
  if (!hashed.aliases.empty()) json["aliases"] = hashed.aliases;
  return json;
}

Json schedule_json(const ScheduleConfig& config) {
  Json json = {{"shift", config.shift},
               {"latentScale", config.latent_scale},
               {"noise", config.noise == NoiseSource::fixed ? "fixed" : "fresh"},
               {"timestepOffset", config.timestep_offset},
               {"steps", config.steps},
               {"noiseScale", config.noise_scale},
               {"motionRange", config.motion_range},
               {"kvFrames", config.kv_frames},
               {"sinkFrames", config.sink_frames},
               {"adaptSinkThreshold", decimal(config.adapt_sink_threshold)}};
  // What is optional is written where it is not the default.
  const ScheduleConfig defaults;
  if (config.raw_latents) json["rawLatents"] = true;
  if (config.blend_chunks != defaults.blend_chunks) json["blendChunks"] = config.blend_chunks;
  if (config.prompt_ring == PromptRing::recache) json["promptRing"] = "recache";
  if (config.context_pass == ContextPass::clean) json["contextPass"] = "clean";
  if (config.hold_still > 0) json["holdStill"] = config.hold_still;
  if (!config.drift_guard) json["driftGuard"] = "off";
  return json;
}

}  // namespace

Json model_json(const ModelConfig& config) {
  Json json = {{"format", 1},
               {"name", config.name},
               {"version", config.version},
               {"license", config.license},
               {"width", config.width},
               {"height", config.height},
               {"fps", config.fps},
               {"framesPerChunk", config.frames_per_chunk},
               {"autoencoder", codec_json(config)},
               {"dit", dit_json(config)},
               {"prompt", prompt_json(config.prompt)},
               {"schedule", schedule_json(config.schedule)}};
  if (!config.other_sizes.empty()) {
    for (const PictureSize& size : config.sizes()) {
      json["sizes"].push_back({size.width, size.height});
    }
  }
  if (!config.architecture.empty()) json["architecture"] = config.architecture;
  for (const auto& [name, file] : config.files) {
    json["files"][name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
    if (!file.source.empty()) json["files"][name]["source"] = file.source;
  }
  return json;
}

}  // namespace driftless
