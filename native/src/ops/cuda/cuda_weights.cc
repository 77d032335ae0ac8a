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

/// Of an enlarging 3x3 kernel every tap falls on one of 2x2 pixels of the small picture.
bool has_phases(const Tensor& weight, const ConvOptions& options, CudaPrecision precision) {
  return options.upsample2 && weight.dim(2) == 3 && precision != CudaPrecision::f32;
}

/// [out, frames * in, k, k] -> [phases, out, frames, k', k', in].
std::vector<float> channels_last(const Tensor& weight, int64_t frames, int phases) {
  const int64_t out = weight.dim(0), in = weight.dim(1) / frames, k = weight.dim(2);
  const int64_t side = phases == 4 ? 2 : k;
  std::vector<float> ordered(static_cast<size_t>(phases * out * frames * side * side * in));
  // Enlarged coordinate 2y + parity + tap - 1 lies on pixel y + floor(./2); windows begin at
  // y + parity - 1.
  const auto place = [&](int64_t tap, int64_t parity) {
    return phases == 4 ? (parity + tap + 1) / 2 - parity : tap;
  };
  const float* value = weight.f32();
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < frames * in; ++i) {
      for (int64_t tap = 0; tap < k * k; ++tap, ++value) {
        for (int phase = 0; phase < phases; ++phase) {
          const int64_t row = place(tap / k, phase / 2), column = place(tap % k, phase % 2);
          const int64_t frame = (phase * out + o) * frames + i / in;
          ordered[static_cast<size_t>(((frame * side + row) * side + column) * in + i % in)] +=
              *value;
        }
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
      phases(has_phases(weight, options, precision) ? 4 : 1),
      weight(upload_rounded(channels_last(weight, options.frames, phases), precision, stream)),
      bias(upload(host_values(bias), stream)) {}

}  // namespace driftless
