#include <cstdio>
#include <memory>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/json.h"
#include "models/model_config.h"
#include "stream/pipeline.h"

namespace driftless {

namespace {

// Loads the model, opens the sessions and runs two chunks of each together; resident MB afterwards.
double measure(const ModelOptions& options, int sessions, int steps) {
  const std::unique_ptr<Pipeline> pipeline = Pipeline::load(options);
  const ModelInfo& info = pipeline->info();
  const std::vector<uint8_t> grey(
      static_cast<size_t>(info.frames_per_chunk * info.width * info.height) * 3, 128);
  std::vector<std::vector<uint8_t>> out(static_cast<size_t>(sessions), grey);
  std::vector<std::unique_ptr<StreamSession>> opened;
  std::vector<Pipeline::Job> jobs;
  for (int s = 0; s < sessions; ++s) {
    TransformSettings settings;
    settings.prompt = "session " + std::to_string(s);
    settings.steps = steps;
    opened.push_back(pipeline->open(settings));
    jobs.push_back({opened.back().get(), grey.data(), out[static_cast<size_t>(s)].data(), {}});
  }
  for (int chunk = 0; chunk <= steps; ++chunk) pipeline->run(jobs.data(), jobs.size());
  return resident_mb();
}

}  // namespace

int bench_memory(const Arguments& arguments) {
  ModelOptions options;
  options.dir = find_model(arguments.text("--model", "drift-nano"));
  options.backend = arguments.text("--backend", "cpu");
  options.threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  const auto sessions = arguments.integer("--sessions", 1, 1, 1024);
  const std::string path = options.dir + "/model.json";
  const ModelConfig config = parse_model_config(load_json(path), path);
  const auto most = static_cast<int64_t>(config.schedule.steps.size());
  options.max_steps = static_cast<int>(arguments.integer("--steps", most, 1, most));
  const MemoryPlan plan = plan_memory(config, options.max_steps, 0);
  const auto count = static_cast<size_t>(sessions);
  const size_t total = plan.total(count, count);
  std::printf("%s, up to %d step(s), %lld session(s) with a prompt each\n", config.name.c_str(),
              options.max_steps, static_cast<long long>(sessions));
  std::printf("  sizes    ");
  for (const PictureSize& size : config.sizes()) std::printf(" %dx%d", size.width, size.height);
  std::printf("; what follows is for the one that takes most\n");
  std::printf("  weights   %12s\n", mebibytes(plan.weights).c_str());
  std::printf("  session   %12s each, of which\n", mebibytes(plan.session.sum()).c_str());
  for (const auto& [name, bytes] : plan.session.parts()) {
    std::printf("    %-9s %10s\n", name.c_str(), mebibytes(bytes).c_str());
  }
  std::printf("  row       %12s each, while it is computed\n", mebibytes(plan.row).c_str());
  std::printf("  prompt    %12s each\n", mebibytes(plan.prompt).c_str());
  std::printf("  in all    %12s\n", mebibytes(total).c_str());
  const bool measured = arguments.flag("--measure");
  const double resident =
      measured ? measure(options, static_cast<int>(sessions), options.max_steps) : 0;
  if (measured) std::printf("  resident  %8.1f MB after a few chunks\n", resident);
  if (arguments.flag("--json")) {
    Json line = {{"sessions", sessions},         {"steps", options.max_steps},
                 {"weightsBytes", plan.weights}, {"sessionBytes", plan.session.sum()},
                 {"rowBytes", plan.row},         {"promptBytes", plan.prompt},
                 {"totalBytes", total}};
    for (const auto& [name, bytes] : plan.session.parts()) line["session"][name] = bytes;
    if (measured) line["rssMb"] = resident;
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
