// Speed of the heavy operations at the shapes that the models use, next to the same of oneDNN in
// the same run. One thread; processor time of the process, best of several runs, so that a busy
// machine disturbs it little.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/onednn_baseline.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/philox.h"
#include "ops/ops.h"

namespace driftless {
namespace {

double best_seconds(const std::function<void()>& run) {
  double best = 1e9, total = 0.0;
  for (int turn = 0; turn < 400 && (turn < 5 || total < 0.3); ++turn) {
    const double start = cpu_seconds();
    run();
    const double taken = cpu_seconds() - start;
    best = std::min(best, taken);
    total += taken;
  }
  return best;
}

class Bench {
 public:
  Bench(std::string filter, const std::string& dtype)
      : filter_(std::move(filter)), bf16_(dtype == "bf16"), ops_(make_ops("cpu", 1, dtype)) {}

  void linear(int64_t rows, int64_t in, int64_t out) {
    const std::string name = "linear " + std::to_string(rows) + "x" + std::to_string(in) + "x" +
                             std::to_string(out) + " bias gelu";
    if (skip(name)) return;
    const ArenaScope scope(arena_);
    const Tensor x = random({rows, in}), y = arena_.tensor({rows, out});
    const auto packed = ops_->pack_linear(random({out, in}), random({out}));
    LinearEpilogue epilogue;
    epilogue.activation = Activation::gelu_tanh;
    const double own = best_seconds([&] { ops_->linear(*packed, x, y, epilogue); });
    report(name, 2.0 * rows * in * out, own, best_seconds(onednn_product(rows, in, out, bf16_)));
  }

  void conv(int64_t n, int64_t h, int64_t w, int64_t in, int64_t out, const ConvOptions& options) {
    const int64_t up = options.upsample2 ? 2 : 1, stride = options.stride;
    const std::string name =
        "conv " + std::to_string(n) + "x" + std::to_string(h) + "x" + std::to_string(w) + " " +
        std::to_string(in) + "->" + std::to_string(out) + (stride == 2 ? " stride 2" : "") +
        (up == 2 ? " upsampled" : "") + (options.second_input_channels > 0 ? " two inputs" : "");
    if (skip(name)) return;
    const ArenaScope scope(arena_);
    const int64_t second = options.second_input_channels;
    const Tensor x = random({n, h, w, in - second});
    const Tensor x2 = second > 0 ? random({n, h, w, second}) : Tensor();
    const Tensor y = arena_.tensor({n, h * up / stride, w * up / stride, out});
    const auto packed = ops_->pack_conv(random({out, in, 3, 3}), random({out}), options);
    const double own =
        best_seconds([&] { ops_->conv2d(*packed, x, x2, Tensor(), Activation::relu, y); });
    report(name, 2.0 * 9 * in * static_cast<double>(y.count()), own,
           best_seconds(onednn_conv(n, h * up, w * up, in, out, stride, bf16_)));
  }

  void attention(int64_t queries, int64_t keys, int64_t heads, int64_t dim) {
    const std::string name = "attention " + std::to_string(queries) + "x" + std::to_string(keys) +
                             " heads " + std::to_string(heads) + "x" + std::to_string(dim);
    if (skip(name)) return;
    const ArenaScope scope(arena_);
    const Tensor q = random({queries, heads, dim}), k = random({keys, heads, dim});
    const Tensor v = random({keys, heads, dim}), out = arena_.tensor({queries, heads, dim});
    const AttentionRow row = {q.f32(), k.f32(), v.f32(), out.f32(), queries, keys};
    const double own = best_seconds([&] { ops_->attention(&row, 1, heads, dim, 0.125f); });
    report(name, 4.0 * queries * keys * heads * dim, own, 0.0);
  }

  void tokens(int64_t frames, int64_t height, int64_t width, int64_t heads, int64_t dim) {
    if (skip("rope norm")) return;
    const ArenaScope scope(arena_);
    const Tensor x = random({frames, height * width, heads, dim});
    const Tensor y = arena_.tensor(x.shape());
    const std::vector<double> positions(static_cast<size_t>(frames), 3.0);
    bytes("rope3d", x, [&] { ops_->rope3d(x, positions.data(), height, width, y); });
    const Tensor rows = x.reshape({frames * height * width, heads * dim});
    const Tensor weight = random({heads * dim});
    bytes("rms_norm", x, [&] { ops_->rms_norm(rows, weight, 1e-6f, y.reshape(rows.shape())); });
    const GroupVectors group = {weight.f32(), 1, 0};
    bytes("layer_norm", x, [&] {
      ops_->layer_norm(rows, Tensor(), Tensor(), group, group, 1e-6f, y.reshape(rows.shape()));
    });
    bytes("gelu_tanh", x, [&] { ops_->activate(Activation::gelu_tanh, x, y); });
  }

  void pixels(int64_t n, int64_t h, int64_t w) {
    if (skip("pixels")) return;
    const ArenaScope scope(arena_);
    const Tensor rgb = random({n, h, w, 3}), blocks = arena_.tensor({n, h / 2, w / 2, 12});
    const Tensor u8 = arena_.zeros(rgb.shape(), DType::u8), small = random({1, h / 8, w / 8, 3});
    bytes("u8_to_f32", rgb, [&] { ops_->u8_to_f32(u8, 2.0f, -1.0f, rgb); });
    bytes("f32_to_u8", rgb, [&] { ops_->f32_to_u8(rgb, 0.5f, 0.5f, u8); });
    bytes("pixel_unshuffle", rgb, [&] { ops_->pixel_unshuffle(rgb, blocks); });
    bytes("pixel_shuffle", rgb, [&] { ops_->pixel_shuffle(blocks, rgb); });
    bytes("average_pool", rgb, [&] { ops_->average_pool(rgb, small); });
    bytes("upsample_bilinear", rgb, [&] { ops_->upsample_bilinear(small, rgb, true); });
    bytes("mean_square_difference", rgb, [&] { ops_->mean_square_difference(rgb, rgb); });
    const Tensor merged = random({n / 2, h / 2, w / 2, 48}),
                 split = arena_.tensor({n, h / 2, w / 2, 24});
    bytes("channels_to_frames", split, [&] { ops_->channels_to_frames(merged, split); });
  }

 private:
  bool skip(const std::string& name) const { return name.find(filter_) == std::string::npos; }
  Tensor random(Shape shape) {
    const Tensor tensor = arena_.tensor(shape);
    fill_normal(1, 1, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    // Small values, so that sums stay where real activations are.
    for (int64_t i = 0; i < tensor.count(); ++i) tensor.f32()[i] *= 0.1f;
    return tensor;
  }
  void report(const std::string& name, double operations, double own, double baseline) {
    std::printf("%-44s %8.3f ms %7.1f GFLOP/s", name.c_str(), own * 1e3, operations / own * 1e-9);
    if (baseline > 0.0) std::printf("   oneDNN alone %7.1f", operations / baseline * 1e-9);
    std::printf("\n");
  }
  void bytes(const char* name, const Tensor& tensor, const std::function<void()>& run) {
    const double own = best_seconds(run);
    std::printf("%-44s %8.3f ms %7.2f ns/float\n", name, own * 1e3,
                own * 1e9 / static_cast<double>(tensor.count()));
  }

  std::string filter_;
  bool bf16_;
  std::unique_ptr<Ops> ops_;
  Arena arena_;
};

void run_all(Bench& bench) {
  bench.linear(144, 192, 192);
  bench.linear(144, 192, 576);
  bench.linear(144, 576, 192);
  bench.linear(220, 256, 1024);
  bench.linear(1560, 1536, 1536);
  bench.linear(1560, 1536, 8960);
  bench.linear(1560, 8960, 1536);
  ConvOptions plain, half, up;
  half.stride = 2;
  up.upsample2 = true;
  const auto memory = [](int64_t channels) {
    ConvOptions options;
    options.second_input_channels = channels;
    return options;
  };
  bench.conv(4, 36, 64, 64, 64, plain);
  bench.conv(4, 72, 128, 64, 64, plain);
  bench.conv(4, 72, 128, 12, 24, plain);
  bench.conv(2, 72, 128, 24, 32, half);
  bench.conv(2, 36, 64, 64, 32, memory(32));
  bench.conv(1, 18, 32, 128, 64, memory(64));
  bench.conv(1, 18, 32, 64, 48, up);
  bench.conv(2, 36, 64, 48, 24, up);
  bench.conv(2, 72, 128, 48, 24, memory(24));
  bench.conv(4, 72, 128, 24, 12, plain);
  bench.attention(144, 576, 3, 64);
  bench.attention(144, 864, 3, 64);
  bench.attention(144, 16, 3, 64);
  bench.attention(1560, 9360, 1, 128);
  bench.tokens(4, 9, 16, 3, 64);
  bench.pixels(4, 144, 256);
}

}  // namespace

int bench_ops(const Arguments& arguments) {
  const std::string dtype = arguments.text("--dtype", "f32");
  if (dtype != "f32" && dtype != "bf16") throw Error("--dtype", "f32 or bf16", dtype);
  set_onednn_threads(1);
  Bench bench(arguments.text("--filter", ""), dtype);
  run_all(bench);
  return 0;
}

}  // namespace driftless
