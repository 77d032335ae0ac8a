// From checkpoints in the published layouts to a folder that runs live.

#include <cstring>
#include <iterator>
#include <set>

#include "core/philox.h"
#include "core/sha256.h"
#include "models/checkpoint.h"
#include "models/model_check.h"
#include "models/model_import.h"
#include "models/model_json.h"
#include "models_test_support.h"
#include "stream/pipeline.h"
#include "stream/rolling_cache.h"

namespace driftless {
namespace {

namespace fs = std::filesystem;

std::string checkpoint(const std::string& name) {
  return std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/checkpoints/" + name;
}

class Import : public testing::Test {
 protected:
  Import() : dir_(scratch_.dir() + "/imported") {
    options_.dit = checkpoint("model.pt");
    options_.vae = checkpoint("taew2_1.pth");
    options_.text = checkpoint("umt5.pth");
    options_.tokenizer = checkpoint("tokenizer.model");
    options_.name = "tiny-wan";
    options_.width = 48;
    options_.height = 32;
    options_.head_dim = 4;
    options_.text_len = 16;
  }

  // A random autoencoder of Wan's layout in a file.
  std::string wan_vae() {
    WanVaeConfig config = WanVaeConfig::wan21();
    config.dim = 4;
    config.residual_blocks = 1;
    RandomWeights weights(11);
    weights.keep = true;
    Arena arena;
    for (const TensorSpec& tensor : codec_tensors(config)) {
      weights.take(tensor.key, tensor.shape, arena);
    }
    const std::string path = scratch_.dir() + "/wan_vae.safetensors";
    write_safetensors(path, weights.entries());
    return path;
  }

  Json json() const { return load_json(dir_ + "/model.json"); }
  std::string only_finding(bool hashes) const {
    const ModelReport report = check_model(dir_, hashes);
    EXPECT_EQ(report.findings.size(), 1u);
    return report.findings.empty() ? "" : report.findings[0];
  }
  std::vector<uint8_t> chunk(int index) const {
    std::vector<uint8_t> rgb(4 * 32 * 48 * 3);
    for (size_t i = 0; i < rgb.size(); ++i) {
      rgb[i] = static_cast<uint8_t>(128 + 100 * std::sin(0.01 * static_cast<double>(i) + index));
    }
    return rgb;
  }
  // The last pictures of a few chunks.
  std::vector<uint8_t> run(Pipeline& pipeline, const TransformSettings& settings) const {
    const auto session = pipeline.open(settings);
    std::vector<uint8_t> out(chunk(0).size());
    for (int i = 0; i < 8; ++i) {
      const std::vector<uint8_t> in = chunk(i);
      Pipeline::Job job{session.get(), in.data(), out.data(), {}};
      pipeline.run(&job, 1);
      EXPECT_EQ(job.result.has_frames, i + 1 >= settings.steps) << i;
      EXPECT_GT(job.result.noise_scale, 0.4f);
    }
    return out;
  }
  static void append(const std::string& path) { std::ofstream(path, std::ios::app) << "x"; }

  TinyModel scratch_;  // for its temporary folder
  std::string dir_;
  ImportOptions options_;
};

TEST_F(Import, WritesAFolderThatChecksOut) {
  std::vector<std::string> lines;
  import_model(options_, dir_, [&](const std::string& line) { lines.push_back(line); });
  EXPECT_GE(lines.size(), 4u);
  EXPECT_FALSE(fs::exists(dir_ + ".part"));
  const ModelReport report = check_model(dir_, true);
  EXPECT_EQ(report.findings, std::vector<std::string>());
  EXPECT_TRUE(report.hashes_checked);
  EXPECT_EQ(report.name, "tiny-wan");
  EXPECT_EQ(report.architecture, "wan");
  EXPECT_EQ(report.license, "unknown");
  const Json model = json();
  EXPECT_EQ(model["files"]["dit.safetensors"]["source"], "model.pt");
  EXPECT_EQ(model["files"]["dit.safetensors"]["sha256"], sha256_of_file(dir_ + "/dit.safetensors"));
  EXPECT_EQ(model["files"].size(), 4u);
  uint64_t bytes = 0;
  for (const auto& file : model["files"]) bytes += file["bytes"].get<uint64_t>();
  EXPECT_EQ(report.bytes, bytes);
}

TEST_F(Import, KeepsTypesAndValues) {
  import_model(options_, dir_);
  const auto source = TensorFile::open(options_.dit);
  const auto written = TensorFile::open(dir_ + "/dit.safetensors");
  Arena arena;
  for (const std::string& name : written->names()) {
    const TensorFile::Entry& from = source->entry("model." + name);
    EXPECT_EQ(written->entry(name).type, TensorFile::Type::BF16) << name;
    ASSERT_EQ(written->entry(name).bytes, from.bytes) << name;
    EXPECT_EQ(std::memcmp(written->entry(name).data, from.data, from.bytes), 0) << name;
  }
  EXPECT_EQ(written->names().size(), source->names().size());
  const auto taehv = TensorFile::open(dir_ + "/autoencoder.safetensors");
  EXPECT_EQ(taehv->entry("encoder.0.weight").type, TensorFile::Type::F16);
  // The last four of eight channels.
  const auto all = TensorFile::open(options_.vae);
  const TensorFile::Entry& trimmed = taehv->entry("decoder.7.conv.weight");
  const TensorFile::Entry& full = all->entry("decoder.7.conv.weight");
  EXPECT_EQ(trimmed.shape, (Shape{4, 4, 1, 1}));
  EXPECT_EQ(std::memcmp(trimmed.data, full.data + full.bytes / 2, trimmed.bytes), 0);
}

TEST_F(Import, PresetsAreStreamDiffusionV2s) {
  options_.vae = wan_vae();
  const ModelConfig v2v = import_model(options_, dir_);
  EXPECT_EQ(v2v.prediction, Prediction::flow);
  EXPECT_EQ(v2v.schedule.noise, NoiseSource::fresh);
  EXPECT_EQ(v2v.schedule.shift, 8);
  EXPECT_EQ(v2v.schedule.timestep_offset, -100);
  EXPECT_EQ(v2v.schedule.kv_frames, 6);
  EXPECT_EQ(v2v.schedule.sink_frames, 3);
  EXPECT_EQ(v2v.schedule.adapt_sink_threshold, 0.2f);
  EXPECT_TRUE(v2v.schedule.raw_latents);
  EXPECT_EQ(v2v.schedule.noise_scale, 0.8);
  options_.preset = "v2v_fast";
  options_.latents = "normalised";
  const ModelConfig fast = import_model(options_, dir_ + "-fast");
  EXPECT_EQ(fast.schedule.kv_frames, 5);
  EXPECT_EQ(fast.schedule.sink_frames, 2);
  EXPECT_EQ(fast.schedule.adapt_sink_threshold, -1);
  EXPECT_FALSE(fast.schedule.raw_latents);
  EXPECT_EQ(fast.schedule.noise_scale, 0.6);
  options_.preset = "v3";
  expect_contains(error_of([&] { import_model(options_, dir_ + "-other"); }), "v2v_fast or 14b");
}

// One file put in the place of another: the error names it, and nothing is left behind.
TEST_F(Import, RefusesAndCleansUp) {
  const auto refused = [&](const std::string& word) {
    const std::string message = error_of([&] { import_model(options_, dir_); });
    expect_contains(message, word);
    EXPECT_FALSE(fs::exists(dir_)) << word;
    EXPECT_FALSE(fs::exists(dir_ + ".part")) << word;
    return message;
  };
  const ImportOptions good = options_;
  options_.dit = checkpoint("umt5.pth");
  refused("patch_embedding.weight");
  options_ = good;
  options_.vae = checkpoint("model.pt");
  refused("model.pt");
  options_ = good;
  options_.tokenizer = checkpoint("umt5.pth");
  refused("SentencePiece");
  options_ = good;
  options_.text = "";
  refused("text");
  options_ = good;
  options_.latents = "raw";
  refused("TAEHV");
  options_ = good;
  options_.width = 50;
  refused("width");
  options_ = good;
  options_.text =
      std::string(DRIFTLESS_SOURCE_DIR) + "/test/golden/reference/umt5_weights.safetensors";
  refused("prompt.dim: expected 8, got 64");

  // Sources that begin well and are not complete.
  options_ = good;
  options_.vae = wan_vae();
  TensorMap tensors;
  const auto vae = TensorFile::open(options_.vae);
  Arena arena;
  for (const std::string& name : vae->names()) {
    const Tensor t = vae->load_f32(name, arena);
    tensors[name] = {t.shape(), std::vector<float>(t.f32(), t.f32() + t.count())};
  }
  tensors.erase("decoder.head.2.bias");
  tensors["decoder.head.3.bias"] = {Shape{1}, {0.0f}};
  options_.vae = scratch_.dir() + "/changed.safetensors";
  write_safetensors(options_.vae, tensors);
  const std::string message = refused("decoder.head.2.bias: expected [3], got none");
  expect_contains(message, "decoder.head.3.bias: expected none, got [1]");

  options_ = good;
  import_model(options_, dir_);
  expect_contains(error_of([&] { import_model(options_, dir_); }), "new folder");
}

TEST_F(Import, FindsWrongChecksumsInArchives) {
  std::ifstream in(options_.dit, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto file = TensorFile::open(options_.dit);
  const TensorFile::Entry& weight = file->entry("model.head.head.weight");
  const size_t at =
      bytes.find(std::string(reinterpret_cast<const char*>(weight.data), weight.bytes));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 5] ^= 1;
  options_.dit = scratch_.dir() + "/flipped.pt";
  std::ofstream(options_.dit, std::ios::binary) << bytes;
  expect_contains(error_of([&] { import_model(options_, dir_); }), "checksum");
}

TEST_F(Import, CheckFindsWhatChanged) {
  import_model(options_, dir_);
  // A value that no header knows of: only the hash tells.
  {
    std::fstream file(dir_ + "/dit.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x55');
  }
  EXPECT_TRUE(check_model(dir_, false).ok());
  expect_contains(only_finding(true), "dit.safetensors: SHA-256");

  append(dir_ + "/tokenizer.model");
  EXPECT_FALSE(check_model(dir_, false).ok());
  fs::remove(dir_ + "/umt5.safetensors");
  const ModelReport report = check_model(dir_, false);
  const std::string all = [&] {
    std::string text;
    for (const std::string& finding : report.findings) text += finding + "\n";
    return text;
  }();
  expect_contains(all, "umt5.safetensors");
  expect_contains(all, "tokenizer.model: bytes");
  fs::remove(dir_ + "/model.json");
  expect_contains(only_finding(false), "model.json");
}

TEST_F(Import, CheckComparesTensorsWithTheConfiguration) {
  import_model(options_, dir_);
  Json model = json();
  model["dit"]["ffn"] = 13;
  model.erase("files");
  std::ofstream(dir_ + "/model.json") << model.dump();
  const ModelReport report = check_model(dir_, true);
  EXPECT_FALSE(report.hashes_checked) << "there are none to check";
  // Two layers with two matrices and one bias of that size each.
  EXPECT_EQ(report.findings.size(), 6u);
  expect_contains(report.findings[0],
                  "dit.safetensors tensor blocks.0.ffn.0.weight: expected [13, 8]");
}

TEST(CheckModel, KnowsTheDefaultModel) {
  const ModelReport report =
      check_model(std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano", true);
  EXPECT_EQ(report.findings, std::vector<std::string>());
  EXPECT_GT(report.parameters, 1000000);
}

// Streams of an imported model, as a room drives it.
class ImportedStream : public Import, public testing::WithParamInterface<const char*> {};

TEST_P(ImportedStream, RunsLive) {
  if (std::string(GetParam()) == "wan") options_.vae = wan_vae();
  import_model(options_, dir_);
  const auto pipeline = Pipeline::load(ModelOptions{dir_, "cpu", 1});
  EXPECT_EQ(pipeline->info().width, 48);
  TransformSettings settings;
  settings.prompt = "a castle at night";
  settings.strength = 1;
  for (int steps : {1, 2, 4}) {
    settings.steps = steps;
    const std::vector<uint8_t> once = run(*pipeline, settings), again = run(*pipeline, settings);
    EXPECT_EQ(once, again) << steps << " steps";
    EXPECT_GT(std::set<uint8_t>(once.begin(), once.end()).size(), 8u) << "a flat picture";
  }
  // Words and seeds reach the picture.
  const std::vector<uint8_t> before = run(*pipeline, settings);
  settings.prompt = "watercolour";
  const std::vector<uint8_t> other_words = run(*pipeline, settings);
  EXPECT_NE(before, other_words);
  settings.seed = 5;
  EXPECT_NE(other_words, run(*pipeline, settings));
}

// Nothing of the repainted picture at strength 0: what comes back is what the autoencoder makes of
// the original, whichever latents the network was shown.
TEST_F(Import, RawAndNormalisedLatentsAgreeAtStrengthZero) {
  options_.vae = wan_vae();
  import_model(options_, dir_);
  options_.latents = "normalised";
  import_model(options_, dir_ + "-n");
  TransformSettings settings;
  settings.strength = 0;
  const auto raw = Pipeline::load(ModelOptions{dir_, "cpu", 1});
  const auto normalised = Pipeline::load(ModelOptions{dir_ + "-n", "cpu", 1});
  EXPECT_EQ(run(*raw, settings), run(*normalised, settings));
  settings.strength = 1;
  EXPECT_NE(run(*raw, settings), run(*normalised, settings));
}

// Two denoising steps, written out from the published description with its published numbers: what
// the pipeline gives for the first chunk of a still picture must be this.
TEST_F(Import, StreamsByThePublishedFormulas) {
  options_.vae = wan_vae();
  import_model(options_, dir_);
  const std::vector<uint8_t> still(4 * 32 * 48 * 3, 90);
  TransformSettings settings;
  settings.prompt = "a castle at night";
  settings.strength = 1;
  settings.steps = 2;
  settings.seed = 9;
  std::vector<uint8_t> got(still.size());
  {
    const auto pipeline = Pipeline::load(ModelOptions{dir_, "cpu", 1, "f32"});
    const auto session = pipeline->open(settings);
    for (int i = 0; i < 2; ++i) {
      Pipeline::Job job{session.get(), still.data(), got.data(), {}};
      pipeline->run(&job, 1);
      EXPECT_NEAR(job.result.noise_scale, 0.8f, 1e-6f);
    }
  }

  const auto model = Model::load(dir_, "reference", 1);
  const auto encoder = model->codec().make_encoder_state(32, 48);
  const auto decoder = model->codec().make_decoder_state(32, 48);
  const Shape shape{1, 4, 6, 16};
  const auto count = static_cast<size_t>(shape.count());
  Arena arena;
  const Tensor z = arena.tensor(shape), x = arena.tensor(shape), v = arena.tensor(shape);
  model->codec().encode(Tensor(DType::u8, {4, 32, 48, 3}, const_cast<uint8_t*>(still.data())),
                        *encoder, z);
  const WanVaeConfig wan = WanVaeConfig::wan21();
  const auto prompt = model->encode_prompt(settings.prompt);
  RollingConfig ring;
  ring.tokens_per_frame = 6;
  ring.kv_frames = 6;
  ring.sink_frames = 3;
  ring.layers = 2;
  ring.heads = 2;
  ring.head_dim = 4;
  std::vector<float> eps(count);
  // x0 = x_t - sigma v; each row has a memory of its own. sigma(700), sigma(500): looked up in the
  // table with shift 8.
  const auto denoise = [&](double timestep, float sigma) {
    RollingCache cache(ring, model->ops());
    const DitRow row{1, &timestep, &cache, prompt.get()};
    model->dit().forward(&row, 1, x, v);
    for (size_t i = 0; i < count; ++i) z.f32()[i] = x.f32()[i] - sigma * v.f32()[i];
  };
  fill_normal(settings.seed, 1, 0, eps.data(), count);
  for (size_t i = 0; i < count; ++i) {
    const float raw = z.f32()[i] * wan.latent_std[i % 16] + wan.latent_mean[i % 16];
    x.f32()[i] = 0.8f * eps[i] + 0.2f * raw;
  }
  denoise(700, 0.700232f);
  fill_normal(settings.seed, 1, count, eps.data(), count);
  for (size_t i = 0; i < count; ++i) {
    x.f32()[i] = 0.499719f * eps[i] + (1 - 0.499719f) * z.f32()[i];
  }
  denoise(500, 0.499719f);
  std::vector<uint8_t> expected(still.size());
  model->codec().decode(z, *decoder, Tensor(DType::u8, {4, 32, 48, 3}, expected.data()));
  int worst = 0;
  for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - expected[i]));
  EXPECT_LE(worst, 1) << "of 255";
  EXPECT_GT(std::set<uint8_t>(got.begin(), got.end()).size(), 8u)
      << "a flat picture proves nothing";
}

INSTANTIATE_TEST_SUITE_P(Codecs, ImportedStream, testing::Values("wan", "taehv"));

TEST(Sha256Test, KnowsThePublishedVectors) {
  // FIPS 180-4's examples.
  Sha256 abc;
  abc.add("a", 1);
  abc.add("bc", 2);
  EXPECT_EQ(abc.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().finish(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace driftless
