#include "models/model_check.h"

#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "core/sha256.h"
#include "models/model_json.h"

namespace driftless {

namespace {

// Runs a part of the check; what it throws is a finding.
template <typename Part>
void find_in(ModelReport& report, Part part) {
  try {
    part();
  } catch (const std::exception& error) {
    report.findings.emplace_back(error.what());
  }
}

void check_file(const std::string& path, const ModelFile& expected, bool hashes) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (error) throw Error(path, "a file of " + std::to_string(expected.bytes) + " bytes", "none");
  DL_CHECK_EQ(path + ": bytes", expected.bytes, bytes);
  if (hashes) DL_CHECK_EQ(path + ": SHA-256", expected.sha256, sha256_of_file(path));
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;
}

}  // namespace

std::vector<FileTensors> model_tensors(const ModelConfig& config) {
  FileTensors dit{config.dit_file, dit_tensors(config.dit)};
  std::vector<FileTensors> files = {{config.autoencoder_file, codec_tensors(config.autoencoder)}};
  if (const auto* umt5 = std::get_if<Umt5PromptConfig>(&config.prompt)) {
    files.push_back({umt5->file, umt5_tensors(umt5->network)});
  } else {
    const TensorList prompt = hashed_prompt_tensors(std::get<HashedPromptConfig>(config.prompt));
    dit.tensors.insert(dit.tensors.end(), prompt.begin(), prompt.end());
  }
  files.push_back(std::move(dit));
  return files;
}

ModelReport check_model(const std::string& dir, bool hashes) {
  ModelReport report;
  report.dir = dir;
  ModelConfig config;
  find_in(report, [&] {
    const std::string path = dir + "/model.json";
    config = parse_model_config(load_json(path), path);
  });
  if (!report.ok()) return report;
  report.name = config.name;
  report.version = config.version;
  report.architecture = config.architecture;
  report.license = config.license;
  for (const FileTensors& file : model_tensors(config)) {
    report.parameters += count_parameters(file.tensors);
    report.bytes += size_of(dir + "/" + file.file);
    find_in(report, [&] {
      const auto tensors = TensorFile::open(dir + "/" + file.file);
      const std::vector<std::string> findings = compare_tensors(*tensors, file.tensors);
      report.findings.insert(report.findings.end(), findings.begin(), findings.end());
    });
  }
  if (const auto* umt5 = std::get_if<Umt5PromptConfig>(&config.prompt)) {
    const std::string path = dir + "/" + umt5->tokenizer_file;
    report.bytes += size_of(path);
    find_in(report, [&] {
      DL_CHECK(Tokenizer(path).vocab() <= umt5->network.vocab, path + ": tokens",
               "at most the network's " + std::to_string(umt5->network.vocab), "more");
    });
  }
  for (const auto& [name, file] : config.files) {
    find_in(report,
            [&, &name = name, &file = file] { check_file(dir + "/" + name, file, hashes); });
  }
  report.hashes_checked = hashes && !config.files.empty();
  return report;
}

}  // namespace driftless
