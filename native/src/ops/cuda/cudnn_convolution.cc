#include "ops/cuda/cudnn_convolution.h"

namespace driftless {
namespace cuda {

namespace {

using namespace dnn;

enum TensorId : int64_t { kX = 1, kWeight, kBias, kResidual, kY, kFirstBetween };

}  // namespace

DnnConvolutionPlan::DnnConvolutionPlan(const Api& api, const ConvolutionSize& size,
                                       const DnnTarget& target)
    : DnnPlan(api), size_(size) {
  const int64_t h = (size.h + size.stride - 1) / size.stride;
  const int64_t w = (size.w + size.stride - 1) / size.stride;
  const DataType out_type = size.wide ? kF32 : size.type;
  int left = (size.bias ? 1 : 0) + (size.residual ? 1 : 0) + (size.relu ? 1 : 0);
  int64_t next_id = kFirstBetween;
  // Sums stay f32 until the last operation writes them.
  const auto result = [&] {
    const bool last = left-- == 0;
    return picture(last ? int64_t{kY} : next_id++, size.n, size.out, h, w, last ? out_type : kF32,
                   !last);
  };
  Descriptor y = result();
  const Descriptor forward = create(kConvolutionForward);
  link(forward, kForwardConvolution, convolution());
  link(forward, kForwardX,
       picture(kX, size.frames - 1 + size.n, size.in, size.h, size.w, size.type));
  // Channels last, so a kernel of so many pictures.
  std::vector<int64_t> dimensions = {size.out, size.in, size.kernel, size.kernel};
  std::vector<int64_t> strides = {size.frames * size.kernel * size.kernel * size.in, 1,
                                  size.kernel * size.in, size.in};
  if (in_time()) {
    dimensions.insert(dimensions.begin() + 2, size.frames);
    strides.insert(strides.begin() + 2, size.kernel * size.kernel * size.in);
  }
  link(forward, kForwardWeight, tensor(kWeight, dimensions, strides, size.type));
  link(forward, kForwardY, y);
  set(forward, kForwardAlpha, kFloat, 1.0f);
  set(forward, kForwardBeta, kFloat, 0.0f);
  std::vector<Descriptor> operations = {finalized(forward)};
  const auto then = [&](PointwiseMode mode, Descriptor other) {
    const Descriptor x = y;
    y = result();
    operations.push_back(pointwise(mode, x, other, y));
  };
  if (size.bias) {
    std::vector<int64_t> one(in_time() ? 5 : 4, 1), apart(one.size(), size.out);
    one[1] = size.out;
    apart[1] = 1;
    then(kAdd, tensor(kBias, one, apart, kF32));
  }
  if (size.residual) then(kAdd, picture(kResidual, size.n, size.out, h, w, out_type));
  if (size.relu) then(kRelu, nullptr);
  build(operations, target, "convolution");
}

/// Channels last in memory, as cuDNN's batch, channel, (frame,) row, column. Frames that only share
/// the kernel are a batch.
Descriptor DnnConvolutionPlan::picture(int64_t id, int64_t frames, int64_t channels, int64_t h,
                                       int64_t w, DataType type, bool between) {
  std::vector<int64_t> dimensions = {frames, channels, h, w};
  std::vector<int64_t> strides = {h * w * channels, 1, w * channels, channels};
  if (in_time()) {
    dimensions = {1, channels, frames, h, w};
    strides = {frames * h * w * channels, 1, h * w * channels, w * channels, channels};
  }
  return tensor(id, dimensions, strides, type, between ? kTensorVirtual : kTensorId);
}

Descriptor DnnConvolutionPlan::convolution() {
  const Descriptor made = create(kConvolution);
  const int64_t axes = in_time() ? 3 : 2, padding = size_.kernel / 2;
  std::vector<int64_t> dilations(3, 1), strides = {size_.stride, size_.stride},
                                        paddings = {padding, padding};
  if (in_time()) {
    strides.insert(strides.begin(), 1);
    paddings.insert(paddings.begin(), 0);  // The frames before are there.
  }
  set(made, kConvolutionType, kDataTypeType, kF32);
  set(made, kConvolutionModeOf, kConvolutionModeType, kCrossCorrelation);
  set(made, kConvolutionAxes, kInt64, axes);
  set(made, kConvolutionDilations, kInt64, axes, dilations.data());
  set(made, kConvolutionStrides, kInt64, axes, strides.data());
  set(made, kConvolutionPaddingsBefore, kInt64, axes, paddings.data());
  set(made, kConvolutionPaddingsAfter, kInt64, axes, paddings.data());
  return finalized(made);
}

Descriptor DnnConvolutionPlan::pointwise(PointwiseMode mode, Descriptor x, Descriptor other,
                                         Descriptor y) {
  const Descriptor how = create(kPointwise);
  set(how, kPointwiseModeOf, kPointwiseModeType, mode);
  set(how, kPointwiseType, kDataTypeType, kF32);
  const Descriptor operation = create(kPointwiseOperation);
  link(operation, kPointwiseHow, finalized(how));
  link(operation, kPointwiseX, x);
  if (other != nullptr) link(operation, kPointwiseOther, other);
  link(operation, kPointwiseY, y);
  return finalized(operation);
}

void DnnConvolutionPlan::run(Handle handle, const void* x, const void* weight, const void* bias,
                             const void* residual, void* y, void* workspace) const {
  std::vector<int64_t> ids = {kX, kWeight, kY};
  std::vector<const void*> pointers = {x, weight, y};
  const auto add = [&](bool there, int64_t id, const void* pointer) {
    if (!there) return;
    ids.push_back(id);
    pointers.push_back(pointer);
  };
  add(size_.bias, kBias, bias);
  add(size_.residual, kResidual, residual);
  execute(handle, ids, pointers, workspace, "convolution");
}

}  // namespace cuda
}  // namespace driftless
