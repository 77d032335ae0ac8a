// Checks of pictures.cuh.

#include <numeric>

#include "cuda/picture_check_support.h"

namespace driftless {

namespace {

struct Pictures {
  explicit Pictures(const KernelRun& run)
      : n(run.size("n")), h(run.integer("h")), w(run.integer("w")) {}
  int64_t n;
  int h, w;
};

/// Motion between frames, and frames held still by it.
KernelResult stillness(KernelRun& run) {
  const Pictures p(run);
  const bool begins = run.flag("begins");
  const Tensor before = run.arena.tensor({p.h, p.w, 3}, DType::u8);
  const Tensor frames = run.arena.tensor({p.n, p.h, p.w, 3}, DType::u8);
  const KernelBuffer<uint8_t> last(before.count()), now(frames.count());
  randomise(run, before, last);
  randomise(run, frames, now);
  const int rows = motion_blocks(p.h), columns = motion_blocks(p.w);
  const Tensor motion = run.arena.tensor({p.n, rows, columns}, DType::u8);
  run.oracle->measure_motion(begins ? Tensor() : before, frames, motion);
  const KernelBuffer<uint8_t> map(motion.count());
  cuda::measure_motion(begins ? nullptr : last.data(), now.data(), p.n, p.h, p.w, map.data(),
                       nullptr);
  const KernelResult first = compare_bytes(motion, map, 0);
  // Half of the blocks move.
  for (int64_t i = 0; i < motion.count(); ++i) map.data()[i] = motion.u8()[i] % 16;
  std::copy_n(map.data(), motion.count(), motion.u8());
  const Tensor shown = run.arena.tensor({p.h, p.w, 3, 2}, DType::u8);
  const KernelBuffer<uint8_t> shown_there(shown.count());
  randomise(run, shown, shown_there);
  run.oracle->hold_still(motion, 0.3f, begins, shown, frames);
  cuda::hold_still(begins ? nullptr : map.data(), Stillness{columns, rows, 0.3f}, p.n, p.h, p.w,
                   reinterpret_cast<uint16_t*>(shown_there.data()), now.data(), nullptr);
  KernelResult held = compare_bytes(frames, now, 1);
  // A weight that is rounded otherwise moves the 16-bit values by more than a step.
  if (begins) compare_bytes(shown, shown_there, 0);
  shown_there.require_intact();
  held.error = std::max(held.error, first.error > 0 ? 1000 : 0.0);
  held.hash = held.hash * 31 + first.hash;
  return held;
}

/// Sums, and a table for each channel.
KernelResult picture_sums(KernelRun& run) {
  const Pictures p(run);
  const Tensor frames = run.arena.tensor({p.n, p.h, p.w, 3}, DType::u8);
  const KernelBuffer<uint8_t> there(frames.count());
  randomise(run, frames, there);
  const int64_t values = int64_t{p.h} * p.w * 3;
  std::vector<uint64_t> expected(static_cast<size_t>(p.n + 6));
  run.oracle->frame_differences({}, frames, expected.data());
  run.oracle->picture_sums(frames, run.size("stride"), expected.data() + p.n);
  const KernelBuffer<uint64_t> sums((p.n + 6) * cuda::kPictureBlocks);
  cuda::frame_differences(nullptr, there.data(), p.n, values, sums.data(), nullptr);
  cuda::picture_sums(there.data(), p.n * p.h * p.w, run.size("stride"),
                     sums.data() + p.n * cuda::kPictureBlocks, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "picture_sums");
  sums.require_intact();
  for (size_t i = 0; i < expected.size(); ++i) {
    const uint64_t* from = sums.data() + i * cuda::kPictureBlocks;
    DL_CHECK_EQ("sum " + std::to_string(i), expected[i],
                std::accumulate(from, from + cuda::kPictureBlocks, uint64_t{0}));
  }
  const Tensor tables = run.arena.tensor({3 * 256}, DType::u8);
  const KernelBuffer<uint8_t> tables_there(tables.count());
  randomise(run, tables, tables_there);
  run.oracle->map_bytes(tables.u8(), frames);
  cuda::map_bytes(tables_there.data(), frames.count(), there.data(), nullptr);
  return compare_bytes(frames, there, 0);
}

KernelResult resample(KernelRun& run) {
  const Pictures p(run);
  const int h = run.integer("to_h"), w = run.integer("to_w");
  const bool cubic = run.flag("cubic");
  const Resampling across = cubic ? Resampling::cubic(p.w, w) : Resampling::triangle(p.w, w);
  const Resampling down = cubic ? Resampling::cubic(p.h, h) : Resampling::area(p.h, h);
  const Tensor x = run.arena.tensor({p.n, p.h, p.w, 3}, DType::u8);
  const Tensor expected = run.arena.tensor({p.n, h, w, 3}, DType::u8);
  const KernelBuffer<uint8_t> in(x.count()), y(expected.count());
  randomise(run, x, in);
  run.oracle->resample(across, down, x, expected);
  const Axis columns(across), rows(down);
  cuda::resample(columns.there(), rows.there(), p.n, in.data(), y.data(), nullptr);
  return compare_bytes(expected, y, 1);
}

}  // namespace

KernelTable picture_kernel_checks() {
  const auto f32 = [](std::map<std::string, int64_t> sizes, KernelResult (*check)(KernelRun&)) {
    return KernelCheck{std::move(sizes), check, nullptr, nullptr};
  };
  return {
      {"stillness", f32({{"n", 2}, {"h", 21}, {"w", 37}, {"begins", 0}}, stillness)},
      {"picture_sums", f32({{"n", 3}, {"h", 9}, {"w", 13}, {"stride", 5}}, picture_sums)},
      {"resample",
       f32({{"n", 2}, {"h", 18}, {"w", 32}, {"to_h", 7}, {"to_w", 21}, {"cubic", 0}}, resample)},
  };
}

}  // namespace driftless
