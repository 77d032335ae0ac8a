#pragma once

#include "ops/ops.h"

namespace driftless {

/// Plain loops: the oracle every other backend is tested against, and the home of the operations
/// that only move data, which other CPU backends inherit.
class ReferenceOps : public Ops {
 public:
  const char* name() const override { return "reference"; }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias,
                                            bool bulk) override;
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
  void timestep_embedding(const double* t, const Tensor& y) override;
  void mean_rows(const Tensor& x, const Tensor& y) override;

  void activate(Activation activation, const Tensor& x, const Tensor& y) override;
  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override;
  void axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) override;
  void affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                       const Tensor& y) override;
  void mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) override;
  double mean_square_difference(const Tensor& a, const Tensor& b) override;

  void upsample2(const Tensor& x, const Tensor& y) override;
  void upsample_bilinear(const Tensor& x, const Tensor& y, bool accumulate) override;
  void average_pool(const Tensor& x, const Tensor& y) override;
  void pixel_unshuffle(const Tensor& x, const Tensor& y) override;
  void pixel_shuffle(const Tensor& x, const Tensor& y) override;
  void unpatchify(const Tensor& x, const Tensor& y) override;
  void frames_to_channels(const Tensor& x, const Tensor& y) override;
  void channels_to_frames(const Tensor& x, const Tensor& y) override;
  void nchw_to_nhwc(const Tensor& x, const Tensor& y) override;
  void nhwc_to_nchw(const Tensor& x, const Tensor& y) override;
  void u8_to_f32(const Tensor& x, float scale, float shift, const Tensor& y) override;
  void f32_to_u8(const Tensor& x, float scale, float shift, const Tensor& y) override;
};

}  // namespace driftless
