// Checks of pixels.cuh and the byte conversions.

#include "cuda/kernel_check_support.h"
#include "ops/cuda/pixels.cuh"

namespace driftless {

namespace {

struct Picture {
  explicit Picture(const KernelRun& run)
      : n(run.size("n")), h(run.integer("h")), w(run.integer("w")), c(run.integer("c")) {}
  int64_t n;
  int h, w, c;
};

template <typename T>
KernelResult upsample2(KernelRun& run) {
  const Picture p(run);
  const Tensor x = run.random<T>({p.n, p.h, p.w, p.c});
  const Tensor expected = run.empty({p.n, 2 * p.h, 2 * p.w, p.c});
  run.oracle->upsample2(x, expected);
  const KernelBuffer<T> in(x), y(expected.count());
  cuda::gather_runs(
      "upsample2", in.data(), y.data(), y.count(), p.c,
      [&](int wide) {
        return cuda::Upsample2Map{p.h, p.w, p.c / wide};
      },
      nullptr);
  return run.compare(expected, y);
}

/// pixel_unshuffle, and pixel_shuffle of its result.
template <typename T>
KernelResult shuffles(KernelRun& run) {
  const Picture p(run);
  const int r = run.integer("r");
  const Tensor x = run.random<T>({p.n, p.h * r, p.w * r, p.c});
  const Tensor expected = run.empty({p.n, p.h, p.w, p.c * r * r});
  run.oracle->pixel_unshuffle(x, expected);
  const KernelBuffer<T> in(x), blocks(x.count()), back(x.count());
  cuda::gather("pixel_unshuffle", in.data(), blocks.data(), x.count(),
               cuda::UnshuffleMap{p.h * r, p.w * r, p.c, r}, nullptr);
  cuda::gather("pixel_shuffle", blocks.data(), back.data(), x.count(),
               cuda::ShuffleMap{p.h * r, p.w * r, p.c, r}, nullptr);
  const KernelResult there = run.compare(expected, blocks), again = run.compare(x, back);
  return {std::max(there.error, again.error), 0.0, there.hash * 31 + again.hash};
}

template <typename T>
KernelResult unpatchify(KernelRun& run) {
  const Picture p(run);
  const int r = run.integer("r");
  const Tensor x = run.random<T>({p.n, p.h, p.w, r * r * p.c});
  const Tensor expected = run.empty({p.n, p.h * r, p.w * r, p.c});
  run.oracle->unpatchify(x, expected);
  const KernelBuffer<T> in(x), y(x.count());
  cuda::gather_runs(
      "unpatchify", in.data(), y.data(), y.count(), p.c,
      [&](int wide) {
        return cuda::UnpatchifyMap{p.h, p.w, p.c / wide, r};
      },
      nullptr);
  return run.compare(expected, y);
}

/// frames_to_channels, and channels_to_frames of its result.
template <typename T>
KernelResult frames(KernelRun& run) {
  const Picture p(run);
  const int t = run.integer("t");
  const int64_t pixels = int64_t{p.h} * p.w;
  const Tensor x = run.random<T>({p.n * t, p.h, p.w, p.c});
  const Tensor expected = run.empty({p.n, p.h, p.w, t * p.c});
  run.oracle->frames_to_channels(x, expected);
  const KernelBuffer<T> in(x), merged(x.count()), back(x.count());
  cuda::gather_runs(
      "frames_to_channels", in.data(), merged.data(), x.count(), p.c,
      [&](int wide) {
        return cuda::FramesToChannelsMap{pixels, p.c / wide, t};
      },
      nullptr);
  cuda::gather_runs(
      "channels_to_frames", merged.data(), back.data(), x.count(), p.c,
      [&](int wide) {
        return cuda::ChannelsToFramesMap{pixels, p.c / wide, t};
      },
      nullptr);
  const KernelResult there = run.compare(expected, merged), again = run.compare(x, back);
  return {std::max(there.error, again.error), 0.0, there.hash * 31 + again.hash};
}

/// Planar to channels-last, and back.
/// Channels that are not copied stay as they were.
template <typename T>
KernelResult copy_channels(KernelRun& run) {
  const int64_t rows = run.size("rows"), in = run.size("in"), out = run.size("out");
  const int64_t from = run.size("from"), to = run.size("to"), count = run.size("count");
  const Tensor x = run.random<T>({rows, in}), y = run.random<T>({rows, out});
  const KernelBuffer<T> source(x), target(y);
  run.oracle->copy_channels(x, from, count, y, to);
  cuda::copy_channels(source.data() + from, in, target.data() + to, out, rows, count, nullptr);
  return run.compare(y, target);
}

template <typename T>
KernelResult planes(KernelRun& run) {
  const Picture p(run);
  const int64_t pixels = int64_t{p.h} * p.w;
  const Tensor x = run.random<T>({p.n, p.c, p.h, p.w}), expected = run.empty({p.n, p.h, p.w, p.c});
  run.oracle->nchw_to_nhwc(x, expected);
  const KernelBuffer<T> in(x), last(x.count()), back(x.count());
  cuda::gather("nchw_to_nhwc", in.data(), last.data(), x.count(), cuda::TransposeMap{p.c, pixels},
               nullptr);
  cuda::gather("nhwc_to_nchw", last.data(), back.data(), x.count(), cuda::TransposeMap{pixels, p.c},
               nullptr);
  const KernelResult there = run.compare(expected, last), again = run.compare(x, back);
  return {std::max(there.error, again.error), 0.0, there.hash * 31 + again.hash};
}

template <typename T>
KernelResult upsample_bilinear(KernelRun& run) {
  const Picture p(run);
  const int repeat = run.integer("repeat"), scale = run.integer("scale");
  const Tensor x = run.random<T>({p.n, p.h, p.w, p.c});
  const Tensor expected = run.random<T>({p.n * repeat, p.h * scale, p.w * scale, p.c});
  const KernelBuffer<T> in(x), y(expected);
  run.oracle->upsample_bilinear(x, expected, run.flag("accumulate"));
  cuda::upsample_bilinear(in.data(), y.data(), p.n, p.h, p.w, p.c, repeat, scale,
                          run.flag("accumulate"), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult average_pool(KernelRun& run) {
  const Picture p(run);
  const int t = run.integer("t"), scale = run.integer("scale");
  const Tensor x = run.random<T>({p.n * t, p.h * scale, p.w * scale, p.c});
  const Tensor expected = run.empty({p.n, p.h, p.w, p.c});
  run.oracle->average_pool(x, expected);
  const KernelBuffer<T> in(x), y(expected.count());
  cuda::average_pool(in.data(), y.data(), p.n, p.h * scale, p.w * scale, p.c, t, scale, nullptr);
  return run.compare(expected, y);
}

/// Bytes to numbers, and numbers (some out of range, some NaN) to bytes.
template <typename T>
KernelResult bytes(KernelRun& run) {
  const int64_t count = run.size("count"), offset = run.size("offset");
  const KernelBuffer<uint8_t> in(count, offset);
  for (int64_t i = 0; i < count; ++i) in.data()[i] = static_cast<uint8_t>(i * 7);
  const Tensor expected = run.empty({count}), x = run.random<T>({count});
  run.oracle->u8_to_f32(Tensor(DType::u8, {count}, in.data()), 2.0f, -1.0f, expected);
  const KernelBuffer<T> y(count);
  cuda::map("u8_to_f32", in.data(), y.data(), count, count, cuda::FromBytes{2.0f, -1.0f}, nullptr);
  const KernelResult numbers = run.compare(expected, y);

  if (count > 4) x.f32()[3] = NAN;
  std::vector<uint8_t> want(static_cast<size_t>(count));
  run.oracle->f32_to_u8(x, 0.5f, 0.5f, Tensor(DType::u8, {count}, want.data()));
  const KernelBuffer<T> from(x);
  const KernelBuffer<uint8_t> got(count, offset);
  cuda::map("f32_to_u8", from.data(), got.data(), count, count, cuda::ToBytes{0.5f, 0.5f}, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "bytes");
  got.require_intact();
  for (int64_t i = 0; i < count; ++i) {
    DL_CHECK_EQ("byte " + std::to_string(i), int{want[static_cast<size_t>(i)]}, int{got.data()[i]});
  }
  return {numbers.error, numbers.tolerance, numbers.hash * 31 + got.hash()};
}

}  // namespace

KernelTable pixel_kernel_checks() {
  const std::map<std::string, int64_t> picture = {{"n", 2}, {"h", 3}, {"w", 5}, {"c", 16}};
  const auto with = [&](std::map<std::string, int64_t> more) {
    more.insert(picture.begin(), picture.end());
    return more;
  };
  return {
      {"upsample2", DL_KERNEL_CHECK(upsample2, picture)},
      {"shuffles", DL_KERNEL_CHECK(shuffles, with({{"r", 2}}))},
      {"unpatchify", DL_KERNEL_CHECK(unpatchify, with({{"r", 2}}))},
      {"frames", DL_KERNEL_CHECK(frames, with({{"t", 4}}))},
      {"copy_channels",
       DL_KERNEL_CHECK(
           copy_channels,
           {{"rows", 30}, {"in", 2}, {"out", 16}, {"from", 1}, {"to", 9}, {"count", 1}})},
      {"planes", DL_KERNEL_CHECK(planes, picture)},
      {"upsample_bilinear",
       DL_KERNEL_CHECK(upsample_bilinear, with({{"repeat", 2}, {"scale", 3}, {"accumulate", 1}}))},
      {"average_pool", DL_KERNEL_CHECK(average_pool, with({{"t", 2}, {"scale", 4}}))},
      {"bytes", DL_KERNEL_CHECK(bytes, {{"count", 1000}, {"offset", 0}})},
  };
}

}  // namespace driftless
