// Norms, rotary embedding and activations with explicit vectors.

#include <cmath>

#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/rope_table.h"
#include "ops/vector_math.h"

namespace driftless {

namespace {

float sum_of(const float* x, int64_t count) {
  Vec total = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) total += load_vec(x + i);
  float sum = sum_lanes(total);
  for (; i < count; ++i) sum += x[i];
  return sum;
}

/// Sum of (x - center)^2.
float squares_of(const float* x, int64_t count, float center) {
  Vec total = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec d = load_vec(x + i) - center;
    total += d * d;
  }
  float sum = sum_lanes(total);
  for (; i < count; ++i) sum += (x[i] - center) * (x[i] - center);
  return sum;
}

}  // namespace

void CpuOps::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const GroupVectors& scale, const GroupVectors& shift, float eps,
                        const Tensor& y) {
  const auto s = checks::layer_norm(x, weight, bias, scale, shift, y);
  const float* w = weight.present() ? weight.f32() : nullptr;
  const float* b = bias.present() ? bias.f32() : nullptr;
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* in = x.f32() + row * s.width;
    float* out = y.f32() + row * s.width;
    const float mean = sum_of(in, s.width) / static_cast<float>(s.width);
    const float variance = squares_of(in, s.width, mean) / static_cast<float>(s.width);
    const float inverse = 1.0f / std::sqrt(variance + eps);
    const float* multiply = nullptr;
    const float* add = nullptr;
    if (scale.data != nullptr) {
      const int64_t group = row / (s.rows / scale.groups);
      multiply = scale.data + group * scale.stride;
      add = shift.data + group * shift.stride;
    }
    int64_t i = 0;
    for (; i + kLanes <= s.width; i += kLanes) {
      Vec value = (load_vec(in + i) - mean) * inverse;
      if (w != nullptr) value = value * load_vec(w + i) + load_vec(b + i);
      if (multiply != nullptr) {
        value = value * (1.0f + load_vec(multiply + i)) + load_vec(add + i);
      }
      store_vec(out + i, value);
    }
    for (; i < s.width; ++i) {
      float value = (in[i] - mean) * inverse;
      if (w != nullptr) value = value * w[i] + b[i];
      if (multiply != nullptr) value = value * (1.0f + multiply[i]) + add[i];
      out[i] = value;
    }
  }
}

void CpuOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) {
  const auto s = checks::rms_norm(x, weight, y);
  const float* w = weight.f32();
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* in = x.f32() + row * s.width;
    float* out = y.f32() + row * s.width;
    const float mean = squares_of(in, s.width, 0.0f) / static_cast<float>(s.width);
    const float inverse = 1.0f / std::sqrt(mean + eps);
    for (int64_t i = 0; i < s.width; ++i) out[i] = in[i] * inverse * w[i];
  }
}

void CpuOps::rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
                    const Tensor& y) {
  const auto s = checks::rope3d(x, height, width, y);
  const int64_t pairs = s.head_dim / 2;
  if (pairs == 0) return;
  // Cosines and sines of every coordinate that occurs, [coordinate][pair of its axis].
  const int64_t counts[3] = {s.frames, s.height, s.width};
  const int64_t axis_pairs[3] = {s.pairs_t, s.pairs_h, s.pairs_w};
  int64_t table_floats = 0;
  for (int axis = 0; axis < 3; ++axis) table_floats += counts[axis] * axis_pairs[axis];
  float* cosines =
      worker().scratch.reserve_floats(static_cast<size_t>(2 * table_floats + 2 * pairs));
  float* sines = cosines + table_floats;
  float* token_cosines = sines + table_floats;
  float* token_sines = token_cosines + pairs;

  int64_t starts[3];
  int64_t at = 0, first_pair = 0;
  for (int axis = 0; axis < 3; ++axis) {
    starts[axis] = at;
    for (int64_t i = 0; i < counts[axis]; ++i) {
      const double position = axis == 0 ? positions[i] : static_cast<double>(i);
      for (int64_t pair = 0; pair < axis_pairs[axis]; ++pair, ++at) {
        const double angle = position * rope_frequency(s, first_pair + pair).second;
        cosines[at] = static_cast<float>(std::cos(angle));
        sines[at] = static_cast<float>(std::sin(angle));
      }
    }
    first_pair += axis_pairs[axis];
  }

  const float* in = x.f32();
  float* out = y.f32();
  for (int64_t token = 0; token < s.frames * height * width; ++token) {
    const int64_t coordinates[3] = {token / (height * width), token / width % height,
                                    token % width};
    int64_t filled = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t from = starts[axis] + coordinates[axis] * axis_pairs[axis];
      for (int64_t pair = 0; pair < axis_pairs[axis]; ++pair, ++filled) {
        token_cosines[filled] = cosines[from + pair];
        token_sines[filled] = sines[from + pair];
      }
    }
    for (int64_t head = 0; head < s.heads; ++head) {
      const float* a = in + (token * s.heads + head) * s.head_dim;
      float* b = out + (token * s.heads + head) * s.head_dim;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const float even = a[2 * pair], odd = a[2 * pair + 1];
        b[2 * pair] = even * token_cosines[pair] - odd * token_sines[pair];
        b[2 * pair + 1] = even * token_sines[pair] + odd * token_cosines[pair];
      }
    }
  }
}

void CpuOps::activate(Activation activation, const Tensor& x, const Tensor& y) {
  const int64_t count = checks::same_shape("activate", x, y);
  switch (activation) {
    case Activation::none:
      return map_vec(x.f32(), y.f32(), count, [](Vec v) { return v; });
    case Activation::relu:
      return map_vec(x.f32(), y.f32(), count, [](Vec v) { return relu_vec(v); });
    case Activation::silu:
      return map_vec(x.f32(), y.f32(), count, [](Vec v) { return silu_vec(v); });
    case Activation::gelu_tanh:
      return map_vec(x.f32(), y.f32(), count, [](Vec v) { return gelu_tanh_vec(v); });
  }
}

void CpuOps::tanh_clamp(const Tensor& x, float limit, const Tensor& y) {
  const int64_t count = checks::same_shape("tanh_clamp", x, y);
  const float twice = 2.0f / limit;
  map_vec(x.f32(), y.f32(), count,
          [=](Vec v) { return (2.0f * sigmoid_vec(v * twice) - 1.0f) * limit; });
}

}  // namespace driftless
