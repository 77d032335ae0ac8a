#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"

namespace driftless {

/// What a .tflite file computes, as far as the person segmenters need it.
enum class TfliteOp {
  conv,        ///< x [1, h, w, c], weight [o, k, k, c], bias [o]
  depthwise,   ///< weight [1, k, k, c], bias [c]
  average,     ///< global mean over height and width
  transposed,  ///< 2x2, stride 2: weight [o, 2, 2, c], bias [o] ("Convolution2DTransposeBias")
  resize,      ///< bilinear, half-pixel centres
  multiply,
  add,
  relu,
  hard_swish,
  logistic,
};

struct TfliteOperator {
  TfliteOp op = TfliteOp::add;
  std::vector<int> inputs;  ///< Indices of tensors; constants of shapes and axes are left out.
  int output = -1;
  int stride = 1;  ///< Of conv and depthwise.
};

/// A graph of one picture. Constants are widened to f32; all convolutions pad as TensorFlow's
/// "SAME" does, and a constant's tensor has data, an activation's has none.
struct TfliteGraph {
  std::vector<Tensor> tensors;
  std::vector<TfliteOperator> operators;  ///< In an order in which they can run.
  int input = -1, output = -1;
};

/// Reads a .tflite file (TensorFlow Lite schema 3). Constants live in `arena`.
/// Throws Error naming the file and what was expected and found: a missing or truncated file,
/// another version, an operator, type or option that the list above has no word for.
TfliteGraph read_tflite(const std::string& path, Arena& arena);

}  // namespace driftless
