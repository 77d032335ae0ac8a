#include <algorithm>
#include <map>

#include "parity/cases.h"
#include "stream/reference_stream.h"

namespace driftless {

namespace {

// Everything a run produced, under the names and in the order of the recording.
struct Recording {
  std::map<std::string, std::vector<int32_t>> integers;
  std::map<std::string, std::vector<float>> floats;
  std::vector<double> noise_scales;

  void add(const std::string& name, const std::vector<float>& values) {
    std::vector<float>& list = floats[name];
    list.insert(list.end(), values.begin(), values.end());
  }
};

struct Sizes {
  int iterations = 0;
  int steps = 0;
  int forwards = 1;  // per iteration
  bool sequential = false;
  std::vector<int> channel_subset;  // of each head, what the recording kept of
                                    // keys and values
};

// Keys or values of all layers and rows, the recorded channels only.
std::vector<float> kv_subset(const ReferenceStream& stream, const DitConfig& dit,
                             const std::vector<int>& subset, bool keys) {
  std::vector<float> out;
  for (int64_t l = 0; l < dit.layers; ++l) {
    for (int r = 0; r < stream.rows(); ++r) {
      const ReferenceCache::Layer& layer = stream.cache(r).layer(static_cast<int>(l));
      const std::vector<float>& all = keys ? layer.k : layer.v;
      const size_t head_dim = static_cast<size_t>(dit.head_dim());
      for (size_t at = 0; at < all.size(); at += head_dim) {
        for (int c : subset) out.push_back(all[at + static_cast<size_t>(c)]);
      }
    }
  }
  return out;
}

void add_evict(const std::deque<int>& evict, size_t width, std::vector<int32_t>& out,
               Comparison& result) {
  if (evict.size() > width) {
    result.fail("ring_evict: expected at most " + std::to_string(width) + " entries, got " +
                std::to_string(evict.size()));
  }
  for (size_t i = 0; i < width; ++i) out.push_back(i < evict.size() ? evict[i] : -1);
}

void record_prepared_ring(const GoldenCase& golden, const ReferenceStream& stream, int64_t layers,
                          Recording& out, Comparison& result) {
  const size_t width = static_cast<size_t>(golden.shape("prepare_ring_evict")[-1]);
  for (int l = 0; l < static_cast<int>(layers); ++l) {
    const ReferenceRing& ring = stream.cache(0).layer(l).ring;
    add_evict(ring.evict(), width, out.integers["prepare_ring_evict"], result);
    out.integers["prepare_ring_global_end"].push_back(ring.global_end());
    out.integers["prepare_ring_local_end"].push_back(ring.local_end());
  }
}

void record_rings(const GoldenCase& golden, const ReferenceStream& stream, int64_t layers,
                  const Sizes& sizes, Recording& out, Comparison& result) {
  const size_t width = static_cast<size_t>(golden.shape("ring_evict")[-1]);
  for (int l = 0; l < static_cast<int>(layers); ++l) {
    // The countdown exists per layer and stands still outside of sequential
    // mode.
    out.integers["ring_countdown"].push_back(
        sizes.sequential ? stream.cache(0).layer(l).ring.countdown() : sizes.steps);
    for (int r = 0; r < stream.rows(); ++r) {
      const ReferenceCache::Layer& layer = stream.cache(r).layer(l);
      add_evict(layer.ring.evict(), width, out.integers["ring_evict"], result);
      out.integers["ring_global_end"].push_back(layer.ring.global_end());
      out.integers["ring_local_end"].push_back(layer.ring.local_end());
      out.integers["ring_slot_written"].push_back(layer.slot_written);
      if (!layer.similarity.empty()) out.add("sink_cos", layer.similarity);
    }
  }
  for (int start : stream.row_starts()) out.integers["row_start_tokens"].push_back(start);
  for (double t : stream.row_timesteps()) {
    out.integers["row_timestep"].push_back(static_cast<int32_t>(t));
  }
}

ReferenceStreamConfig stream_config(const GoldenSet& set, const Json& config,
                                    const std::string& name) {
  ReferenceStreamConfig out;
  out.steps = json_get<std::vector<int>>(config, "steps", name);
  out.kv_frames = json_get<int>(config, "kv", name);
  out.sink_frames = json_get<int>(config, "sink", name);
  out.sink_threshold = json_get<float>(config, "threshold", name);
  const auto hw = json_get<std::vector<int64_t>>(config, "latent_hw", name);
  DL_CHECK_EQ(name + ".latent_hw: values", size_t{2}, hw.size());
  out.latent_height = hw[0];
  out.latent_width = hw[1];
  out.refresh_frame = json_get<int>(config, "rope_refresh_at_frame", name);
  out.sequential = json_get<bool>(config, "sequential", name);
  out.noise_scale = json_get<double>(config, "init_noise_scale", name);
  out.shift = set.shift();
  out.schedule_entries = set.schedule_entries();
  return out;
}

// Noise of one pass: the input's first, then that of each re-noising. `count`
// latents per tensor; the re-noising list holds (steps - 1) tensors per pass.
std::vector<Tensor> noise_of(const Tensor& input, const Tensor& renoise, int64_t pass,
                             int64_t count, int64_t steps) {
  std::vector<Tensor> noise{input.slice(pass * count, (pass + 1) * count)};
  for (int64_t i = 0; i + 1 < steps; ++i) {
    const int64_t at = (pass * (steps - 1) + i) * count;
    noise.push_back(renoise.slice(at, at + count));
  }
  return noise;
}

Recording run_stream(GoldenCase& golden, const ReferenceStreamConfig& config, Sizes sizes,
                     CausalDit& dit, Ops& ops, Comparison& result) {
  Recording out;
  ReferenceStream stream(config, dit);
  const std::vector<uint8_t> pixels = golden.bytes("frames_u8");
  const size_t frame = pixels.size() / static_cast<size_t>(golden.shape("frames_u8")[0]);
  const size_t per_chunk = static_cast<size_t>(golden.shape("motion_r")[-1]);
  const size_t chunk_bytes = per_chunk * frame;
  const size_t iterations = static_cast<size_t>(sizes.iterations);
  if (pixels.size() < iterations * chunk_bytes + frame) {
    throw Error(golden.where() + ".frames_u8: frames", iterations * per_chunk + 1,
                pixels.size() / frame);
  }
  const size_t first_chunk = pixels.size() - iterations * chunk_bytes;
  const Tensor latents = golden.images("clean_latents", ops);
  const Tensor eps_in = golden.images("eps_in", ops);
  const Tensor prepare_eps = golden.images("prepare_eps_in", ops);
  Tensor renoise, prepare_renoise;
  if (sizes.steps > 1) {
    renoise = golden.images("eps_renoise", ops);
    prepare_renoise = golden.images("prepare_eps_renoise", ops);
  }
  const int64_t first = prepare_eps.dim(0);  // latents that prepare takes
  DL_CHECK_EQ(golden.where() + ".clean_latents: latents", first + sizes.iterations, latents.dim(0));

  const auto prepared = stream.prepare(
      latents.slice(0, first), noise_of(prepare_eps, prepare_renoise, 0, first, sizes.steps),
      dit.encode_prompt(golden.floats("text")),
      std::vector<uint8_t>(pixels.begin() + static_cast<long>(first_chunk - frame),
                           pixels.begin() + static_cast<long>(first_chunk)));
  for (const std::vector<float>& x0 : prepared) out.add("prepare_x0_steps", x0);
  out.add("prepare_x0", prepared.back());
  record_prepared_ring(golden, stream, dit.config().layers, out, result);
  if (golden.has("prepare_kv_k")) {
    const size_t rows = static_cast<size_t>(stream.rows());  // equal copies at this point
    for (bool keys : {true, false}) {
      const std::vector<float> all = kv_subset(stream, dit.config(), sizes.channel_subset, keys);
      const size_t row = all.size() / static_cast<size_t>(dit.config().layers) / rows;
      std::vector<float>& list = out.floats[keys ? "prepare_kv_k" : "prepare_kv_v"];
      for (size_t at = 0; at < all.size(); at += row * rows) {
        list.insert(list.end(), all.begin() + static_cast<long>(at),
                    all.begin() + static_cast<long>(at + row));
      }
    }
  }

  for (size_t i = 0; i < iterations; ++i) {
    const auto pass = static_cast<int64_t>(i);
    const auto record = [&](int) {
      record_rings(golden, stream, dit.config().layers, sizes, out, result);
    };
    const ReferenceStream::Iteration it =
        stream.next(pixels.data() + first_chunk + i * chunk_bytes, per_chunk,
                    latents.slice(first + pass, first + pass + 1),
                    noise_of(eps_in, renoise, pass, 1, sizes.steps), record);
    out.integers["step"].push_back(it.decision.step);
    out.add("motion_r", it.decision.r);
    out.add("motion_d", {it.decision.d});
    out.add("noise_scale", {static_cast<float>(it.decision.noise_scale)});
    out.noise_scales.push_back(it.decision.noise_scale);
    out.add("noisy_in", it.noisy_in);
    for (const std::vector<float>& x0 : it.x0) out.add("x0_rows", x0);
    if (it.finished) out.add("final_latents", it.x0.back());
    for (bool keys : {true, false}) {
      std::string name = std::to_string(i + 1);
      if (name.size() < 2) name = "0" + name;
      name = std::string(keys ? "kv_k_it" : "kv_v_it") + name;
      if (golden.has(name)) {
        out.add(name, kv_subset(stream, dit.config(), sizes.channel_subset, keys));
      }
    }
  }
  out.add("state_rows_last", stream.row_latents());
  return out;
}

// Latent tensors are recorded channels first, ours are channels last.
bool is_image(const std::string& name) {
  static const char* const kImages[] = {"final_latents",    "noisy_in",        "prepare_x0",
                                        "prepare_x0_steps", "state_rows_last", "x0_rows"};
  return std::find(std::begin(kImages), std::end(kImages), name) != std::end(kImages);
}

}  // namespace

Comparison check_stream(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const Json& json = golden->config();
  const ReferenceStreamConfig config = stream_config(set, json, name);
  Sizes sizes;
  sizes.iterations = json_get<int>(json, "iterations", name);
  sizes.steps = static_cast<int>(config.steps.size());
  sizes.sequential = config.sequential;
  sizes.channel_subset = json_get<std::vector<int>>(json, "kv_channel_subset", name);
  for (int c : sizes.channel_subset) {
    DL_CHECK(c >= 0 && c < dit.config().head_dim(), name + ".kv_channel_subset",
             "0 to " + std::to_string(dit.config().head_dim() - 1), c);
  }
  const Recording got = run_stream(*golden, config, sizes, dit, ops, out);

  for (const auto& [key, values] : got.integers) {
    const Tensor expected = golden->integers(key);
    if (static_cast<size_t>(expected.count()) != values.size()) {
      out.fail(key + ": expected " + std::to_string(expected.count()) + " values, got " +
               std::to_string(values.size()));
      continue;
    }
    out.integers(key, expected.i32(), values.data(), values.size());
  }
  for (const auto& [key, values] : got.floats) {
    if (!golden->has(key)) continue;
    out.floats(key, is_image(key) ? golden->images(key, ops) : golden->floats(key), values);
  }
  const auto scales = json_get<std::vector<double>>(json, "noise_scale", name);
  for (size_t i = 0; i < scales.size() && i < got.noise_scales.size(); ++i) {
    out.doubles("noise_scale of iteration " + std::to_string(i + 1), scales[i], got.noise_scales[i],
                1e-6);
  }
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
