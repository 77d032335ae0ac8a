// Linear, convolution and attention as plain loops with double accumulators.

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "ops/checks.h"
#include "ops/reference_ops.h"
#include "ops/scalar_math.h"

namespace driftless {

namespace {

std::vector<float> values(const Tensor& tensor) {
  if (!tensor.present()) return {};
  return std::vector<float>(tensor.f32(), tensor.f32() + tensor.count());
}

class ReferenceLinear : public PackedLinear {
 public:
  ReferenceLinear(const Tensor& weight, const Tensor& bias)
      : PackedLinear(weight.dim(1), weight.dim(0)), weight(values(weight)), bias(values(bias)) {}
  std::vector<float> weight, bias;
};

class ReferenceConv : public PackedConv {
 public:
  ReferenceConv(const Tensor& weight, const Tensor& bias, const ConvOptions& options)
      : PackedConv(weight.dim(1), weight.dim(0), weight.dim(2), options),
        weight(values(weight)),
        bias(values(bias)) {}
  std::vector<float> weight, bias;
};

template <typename Packed, typename Base>
const Packed& as(const Base& weights) {
  const auto* packed = dynamic_cast<const Packed*>(&weights);
  DL_CHECK(packed != nullptr, "packed weights", "weights packed by the reference backend",
           "another backend's");
  return *packed;
}

}  // namespace

std::unique_ptr<PackedLinear> ReferenceOps::pack_linear(const Tensor& weight, const Tensor& bias,
                                                        bool) {
  checks::pack_linear(weight, bias);
  return std::make_unique<ReferenceLinear>(weight, bias);
}

void ReferenceOps::linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                          const LinearEpilogue& epilogue) {
  const auto sizes = checks::linear(weights, x, y, epilogue);
  const auto& packed = as<ReferenceLinear>(weights);
  const float* residual = epilogue.residual.present() ? epilogue.residual.f32() : nullptr;
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const float* in = x.f32() + row * sizes.in;
    for (int64_t o = 0; o < sizes.out; ++o) {
      const float* w = packed.weight.data() + o * sizes.in;
      double sum = packed.bias.empty() ? 0.0 : packed.bias[o];
      for (int64_t i = 0; i < sizes.in; ++i) sum += double{in[i]} * w[i];
      float value = scalar_activation(epilogue.activation, static_cast<float>(sum));
      if (residual != nullptr) {
        if (epilogue.gate.data != nullptr) {
          value *= epilogue.gate.data[row / sizes.gate_rows * epilogue.gate.stride + o];
        }
        value += residual[row * sizes.out + o];
      }
      y.f32()[row * sizes.out + o] = value;
    }
  }
}

std::unique_ptr<PackedConv> ReferenceOps::pack_conv(const Tensor& weight, const Tensor& bias,
                                                    const ConvOptions& options) {
  checks::pack_conv(weight, bias, options);
  return std::make_unique<ReferenceConv>(weight, bias, options);
}

void ReferenceOps::conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                          const Tensor& residual, Activation activation, const Tensor& y) {
  const auto s = checks::conv2d(weights, x, x2, residual, activation, y);
  const auto& packed = as<ReferenceConv>(weights);
  const int64_t k = weights.kernel();
  const int64_t up = weights.options().upsample2 ? 2 : 1;
  const int64_t stride = weights.options().stride;

  const auto pixel = [&](int64_t n, int64_t row, int64_t col, int64_t channel) -> double {
    if (row < 0 || row >= s.h * up || col < 0 || col >= s.w * up) return 0.0;
    const int64_t at = (n * s.h + row / up) * s.w + col / up;
    if (channel < s.first) return x.f32()[at * s.first + channel];
    return x2.f32()[at * s.second + channel - s.first];
  };

  for (int64_t at = 0; at < s.n * s.out_h * s.out_w; ++at) {
    const int64_t n = at / (s.out_h * s.out_w);
    const int64_t top = at / s.out_w % s.out_h * stride - k / 2;
    const int64_t left = at % s.out_w * stride - k / 2;
    for (int64_t o = 0; o < s.out; ++o) {
      double sum = packed.bias.empty() ? 0.0 : packed.bias[o];
      for (int64_t i = 0; i < weights.in(); ++i) {
        const float* w = packed.weight.data() + (o * weights.in() + i) * k * k;
        for (int64_t tap = 0; tap < k * k; ++tap) {
          sum += pixel(n, top + tap / k, left + tap % k, i) * w[tap];
        }
      }
      if (residual.present()) sum += residual.f32()[at * s.out + o];
      y.f32()[at * s.out + o] = scalar_activation(activation, static_cast<float>(sum));
    }
  }
}

void ReferenceOps::attention(const AttentionRow* rows, int64_t count, int64_t heads,
                             int64_t head_dim, float scale) {
  checks::attention(rows, count, heads, head_dim, DType::f32);
  std::vector<double> weight;
  std::vector<double> sum(static_cast<size_t>(head_dim));
  for (int64_t row = 0; row < count; ++row) {
    const AttentionRow& r = rows[row];
    weight.resize(static_cast<size_t>(r.keys));
    for (int64_t item = 0; item < r.queries * heads; ++item) {
      const int64_t head = item % heads;
      const float* q = static_cast<const float*>(r.q) + item * head_dim;
      double largest = -INFINITY;
      for (int64_t key = 0; key < r.keys; ++key) {
        const float* k = static_cast<const float*>(r.k) + (key * heads + head) * head_dim;
        double dot = 0.0;
        for (int64_t d = 0; d < head_dim; ++d) dot += double{q[d]} * k[d];
        weight[key] = dot * scale;
        largest = std::max(largest, weight[key]);
      }
      double total = 0.0;
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t key = 0; key < r.keys; ++key) {
        const double w = std::exp(weight[key] - largest);
        const float* v = static_cast<const float*>(r.v) + (key * heads + head) * head_dim;
        total += w;
        for (int64_t d = 0; d < head_dim; ++d) sum[d] += w * v[d];
      }
      float* out = static_cast<float*>(r.out) + item * head_dim;
      for (int64_t d = 0; d < head_dim; ++d) out[d] = static_cast<float>(sum[d] / total);
    }
  }
}

}  // namespace driftless
