// driftless-parity: runs every golden case of a folder through the engine and compares.

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "parity/cases.h"
#include "parity/staged_ops.h"

namespace {

using driftless::Comparison;
using driftless::Json;

const char kHelp[] =
    "driftless-parity --golden DIR [--backend reference|cpu|cuda] [--dtype f32|bf16|f16]\n"
    "                 [--json]\n"
    "\n"
    "Compares the engine with recorded vectors of the public implementation: integers must be\n"
    "equal. Floats in f32: largest error at most 2e-4 of the tensor's rms; in bf16: rms of the\n"
    "errors at most 0.03 of it, in f16 0.004. Sizes come from DIR's manifest and tensors.\n"
    "\n"
    "  --golden DIR       folder with manifest.json, *.safetensors, schedule.json\n"
    "  --backend NAME     reference (plain loops), cpu, or cuda (every operation's tensors are\n"
    "                     copied to the GPU and back); default cpu\n"
    "  --dtype NAME       what cpu and cuda multiply in; default f32. bf16 on cpu needs\n"
    "                     AVX512_BF16 or AMX, f16 needs a GPU\n"
    "  --json             last line: {\"cases\": [{name, maxRelErr, ok}], \"failed\", "
    "\"unsupported\"}\n"
    "\n"
    "Exit code: 0 all cases passed, 1 a case failed, 2 the set or the arguments cannot be used.\n";

struct Options {
  std::string golden;
  std::string backend = "cpu";
  std::string dtype = "f32";
  bool json = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) throw driftless::Error(arg, "a value", "nothing");
      return argv[++i];
    };
    if (arg == "--golden") {
      options.golden = value();
    } else if (arg == "--backend") {
      options.backend = value();
    } else if (arg == "--dtype") {
      options.dtype = value();
    } else if (arg == "--json") {
      options.json = true;
    } else {
      throw driftless::Error("argument", "--golden, --backend, --dtype, --json or --help", arg);
    }
  }
  if (options.golden.empty()) throw driftless::Error("--golden", "a folder", "nothing");
  return options;
}

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

void print(const Comparison& result) {
  std::printf("%-4s %-22s %s error %.2e of rms", result.ok() ? "ok" : "FAIL", result.name().c_str(),
              Comparison::bound().of_rms ? "rms" : "max", result.max_rel_err());
  if (!result.worst().empty()) std::printf(" (%s)", result.worst().c_str());
  std::printf(", %zu values\n", result.values());
  for (const std::string& failure : result.failures()) std::printf("       %s\n", failure.c_str());
  std::fflush(stdout);
}

int run(const Options& options) {
  using namespace driftless;
  const GoldenSet set(options.golden);
  std::unique_ptr<Ops> ops = make_ops(options.backend, 1, options.dtype);
  if (ops->memory().kind() != Memory::host) ops = stage_on_device(std::move(ops));
  if (ops->dtype() == DType::bf16) Comparison::set_bound({0.03, true});
  if (ops->dtype() == DType::f16) Comparison::set_bound({0.004, true});
  std::vector<Comparison> results;
  std::vector<std::string> unsupported;
  const auto add = [&](Comparison result) {
    print(result);
    results.push_back(std::move(result));
  };
  for (const std::string& name : set.weights()) add(check_weights(set, name));
  std::unique_ptr<CausalDit> dit;
  for (const std::string& name : set.cases()) {
    const bool pipeline = starts_with(name, "pipeline_");
    if (name == "schedule") {
      add(check_schedule(set));
    } else if (starts_with(name, "wan_vae_")) {
      add(check_wan_vae(set, name, *ops));
    } else if (starts_with(name, "taehv_")) {
      add(check_taehv(set, name, *ops));
    } else if (starts_with(name, "umt5_")) {
      add(check_umt5(set, name, *ops));
    } else if (pipeline || starts_with(name, "dit_")) {
      if (dit == nullptr) dit = set.load_dit(*ops);
      if (pipeline) {
        add(check_pipeline(set, name, *dit, *ops));
      } else if (starts_with(name, "dit_stream") || starts_with(name, "dit_sequential")) {
        add(check_stream(set, name, *dit, *ops));
      } else {
        add(check_forward(set, name, *dit, *ops));
      }
    } else {
      unsupported.push_back(name);
    }
  }
  int failed = 0;
  Json cases = Json::array();
  for (const Comparison& result : results) {
    if (!result.ok()) ++failed;
    cases.push_back(
        {{"name", result.name()}, {"maxRelErr", result.max_rel_err()}, {"ok", result.ok()}});
  }
  for (const std::string& name : unsupported) {
    std::printf("     %-22s not checked: this build has no such model yet\n", name.c_str());
  }
  std::printf(
      "%zu cases, %d failed, %zu not checked (backend %s, %s; allowed %s error %g of rms)\n",
      results.size(), failed, unsupported.size(), ops->name(), dtype_name(ops->dtype()),
      Comparison::bound().of_rms ? "rms" : "max", Comparison::bound().share);
  if (options.json) {
    const Json line = {{"cases", cases},
                       {"failed", failed},
                       {"unsupported", unsupported},
                       {"backend", options.backend},
                       {"dtype", dtype_name(ops->dtype())}};
    std::printf("%s\n", line.dump().c_str());
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--help" || arg == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
  }
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "driftless-parity: %s\n", error.what());
    return 2;
  }
}
