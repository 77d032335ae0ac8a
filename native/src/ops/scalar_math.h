#pragma once

#include <cmath>

#include "ops/ops.h"

namespace driftless {

/// One value through an activation, with the C library's functions in double.
inline float scalar_activation(Activation activation, float x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0.0f ? x : 0.0f;
    case Activation::silu:
      return static_cast<float>(x / (1.0 + std::exp(-double{x})));
    case Activation::gelu_tanh: {
      const double v = x;
      const double inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
      return static_cast<float>(0.5 * v * (1.0 + std::tanh(inner)));
    }
  }
  return x;
}

}  // namespace driftless
