// Operations that move pixels. Inner loops run over contiguous channels or rows, so other CPU
// backends use them as they are.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/checks.h"
#include "ops/reference_ops.h"

namespace driftless {

namespace {

void copy_floats(const float* from, float* to, int64_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

/// Source pixels and weight of one output coordinate of a bilinear enlargement.
struct Tap {
  int64_t low, high;
  float weight;  ///< Of `high`.
};
Tap bilinear_tap(int64_t out, int64_t scale, int64_t size) {
  const float at =
      std::max(0.0f, (static_cast<float>(out) + 0.5f) / static_cast<float>(scale) - 0.5f);
  const int64_t low = std::min(static_cast<int64_t>(at), size - 1);
  return {low, std::min(low + 1, size - 1), at - static_cast<float>(low)};
}

}  // namespace

void ReferenceOps::upsample2(const Tensor& x, const Tensor& y) {
  const auto s = checks::upsample2(x, y);
  for (int64_t row = 0; row < s.n * s.h; ++row) {
    const float* in = x.f32() + row * s.w * s.c;
    float* out = y.f32() + 4 * row * s.w * s.c;
    for (int64_t col = 0; col < s.w; ++col) {
      copy_floats(in + col * s.c, out + 2 * col * s.c, s.c);
      copy_floats(in + col * s.c, out + (2 * col + 1) * s.c, s.c);
    }
    copy_floats(out, out + 2 * s.w * s.c, 2 * s.w * s.c);
  }
}

void ReferenceOps::upsample_bilinear(const Tensor& x, const Tensor& y, bool accumulate) {
  const auto s = checks::upsample_bilinear(x, y);
  const int64_t out_h = s.h * s.scale, out_w = s.w * s.scale;
  // Rows are mixed first: one line of the small picture serves a whole line of the large one.
  const ArenaScope scope(arena());
  float* line = arena().tensor({s.w * s.c}).f32();
  Tap* taps = static_cast<Tap*>(arena().allocate(static_cast<size_t>(out_w) * sizeof(Tap)));
  for (int64_t col = 0; col < out_w; ++col) taps[col] = bilinear_tap(col, s.scale, s.w);
  for (int64_t frame = 0; frame < s.n * s.frames; ++frame) {
    const float* picture = x.f32() + frame / s.frames * s.h * s.w * s.c;
    for (int64_t row = 0; row < out_h; ++row) {
      const Tap v = bilinear_tap(row, s.scale, s.h);
      const float* top = picture + v.low * s.w * s.c;
      const float* bottom = picture + v.high * s.w * s.c;
      for (int64_t i = 0; i < s.w * s.c; ++i) line[i] = top[i] + (bottom[i] - top[i]) * v.weight;
      float* out = y.f32() + (frame * out_h + row) * out_w * s.c;
      for (const Tap* h = taps; h < taps + out_w; ++h) {
        const float* left = line + h->low * s.c;
        const float* right = line + h->high * s.c;
        for (int64_t c = 0; c < s.c; ++c, ++out) {
          const float value = left[c] + (right[c] - left[c]) * h->weight;
          *out = accumulate ? *out + value : value;
        }
      }
    }
  }
}

void ReferenceOps::average_pool(const Tensor& x, const Tensor& y) {
  const auto s = checks::average_pool(x, y);
  const int64_t out_h = s.h / s.scale, out_w = s.w / s.scale;
  float* out = y.f32();
  std::fill(out, out + y.count(), 0.0f);
  for (int64_t row = 0; row < s.n * s.h; ++row) {
    const int64_t frame = row / s.h / s.frames;
    const float* in = x.f32() + row * s.w * s.c;
    float* target = out + (frame * out_h + row % s.h / s.scale) * out_w * s.c;
    for (int64_t block = 0; block < out_w; ++block, target += s.c) {
      for (int64_t col = 0; col < s.scale; ++col, in += s.c) {
        for (int64_t c = 0; c < s.c; ++c) target[c] += in[c];
      }
    }
  }
  const float factor = 1.0f / static_cast<float>(s.frames * s.scale * s.scale);
  for (int64_t i = 0; i < y.count(); ++i) out[i] *= factor;
}

void ReferenceOps::pixel_unshuffle(const Tensor& x, const Tensor& y) {
  const auto s = checks::pixel_unshuffle(x, y);
  const int64_t r = s.scale, blocks = s.w / r, width = s.c * r * r;
  for (int64_t row = 0; row < s.n * s.h; ++row) {
    const float* in = x.f32() + row * s.w * s.c;
    float* out = y.f32() + row / r * blocks * width + row % r * r;
    for (int64_t col = 0; col < s.w; ++col) {
      for (int64_t c = 0; c < s.c; ++c) {
        out[col / r * width + c * r * r + col % r] = in[col * s.c + c];
      }
    }
  }
}

void ReferenceOps::pixel_shuffle(const Tensor& x, const Tensor& y) {
  const auto s = checks::pixel_unshuffle(y, x);
  const int64_t r = s.scale, blocks = s.w / r, width = s.c * r * r;
  for (int64_t row = 0; row < s.n * s.h; ++row) {
    const float* in = x.f32() + row / r * blocks * width + row % r * r;
    float* out = y.f32() + row * s.w * s.c;
    for (int64_t col = 0; col < s.w; ++col) {
      for (int64_t c = 0; c < s.c; ++c) {
        out[col * s.c + c] = in[col / r * width + c * r * r + col % r];
      }
    }
  }
}

void ReferenceOps::unpatchify(const Tensor& x, const Tensor& y) {
  const auto s = checks::unpatchify(x, y);
  const int64_t r = s.scale, line = r * s.c;
  for (int64_t token = 0; token < s.n * s.h * s.w; ++token) {
    const int64_t row = token / s.w, col = token % s.w;
    for (int64_t dy = 0; dy < r; ++dy) {
      copy_floats(x.f32() + (token * r + dy) * line, y.f32() + ((row * r + dy) * s.w + col) * line,
                  line);
    }
  }
}

void ReferenceOps::frames_to_channels(const Tensor& x, const Tensor& y) {
  const auto s = checks::frames_to_channels(x, y);
  const int64_t pixels = s.h * s.w;
  for (int64_t frame = 0; frame < s.n * s.frames; ++frame) {
    const float* in = x.f32() + frame * pixels * s.c;
    float* out = y.f32() + frame / s.frames * pixels * s.frames * s.c + frame % s.frames * s.c;
    for (int64_t p = 0; p < pixels; ++p) copy_floats(in + p * s.c, out + p * s.frames * s.c, s.c);
  }
}

void ReferenceOps::channels_to_frames(const Tensor& x, const Tensor& y) {
  const auto s = checks::frames_to_channels(y, x);
  const int64_t pixels = s.h * s.w;
  for (int64_t frame = 0; frame < s.n * s.frames; ++frame) {
    const float* in = x.f32() + frame / s.frames * pixels * s.frames * s.c + frame % s.frames * s.c;
    float* out = y.f32() + frame * pixels * s.c;
    for (int64_t p = 0; p < pixels; ++p) copy_floats(in + p * s.frames * s.c, out + p * s.c, s.c);
  }
}

void ReferenceOps::nchw_to_nhwc(const Tensor& x, const Tensor& y) {
  const auto s = checks::planar(x, y);
  const int64_t pixels = s.h * s.w;
  for (int64_t plane = 0; plane < s.n * s.c; ++plane) {
    const float* in = x.f32() + plane * pixels;
    float* out = y.f32() + plane / s.c * pixels * s.c + plane % s.c;
    for (int64_t p = 0; p < pixels; ++p) out[p * s.c] = in[p];
  }
}

void ReferenceOps::nhwc_to_nchw(const Tensor& x, const Tensor& y) {
  const auto s = checks::planar(y, x);
  const int64_t pixels = s.h * s.w;
  for (int64_t plane = 0; plane < s.n * s.c; ++plane) {
    const float* in = x.f32() + plane / s.c * pixels * s.c + plane % s.c;
    float* out = y.f32() + plane * pixels;
    for (int64_t p = 0; p < pixels; ++p) out[p] = in[p * s.c];
  }
}

void ReferenceOps::u8_to_f32(const Tensor& x, float scale, float shift, const Tensor& y) {
  const int64_t count = checks::u8_f32(x, y);
  const uint8_t* in = x.u8();
  float* out = y.f32();
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) / 255.0f * scale + shift;
}

void ReferenceOps::f32_to_u8(const Tensor& x, float scale, float shift, const Tensor& y) {
  const int64_t count = checks::u8_f32(y, x);
  const float* in = x.f32();
  uint8_t* out = y.u8();
  for (int64_t i = 0; i < count; ++i) {
    // The comparison is written so that NaN becomes 0.
    const float value = (in[i] * scale + shift) * 255.0f;
    const float clamped = value > 0.0f ? std::min(value, 255.0f) : 0.0f;
    // 1.5 * 2^23 pushes the fraction out of the mantissa: round to nearest, ties to even.
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(clamped + 12582912.0f - 12582912.0f));
  }
}

}  // namespace driftless
