// Linear layers: oneDNN's product, then bias, activation, gate and residual in one pass.

#include <omp.h>

#include "core/error.h"
#include "ops/checks.h"
#include "ops/cpu_ops.h"
#include "ops/vector_math.h"

namespace driftless {

namespace {

class CpuLinear : public PackedLinear {
 public:
  CpuLinear(const Tensor& weight, const Tensor& bias)
      : PackedLinear(weight.dim(1), weight.dim(0)),
        weight(weight.f32(), weight.f32() + weight.count()) {
    if (bias.present()) this->bias.assign(bias.f32(), bias.f32() + bias.count());
  }
  std::vector<float> weight, bias;
};

/// out = residual + gate * activation(in + bias) for one row; absent parts are null.
template <typename Function>
void finish_row(const float* in, const float* bias, const float* gate, const float* residual,
                float* out, int64_t width, Function activation) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    Vec value = load_vec(in + i);
    if (bias != nullptr) value += load_vec(bias + i);
    value = activation(value);
    if (gate != nullptr) value *= load_vec(gate + i);
    if (residual != nullptr) value += load_vec(residual + i);
    store_vec(out + i, value);
  }
  for (; i < width; ++i) {
    float value = activation(splat(in[i] + (bias != nullptr ? bias[i] : 0.0f)))[0];
    if (gate != nullptr) value *= gate[i];
    if (residual != nullptr) value += residual[i];
    out[i] = value;
  }
}

}  // namespace

std::unique_ptr<PackedLinear> CpuOps::pack_linear(const Tensor& weight, const Tensor& bias) {
  checks::pack_linear(weight, bias);
  return std::make_unique<CpuLinear>(weight, bias);
}

void CpuOps::linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                    const LinearEpilogue& epilogue) {
  const auto s = checks::linear(weights, x, y, epilogue);
  const auto* packed = dynamic_cast<const CpuLinear*>(&weights);
  DL_CHECK(packed != nullptr, "packed weights", "weights packed by the cpu backend",
           "another backend's");
  float* out = y.f32();
  const float* residual = epilogue.residual.present() ? epilogue.residual.f32() : nullptr;
  // With a residual the product may not go straight into y, which may be the residual itself.
  float* product = residual != nullptr ? scratch(0, static_cast<size_t>(s.rows * s.out)) : out;
  omp_set_num_threads(threads_);
  product_.run(x.f32(), packed->weight.data(), product, s.rows, s.in, s.out);

  const float* bias = packed->bias.empty() ? nullptr : packed->bias.data();
  if (bias == nullptr && residual == nullptr && epilogue.activation == Activation::none) return;
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* gate = epilogue.gate.data == nullptr
                            ? nullptr
                            : epilogue.gate.data + row / s.gate_rows * epilogue.gate.stride;
    const float* add = residual == nullptr ? nullptr : residual + row * s.out;
    const auto finish = [&](auto activation) {
      finish_row(product + row * s.out, bias, gate, add, out + row * s.out, s.out, activation);
    };
    switch (epilogue.activation) {
      case Activation::none:
        finish([](Vec v) { return v; });
        break;
      case Activation::relu:
        finish([](Vec v) { return relu_vec(v); });
        break;
      case Activation::silu:
        finish([](Vec v) { return silu_vec(v); });
        break;
      case Activation::gelu_tanh:
        finish([](Vec v) { return gelu_tanh_vec(v); });
        break;
    }
  }
}

}  // namespace driftless
