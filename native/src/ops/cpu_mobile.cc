// Vectorised over channels: a block of kLanes channels of one output row is walked pixel by pixel
// with the kernel's weights of that block close at hand. Where the channels are not a multiple of
// the block, the last block overlaps the one before it and writes the same values again.

#include <algorithm>

#include "core/error.h"
#include "ops/ops.h"
#include "ops/reference_mobile.h"
#include "ops/vector_math.h"

namespace driftless {
namespace {

Vec hard_swish_vec(Vec x) {
  Vec gate = x + 3.0f;
  gate = gate > 0.0f ? gate : Vec{};
  gate = gate < 6.0f ? gate : splat(6.0f);
  return x * gate * (1.0f / 6.0f);
}

Vec apply(MobileActivation activation, Vec x) {
  switch (activation) {
    case MobileActivation::relu:
      return relu_vec(x);
    case MobileActivation::hard_swish:
      return hard_swish_vec(x);
    case MobileActivation::sigmoid:
      return sigmoid_vec(x);
    case MobileActivation::none:
      break;
  }
  return x;
}

/// Calls block(first channel) so that all channels are covered; c >= kLanes.
template <typename Block>
void channel_blocks(int64_t c, Block block) {
  for (int64_t first = 0; first < c; first += kLanes) block(std::min(first, c - kLanes));
}

template <int kKernel>
void depthwise_row(const checks::DepthwiseSizes& s, const float* x, const float* weight, Vec bias,
                   int stride, MobileActivation activation, int64_t row, float* y) {
  const int64_t top = row * stride - s.rows.before;
  const int64_t first_ky = std::max<int64_t>(0, -top);
  const int64_t last_ky = std::min<int64_t>(kKernel, s.h - top);
  const float* lines = x + top * s.w * s.c;
  Vec taps[kKernel * kKernel];
  for (int tap = 0; tap < kKernel * kKernel; ++tap) taps[tap] = load_vec(weight + tap * s.c);
  for (int64_t col = 0; col < s.columns.out; ++col, y += s.c) {
    const int64_t left = col * stride - s.columns.before;
    Vec sum = bias;
    if (left >= 0 && left + kKernel <= s.w) {
      for (int64_t ky = first_ky; ky < last_ky; ++ky) {
        const float* at = lines + (ky * s.w + left) * s.c;
        for (int kx = 0; kx < kKernel; ++kx) {
          sum += load_vec(at + kx * s.c) * taps[ky * kKernel + kx];
        }
      }
    } else {
      for (int64_t ky = first_ky; ky < last_ky; ++ky) {
        for (int64_t kx = std::max<int64_t>(0, -left); kx < std::min<int64_t>(kKernel, s.w - left);
             ++kx) {
          sum += load_vec(lines + (ky * s.w + left + kx) * s.c) * taps[ky * kKernel + kx];
        }
      }
    }
    store_vec(y, apply(activation, sum));
  }
}

class CpuMobileOps : public ReferenceMobileOps {
 public:
  void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                 MobileActivation activation, const Tensor& y) override {
    const auto s = checks::depthwise(x, weight, bias, stride, y);
    const bool known = s.kernel == 3 || s.kernel == 5;
    if (!known || s.c < kLanes) {
      ReferenceMobileOps::depthwise(x, weight, bias, stride, activation, y);
      return;
    }
    const auto walk = s.kernel == 3 ? depthwise_row<3> : depthwise_row<5>;
    for (int64_t row = 0; row < s.rows.out; ++row) {
      channel_blocks(s.c, [&](int64_t c) {
        walk(s, x.f32() + c, weight.f32() + c, load_vec(bias.f32() + c), stride, activation, row,
             y.f32() + row * s.columns.out * s.c + c);
      });
    }
  }

  void activate(MobileActivation activation, const Tensor& x, const Tensor& y) override {
    check_same("activation's output", x, y);
    map_vec(x.f32(), y.f32(), x.count(), [&](Vec v) { return apply(activation, v); });
  }

  void global_average(const Tensor& x, const Tensor& y) override {
    const Picture s = check_channels("global average's output", x, y);
    if (s.c < kLanes) {
      ReferenceMobileOps::global_average(x, y);
      return;
    }
    const float factor = 1.0f / static_cast<float>(s.h * s.w);
    channel_blocks(s.c, [&](int64_t c) {
      Vec total = {};
      for (int64_t row = 0; row < s.h; ++row) {
        // Row sums first: one long chain of additions would lose digits.
        Vec sum = {};
        const float* at = x.f32() + row * s.w * s.c + c;
        for (int64_t col = 0; col < s.w; ++col) sum += load_vec(at + col * s.c);
        total += sum;
      }
      store_vec(y.f32() + c, total * factor);
    });
  }

  void scale_channels(const Tensor& x, const Tensor& scale, const Tensor& addend,
                      const Tensor& y) override {
    const Picture s = check_channels("channel scale", x, scale);
    check_same("scaled channels", x, y);
    if (addend.present()) check_same("addend of scaled channels", x, addend);
    const float* factors = scale.f32();
    const float *in = x.f32(), *more = addend.present() ? addend.f32() : nullptr;
    float* out = y.f32();
    for (int64_t pixel = 0; pixel < s.h * s.w; ++pixel, in += s.c, out += s.c) {
      if (more != nullptr) {
        for (int64_t c = 0; c < s.c; ++c) out[c] = in[c] * factors[c] + more[c];
        more += s.c;
      } else {
        for (int64_t c = 0; c < s.c; ++c) out[c] = in[c] * factors[c];
      }
    }
  }

  void transposed2(const Tensor& x, const Tensor& weight, const Tensor& bias,
                   MobileActivation activation, const Tensor& y) override {
    const Picture s = check_transposed(x, weight, bias, y);
    if (s.c % kLanes != 0) {
      ReferenceMobileOps::transposed2(x, weight, bias, activation, y);
      return;
    }
    const float *in = x.f32(), *kernels = weight.f32();
    const float offset = bias.f32()[0];
    float* out = y.f32();
    for (int64_t row = 0; row < s.h; ++row) {
      for (int64_t col = 0; col < s.w; ++col, in += s.c) {
        for (int64_t part = 0; part < 4; ++part) {
          Vec sum = {};
          for (int64_t c = 0; c < s.c; c += kLanes) {
            sum += load_vec(in + c) * load_vec(kernels + part * s.c + c);
          }
          out[(2 * row + part / 2) * 2 * s.w + 2 * col + part % 2] = sum_lanes(sum) + offset;
        }
      }
    }
    activate(activation, y, y);
  }
};

}  // namespace

std::unique_ptr<MobileOps> make_mobile_ops(const std::string& backend) {
  if (backend == "cpu") return std::make_unique<CpuMobileOps>();
  if (backend == "reference") return std::make_unique<ReferenceMobileOps>();
  throw Error("backend", "\"cpu\" or \"reference\"", backend);
}

std::unique_ptr<MobileOps> Ops::mobile() const { return make_mobile_ops(name()); }

}  // namespace driftless
