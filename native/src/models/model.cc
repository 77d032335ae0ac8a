#include "models/model.h"

#include "core/json.h"

namespace driftless {

std::unique_ptr<Model> Model::load(const std::string& dir, const std::string& backend, int threads,
                                   const std::string& dtype) {
  const std::string json_path = dir + "/model.json";
  auto model = std::unique_ptr<Model>(new Model());
  model->config_ = parse_model_config(load_json(json_path), json_path);
  model->ops_ = make_ops(backend, threads, dtype);
  Ops& ops = *model->ops_;

  FileWeights autoencoder(dir + "/" + model->config_.autoencoder_file);
  model->codec_ = make_codec(model->config_.autoencoder, autoencoder, ops);
  autoencoder.finish();

  FileWeights dit(dir + "/" + model->config_.dit_file);
  model->dit_ = std::make_unique<CausalDit>(model->config_.dit, dit, ops);
  model->prompt_encoder_ = std::make_unique<HashedPromptEncoder>(model->config_.prompt, dit, ops);
  dit.finish();
  return model;
}

std::shared_ptr<const PromptKv> Model::encode_prompt(const std::string& prompt) {
  Arena scratch;
  const Tensor text = scratch.tensor({prompt_encoder_->length(), prompt_encoder_->dim()});
  prompt_encoder_->encode(prompt, text);
  return dit_->encode_prompt(text);
}

}  // namespace driftless
