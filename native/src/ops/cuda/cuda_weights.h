#pragma once

#include <memory>

#include "core/error.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/device_memory.h"
#include "ops/ops.h"

namespace driftless {

/// Packed weights of the cuda backend: on the device, in the precision of its products.
class CudaLinear : public PackedLinear {
 public:
  /// weight [out, in], bias [out] or absent, in host memory; copied before this returns. Without
  /// `bulk`, or with inputs that are no multiple of 8, fp8 is bf16.
  CudaLinear(const Tensor& weight, const Tensor& bias, CudaPrecision precision, bool bulk,
             const cuda::Stream& stream);
  /// A copy on the stream's device, there when this returns.
  CudaLinear(const CudaLinear& from, const cuda::Stream& stream);
  cuda::DeviceBuffer weight, bias;
  cuda::DeviceBuffer rounded_bias;  ///< In the precision of the products; absent with f32.
  cuda::DeviceBuffer scale;  ///< Of weights in e4m3, what they are multiplied by; else absent.
  int device;

  size_t bytes() const override {
    return weight.bytes() + bias.bytes() + rounded_bias.bytes() + scale.bytes();
  }
  bool is_fp8() const { return scale.data() != nullptr; }
};

class CudaConv : public PackedConv {
 public:
  /// weight [out, in, k, k], stored as [phases, out, frames, k, k, in / frames], where with four
  /// phases k is 2 (ConvInput::phases); bias [out] or absent, in host memory.
  CudaConv(const Tensor& weight, const Tensor& bias, const ConvOptions& options,
           CudaPrecision precision, cudaStream_t stream);
  int phases;
  cuda::DeviceBuffer weight, bias;
};

/// Throws Error for weights that another backend packed.
template <typename Packed, typename Base>
const Packed& packed_by_cuda(const Base& weights) {
  const auto* packed = dynamic_cast<const Packed*>(&weights);
  DL_CHECK(packed != nullptr, "packed weights", "weights packed by the cuda backend",
           "another backend's");
  return *packed;
}

}  // namespace driftless
