#include <algorithm>
#include <map>

#include "parity/cases.h"
#include "stream/flow_schedule.h"
#include "stream/reference_ring.h"

namespace driftless {

namespace {

// Runs `frames` latents that start at `start_frame` and returns the flow,
// [frames, c, h, w].
std::vector<float> run(GoldenCase& golden, const std::string& x_name, const std::string& t_name,
                       int start_frame, ReferenceCache& cache, const PromptKv& prompt,
                       CausalDit& dit, Ops& ops, int tokens_per_frame,
                       const CausalDit::Trace& trace) {
  const Tensor x = golden.images(x_name, ops);
  const Tensor t = golden.integers(t_name);
  DL_CHECK_EQ(golden.where() + "." + t_name + ": timesteps", x.dim(0), t.count());
  const std::vector<double> timesteps(t.i32(), t.i32() + t.count());
  cache.begin(start_frame * tokens_per_frame);
  const DitRow row{x.dim(0), timesteps.data(), &cache, &prompt};
  Arena arena;
  const int64_t c = dit.config().out_channels;
  const Tensor y = arena.tensor({x.dim(0), x.dim(1), x.dim(2), c});
  dit.forward(&row, 1, x, y, trace);
  std::vector<float> flow(static_cast<size_t>(y.count()));
  ops.nhwc_to_nchw(y, Tensor({x.dim(0), c, x.dim(1), x.dim(2)}, flow.data()));
  return flow;
}

void check_x0(GoldenCase& golden, const std::string& name, const std::string& x_name,
              const std::string& t_name, const std::vector<float>& flow,
              const FlowSchedule& schedule, Comparison& out) {
  const Tensor x = golden.floats(x_name);
  const Tensor t = golden.integers(t_name);
  std::vector<float> x0(flow.size());
  const size_t size = flow.size() / static_cast<size_t>(t.count());
  for (size_t f = 0; f < static_cast<size_t>(t.count()); ++f) {
    x0_from_flow(x.f32() + f * size, flow.data() + f * size, schedule.sigma(t.i32()[f]), size,
                 x0.data() + f * size);
  }
  out.floats(name, golden.floats(name), x0);
}

}  // namespace

Comparison check_forward(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const Json& config = golden->config();
  const FlowSchedule schedule(set.shift(), set.schedule_entries());
  RingConfig ring;
  ring.tokens_per_frame = json_get<int>(config, "tokens_per_frame", name);
  ring.kv_frames = json_get<int>(config, "kv", name);
  ring.sink_frames = json_get<int>(config, "sink", name);
  ring.sink_threshold = json_get<float>(config, "threshold", name);
  ReferenceCache cache(ring, static_cast<int>(dit.config().layers),
                       static_cast<int>(dit.config().dim));

  std::map<std::string, std::vector<float>> stages;
  const CausalDit::Trace trace = [&](const char* what, int64_t layer, const Tensor& value) {
    const std::string key = layer < 0 ? what : "b" + std::to_string(layer) + "_" + what;
    stages[key] = std::vector<float>(value.f32(), value.f32() + value.count());
  };
  const auto prompt = dit.encode_prompt(golden->floats("text"), trace);
  const std::vector<float> flow =
      run(*golden, "x", "timestep", json_get<int>(config, "start_frame", name), cache, *prompt, dit,
          ops, ring.tokens_per_frame, trace);
  for (int64_t layer = 0; layer < dit.config().layers; ++layer) {
    const ReferenceCache::Layer& kv = cache.layer(static_cast<int>(layer));
    const long filled = kv.ring.local_end() * static_cast<long>(dit.config().dim);
    const std::string prefix = "b" + std::to_string(layer);
    stages[prefix + "_kv_k"] = std::vector<float>(kv.k.begin(), kv.k.begin() + filled);
    stages[prefix + "_kv_v"] = std::vector<float>(kv.v.begin(), kv.v.begin() + filled);
  }
  for (const auto& [key, values] : stages) {
    if (golden->has(key)) out.floats(key, golden->floats(key), values);
  }
  out.floats("flow", golden->floats("flow"), flow);
  check_x0(*golden, "x0", "x", "timestep", flow, schedule, out);

  const std::vector<float> next =
      run(*golden, "x_next", "timestep_next", json_get<int>(config, "start_frame_next", name),
          cache, *prompt, dit, ops, ring.tokens_per_frame, nullptr);
  out.floats("flow_next", golden->floats("flow_next"), next);
  check_x0(*golden, "x0_next", "x_next", "timestep_next", next, schedule, out);
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
