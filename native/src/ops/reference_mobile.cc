#include "ops/reference_mobile.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "ops/check_values.h"

namespace driftless {
namespace {

float apply(MobileActivation activation, float x) {
  switch (activation) {
    case MobileActivation::relu:
      return std::max(x, 0.0f);
    case MobileActivation::hard_swish:
      return x * std::clamp(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    case MobileActivation::sigmoid:
      return 1.0f / (1.0f + std::exp(-x));
    case MobileActivation::none:
      break;
  }
  return x;
}

}  // namespace

namespace checks {

SameAxis same_padding(int64_t size, int64_t kernel, int64_t stride) {
  const int64_t out = (size + stride - 1) / stride;
  return {out, std::max<int64_t>(0, (out - 1) * stride + kernel - size) / 2};
}

DepthwiseSizes depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                         const Tensor& y) {
  DL_CHECK_EQ("depthwise input's rank", 3, x.rank());
  DL_CHECK_EQ("depthwise weight's rank", 3, weight.rank());
  const int64_t kernel = weight.dim(0), c = x.dim(2);
  DL_CHECK(kernel % 2 == 1, "depthwise kernel", "an odd size", kernel);
  DL_CHECK_EQ("depthwise weight", Shape({kernel, kernel, c}), weight.shape());
  DL_CHECK_EQ("depthwise bias", Shape({c}), bias.shape());
  DL_CHECK(stride == 1 || stride == 2, "depthwise stride", "1 or 2", stride);
  const DepthwiseSizes s{x.dim(0),
                         x.dim(1),
                         c,
                         kernel,
                         same_padding(x.dim(0), kernel, stride),
                         same_padding(x.dim(1), kernel, stride)};
  DL_CHECK_EQ("depthwise output", Shape({s.rows.out, s.columns.out, c}), y.shape());
  for (const Tensor* tensor : {&x, &weight, &bias, &y}) checks::f32("depthwise tensor", *tensor);
  return s;
}

DepthwiseSizes patches(const Tensor& picture, int kernel, int stride, const Tensor& y) {
  DL_CHECK_EQ("picture's rank", 3, picture.rank());
  DL_CHECK(kernel >= 1 && stride >= 1, "kernel and stride of patches", "at least 1",
           std::min(kernel, stride));
  const int64_t h = picture.dim(0), w = picture.dim(1), c = picture.dim(2);
  const DepthwiseSizes s{
      h, w, c, kernel, same_padding(h, kernel, stride), same_padding(w, kernel, stride)};
  DL_CHECK_EQ("patches", Shape({s.rows.out, s.columns.out, c * kernel * kernel}), y.shape());
  if (picture.dtype() != DType::u8)
    throw Error("picture's dtype", "u8", dtype_name(picture.dtype()));
  checks::f32("patches", y);
  return s;
}

}  // namespace checks

ReferenceMobileOps::Picture ReferenceMobileOps::check_picture(const Tensor& x) {
  DL_CHECK_EQ("picture's rank", 3, x.rank());
  checks::f32("picture", x);
  return {x.dim(0), x.dim(1), x.dim(2)};
}

void ReferenceMobileOps::check_same(const char* what, const Tensor& x, const Tensor& y) {
  DL_CHECK_EQ(what, x.shape(), y.shape());
  checks::f32(what, x);
  checks::f32(what, y);
}

ReferenceMobileOps::Picture ReferenceMobileOps::check_channels(const char* what, const Tensor& x,
                                                               const Tensor& channels) {
  const Picture s = check_picture(x);
  DL_CHECK_EQ(what, Shape({s.c}), channels.shape());
  checks::f32(what, channels);
  return s;
}

ReferenceMobileOps::Picture ReferenceMobileOps::check_transposed(const Tensor& x,
                                                                 const Tensor& weight,
                                                                 const Tensor& bias,
                                                                 const Tensor& y) {
  const Picture s = check_picture(x);
  DL_CHECK_EQ("transposed convolution's weight", Shape({2, 2, s.c}), weight.shape());
  DL_CHECK_EQ("transposed convolution's bias", Shape({1}), bias.shape());
  DL_CHECK_EQ("transposed convolution's output", Shape({2 * s.h, 2 * s.w}), y.shape());
  for (const Tensor* tensor : {&weight, &bias, &y}) {
    checks::f32("transposed convolution's tensor", *tensor);
  }
  return s;
}

void ReferenceMobileOps::patches(const Tensor& picture, int kernel, int stride, const Tensor& y) {
  const auto s = checks::patches(picture, kernel, stride, y);
  const uint8_t* in = picture.u8();
  float* out = y.f32();
  for (int64_t row = 0; row < s.rows.out; ++row) {
    for (int64_t col = 0; col < s.columns.out; ++col) {
      for (int64_t ky = 0; ky < kernel; ++ky) {
        const int64_t from_row = row * stride - s.rows.before + ky;
        for (int64_t kx = 0; kx < kernel; ++kx) {
          const int64_t from_col = col * stride - s.columns.before + kx;
          const bool inside = from_row >= 0 && from_row < s.h && from_col >= 0 && from_col < s.w;
          for (int64_t c = 0; c < s.c; ++c) {
            *out++ = inside ? static_cast<float>(in[(from_row * s.w + from_col) * s.c + c]) / 255.0f
                            : 0.0f;
          }
        }
      }
    }
  }
}

void ReferenceMobileOps::depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                   int stride, MobileActivation activation, const Tensor& y) {
  const auto s = checks::depthwise(x, weight, bias, stride, y);
  for (int64_t row = 0; row < s.rows.out; ++row) {
    for (int64_t col = 0; col < s.columns.out; ++col) {
      for (int64_t c = 0; c < s.c; ++c) {
        double sum = bias.f32()[c];
        for (int64_t ky = 0; ky < s.kernel; ++ky) {
          for (int64_t kx = 0; kx < s.kernel; ++kx) {
            const int64_t from_row = row * stride - s.rows.before + ky;
            const int64_t from_col = col * stride - s.columns.before + kx;
            if (from_row < 0 || from_row >= s.h || from_col < 0 || from_col >= s.w) continue;
            sum += double{x.f32()[(from_row * s.w + from_col) * s.c + c]} *
                   weight.f32()[(ky * s.kernel + kx) * s.c + c];
          }
        }
        y.f32()[(row * s.columns.out + col) * s.c + c] = apply(activation, static_cast<float>(sum));
      }
    }
  }
}

void ReferenceMobileOps::activate(MobileActivation activation, const Tensor& x, const Tensor& y) {
  check_same("activation's output", x, y);
  for (int64_t i = 0; i < x.count(); ++i) y.f32()[i] = apply(activation, x.f32()[i]);
}

void ReferenceMobileOps::global_average(const Tensor& x, const Tensor& y) {
  const Picture s = check_channels("global average's output", x, y);
  for (int64_t c = 0; c < s.c; ++c) {
    double sum = 0;
    for (int64_t pixel = 0; pixel < s.h * s.w; ++pixel) sum += x.f32()[pixel * s.c + c];
    y.f32()[c] = static_cast<float>(sum / static_cast<double>(s.h * s.w));
  }
}

void ReferenceMobileOps::scale_channels(const Tensor& x, const Tensor& scale, const Tensor& addend,
                                        const Tensor& y) {
  const Picture s = check_channels("channel scale", x, scale);
  check_same("scaled channels", x, y);
  if (addend.present()) check_same("addend of scaled channels", x, addend);
  for (int64_t i = 0; i < x.count(); ++i) {
    const float more = addend.present() ? addend.f32()[i] : 0.0f;
    y.f32()[i] = x.f32()[i] * scale.f32()[i % s.c] + more;
  }
}

void ReferenceMobileOps::transposed2(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     MobileActivation activation, const Tensor& y) {
  const Picture s = check_transposed(x, weight, bias, y);
  for (int64_t row = 0; row < 2 * s.h; ++row) {
    for (int64_t col = 0; col < 2 * s.w; ++col) {
      const float* in = x.f32() + (row / 2 * s.w + col / 2) * s.c;
      const float* kernel = weight.f32() + (row % 2 * 2 + col % 2) * s.c;
      double sum = bias.f32()[0];
      for (int64_t c = 0; c < s.c; ++c) sum += double{in[c]} * kernel[c];
      y.f32()[row * 2 * s.w + col] = apply(activation, static_cast<float>(sum));
    }
  }
}

}  // namespace driftless
