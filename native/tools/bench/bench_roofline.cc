#include <chrono>
#include <cstdio>
#include <functional>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/json.h"
#include "ops/ops.h"

namespace driftless {

namespace {

// Calls a second of what is waited for once in `times` calls, best of several rounds.
double calls_per_second(Ops& ops, double seconds, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto start = Clock::now();
  call();
  ops.wait();
  int times = 1;
  double best = 0;
  do {
    const auto round = Clock::now();
    for (int i = 0; i < times; ++i) call();
    ops.wait();
    const double took = since(round);
    best = std::max(best, times / took);
    if (took < seconds / 10) times *= 2;
  } while (since(start) < seconds);
  return best;
}

}  // namespace

int bench_roofline(const Arguments& arguments) {
  const std::string backend = arguments.text("--backend", "cpu");
  const std::unique_ptr<Ops> ops =
      make_ops(backend, static_cast<int>(arguments.integer("--threads", 1, 1, 256)),
               arguments.text("--dtype", "auto"));
  const int64_t size = arguments.integer("--size", 1024, 1, 32768);
  const int64_t mib = arguments.integer("--mib", 64, 1, 65536);
  const double seconds = arguments.number("--seconds", 2, 0.01, 600);
  const MemorySource& memory = ops->memory();
  double gbs = 0, tflops = 0;
  {
    Arena arena(size_t{1} << 20, 0, memory);
    const Tensor from = arena.tensor({mib, 1 << 18}), to = arena.tensor(from.shape());
    ops->clear(from);
    gbs = calls_per_second(*ops, seconds, [&] { ops->copy(from, to); }) * 2 *
          static_cast<double>(from.bytes()) * 1e-9;
  }
  {
    Arena host, arena(size_t{1} << 20, 0, memory);
    const auto packed = ops->pack_linear(host.zeros({size, size}), {});
    const Tensor x = arena.tensor({size, size}), y = arena.tensor({size, size});
    ops->clear(x);
    const double flops = 2.0 * static_cast<double>(size) * static_cast<double>(size * size);
    tflops = calls_per_second(*ops, seconds, [&] { ops->linear(*packed, x, y); }) * flops * 1e-12;
  }
  std::printf(
      "%s (%s): copies %.1f GB/s read and written (%lld MiB), products %.3f TFLOP/s (%lld "
      "cubed)\n",
      backend.c_str(), dtype_name(ops->dtype()), gbs, static_cast<long long>(mib), tflops,
      static_cast<long long>(size));
  if (arguments.flag("--json")) {
    const Json line = {{"backend", backend},      {"dtype", dtype_name(ops->dtype())},
                       {"copyGBs", gbs},          {"copyMib", mib},
                       {"productTflops", tflops}, {"productSize", size}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
