// driftless-models: makes model folders of published checkpoints, checks them and lists them.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "models/model_check.h"
#include "models/model_import.h"

namespace {

using driftless::Error;
using driftless::ImportOptions;
using driftless::Json;
using driftless::ModelReport;

const char kHelp[] =
    "driftless-models COMMAND ...\n"
    "\n"
    "  import  --name NAME --dit FILE --vae FILE --text FILE --tokenizer FILE [options]\n"
    "          Makes a model folder of published checkpoints (.pt, .pth, .safetensors or an\n"
    "          .index.json of shards). Every tensor is checked first; types stay as they are.\n"
    "    --name NAME          of the model\n"
    "    --dit FILE           StreamDiffusionV2's model.pt, or a relative of it\n"
    "    --section WORD       the dictionary of --dit to take: generator, generator_ema, ...;\n"
    "                         default the first of generator, generator_ema, state_dict\n"
    "    --vae FILE           Wan2.1_VAE.pth, or taew2_1.pth (TAEHV: smaller and much faster)\n"
    "    --text FILE          models_t5_umt5-xxl-enc-bf16.pth\n"
    "    --tokenizer FILE     spiece.model of google/umt5-xxl\n"
    "    --out DIR            a new folder; default models/NAME\n"
    "    --preset WORD        v2v (default), v2v_fast or 14b: ring, sinks and steps\n"
    "    --latents WORD       raw (noise scale 0.8) or normalised (0.6); default raw, and\n"
    "                         normalised with TAEHV\n"
    "    --license TEXT       of the checkpoints; default unknown\n"
    "    --model-version TEXT default 1\n"
    "    --width W --height H pixels; default 832 x 480\n"
    "    --fps F              default 16\n"
    "    --head-dim D --text-len T   what shapes do not tell; default 128 and 512\n"
    "\n"
    "  verify  DIR            Checks a folder: model.json, every tensor, the SHA-256 of every "
    "file.\n"
    "    --no-hash            leaves the hashes out (seconds instead of minutes)\n"
    "\n"
    "  list    [DIR]          Models in the folders of DIR (default models), without hashing.\n"
    "\n"
    "  --json                 last line: the result as JSON\n"
    "\n"
    "Exit code: 0 done and nothing wrong, 1 something is wrong with a model or a checkpoint,\n"
    "2 the arguments cannot be used.\n";

// Wrong use of the command, as opposed to something wrong with a file.
class UsageError : public Error {
 public:
  using Error::Error;
};

struct Arguments {
  std::map<std::string, std::string> values;
  std::vector<std::string> places;  // what has no name

  bool flag(const std::string& name) const { return values.count(name) != 0; }
  std::string text(const std::string& name, const std::string& fallback = "") const {
    const auto found = values.find(name);
    return found == values.end() ? fallback : found->second;
  }
  double number(const std::string& name, double fallback) const {
    if (!flag(name)) return fallback;
    const std::string& value = values.at(name);
    char* end = nullptr;
    const double result = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0') throw UsageError(name, "a number", "\"" + value + "\"");
    return result;
  }
  int64_t integer(const std::string& name, int64_t fallback) const {
    const double value = number(name, static_cast<double>(fallback));
    if (!(value >= 1 && value <= 1e6) ||
        value != static_cast<double>(static_cast<int64_t>(value))) {
      throw UsageError(name, "a whole number from 1", text(name));
    }
    return static_cast<int64_t>(value);
  }
};

Arguments parse(int argc, char** argv, const std::vector<std::string>& names,
                const std::vector<std::string>& flags, size_t most_places) {
  const auto in = [](const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  Arguments arguments;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (in(flags, word)) {
      arguments.values[word] = "";
    } else if (in(names, word)) {
      if (i + 1 >= argc) throw UsageError(word, "a value", "nothing");
      arguments.values[word] = argv[++i];
    } else if (word.rfind("--", 0) == 0 || arguments.places.size() >= most_places) {
      throw UsageError("argument", "one of --help", word);
    } else {
      arguments.places.push_back(word);
    }
  }
  return arguments;
}

std::string gigabytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 100000000 ? "%.1f MB" : "%.2f GB",
                static_cast<double>(bytes) / (bytes < 100000000 ? 1e6 : 1e9));
  return text;
}

Json as_json(const ModelReport& report) {
  return {{"dir", report.dir},
          {"name", report.name},
          {"version", report.version},
          {"architecture", report.architecture},
          {"license", report.license},
          {"bytes", report.bytes},
          {"parameters", report.parameters},
          {"hashesChecked", report.hashes_checked},
          {"ok", report.ok()},
          {"findings", report.findings}};
}

void print(const ModelReport& report) {
  for (const std::string& finding : report.findings) std::printf("  wrong: %s\n", finding.c_str());
}

int import(int argc, char** argv) {
  const Arguments a = parse(argc, argv,
                            {"--name", "--dit", "--section", "--vae", "--text", "--tokenizer",
                             "--out", "--preset", "--latents", "--license", "--model-version",
                             "--width", "--height", "--fps", "--head-dim", "--text-len"},
                            {"--json"}, 0);
  for (const char* name : {"--name", "--dit", "--vae", "--text", "--tokenizer"}) {
    if (a.text(name).empty()) throw UsageError(name, "a value", "nothing");
  }
  ImportOptions options;
  options.name = a.text("--name");
  options.dit = a.text("--dit");
  options.section = a.text("--section");
  options.vae = a.text("--vae");
  options.text = a.text("--text");
  options.tokenizer = a.text("--tokenizer");
  options.preset = a.text("--preset", options.preset);
  options.latents = a.text("--latents");
  options.license = a.text("--license", options.license);
  options.version = a.text("--model-version", options.version);
  options.width = static_cast<int>(a.integer("--width", options.width));
  options.height = static_cast<int>(a.integer("--height", options.height));
  options.fps = a.number("--fps", options.fps);
  options.head_dim = a.integer("--head-dim", options.head_dim);
  options.text_len = a.integer("--text-len", options.text_len);
  const std::string out = a.text("--out", "models/" + options.name);
  driftless::import_model(options, out, [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  });
  const ModelReport report = driftless::check_model(out, false);
  print(report);
  std::printf("%s: %.3f billion parameters, %s, licence %s\n", out.c_str(),
              static_cast<double>(report.parameters) / 1e9, gigabytes(report.bytes).c_str(),
              report.license.c_str());
  if (a.flag("--json")) std::printf("%s\n", as_json(report).dump().c_str());
  return report.ok() ? 0 : 1;
}

int verify(int argc, char** argv) {
  const Arguments a = parse(argc, argv, {}, {"--json", "--no-hash"}, 1);
  if (a.places.empty()) throw UsageError("verify", "a model folder", "nothing");
  const ModelReport report = driftless::check_model(a.places[0], !a.flag("--no-hash"));
  print(report);
  std::printf("%s: %s%s\n", report.dir.c_str(),
              report.ok() ? "every tensor is as model.json says" : "not as it should be",
              report.hashes_checked ? ", hashes compared"
                                    : ", no hashes compared (none listed or left out)");
  if (a.flag("--json")) std::printf("%s\n", as_json(report).dump().c_str());
  return report.ok() ? 0 : 1;
}

int list(int argc, char** argv) {
  const Arguments a = parse(argc, argv, {}, {"--json"}, 1);
  const std::string root = a.places.empty() ? "models" : a.places[0];
  if (!std::filesystem::is_directory(root)) throw UsageError("list", "a folder", root);
  std::vector<std::string> dirs;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (std::filesystem::exists(entry.path() / "model.json")) dirs.push_back(entry.path().string());
  }
  std::sort(dirs.begin(), dirs.end());
  Json all = Json::array();
  for (const std::string& dir : dirs) {
    const ModelReport report = driftless::check_model(dir, false);
    std::printf("%-32s %10s  %-14s %s\n", dir.c_str(), gigabytes(report.bytes).c_str(),
                report.license.c_str(), report.ok() ? "complete" : "broken");
    print(report);
    all.push_back(as_json(report));
  }
  if (dirs.empty()) std::printf("no models in %s\n", root.c_str());
  if (a.flag("--json")) std::printf("%s\n", all.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--help" || std::string(argv[i]) == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  try {
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "import") return import(argc, argv);
    if (command == "verify") return verify(argc, argv);
    if (command == "list") return list(argc, argv);
    throw UsageError("command", "import, verify or list", "\"" + command + "\"");
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s\nSee --help.\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
