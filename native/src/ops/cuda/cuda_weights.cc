#include "ops/cuda/cuda_weights.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/cuda/platform.cuh"

namespace driftless {

namespace {

using cuda::DeviceBuffer;

template <typename T>
DeviceBuffer upload(const std::vector<T>& values, cudaStream_t stream) {
  if (values.empty()) return {};
  DeviceBuffer buffer(values.size() * sizeof(T));
  cuda::check(
      cudaMemcpyAsync(buffer.data(), values.data(), buffer.bytes(), cudaMemcpyHostToDevice, stream),
      "upload of weights");
  // The values live in the caller's memory.
  cuda::check(cudaStreamSynchronize(stream), "upload of weights");
  return buffer;
}

DeviceBuffer copied(const DeviceBuffer& from, cudaStream_t stream) {
  if (from.bytes() == 0) return {};
  DeviceBuffer buffer(from.bytes());
  cuda::check(
      cudaMemcpyAsync(buffer.data(), from.data(), from.bytes(), cudaMemcpyDeviceToDevice, stream),
      "copy of weights");
  cuda::check(cudaStreamSynchronize(stream), "copy of weights");
  return buffer;
}

std::vector<float> host_values(const Tensor& tensor) {
  if (!tensor.present()) return {};
  return std::vector<float>(tensor.f32(), tensor.f32() + tensor.count());
}

/// Values in the precision of the products, on the device.
DeviceBuffer upload_rounded(const std::vector<float>& values, CudaPrecision precision,
                            cudaStream_t stream) {
  const auto rounded = [&](auto zero) {
    std::vector<decltype(zero)> to(values.size());
    for (size_t i = 0; i < to.size(); ++i) to[i] = cuda::from_float<decltype(zero)>(values[i]);
    return upload(to, stream);
  };
  if (precision == CudaPrecision::f32) return upload(values, stream);
  if (precision == CudaPrecision::f16) return rounded(cuda::f16{});
  return rounded(cuda::bf16{});
}

/// What brings the largest value to e4m3's largest; 1 for a matrix of zeros.
float e4m3_scale(const std::vector<float>& values) {
  float largest = 0;
  for (float value : values) largest = std::max(largest, std::abs(value));
  return largest > 0 ? largest / cuda::kLargestE4m3 : 1.0f;
}

DeviceBuffer upload_e4m3(const std::vector<float>& values, float scale, cudaStream_t stream) {
  std::vector<cuda::e4m3> rounded(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    rounded[i] = cuda::from_float<cuda::e4m3>(values[i] / scale);
  }
  return upload(rounded, stream);
}

/// [out, in, taps] -> [out, taps, in].
std::vector<float> channels_last(const Tensor& weight) {
  const int64_t out = weight.dim(0), in = weight.dim(1), taps = weight.dim(2) * weight.dim(3);
  const float* values = weight.f32();
  std::vector<float> ordered(static_cast<size_t>(weight.count()));
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        ordered[static_cast<size_t>((o * taps + tap) * in + i)] = values[(o * in + i) * taps + tap];
      }
    }
  }
  return ordered;
}

}  // namespace

CudaLinear::CudaLinear(const Tensor& weight, const Tensor& bias, CudaPrecision precision, bool bulk,
                       const cuda::Stream& stream)
    : PackedLinear(weight.dim(1), weight.dim(0)),
      bias(upload(host_values(bias), stream.get())),
      device(stream.device()) {
  const std::vector<float> values = host_values(weight);
  if (precision != CudaPrecision::f32) {
    rounded_bias = upload_rounded(host_values(bias), precision, stream.get());
  }
  if (precision == CudaPrecision::fp8 && bulk && weight.dim(1) % 8 == 0) {
    const float factor = e4m3_scale(values);
    this->weight = upload_e4m3(values, factor, stream.get());
    scale = upload(std::vector<float>{factor}, stream.get());
  } else {
    this->weight = upload_rounded(values, precision, stream.get());
  }
}

CudaLinear::CudaLinear(const CudaLinear& from, const cuda::Stream& stream)
    : PackedLinear(from.in(), from.out()),
      weight(copied(from.weight, stream.get())),
      bias(copied(from.bias, stream.get())),
      rounded_bias(copied(from.rounded_bias, stream.get())),
      scale(copied(from.scale, stream.get())),
      device(stream.device()) {}

CudaConv::CudaConv(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                   CudaPrecision precision, cudaStream_t stream)
    : PackedConv(weight.dim(1), weight.dim(0), weight.dim(2), options),
      weight(upload_rounded(channels_last(weight), precision, stream)),
      bias(upload(host_values(bias), stream)) {}

}  // namespace driftless
