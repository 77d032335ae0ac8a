#include "stream/pipeline.h"

#include "core/error.h"
#include "core/json.h"
#include "stream/model_pipeline.h"

namespace driftless {

PictureSize ModelInfo::size_for(const PictureSize& camera) const {
  if (sizes.empty()) return size();
  std::vector<PictureSize> full;
  for (const Size& each : sizes) full.push_back(each.full);
  return nearest_size(full, camera);
}

double ModelInfo::smaller_share_of(const PictureSize& size) const {
  if (smaller_width == 0) return 0;
  for (const Size& each : sizes) {
    if (each.full == size) return each.smaller.area() / size.area();
  }
  return PictureSize{smaller_width, smaller_height}.area() / this->size().area();
}

std::unique_ptr<Pipeline> Pipeline::load(const ModelOptions& options) {
  if (options.threads < 1) throw Error("threads", "at least 1", options.threads);
  const std::string first_backend = split_backends(options.backend).front();
  // Before anything is allocated: a model that leaves no room for one session is of no use.
  const std::string json_path = options.dir + "/model.json";
  ModelConfig config = parse_model_config(load_json(json_path), json_path);
  {
    const std::unique_ptr<Ops> ops = make_ops(first_backend, 1, options.dtype);
    config.dit.kv_dtype = ops->token_dtype();
    config.dit.ring_dtype = ops->ring_dtype();
    set_codec_dtype(config.autoencoder, ops->token_dtype());
    plan_for(config, options, *ops).admit(0, 0, 1);
  }
  auto pipeline = std::make_unique<ModelPipeline>(options);
  // The plain loops of the reference backend have nothing to prepare and are slow.
  if (first_backend != "reference") pipeline->warm_up();
  return pipeline;
}

}  // namespace driftless
