#include "models/tflite.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/error.h"
#include "core/safetensors.h"
#include "models/flatbuffer.h"

namespace driftless {
namespace {

// Numbers of TensorFlow Lite's schema (tensorflow/lite/schema/schema.fbs, Apache-2.0).
enum BuiltinOperator {
  kAdd = 0,
  kAveragePool = 1,
  kConv = 3,
  kDepthwise = 4,
  kDequantize = 6,
  kLogistic = 14,
  kMultiply = 18,
  kRelu = 19,
  kResizeBilinear = 23,
  kCustom = 32,
  kMean = 40,
  kHardSwish = 117,
};
enum TensorType { kFloat32 = 0, kFloat16 = 1, kInt32 = 2 };
constexpr int8_t kSamePadding = 0;
constexpr size_t kMaxFileBytes = 64 << 20;
constexpr size_t kMaxItems = 4096;

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(path, "a .tflite file", "none that can be opened");
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() > kMaxFileBytes) throw Error(path + ": bytes", kMaxFileBytes, bytes.size());
  return bytes;
}

class Reader {
 public:
  Reader(const FlatBytes& bytes, Arena& arena)
      : bytes_(bytes), arena_(arena), model_(FlatTable::root(&bytes, "TFL3")) {}

  TfliteGraph read() {
    const uint32_t version = model_.value<uint32_t>(0, 0);
    DL_CHECK_EQ(bytes_.name + ": schema version", 3u, version);
    const FlatVector graphs = model_.vector(2, 4);
    DL_CHECK_EQ(bytes_.name + ": graphs", size_t{1}, graphs.size());
    const FlatTable graph = graphs.table(0);
    read_tensors(graph.vector(0, 4));
    graph_.input = only(graph.vector(1, 4), "inputs");
    graph_.output = only(graph.vector(2, 4), "outputs");
    const FlatVector operators = graph.vector(3, 4);
    bound(operators.size(), "operators");
    for (size_t i = 0; i < operators.size(); ++i) read_operator(operators.table(i));
    return std::move(graph_);
  }

 private:
  void bound(size_t count, const char* what) const {
    if (count > kMaxItems) throw Error(bytes_.name + ": " + what, kMaxItems, count);
  }
  int only(const FlatVector& list, const char* what) const {
    DL_CHECK_EQ(bytes_.name + ": " + what, size_t{1}, list.size());
    return index(list.value<int32_t>(0));
  }
  int index(int32_t tensor) const {
    if (tensor < 0 || static_cast<size_t>(tensor) >= graph_.tensors.size()) {
      throw Error(bytes_.name + ": tensor index",
                  "less than " + std::to_string(graph_.tensors.size()), tensor);
    }
    return tensor;
  }

  void read_tensors(const FlatVector& list) {
    bound(list.size(), "tensors");
    const FlatVector buffers = model_.vector(4, 4);
    for (size_t i = 0; i < list.size(); ++i) {
      const FlatTable entry = list.table(i);
      const FlatVector dims = entry.vector(0, 4);
      if (dims.size() > 4) throw Error(bytes_.name + ": dimensions", "at most 4", dims.size());
      int64_t sizes[4] = {};
      for (size_t d = 0; d < dims.size(); ++d) {
        sizes[d] = dims.value<int32_t>(d);
        if (sizes[d] < 1 || sizes[d] > 4096) {
          throw Error(bytes_.name + ": size of a dimension", "1 to 4096", sizes[d]);
        }
      }
      const Shape shape(sizes, static_cast<int>(dims.size()));
      const int type = entry.value<int8_t>(1, kFloat32);
      const FlatVector data = buffers.table(entry.value<uint32_t>(2, 0)).vector(0, 1);
      types_.push_back(type);
      graph_.tensors.push_back(data.size() == 0 ? Tensor(shape, nullptr)
                                                : constant(shape, type, data));
    }
  }

  Tensor constant(const Shape& shape, int type, const FlatVector& data) {
    if (type == kInt32) return Tensor(DType::i32, shape, nullptr);  // Axes and sizes: not needed.
    if (type != kFloat32 && type != kFloat16) {
      throw Error(bytes_.name + ": type of a constant", "0 (f32), 1 (f16) or 2 (i32)", type);
    }
    const size_t count = static_cast<size_t>(shape.count()), width = type == kFloat16 ? 2 : 4;
    DL_CHECK_EQ(bytes_.name + ": bytes of a constant " + shape.text(), count * width, data.size());
    const Tensor tensor = arena_.tensor(shape);
    for (size_t i = 0; i < count; ++i) {
      if (type == kFloat16) {
        const auto bits = static_cast<uint16_t>(data.data()[2 * i] | data.data()[2 * i + 1] << 8);
        tensor.f32()[i] = f16_to_f32(bits);
      } else {
        std::memcpy(tensor.f32() + i, data.data() + 4 * i, 4);
      }
    }
    return tensor;
  }

  void read_operator(const FlatTable& entry) {
    const FlatTable code = model_.vector(1, 4).table(entry.value<uint32_t>(0, 0));
    const int builtin = std::max<int>(code.value<int8_t>(0, 0), code.value<int32_t>(3, 0));
    TfliteOperator step;
    const FlatVector inputs = entry.vector(1, 4);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int tensor = index(inputs.value<int32_t>(i));
      if (types_[static_cast<size_t>(tensor)] != kInt32) step.inputs.push_back(tensor);
    }
    step.output = only(entry.vector(2, 4), "outputs of an operator");
    if (builtin == kDequantize) {
      // Weights kept as f16: the same values under another index.
      if (step.inputs.size() != 1 || !graph_.tensors[step.inputs[0]].present()) {
        throw Error(bytes_.name + ": DEQUANTIZE", "a constant", "an activation");
      }
      graph_.tensors[step.output] = graph_.tensors[step.inputs[0]];
      return;
    }
    step.op = kind(builtin, code, entry, step);
    const size_t expected = step.op == TfliteOp::conv || step.op == TfliteOp::depthwise ||
                                    step.op == TfliteOp::transposed
                                ? 3
                            : step.op == TfliteOp::multiply || step.op == TfliteOp::add ? 2
                                                                                        : 1;
    DL_CHECK_EQ(bytes_.name + ": inputs of operator " + std::to_string(builtin), expected,
                step.inputs.size());
    graph_.operators.push_back(std::move(step));
  }

  TfliteOp kind(int builtin, const FlatTable& code, const FlatTable& entry, TfliteOperator& step) {
    switch (builtin) {
      case kConv:
        convolution(entry, 3, 4, step);
        return TfliteOp::conv;
      case kDepthwise:
        convolution(entry, 4, 5, step);
        return TfliteOp::depthwise;
      case kAveragePool: {
        const FlatTable options = entry.table(4);
        const Shape& x = graph_.tensors[step.inputs.at(0)].shape();
        DL_CHECK_EQ(bytes_.name + ": pooling window", x[1], options.value<int32_t>(4, 0));
        DL_CHECK_EQ(bytes_.name + ": pooling window", x[2], options.value<int32_t>(3, 0));
        return TfliteOp::average;
      }
      case kMean:
        return TfliteOp::average;
      case kResizeBilinear:
        DL_CHECK_EQ(bytes_.name + ": half-pixel centres", 1, entry.table(4).value<int8_t>(3, 0));
        return TfliteOp::resize;
      case kCustom:
        DL_CHECK_EQ(bytes_.name + ": custom operator", std::string("Convolution2DTransposeBias"),
                    code.text(1));
        return TfliteOp::transposed;
      case kAdd:
        return TfliteOp::add;
      case kMultiply:
        return TfliteOp::multiply;
      case kRelu:
        return TfliteOp::relu;
      case kHardSwish:
        return TfliteOp::hard_swish;
      case kLogistic:
        return TfliteOp::logistic;
      default:
        throw Error(bytes_.name + ": operator", "one that a segmenter uses", builtin);
    }
  }

  void convolution(const FlatTable& entry, int activation_field, int dilation_field,
                   TfliteOperator& step) {
    const FlatTable options = entry.table(4);
    const Shape& weight = graph_.tensors[step.inputs.at(1)].shape();
    const std::string what = bytes_.name + ": convolution ";
    // A 1x1 kernel pads nothing either way.
    if (weight.rank() == 4 && weight[1] > 1) {
      DL_CHECK_EQ(what + "padding", static_cast<int>(kSamePadding),
                  static_cast<int>(options.value<int8_t>(0, 0)));
    }
    step.stride = options.value<int32_t>(1, 0);
    DL_CHECK_EQ(what + "strides", step.stride, options.value<int32_t>(2, 0));
    DL_CHECK(step.stride == 1 || step.stride == 2, what + "stride", "1 or 2", step.stride);
    DL_CHECK_EQ(what + "fused activation", 0,
                static_cast<int>(options.value<int8_t>(activation_field, 0)));
    DL_CHECK_EQ(what + "dilation", 1, options.value<int32_t>(dilation_field, 1));
    DL_CHECK_EQ(what + "dilation", 1, options.value<int32_t>(dilation_field + 1, 1));
  }

  const FlatBytes& bytes_;
  Arena& arena_;
  const FlatTable model_;
  TfliteGraph graph_;
  std::vector<int> types_;
};

}  // namespace

TfliteGraph read_tflite(const std::string& path, Arena& arena) {
  const std::vector<uint8_t> file = read_file(path);
  const FlatBytes bytes{file.data(), file.size(), path};
  return Reader(bytes, arena).read();
}

}  // namespace driftless
