// Checks of mobile.cuh.

#include "cuda/picture_check_support.h"
#include "ops/cuda/mobile.cuh"

namespace driftless {

namespace {

struct Sizes {
  explicit Sizes(const KernelRun& run)
      : h(run.integer("h")), w(run.integer("w")), c(run.integer("c")) {}
  int h, w, c;
};

cuda::Windows windows(const KernelRun& run, const Sizes& p) {
  const int kernel = run.integer("kernel"), stride = run.integer("stride");
  const auto rows = checks::same_padding(p.h, kernel, stride),
             columns = checks::same_padding(p.w, kernel, stride);
  return {p.h,
          p.w,
          p.c,
          kernel,
          stride,
          static_cast<int>(rows.out),
          static_cast<int>(columns.out),
          static_cast<int>(rows.before),
          static_cast<int>(columns.before)};
}

KernelResult patches(KernelRun& run) {
  const Sizes p(run);
  const cuda::Windows s = windows(run, p);
  const Tensor picture = run.arena.tensor({p.h, p.w, p.c}, DType::u8);
  const Tensor expected = run.empty({s.out_h, s.out_w, int64_t{s.kernel} * s.kernel * p.c});
  const KernelBuffer<uint8_t> there(picture.count());
  randomise(run, picture, there);
  make_mobile_ops("reference")->patches(picture, s.kernel, s.stride, expected);
  const KernelBuffer<float> y(expected.count());
  cuda::patches(there.data(), s, y.data(), nullptr);
  return run.compare(expected, y);
}

KernelResult depthwise(KernelRun& run) {
  const Sizes p(run);
  const cuda::Windows s = windows(run, p);
  const Tensor x = run.random<float>({p.h, p.w, p.c}),
               weight = run.random<float>({s.kernel, s.kernel, p.c}),
               bias = run.random<float>({p.c}), expected = run.empty({s.out_h, s.out_w, p.c});
  make_mobile_ops("reference")
      ->depthwise(x, weight, bias, s.stride, MobileActivation::hard_swish, expected);
  const KernelBuffer<float> in(x), taps(weight), offset(bias), y(expected.count());
  cuda::depthwise(in.data(), taps.data(), offset.data(), s, MobileActivation::hard_swish, y.data(),
                  nullptr);
  return run.compare(expected, y);
}

/// global_average, and its result as the scale of the picture that it is of.
KernelResult squeeze(KernelRun& run) {
  const Sizes p(run);
  const auto oracle = make_mobile_ops("reference");
  const Tensor x = run.random<float>({p.h, p.w, p.c}), addend = run.random<float>({p.h, p.w, p.c});
  const Tensor mean = run.empty({p.c}), expected = run.empty(x.shape());
  oracle->global_average(x, mean);
  oracle->scale_channels(x, mean, addend, expected);
  oracle->activate(MobileActivation::sigmoid, expected, expected);
  const KernelBuffer<float> in(x), more(addend), means(p.c), y(x.count());
  cuda::global_average(in.data(), int64_t{p.h} * p.w, p.c, means.data(), nullptr);
  cuda::scale_channels(in.data(), means.data(), more.data(), p.c, MobileActivation::sigmoid,
                       x.count(), y.data(), nullptr);
  return run.compare(expected, y);
}

KernelResult transposed2(KernelRun& run) {
  const Sizes p(run);
  const Tensor x = run.random<float>({p.h, p.w, p.c}), weight = run.random<float>({2, 2, p.c}),
               bias = run.random<float>({1}), expected = run.empty({2 * p.h, 2 * p.w});
  make_mobile_ops("reference")->transposed2(x, weight, bias, MobileActivation::relu, expected);
  const KernelBuffer<float> in(x), taps(weight), offset(bias), y(expected.count());
  cuda::transposed2(in.data(), taps.data(), offset.data(), p.h, p.w, p.c, MobileActivation::relu,
                    y.data(), nullptr);
  return run.compare(expected, y);
}

}  // namespace

KernelTable mobile_kernel_checks() {
  const auto f32 = [](std::map<std::string, int64_t> sizes, KernelResult (*check)(KernelRun&)) {
    return KernelCheck{std::move(sizes), check, nullptr, nullptr};
  };
  const auto window = [](int64_t c) {
    return std::map<std::string, int64_t>{
        {"h", 9}, {"w", 7}, {"c", c}, {"kernel", 3}, {"stride", 2}};
  };
  return {
      {"patches", f32(window(3), patches)},
      {"depthwise", f32(window(24), depthwise)},
      {"squeeze", f32({{"h", 9}, {"w", 7}, {"c", 24}}, squeeze)},
      {"transposed2", f32({{"h", 9}, {"w", 7}, {"c", 16}}, transposed2)},
  };
}

}  // namespace driftless
