#include <cmath>
#include <numeric>

#include "parity/cases.h"
#include "stream/flow_schedule.h"
#include "stream/noise_controller.h"

namespace driftless {

namespace {

using Floats = std::vector<float>;

void check_table(const Json& json, const FlowSchedule& schedule, Comparison& out) {
  const auto sigmas = json_get<Floats>(json, "sigmas", "schedule");
  const auto timesteps = json_get<Floats>(json, "timesteps", "schedule");
  if (sigmas.size() != schedule.sigmas().size() || timesteps.size() != sigmas.size()) {
    out.fail("sigmas: expected " + std::to_string(sigmas.size()) + " entries, got " +
             std::to_string(schedule.sigmas().size()));
    return;
  }
  out.floats("sigmas", sigmas.data(), schedule.sigmas().data(), sigmas.size());
  out.floats("timesteps", timesteps.data(), schedule.timesteps().data(), timesteps.size());
}

void check_lookups(const Json& json, const FlowSchedule& schedule, Comparison& out) {
  size_t i = 0;
  for (const Json& entry : json_get<Json>(json, "lookup", "schedule")) {
    const std::string where = "lookup[" + std::to_string(i) + "]";
    const double t = json_get<double>(entry, "t", where);
    out.integer(where + ".index", i, json_get<int64_t>(entry, "index", where), schedule.nearest(t));
    const auto index = static_cast<size_t>(schedule.nearest(t));
    out.doubles(where + ".sigma", json_get<double>(entry, "sigma", where),
                static_cast<double>(schedule.sigma(t)), 1e-7);
    out.doubles(where + ".timestep", json_get<double>(entry, "timestep", where),
                static_cast<double>(schedule.timesteps()[index]), 1e-4);
    ++i;
  }
}

void check_step_lists(const Json& json, const FlowSchedule& schedule, Comparison& out) {
  const Json lists = json_get<Json>(json, "step_lists", "schedule");
  std::vector<int> longest;
  for (const Json& entry : lists) {
    const auto list = json_get<std::vector<int>>(entry, "list", "step_lists");
    if (list.size() > longest.size()) longest = list;
  }
  longest.push_back(0);  // as the configurations write it
  for (const Json& entry : lists) {
    const int n = json_get<int>(entry, "n", "step_lists");
    const std::string where = "step_lists[n=" + std::to_string(n) + "]";
    const auto expected = json_get<std::vector<int>>(entry, "list", where);
    const auto sigma = json_get<std::vector<double>>(entry, "sigma", where);
    const std::vector<int> got = step_list(longest, n);
    out.integer(where + ".length", 0, static_cast<int64_t>(expected.size()),
                static_cast<int64_t>(got.size()));
    if (expected.size() != got.size() || sigma.size() != got.size()) continue;
    for (size_t i = 0; i < got.size(); ++i) {
      out.integer(where, i, expected[i], got[i]);
      out.doubles(where + ".sigma", sigma[i], static_cast<double>(schedule.sigma(got[i])), 1e-7);
    }
  }
}

void check_noising(const Json& json, const FlowSchedule& schedule, Comparison& out) {
  for (const Json& entry : json_get<Json>(json, "add_noise", "schedule")) {
    const std::string where = "add_noise[t=" + entry.at("t").dump() + "]";
    const float sigma = schedule.sigma(json_get<double>(entry, "t", where));
    const auto x0 = json_get<Floats>(entry, "x0", where);
    const auto eps = json_get<Floats>(entry, "eps", where);
    const auto noisy = json_get<Floats>(entry, "noisy", where);
    const auto flow = json_get<Floats>(entry, "flow", where);
    const auto clean = json_get<Floats>(entry, "x0_from_flow", where);
    const size_t n = x0.size();
    if (eps.size() != n || noisy.size() != n || flow.size() != n || clean.size() != n) {
      throw Error(where, "five lists of one length", "different lengths");
    }
    Floats got(n);
    add_noise(x0.data(), eps.data(), sigma, n, got.data());
    out.floats(where + ".noisy", noisy.data(), got.data(), n);
    x0_from_flow(noisy.data(), flow.data(), sigma, n, got.data());
    out.floats(where + ".x0_from_flow", clean.data(), got.data(), n);
  }
}

void check_controller(const Json& sequence, const std::string& where, Comparison& out) {
  NoiseControllerConfig config;
  config.noise_scale = json_get<double>(sequence, "init_noise_scale", where);
  NoiseController controller(config);
  const auto values = json_get<std::vector<int>>(sequence, "frames_u8_TCHW", where);
  const std::vector<uint8_t> frames(values.begin(), values.end());
  const size_t count = json_get<size_t>(sequence, "num_frames", where);
  const size_t frame =
      3 * json_get<size_t>(sequence, "height", where) * json_get<size_t>(sequence, "width", where);
  DL_CHECK_EQ(where + ".frames_u8_TCHW: values", count * frame, frames.size());
  for (const Json& entry : json_get<Json>(sequence, "trace", where)) {
    const std::string at = where + ".trace[" + entry.at("chunk").dump() + "]";
    const size_t first = json_get<size_t>(entry, "first_frame", at);
    const auto r = json_get<Floats>(entry, "r", at);
    DL_CHECK(first >= 1 && first + r.size() <= count, at, "frames inside the sequence", first);
    const auto decision =
        controller.next(frame_differences(frames.data() + (first - 1) * frame,
                                          frames.data() + first * frame, r.size(), frame),
                        frame);
    out.integer(at + ".step", 0, json_get<int64_t>(entry, "step", at), decision.step);
    out.floats(at + ".r", r.data(), decision.r.data(), r.size());
    out.doubles(at + ".d", json_get<double>(entry, "d", at), static_cast<double>(decision.d), 1e-6);
    out.doubles(at + ".noise_scale", json_get<double>(entry, "noise_scale", at),
                decision.noise_scale, 1e-6);
  }
}

}  // namespace

Comparison check_schedule(const GoldenSet& set) {
  Comparison out("schedule");
  const Json json = load_json(set.path("schedule.json"));
  const FlowSchedule schedule(json_get<double>(json, "shift", "schedule"),
                              json_get<int>(json, "entries", "schedule"));
  check_lookups(json, schedule, out);
  check_step_lists(json, schedule, out);
  check_table(json, schedule, out);
  check_noising(json, schedule, out);
  int i = 0;
  for (const Json& sequence : json_get<Json>(json, "controller", "schedule")) {
    check_controller(sequence, "controller[" + std::to_string(i++) + "]", out);
  }
  return out;
}

Comparison check_weights(const GoldenSet& set, const std::string& name) {
  Comparison out(name);
  const Json sums = json_get<Json>(set.entry(name), "tensors", name);
  const SafeTensors file(set.path(name + ".safetensors"));
  int64_t parameters = 0;
  double sum = 0, sum_abs = 0;
  for (const std::string& key : file.names()) {
    Arena arena;
    const Tensor tensor = file.load_f32(key, arena);
    parameters += tensor.count();
    for (int64_t i = 0; i < tensor.count(); ++i) {
      sum += static_cast<double>(tensor.f32()[i]);
      sum_abs += std::fabs(static_cast<double>(tensor.f32()[i]));
    }
  }
  out.integer("count", 0, json_get<int64_t>(sums, "count", name),
              static_cast<int64_t>(file.names().size()));
  out.integer("parameters", 0, json_get<int64_t>(sums, "parameters", name), parameters);
  // The recorded sums were added up in another order.
  const double expected_abs = json_get<double>(sums, "sum_abs", name);
  out.doubles("sum", json_get<double>(sums, "sum", name), sum, 1e-9 * expected_abs);
  out.doubles("sum_abs", expected_abs, sum_abs, 1e-9 * expected_abs);
  return out;
}

}  // namespace driftless
