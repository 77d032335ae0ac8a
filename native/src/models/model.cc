#include "models/model.h"

#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace driftless {

namespace {

// `make` gives operations that the prompt encoder has for itself.
std::unique_ptr<PromptCache> make_prompts(const PromptConfig& config, const std::string& dir,
                                          WeightSource& dit_weights,
                                          const std::function<std::unique_ptr<Ops>()>& make,
                                          EncoderResidency residency) {
  if (const auto* umt5 = std::get_if<Umt5PromptConfig>(&config)) {
    const bool resident = residency == EncoderResidency::keep;
    const auto load = [umt5 = *umt5, dir, make, resident] {
      return std::make_unique<Umt5PromptEncoder>(umt5, dir, make(), resident);
    };
    return std::make_unique<PromptCache>(umt5->length, umt5->network.dim, load, residency);
  }
  const auto& hashed = std::get<HashedPromptConfig>(config);
  // Made now, because its weights lie in the transformer's file; handed over at the first prompt.
  auto encoder = std::make_shared<std::unique_ptr<PromptEncoder>>(
      std::make_unique<HashedPromptEncoder>(hashed, dit_weights, make()));
  return std::make_unique<PromptCache>(
      hashed.length, hashed.dim, [encoder] { return std::move(*encoder); }, EncoderResidency::keep);
}

}  // namespace

std::vector<std::string> Model::ranks_of(const ModelConfig& config, const std::string& backend) {
  std::vector<std::string> devices = split_backends(backend);
  const bool overlap = config.schedule.context_pass != ContextPass::clean;
  if (devices.size() == 1 && !(overlap && runs_beside_itself(devices.front()))) devices.clear();
  return devices;
}

std::unique_ptr<Model> Model::load(const std::string& dir, const std::string& backend, int threads,
                                   const std::string& dtype, EncoderResidency residency) {
  const std::string json_path = dir + "/model.json";
  auto model = std::unique_ptr<Model>(new Model());
  model->config_ = parse_model_config(load_json(json_path), json_path);
  const std::string first = split_backends(backend).front();
  std::vector<std::unique_ptr<Ops>> ranks;
  for (const std::string& device : ranks_of(model->config_, backend)) {
    ranks.push_back(make_ops(device, 1, dtype));
    DL_CHECK(ranks.back()->token_dtype() == ranks.front()->token_dtype() &&
                 ranks.back()->ring_dtype() == ranks.front()->ring_dtype(),
             "ranks", "devices that keep keys and values alike", "\"" + backend + "\"");
  }
  model->ops_ = make_ops(first, threads, dtype);
  Ops& ops = *model->ops_;
  model->config_.dit.kv_dtype = ops.token_dtype();
  model->config_.dit.ring_dtype = ops.ring_dtype();
  set_codec_dtype(model->config_.autoencoder, ops.token_dtype());

  FileWeights autoencoder(dir + "/" + model->config_.autoencoder_file);
  model->codec_ = make_codec(model->config_.autoencoder, autoencoder, ops);
  autoencoder.finish();

  FileWeights dit(dir + "/" + model->config_.dit_file);
  model->dit_ = std::make_unique<CausalDit>(model->config_.dit, dit, ops, std::move(ranks));
  // Prompts are encoded in the host's memory, whatever the video runs on.
  const bool here = ops.memory().kind() == Memory::host;
  const std::string prompt_backend = here ? first : "cpu", prompt_dtype = here ? dtype : "auto";
  model->prompts_ = make_prompts(
      model->config_.prompt, dir, dit,
      [=] { return make_ops(prompt_backend, threads, prompt_dtype); }, residency);
  dit.finish();
  return model;
}

void Model::embed_prompt(const std::string& prompt, const Tensor& text) {
  if (text.memory() != Memory::device) return prompts_->embed(prompt, text);
  Arena host;
  const Tensor words = host.tensor(text.shape());
  prompts_->embed(prompt, words);
  ops_->copy(words, text);
}

void Model::prepare(int64_t width, int64_t height) {
  const int64_t scale = codec_spatial_scale(config_.autoencoder) * config_.dit.patch;
  const int64_t tokens = height / scale * (width / scale);
  dit_->prepare(tokens, config_.schedule.kv_frames * tokens);
  ops_->try_libraries([&](int64_t) {
    const int64_t factor = codec_->spatial_scale();
    const ArenaScope scope(ops_->arena());
    const Tensor rgb =
        ops_->arena().tensor({codec_->frames_per_latent(), height, width, 3}, DType::u8);
    const Tensor z =
        ops_->arena().tensor({1, height / factor, width / factor, codec_->latent_channels()});
    ops_->clear(rgb);
    codec_->encode(rgb, *codec_->make_encoder_state(height, width), z);
    codec_->decode(z, *codec_->make_decoder_state(height, width), rgb);
  });
}

std::shared_ptr<const PromptKv> Model::encode_prompt(const std::string& prompt) {
  const ArenaScope scope(ops_->arena());
  const Tensor text = ops_->arena().tensor({config_.dit.text_len, config_.dit.text_dim});
  embed_prompt(prompt, text);
  return dit_->encode_prompt(text);
}

}  // namespace driftless
