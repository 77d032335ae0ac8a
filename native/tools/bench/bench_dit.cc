#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <functional>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/onednn_baseline.h"
#include "core/error.h"
#include "core/json.h"
#include "models/causal_dit.h"
#include "models/random_weights.h"
#include "stream/rolling_cache.h"

namespace driftless {

namespace {

// A row whose ring is full of what forwards wrote into it.
RollingConfig ring_config(const DitConfig& config, int64_t tokens, int64_t slots) {
  RollingConfig ring;
  ring.tokens_per_frame = static_cast<int>(tokens);
  ring.kv_frames = static_cast<int>(slots);
  ring.sink_frames = slots > 1 ? 1 : 0;
  ring.layers = static_cast<int>(config.layers);
  ring.heads = static_cast<int>(config.heads);
  ring.head_dim = static_cast<int>(config.head_dim());
  ring.dtype = config.ring_dtype;
  return ring;
}

// Multiply-adds times two of one forward.
double forward_flops(const DitConfig& c, double tokens, double keys, double rows) {
  const double d = static_cast<double>(c.dim), ffn = static_cast<double>(c.ffn);
  const double patch = static_cast<double>(c.patch * c.patch);
  const double linear = tokens * (6 * d * d + 2 * d * ffn);
  const double attention = 2 * tokens * d * (keys + static_cast<double>(c.text_len));
  const double ends = tokens * d * patch * static_cast<double>(c.in_channels + c.out_channels) +
                      d * (static_cast<double>(c.freq_dim) + 7 * d);
  return 2 * rows * (static_cast<double>(c.layers) * (linear + attention) + ends);
}

// A product of the backend alone, with weights of zeros.
std::function<void()> bare_product(Ops& ops, Arena& memory, int64_t rows, int64_t in, int64_t out) {
  Arena host;
  const std::shared_ptr<PackedLinear> packed = ops.pack_linear(host.zeros({out, in}), {});
  const DType dtype = ops.token_dtype();
  const Tensor x = memory.tensor({rows, in}, dtype), y = memory.tensor({rows, out}, dtype);
  ops.clear(x);
  return [packed, x, y, &ops] { ops.linear(*packed, x, y); };
}

// The bare products of one block's shapes, in the dtype of the forward and with weights packed
// beforehand, weighted as a block uses them: oneDNN's on a CPU, the backend's own on a GPU.
class RawProducts {
 public:
  RawProducts(int64_t rows, int64_t dim, int64_t ffn, Ops& ops)
      : flops_(2.0 * static_cast<double>(rows) *
               static_cast<double>(6 * dim * dim + 2 * dim * ffn)),
        ops_(ops),
        memory_(size_t{1} << 20, 0, ops.memory()) {
    const bool bf16 = ops.dtype() == DType::bf16;
    const auto product = [&](int64_t in, int64_t out) {
      return ops.memory().kind() == Memory::host ? onednn_product(rows, in, out, bf16)
                                                 : bare_product(ops, memory_, rows, in, out);
    };
    square_ = product(dim, dim);
    up_ = product(dim, ffn);
    down_ = product(ffn, dim);
  }
  // Runs all of them so many times; returns the seconds taken.
  double run(int times) {
    const double start = seconds_now();
    for (int n = 0; n < times; ++n) {
      for (int i = 0; i < 6; ++i) square_();
      up_();
      down_();
    }
    ops_.wait();
    return seconds_now() - start;
  }
  double flops() const { return flops_; }

 private:
  double flops_;
  Ops& ops_;
  Arena memory_;
  std::function<void()> square_, up_, down_;
};

}  // namespace

int bench_dit(const Arguments& arguments) {
  DitConfig config;
  config.dim = arguments.integer("--dim", 192, 2, 16384);
  config.ffn = arguments.integer("--ffn", 576, 1, 65536);
  config.heads = arguments.integer("--heads", 3, 1, 256);
  config.layers = arguments.integer("--layers", 6, 1, 256);
  config.in_channels = config.out_channels = 16;
  config.text_dim = 128;
  config.text_len = arguments.integer("--text", 16, 1, 4096);
  const int64_t tokens = arguments.integer("--tokens", 144, 1, 1 << 20);
  const int64_t kv = arguments.integer("--kv", 6, 1, 1 << 22);
  const int64_t slots = kv < tokens ? kv : kv / tokens;
  DL_CHECK(kv < tokens || kv % tokens == 0, "--kv", "frames, or a multiple of --tokens", kv);
  const int64_t keys = slots * tokens;
  const int64_t rows = arguments.integer("--rows", 1, 1, 256);
  const int threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  const double seconds = arguments.number("--seconds", 2, 0.1, 600);

  const std::string backend = arguments.text("--backend", "cpu");
  const std::unique_ptr<Ops> ops = make_ops(backend, threads, arguments.text("--dtype", "auto"));
  config.kv_dtype = ops->token_dtype();
  config.ring_dtype = ops->ring_dtype();
  RandomWeights weights(1);
  CausalDit dit(config, weights, *ops);
  Arena arena(size_t{1} << 20, 0, ops->memory());
  const Tensor text = arena.tensor({config.text_len, config.text_dim});
  ops->normal_noise(1, 3, 0, text);
  const auto prompt = dit.encode_prompt(text);
  const LibraryUse libraries = dit.prepare(tokens, keys);
  int64_t height = static_cast<int64_t>(std::sqrt(static_cast<double>(tokens)));
  while (tokens % height != 0) --height;
  const Shape shape{rows, height * config.patch, tokens / height * config.patch, 16};
  const Tensor x = arena.tensor(shape), y = arena.tensor(shape);
  ops->normal_noise(1, 4, 0, x);
  std::deque<RollingCache> caches;
  std::vector<DitRow> batch;
  const double timestep = 700;
  for (int64_t r = 0; r < rows; ++r) {
    caches.emplace_back(ring_config(config, tokens, slots), *ops);
  }
  for (RollingCache& cache : caches) batch.push_back(DitRow{1, &timestep, &cache, prompt.get()});

  // In alternation and about as long as a forward, so that a busy neighbour slows both alike.
  set_onednn_threads(threads);
  RawProducts raw(rows * tokens, config.dim, config.ffn, *ops);
  const double flops = forward_flops(config, static_cast<double>(tokens), static_cast<double>(keys),
                                     static_cast<double>(rows));
  const int times = std::max(1, static_cast<int>(std::lround(flops / raw.flops())));
  std::vector<double> forwards, products, cpu;
  const auto forward = [&] {
    dit.forward(batch.data(), rows, x, y);
    ops->wait();
    for (RollingCache& cache : caches) cache.finish();
  };
  for (int64_t i = 0; i <= slots; ++i) forward();
  raw.run(1);
  const double end = seconds_now() + seconds;
  while (forwards.size() < 3 || seconds_now() < end) {
    const double start = seconds_now(), cpu_start = cpu_seconds();
    forward();
    forwards.push_back(seconds_now() - start);
    cpu.push_back(cpu_seconds() - cpu_start);
    products.push_back(raw.run(times));
  }
  const double median = percentile(forwards, 0.5);
  const double gflops = flops / median * 1e-9;
  const double peak = raw.flops() * times / percentile(products, 0.5) * 1e-9;
  std::printf(
      "dit %lld x %lld layers, %lld rows of %lld tokens over %lld keys, %s, %d thread(s)\n"
      "%.2f ms per forward (median of %zu, best %.2f, processor time %.2f), %.1f GFLOP/s; bare "
      "products of the "
      "same shapes %.1f GFLOP/s (%.0f %%)\n",
      static_cast<long long>(config.dim), static_cast<long long>(config.layers),
      static_cast<long long>(rows), static_cast<long long>(tokens), static_cast<long long>(keys),
      ops->precision(), threads, median * 1e3, forwards.size(), percentile(forwards, 0) * 1e3,
      percentile(cpu, 0.5) * 1e3, gflops, peak, 100 * gflops / peak);
  if (arguments.flag("--json")) {
    const Json line = {{"msPerForward", median * 1e3},
                       {"gflops", gflops},
                       {"peakGflops", peak},
                       {"msPerForwardBest", percentile(forwards, 0) * 1e3},
                       {"cpuMsPerForward", percentile(cpu, 0.5) * 1e3},
                       {"forwards", forwards.size()},
                       {"dtype", ops->precision()},
                       {"graphReplays", ops->replays()},
                       {"attentionByLibrary", libraries.rings},
                       {"gatesByLibrary", libraries.gates},
                       {"backend", backend},
                       {"threads", threads},
                       {"rssMb", resident_mb()}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
