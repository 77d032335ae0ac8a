#include "parity/golden_set.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "models/weights.h"

namespace driftless {

namespace {

// The manifest's names of the types.
std::string type_name(SafeTensors::Type type) {
  switch (type) {
    case SafeTensors::Type::F32:
      return "float32";
    case SafeTensors::Type::F16:
      return "float16";
    case SafeTensors::Type::I32:
      return "int32";
    case SafeTensors::Type::U8:
      return "uint8";
    default:
      return tensor_type_name(type);
  }
}

}  // namespace

GoldenCase::GoldenCase(const std::string& path, const Json& manifest_entry,
                       const std::string& where)
    : file_(path), config_(json_get<Json>(manifest_entry, "config", where)), where_(where) {
  const Json tensors = json_get<Json>(manifest_entry, "tensors", where);
  for (const auto& item : tensors.items()) {
    const std::string name = where + "." + item.key();
    const SafeTensors::Entry& entry = file_.entry(item.key());
    const auto dims = json_get<std::vector<int64_t>>(item.value(), "shape", name);
    DL_CHECK_EQ(name + ": shape", Shape(dims.data(), static_cast<int>(dims.size())), entry.shape);
    DL_CHECK_EQ(name + ": type", json_get<std::string>(item.value(), "dtype", name),
                type_name(entry.type));
  }
}

Tensor GoldenCase::floats(const std::string& name) {
  used_.insert(name);
  return file_.load_f32(name, arena_);
}

Tensor GoldenCase::integers(const std::string& name) {
  used_.insert(name);
  return file_.load_i32(name, arena_);
}

std::vector<uint8_t> GoldenCase::bytes(const std::string& name) {
  used_.insert(name);
  const SafeTensors::Entry& entry = file_.entry(name);
  if (entry.type != SafeTensors::Type::U8) {
    throw Error(where_ + "." + name + ": type", "uint8", type_name(entry.type));
  }
  return std::vector<uint8_t>(entry.data, entry.data + entry.bytes);
}

Tensor GoldenCase::images(const std::string& name, Ops& ops) {
  const Tensor from = floats(name);
  if (from.rank() < 4) throw Error(where_ + "." + name, "[..., c, h, w]", from.shape());
  const int64_t c = from.dim(-3), h = from.dim(-2), w = from.dim(-1);
  const int64_t n = c * h * w == 0 ? 0 : from.count() / (c * h * w);
  const Tensor to = arena_.tensor({n, h, w, c});
  if (n > 0) ops.nchw_to_nhwc(from.reshape({n, c, h, w}), to);
  return to;
}

std::vector<std::string> GoldenCase::names(const std::string& prefix) const {
  std::vector<std::string> found;
  for (const std::string& name : file_.names()) {
    if (name.rfind(prefix, 0) == 0) found.push_back(name);
  }
  return found;
}

std::vector<std::string> GoldenCase::unused() const {
  std::vector<std::string> names = file_.names();
  names.erase(std::remove_if(names.begin(), names.end(),
                             [&](const std::string& name) { return used_.count(name) != 0; }),
              names.end());
  return names;
}

GoldenSet::GoldenSet(const std::string& dir) : dir_(dir) {
  if (!std::filesystem::is_directory(dir)) throw Error("golden folder", "a folder", dir);
  manifest_ = load_json(path("manifest.json"));
  json_get<Json>(manifest_, "files", path("manifest.json"));
  for (const auto& item : std::filesystem::directory_iterator(dir)) {
    const std::string name = item.path().stem().string();
    const std::string extension = item.path().extension().string();
    if (extension == ".json" && name == "schedule") cases_.push_back(name);
    if (extension != ".safetensors") continue;
    const bool is_weights = name.size() > 8 && name.substr(name.size() - 8) == "_weights";
    (is_weights ? weights_ : cases_).push_back(name);
  }
  std::sort(cases_.begin(), cases_.end());
  std::sort(weights_.begin(), weights_.end());
  if (cases_.empty()) throw Error(dir, "at least one golden case", "none");
}

const Json& GoldenSet::entry(const std::string& name) const {
  const Json& files = manifest_.at("files");
  if (!files.is_object() || !files.contains(name)) {
    throw Error(path("manifest.json") + ".files." + name, "an entry", "nothing");
  }
  return files.at(name);
}

std::unique_ptr<GoldenCase> GoldenSet::open(const std::string& name) const {
  return std::make_unique<GoldenCase>(path(name + ".safetensors"), entry(name), name);
}

const Json& GoldenSet::model(const std::string& name) const {
  const auto models = manifest_.find("models");
  if (models == manifest_.end() || !models->is_object() || !models->contains(name)) {
    throw Error(path("manifest.json") + ".models." + name, "sizes", "nothing");
  }
  return models->at(name);
}

std::unique_ptr<CausalDit> GoldenSet::load_dit(Ops& ops) const {
  const Json& json = model("dit");
  const std::string where = "manifest.models.dit";
  DitConfig config;
  config.dim = json_get<int64_t>(json, "dim", where);
  config.ffn = json_get<int64_t>(json, "ffn", where);
  config.heads = json_get<int64_t>(json, "heads", where);
  config.layers = json_get<int64_t>(json, "layers", where);
  config.in_channels = json_get<int64_t>(json, "in_dim", where);
  config.out_channels = json_get<int64_t>(json, "out_dim", where);
  config.freq_dim = json_get<int64_t>(json, "freq_dim", where);
  config.text_dim = json_get<int64_t>(json, "text_dim", where);
  config.text_len = json_get<int64_t>(json, "text_len", where);
  config.eps = json_get<float>(json, "eps", where);
  const auto patch = json_get<std::vector<int64_t>>(json, "patch", where);
  if (patch.size() != 3 || patch[0] != 1 || patch[1] != patch[2]) {
    throw Error(where + ".patch", "[1, p, p]", Json(patch).dump());
  }
  config.patch = patch[1];
  DL_CHECK_EQ(where + ".head_dim", config.head_dim(), json_get<int64_t>(json, "head_dim", where));
  FileWeights weights(path("dit_weights.safetensors"));
  auto dit = std::make_unique<CausalDit>(config, weights, ops);
  weights.finish();
  return dit;
}

double GoldenSet::shift() const {
  return json_get<double>(model("dit"), "shift", "manifest.models.dit");
}

int GoldenSet::schedule_entries() const {
  return json_get<int>(model("dit"), "scheduler_entries", "manifest.models.dit");
}

}  // namespace driftless
