#pragma once

#include <memory>
#include <vector>

#include "ops/onednn.h"
#include "ops/reference_ops.h"

namespace driftless {

/// The CPU backend: oneDNN for matrix products, own vectorised loops for the rest. Operations that
/// only move data are inherited from ReferenceOps.
class CpuOps : public ReferenceOps {
 public:
  /// threads >= 1: how many threads one call may use.
  explicit CpuOps(int threads);
  ~CpuOps() override;
  const char* name() const override { return "cpu"; }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias) override;
  void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
              const LinearEpilogue& epilogue) override;
  std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                        const ConvOptions& options) override;
  void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2, const Tensor& residual,
              Activation activation, const Tensor& y) override;
  void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                 float scale) override;

  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupVectors& scale, const GroupVectors& shift, float eps,
                  const Tensor& y) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override;
  void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
              const Tensor& y) override;
  void activate(Activation activation, const Tensor& x, const Tensor& y) override;
  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override;

 private:
  /// Scratch of one worker thread; grows to the largest request and stays.
  float* scratch(int thread, size_t floats);

  int threads_;
  std::vector<std::vector<float>> scratch_;
  MatrixProduct product_;
};

}  // namespace driftless
