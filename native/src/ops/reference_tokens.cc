// Norms, rotary embedding and elementwise arithmetic as plain loops.

#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/reference_ops.h"
#include "ops/rope_table.h"
#include "ops/scalar_math.h"

namespace driftless {

void ReferenceOps::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                              const GroupVectors& scale, const GroupVectors& shift, float eps,
                              const Tensor& y) {
  const auto s = checks::layer_norm(x, weight, bias, scale, shift, y);
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* in = x.f32() + row * s.width;
    float* out = y.f32() + row * s.width;
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < s.width; ++i) sum += in[i];
    const double mean = sum / static_cast<double>(s.width);
    for (int64_t i = 0; i < s.width; ++i) squares += (in[i] - mean) * (in[i] - mean);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(s.width) + eps);
    for (int64_t i = 0; i < s.width; ++i) {
      double value = (in[i] - mean) * inverse;
      if (weight.present()) value = value * weight.f32()[i] + bias.f32()[i];
      if (scale.data != nullptr) {
        const int64_t group = row / (s.rows / scale.groups);
        value = value * (1.0 + scale.data[group * scale.stride + i]) +
                shift.data[group * shift.stride + i];
      }
      out[i] = static_cast<float>(value);
    }
  }
}

void ReferenceOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) {
  const auto s = checks::rms_norm(x, weight, y);
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* in = x.f32() + row * s.width;
    double squares = 0.0;
    for (int64_t i = 0; i < s.width; ++i) squares += double{in[i]} * in[i];
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(s.width) + eps);
    for (int64_t i = 0; i < s.width; ++i) {
      y.f32()[row * s.width + i] = static_cast<float>(in[i] * inverse * weight.f32()[i]);
    }
  }
}

void ReferenceOps::rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
                          const Tensor& y) {
  const auto s = checks::rope3d(x, height, width, y);
  const int64_t pairs = s.head_dim / 2;
  for (int64_t token = 0; token < s.frames * height * width; ++token) {
    const double at[3] = {positions[token / (height * width)],
                          static_cast<double>(token / width % height),
                          static_cast<double>(token % width)};
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const auto [axis, frequency] = rope_frequency(s, pair);
      const double angle = at[axis] * frequency;
      const double c = std::cos(angle), sine = std::sin(angle);
      for (int64_t head = 0; head < s.heads; ++head) {
        const int64_t i = (token * s.heads + head) * s.head_dim + 2 * pair;
        const double a = x.f32()[i], b = x.f32()[i + 1];
        y.f32()[i] = static_cast<float>(a * c - b * sine);
        y.f32()[i + 1] = static_cast<float>(a * sine + b * c);
      }
    }
  }
}

void ReferenceOps::timestep_embedding(const double* t, const Tensor& y) {
  const auto s = checks::timestep_embedding(y);
  const int64_t half = s.width / 2;
  for (int64_t row = 0; row < s.rows; ++row) {
    float* out = y.f32() + row * s.width;
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          t[row] * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
      out[i] = static_cast<float>(std::cos(angle));
      out[half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void ReferenceOps::mean_rows(const Tensor& x, const Tensor& y) {
  const auto s = checks::mean_rows(x, y);
  for (int64_t i = 0; i < s.width; ++i) {
    double sum = 0.0;
    for (int64_t row = 0; row < s.rows; ++row) sum += x.f32()[row * s.width + i];
    y.f32()[i] = static_cast<float>(sum / static_cast<double>(s.rows));
  }
}

void ReferenceOps::activate(Activation activation, const Tensor& x, const Tensor& y) {
  const int64_t count = checks::same_shape("activate", x, y);
  for (int64_t i = 0; i < count; ++i) y.f32()[i] = scalar_activation(activation, x.f32()[i]);
}

void ReferenceOps::tanh_clamp(const Tensor& x, float limit, const Tensor& y) {
  const int64_t count = checks::same_shape("tanh_clamp", x, y);
  for (int64_t i = 0; i < count; ++i) {
    y.f32()[i] = static_cast<float>(std::tanh(double{x.f32()[i]} / limit) * limit);
  }
}

void ReferenceOps::axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) {
  const int64_t count = checks::same_shape("axpby", x, y);
  checks::same_shape("axpby", x, out);
  const float* left = x.f32();
  const float* right = y.f32();
  float* to = out.f32();
  for (int64_t i = 0; i < count; ++i) to[i] = a * left[i] + b * right[i];
}

void ReferenceOps::affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                   const Tensor& y) {
  const auto s = checks::affine_channels(x, scale, shift, y);
  const float* multiply = scale.present() ? scale.f32() : nullptr;
  const float* add = shift.present() ? shift.f32() : nullptr;
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* in = x.f32() + row * s.width;
    float* out = y.f32() + row * s.width;
    for (int64_t c = 0; c < s.width; ++c) {
      out[c] = in[c] * (multiply ? multiply[c] : 1.0f) + (add ? add[c] : 0.0f);
    }
  }
}

void ReferenceOps::mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) {
  const auto s = checks::mix_channels(x, matrix, y);
  const float* in = x.f32();
  const float* m = matrix.f32();
  float* out = y.f32();
  for (int64_t row = 0; row < s.rows; ++row) {
    for (int64_t o = 0; o < s.out; ++o) {
      float sum = 0.0f;
      for (int64_t i = 0; i < s.in; ++i) sum += in[row * s.in + i] * m[o * s.in + i];
      out[row * s.out + o] = sum;
    }
  }
}

double ReferenceOps::mean_square_difference(const Tensor& a, const Tensor& b) {
  const int64_t count = checks::same_shape("mean_square_difference", a, b);
  const float* left = a.f32();
  const float* right = b.f32();
  // Several running sums let the compiler use vector registers without changing the result's
  // meaning; the order is fixed, so the value is reproducible.
  constexpr int kLanes = 8;
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double difference = double{left[i + lane]} - right[i + lane];
      sums[lane] += difference * difference;
    }
  }
  for (; i < count; ++i) sums[0] += (double{left[i]} - right[i]) * (double{left[i]} - right[i]);
  double total = 0.0;
  for (double sum : sums) total += sum;
  return count == 0 ? 0.0 : total / static_cast<double>(count);
}

}  // namespace driftless
