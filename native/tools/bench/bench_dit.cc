#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/onednn_baseline.h"
#include "core/error.h"
#include "core/json.h"
#include "core/philox.h"
#include "models/causal_dit.h"
#include "models/random_weights.h"

namespace driftless {

namespace {

double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// A full memory: the chunk overwrites the last tokens and attends over all of them.
class FullCache : public KvCache {
 public:
  FullCache(int64_t layers, int64_t tokens, int64_t dim, uint64_t seed)
      : dim_(dim), tokens_(tokens) {
    const size_t size = static_cast<size_t>(tokens * dim);
    for (int64_t l = 0; l < layers; ++l) {
      k_.emplace_back(size);
      v_.emplace_back(size);
      fill_normal(seed, static_cast<uint64_t>(2 * l), 0, k_.back().data(), size);
      fill_normal(seed, static_cast<uint64_t>(2 * l + 1), 0, v_.back().data(), size);
    }
  }
  int query_position() const override { return 5; }
  int key_position() const override { return 5; }
  KvView append(int layer, const float* k, const float* v, int tokens) override {
    const auto l = static_cast<size_t>(layer);
    const auto at = static_cast<size_t>((tokens_ - tokens) * dim_);
    std::copy_n(k, static_cast<size_t>(tokens * dim_), k_[l].data() + at);
    std::copy_n(v, static_cast<size_t>(tokens * dim_), v_[l].data() + at);
    return KvView{k_[l].data(), v_[l].data(), static_cast<int>(tokens_)};
  }

 private:
  int64_t dim_, tokens_;
  std::vector<std::vector<float>> k_, v_;
};

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

// oneDNN's bare products of one block's shapes, in the dtype of the forward and with weights packed
// beforehand, weighted as a block uses them.
class RawProducts {
 public:
  RawProducts(int64_t rows, int64_t dim, int64_t ffn, bool bf16)
      : flops_(2.0 * static_cast<double>(rows) *
               static_cast<double>(6 * dim * dim + 2 * dim * ffn)),
        square_(onednn_product(rows, dim, dim, bf16)),
        up_(onednn_product(rows, dim, ffn, bf16)),
        down_(onednn_product(rows, ffn, dim, bf16)) {}
  // Runs all of them so many times; returns the seconds taken.
  double run(int times) {
    const double start = seconds_now();
    for (int n = 0; n < times; ++n) {
      for (int i = 0; i < 6; ++i) square_();
      up_();
      down_();
    }
    return seconds_now() - start;
  }
  double flops() const { return flops_; }

 private:
  double flops_;
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
  const int64_t keys = kv < tokens ? kv * tokens : kv;
  const int64_t rows = arguments.integer("--rows", 1, 1, 256);
  const int threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  const double seconds = arguments.number("--seconds", 2, 0.1, 600);

  const std::string backend = arguments.text("--backend", "cpu");
  const std::unique_ptr<Ops> ops = make_ops(backend, threads, arguments.text("--dtype", "auto"));
  const bool bf16 = ops->dtype() == DType::bf16;
  RandomWeights weights(1);
  CausalDit dit(config, weights, *ops);
  Arena arena;
  const Tensor text = arena.zeros({config.text_len, config.text_dim});
  fill_normal(1, 3, 0, text.f32(), static_cast<size_t>(text.count()));
  const auto prompt = dit.encode_prompt(text);
  int64_t height = static_cast<int64_t>(std::sqrt(static_cast<double>(tokens)));
  while (tokens % height != 0) --height;
  const Shape shape{rows, height * config.patch, tokens / height * config.patch, 16};
  const Tensor x = arena.tensor(shape), y = arena.tensor(shape);
  fill_normal(1, 4, 0, x.f32(), static_cast<size_t>(x.count()));
  std::vector<FullCache> caches;
  std::vector<DitRow> batch;
  const double timestep = 700;
  for (int64_t r = 0; r < rows; ++r) {
    caches.emplace_back(config.layers, keys, config.dim, static_cast<uint64_t>(r));
  }
  for (FullCache& cache : caches) batch.push_back(DitRow{1, &timestep, &cache, prompt.get()});

  // In alternation and about as long as a forward, so that a busy neighbour slows both alike.
  set_onednn_threads(threads);
  RawProducts raw(rows * tokens, config.dim, config.ffn, bf16);
  const double flops = forward_flops(config, static_cast<double>(tokens), static_cast<double>(keys),
                                     static_cast<double>(rows));
  const int times = std::max(1, static_cast<int>(std::lround(flops / raw.flops())));
  std::vector<double> forwards, products, cpu;
  dit.forward(batch.data(), rows, x, y);
  raw.run(1);
  const double end = seconds_now() + seconds;
  while (forwards.size() < 3 || seconds_now() < end) {
    const double start = seconds_now(), cpu_start = cpu_seconds();
    dit.forward(batch.data(), rows, x, y);
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
      "oneDNN products of the "
      "same shapes %.1f GFLOP/s (%.0f %%)\n",
      static_cast<long long>(config.dim), static_cast<long long>(config.layers),
      static_cast<long long>(rows), static_cast<long long>(tokens), static_cast<long long>(keys),
      dtype_name(ops->dtype()), threads, median * 1e3, forwards.size(),
      percentile(forwards, 0) * 1e3, percentile(cpu, 0.5) * 1e3, gflops, peak, 100 * gflops / peak);
  if (arguments.flag("--json")) {
    const Json line = {{"msPerForward", median * 1e3},
                       {"gflops", gflops},
                       {"peakGflops", peak},
                       {"msPerForwardBest", percentile(forwards, 0) * 1e3},
                       {"cpuMsPerForward", percentile(cpu, 0.5) * 1e3},
                       {"forwards", forwards.size()},
                       {"dtype", dtype_name(ops->dtype())},
                       {"backend", backend},
                       {"threads", threads},
                       {"rssMb", resident_mb()}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
