#include "models/model_import.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/safetensors_writer.h"
#include "models/checkpoint.h"
#include "models/model_json.h"
#include "models/tensor_list.h"

namespace driftless {

namespace {

namespace fs = std::filesystem;

// Findings of one file that are worth a line each; beyond that the file is another model's.
constexpr size_t kMaxFindings = 8;

// StreamDiffusionV2's configurations.
ScheduleConfig schedule_of(const std::string& preset) {
  ScheduleConfig config;
  config.shift = 8;
  config.noise = NoiseSource::fresh;
  config.timestep_offset = -100;
  config.steps = {700, 500, 400, 200};
  config.motion_range = 0.1;
  if (preset == "v2v" || preset == "14b") {
    config.kv_frames = 6;
    config.sink_frames = 3;
    config.adapt_sink_threshold = 0.2f;
  } else if (preset == "v2v_fast") {
    config.kv_frames = 5;
    config.sink_frames = 2;
    config.adapt_sink_threshold = -1;
  } else {
    throw Error("preset", "v2v, v2v_fast or 14b", "\"" + preset + "\"");
  }
  return config;
}

void set_latents(const std::string& asked, bool taehv, ScheduleConfig& schedule) {
  const std::string latents = asked.empty() ? (taehv ? "normalised" : "raw") : asked;
  DL_CHECK(latents == "raw" || latents == "normalised", "latents", "raw or normalised",
           "\"" + latents + "\"");
  DL_CHECK(!taehv || latents == "normalised", "latents", "normalised (TAEHV has no others)",
           "\"" + latents + "\"");
  schedule.raw_latents = latents == "raw";
  schedule.noise_scale = schedule.raw_latents ? 0.8 : 0.6;
}

// The folder while it is made: beside its later place, and gone unless it was finished.
class Unfinished {
 public:
  explicit Unfinished(const std::string& dir) : dir_(dir), part_(dir + ".part") {
    DL_CHECK(!fs::exists(dir), dir, "a new folder", "one that exists");
    DL_CHECK(!fs::exists(part_), part_, "no rest of an import that was cut off",
             "one (remove it by hand)");
    fs::create_directories(part_);
  }
  ~Unfinished() {
    std::error_code ignored;  // an error is on its way already
    fs::remove_all(part_, ignored);
  }
  std::string path(const std::string& name) const { return part_ + "/" + name; }
  void finish() { fs::rename(part_, dir_); }

 private:
  std::string dir_, part_;
};

std::unique_ptr<TensorFile> open(const std::string& path, const char* what,
                                 const std::string& section = "") {
  DL_CHECK(!path.empty(), what, "a file", "none");
  return TensorFile::open(path, section);
}

// TAEHV's published files give more channels to some layers that grow in time than its decoder
// uses; its own loader takes the last ones, and so does this view of the file.
class TrimmedTaehv : public TensorFile {
 public:
  TrimmedTaehv(std::unique_ptr<TensorFile> source, const AutoencoderConfig& config)
      : TensorFile(source->path()), source_(std::move(source)) {
    for (const std::string& name : source_->names()) entries_[name] = source_->entry(name);
    for (size_t i = 0; i < config.decoder.size(); ++i) {
      const AutoencoderLayer& layer = config.decoder[i];
      const auto found = entries_.find("decoder." + std::to_string(i) + ".conv.weight");
      if (layer.type != AutoencoderLayer::Type::tgrow || found == entries_.end()) continue;
      trim(found->second, layer.out * layer.steps);
    }
  }
  void check_contents() const override { source_->check_contents(); }

 private:
  static void trim(Entry& entry, int64_t wanted) {
    if (entry.shape.rank() != 4 || entry.shape[0] <= wanted) return;
    const int64_t dropped = entry.shape[0] - wanted;
    const size_t size = tensor_type_size(entry.type);
    entry.data += static_cast<size_t>(dropped * entry.strides[0]) * size;
    entry.shape = Shape{wanted, entry.shape[1], entry.shape[2], entry.shape[3]};
    entry.bytes = static_cast<size_t>(entry.shape.count()) * size;
  }

  std::unique_ptr<TensorFile> source_;
};

class Importer {
 public:
  Importer(const Unfinished& folder, ModelConfig& config, const ImportProgress& progress)
      : folder_(folder), config_(config), progress_(progress) {}

  // Checks a source completely and writes it under the network's own keys.
  void convert(const TensorFile& source, const TensorList& list, const std::string& name) {
    say("checking " + source.path());
    source.check_contents();
    require(source, list);
    say("writing " + name);
    std::vector<TensorToWrite> tensors;
    for (const TensorSpec& tensor : list) {
      tensors.push_back({tensor.key, source.entry(name_in_file(source, tensor.key))});
    }
    add(name, write_safetensors_file(folder_.path(name), tensors), source.path());
  }

  void copy(const std::string& from, const std::string& name) {
    say("copying " + name);
    fs::copy_file(from, folder_.path(name));
    add(name, {fs::file_size(folder_.path(name)), sha256_of_file(folder_.path(name))}, from);
  }

 private:
  void say(const std::string& line) const {
    if (progress_) progress_(line);
  }

  void add(const std::string& name, const WrittenFile& written, const std::string& source) {
    config_.files[name] = {written.bytes, written.sha256, fs::path(source).filename().string()};
  }

  static void require(const TensorFile& source, const TensorList& list) {
    const std::vector<std::string> findings = compare_tensors(source, list);
    if (findings.empty()) return;
    std::string text;
    for (size_t i = 0; i < findings.size() && i < kMaxFindings; ++i) text += "\n  " + findings[i];
    if (findings.size() > kMaxFindings) {
      text += "\n  and " + std::to_string(findings.size() - kMaxFindings) + " more";
    }
    throw Error(source.path() + " does not fit:" + text);
  }

  const Unfinished& folder_;
  ModelConfig& config_;
  const ImportProgress& progress_;
};

}  // namespace

ModelConfig import_model(const ImportOptions& options, const std::string& dir,
                         const ImportProgress& progress) {
  DL_CHECK(!options.name.empty(), "name", "a word", "none");
  const auto dit = open(options.dit, "dit", options.section), text = open(options.text, "text");
  auto vae = open(options.vae, "vae");
  Tokenizer(options.tokenizer);  // throws where it is none

  ModelConfig config;
  config.name = options.name;
  config.version = options.version;
  config.license = options.license;
  config.architecture = "wan";
  config.width = options.width;
  config.height = options.height;
  config.fps = options.fps;
  config.autoencoder = codec_config_of(*vae);
  config.autoencoder_file = "autoencoder.safetensors";
  config.frames_per_chunk = static_cast<int>(codec_frames_per_latent(config.autoencoder));
  config.dit = dit_config_of(*dit, options.head_dim, options.text_len);
  config.dit_file = "dit.safetensors";
  config.prediction = Prediction::flow;
  config.schedule = schedule_of(options.preset);
  Umt5PromptConfig prompt{"umt5.safetensors", "tokenizer.model", umt5_config_of(*text),
                          options.text_len};
  config.prompt = prompt;
  const auto* taehv = std::get_if<AutoencoderConfig>(&config.autoencoder);
  set_latents(options.latents, taehv != nullptr, config.schedule);
  if (taehv != nullptr) vae = std::make_unique<TrimmedTaehv>(std::move(vae), *taehv);
  // What does not fit together is found here, before anything is written.
  parse_model_config(model_json(config), "model.json");

  Unfinished folder(dir);
  Importer importer(folder, config, progress);
  importer.convert(*vae, codec_tensors(config.autoencoder), config.autoencoder_file);
  importer.convert(*dit, dit_tensors(config.dit), config.dit_file);
  importer.convert(*text, umt5_tensors(prompt.network), prompt.file);
  importer.copy(options.tokenizer, prompt.tokenizer_file);
  std::ofstream json(folder.path("model.json"));
  json << model_json(config).dump(2) << "\n";
  json.close();
  if (!json) throw Error("cannot write model.json", "room and permission", "a failure");
  folder.finish();
  return config;
}

}  // namespace driftless
