#include "models/segmenter.h"

#include <algorithm>

#include "core/error.h"
#include "models/tflite.h"

namespace driftless {

struct SegmentationModel::Step {
  TfliteOp op = TfliteOp::add;
  MobileActivation activation = MobileActivation::none;  // after the operation
  Shape x_shape, y_shape;
  int x = -1, z = -1, y = -1;  // buffers; z is the second activation, -1: none; x -1: the picture
  int scale = -1;              // buffer of a channel scale (multiply)
  int patches = -1;            // buffer for the first convolution's patches
  int kernel = 1, stride = 1;
  std::shared_ptr<const PackedConv> conv;
  Tensor weight, bias;
};

namespace {

MobileActivation activation_of(TfliteOp op) {
  if (op == TfliteOp::relu) return MobileActivation::relu;
  if (op == TfliteOp::hard_swish) return MobileActivation::hard_swish;
  if (op == TfliteOp::logistic) return MobileActivation::sigmoid;
  return MobileActivation::none;
}

/// Joins steps that can be one: an operation with the activation behind it, a channel scale with
/// the addition behind it. A joined step carries the index of what it took in.
struct Joined {
  TfliteOperator op;
  MobileActivation activation = MobileActivation::none;
  int addend = -1;
};

std::vector<Joined> join(const TfliteGraph& graph) {
  std::vector<int> uses(graph.tensors.size(), 0);
  for (const auto& op : graph.operators) {
    for (int input : op.inputs) ++uses[static_cast<size_t>(input)];
  }
  std::vector<Joined> steps;
  for (const auto& op : graph.operators) {
    Joined* last = steps.empty() ? nullptr : &steps.back();
    const bool follows = last != nullptr && last->activation == MobileActivation::none &&
                         last->addend < 0 && uses[static_cast<size_t>(last->op.output)] == 1 &&
                         op.inputs[0] == last->op.output;
    const MobileActivation activation = activation_of(op.op);
    const bool takes_activation =
        last != nullptr && (last->op.op == TfliteOp::conv || last->op.op == TfliteOp::depthwise ||
                            last->op.op == TfliteOp::transposed);
    if (follows && activation != MobileActivation::none && takes_activation) {
      last->activation = activation;
      last->op.output = op.output;
    } else if (follows && op.op == TfliteOp::add && last->op.op == TfliteOp::multiply) {
      last->addend = op.inputs[1];
      last->op.output = op.output;
    } else {
      steps.push_back({op, MobileActivation::none, -1});
    }
  }
  return steps;
}

/// Hands out buffers and takes them back, so that a few of them serve the whole network and stay in
/// cache.
class BufferPlan {
 public:
  int take(int64_t floats) {
    int best = -1;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (busy_[i]) continue;
      if (best < 0 || sizes[i] > sizes[static_cast<size_t>(best)]) best = static_cast<int>(i);
    }
    if (best < 0) {
      best = static_cast<int>(sizes.size());
      sizes.push_back(0);
      busy_.push_back(false);
    }
    const auto at = static_cast<size_t>(best);
    sizes[at] = std::max(sizes[at], floats);
    busy_[at] = true;
    return best;
  }
  void release(int buffer) { busy_[static_cast<size_t>(buffer)] = false; }

  std::vector<int64_t> sizes;

 private:
  std::vector<bool> busy_;
};

/// [o, k, k, c] -> [o, c, k, k], as Ops packs them.
Tensor torch_order(const Tensor& weight, Arena& arena) {
  const int64_t o = weight.dim(0), k = weight.dim(1), c = weight.dim(3);
  const Tensor out = arena.tensor({o, c, k, k});
  for (int64_t i = 0; i < o; ++i) {
    for (int64_t tap = 0; tap < k * k; ++tap) {
      for (int64_t channel = 0; channel < c; ++channel) {
        out.f32()[(i * c + channel) * k * k + tap] = weight.f32()[(i * k * k + tap) * c + channel];
      }
    }
  }
  return out;
}

void require_constant(const std::string& path, const Tensor& tensor) {
  if (!tensor.present()) throw Error(path + ": weights of an operator", "a constant", "none");
}

}  // namespace

SegmentationModel::~SegmentationModel() = default;

std::shared_ptr<const SegmentationModel> SegmentationModel::load(const std::string& path,
                                                                 const std::string& backend) {
  std::shared_ptr<SegmentationModel> model(new SegmentationModel());
  const TfliteGraph graph = read_tflite(path, model->weights_);
  const Tensor& picture = graph.tensors[static_cast<size_t>(graph.input)];
  if (picture.rank() != 4 || picture.dim(0) != 1 || picture.dim(3) != 3) {
    throw Error(path + ": input", "[1, height, width, 3]", picture.shape());
  }
  model->backend_ = backend;
  model->height_ = static_cast<int>(picture.dim(1));
  model->width_ = static_cast<int>(picture.dim(2));
  const Shape mask{1, model->height_, model->width_, 1};
  DL_CHECK_EQ(path + ": output", mask, graph.tensors[static_cast<size_t>(graph.output)].shape());

  const std::unique_ptr<Ops> ops = make_ops(backend);
  const std::vector<Joined> joined = join(graph);
  std::vector<size_t> last_use(graph.tensors.size(), 0);
  for (size_t i = 0; i < joined.size(); ++i) {
    for (int input : joined[i].op.inputs) last_use[static_cast<size_t>(input)] = i;
    if (joined[i].addend >= 0) last_use[static_cast<size_t>(joined[i].addend)] = i;
  }
  last_use[static_cast<size_t>(graph.output)] = joined.size();

  BufferPlan plan;
  std::vector<int> buffer(graph.tensors.size(), -1);
  for (size_t i = 0; i < joined.size(); ++i) {
    const TfliteOperator& op = joined[i].op;
    const auto tensor = [&](int index) -> const Tensor& {
      return graph.tensors[static_cast<size_t>(index)];
    };
    const auto held = [&](int index) {
      const int at = buffer[static_cast<size_t>(index)];
      if (at < 0) throw Error(path + ": operator", "inputs made before it", "one of later");
      return at;
    };
    SegmentationModel::Step step;
    step.op = op.op;
    step.activation = joined[i].activation;
    if (activation_of(op.op) != MobileActivation::none) step.activation = activation_of(op.op);
    step.stride = op.stride;
    step.x_shape = tensor(op.inputs[0]).shape();
    step.y_shape = tensor(op.output).shape();
    std::vector<int> activations{op.inputs[0]};
    if (op.op == TfliteOp::conv || op.op == TfliteOp::depthwise || op.op == TfliteOp::transposed) {
      require_constant(path, tensor(op.inputs[1]));
      require_constant(path, tensor(op.inputs[2]));
      const Tensor& weight = tensor(op.inputs[1]);
      DL_CHECK_EQ(path + ": rank of a kernel", 4, weight.rank());
      step.kernel = static_cast<int>(weight.dim(1));
      step.bias = tensor(op.inputs[2]);
      if (op.op != TfliteOp::conv) {
        DL_CHECK_EQ(path + ": first size of a channel kernel", int64_t{1}, weight.dim(0));
        step.weight = weight.reshape({weight.dim(1), weight.dim(2), weight.dim(3)});
      } else if (op.inputs[0] == graph.input) {
        const int64_t taps = weight.dim(1) * weight.dim(2) * weight.dim(3);
        step.conv = ops->pack_conv(weight.reshape({weight.dim(0), taps, 1, 1}), step.bias);
        step.patches = plan.take(step.y_shape[1] * step.y_shape[2] * taps);
      } else {
        DL_CHECK_EQ(path + ": kernel behind the first convolution", 1, step.kernel);
        DL_CHECK_EQ(path + ": stride behind the first convolution", 1, step.stride);
        step.conv = ops->pack_conv(torch_order(weight, model->weights_), step.bias);
      }
    } else if (op.op == TfliteOp::multiply) {
      step.scale = held(op.inputs[1]);
      activations.push_back(op.inputs[1]);
      if (joined[i].addend >= 0) {
        step.z = held(joined[i].addend);
        activations.push_back(joined[i].addend);
      }
    } else if (op.op == TfliteOp::add) {
      step.z = held(op.inputs[1]);
      activations.push_back(op.inputs[1]);
    }
    if (op.inputs[0] != graph.input) {
      step.x = held(op.inputs[0]);
    } else if (op.op != TfliteOp::conv) {
      throw Error(path + ": first operator", "a convolution", static_cast<int>(op.op));
    }
    step.y = plan.take(step.y_shape.count());
    buffer[static_cast<size_t>(op.output)] = step.y;
    for (int used : activations) {
      if (used != graph.input && last_use[static_cast<size_t>(used)] == i) {
        plan.release(buffer[static_cast<size_t>(used)]);
        last_use[static_cast<size_t>(used)] = joined.size();  // once
      }
    }
    if (step.patches >= 0) plan.release(step.patches);
    model->steps_.push_back(std::move(step));
  }
  model->buffer_floats_ = plan.sizes;
  if (ops->memory().kind() == Memory::host) return model;
  model->moved_ = std::make_unique<Arena>(size_t{64} << 10, 0, ops->memory());
  for (SegmentationModel::Step& step : model->steps_) {
    if (step.conv) continue;
    for (Tensor* tensor : {&step.weight, &step.bias}) {
      if (!tensor->present()) continue;
      const Tensor there = model->moved_->tensor(tensor->shape());
      ops->copy(*tensor, there);
      *tensor = there;
    }
  }
  ops->wait();
  return model;
}

Segmenter::Segmenter(std::shared_ptr<const SegmentationModel> model)
    : model_(std::move(model)),
      ops_(make_ops(model_->backend_)),
      mobile_(ops_->mobile()),
      arena_(size_t{1} << 20, 0, ops_->memory()) {
  for (int64_t floats : model_->buffer_floats_) buffers_.push_back(arena_.tensor({floats}));
}

Segmenter::~Segmenter() = default;

const float* Segmenter::run(const uint8_t* rgb) {
  return run(Tensor(DType::u8, {model_->height_, model_->width_, 3}, const_cast<uint8_t*>(rgb)));
}

const float* Segmenter::run(const Tensor& picture) {
  DL_CHECK_EQ("picture to segment", Shape({model_->height_, model_->width_, 3}), picture.shape());
  if (ops_->memory().kind() == Memory::host) return forward(picture).f32();
  Tensor here = picture;
  if (picture.memory() == Memory::host) {
    if (!picture_.present()) picture_ = arena_.tensor(picture.shape(), DType::u8);
    ops_->copy(picture, picture_);
    here = picture_;
  }
  Tensor mask;
  // One graph, where the picture lies in the same place again.
  ops_->repeated({1}, [&](int64_t) { mask = forward(here); });
  mask_.resize(static_cast<size_t>(mask.count()));
  ops_->copy(mask, Tensor(mask.shape(), mask_.data()));
  return mask_.data();
}

Tensor Segmenter::forward(const Tensor& picture) {
  const auto at = [&](int buffer, const Shape& shape) {
    return buffers_[static_cast<size_t>(buffer)].slice(0, shape.count()).reshape(shape);
  };
  // Without the leading axis of one picture.
  const auto flat = [](const Tensor& x) { return x.at(0); };
  Tensor y;
  for (const auto& step : model_->steps_) {
    y = at(step.y, step.y_shape);
    switch (step.op) {
      case TfliteOp::conv: {
        Tensor x;
        if (step.patches >= 0) {
          x = at(step.patches, {1, y.dim(1), y.dim(2), step.kernel * step.kernel * 3});
          mobile_->patches(picture, step.kernel, step.stride, x.at(0));
        } else {
          x = at(step.x, step.x_shape);
        }
        const bool relu = step.activation == MobileActivation::relu;
        ops_->conv2d(*step.conv, x, {}, {}, relu ? Activation::relu : Activation::none, y);
        if (!relu && step.activation != MobileActivation::none) {
          mobile_->activate(step.activation, y, y);
        }
        break;
      }
      case TfliteOp::depthwise:
        mobile_->depthwise(flat(at(step.x, step.x_shape)), step.weight, step.bias, step.stride,
                           step.activation, flat(y));
        break;
      case TfliteOp::transposed:
        mobile_->transposed2(flat(at(step.x, step.x_shape)), step.weight, step.bias,
                             step.activation, y.reshape({y.dim(1), y.dim(2)}));
        break;
      case TfliteOp::average:
        mobile_->global_average(flat(at(step.x, step.x_shape)), y.reshape({y.dim(3)}));
        break;
      case TfliteOp::resize:
        ops_->upsample_bilinear(at(step.x, step.x_shape), y, false);
        break;
      case TfliteOp::multiply:
        mobile_->scale_channels(flat(at(step.x, step.x_shape)),
                                at(step.scale, Shape{step.x_shape[3]}),
                                step.z < 0 ? Tensor() : flat(at(step.z, step.y_shape)), flat(y));
        break;
      case TfliteOp::add:
        ops_->axpby(1.0f, at(step.x, step.x_shape), 1.0f, at(step.z, step.x_shape), y);
        break;
      case TfliteOp::relu:
      case TfliteOp::hard_swish:
      case TfliteOp::logistic:
        mobile_->activate(step.activation, at(step.x, step.x_shape), y);
        break;
    }
  }
  return y;
}

}  // namespace driftless
