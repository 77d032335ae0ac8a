#pragma once

#include "ops/mobile_ops.h"

namespace driftless {

/// Plain loops, after the checks that other backends share.
class ReferenceMobileOps : public MobileOps {
 public:
  void patches(const Tensor& picture, int kernel, int stride, const Tensor& y) override;
  void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                 MobileActivation activation, const Tensor& y) override;
  void activate(MobileActivation activation, const Tensor& x, const Tensor& y) override;
  void global_average(const Tensor& x, const Tensor& y) override;
  void scale_channels(const Tensor& x, const Tensor& scale, const Tensor& addend,
                      const Tensor& y) override;
  void transposed2(const Tensor& x, const Tensor& weight, const Tensor& bias,
                   MobileActivation activation, const Tensor& y) override;

 protected:
  struct Picture {
    int64_t h, w, c;
  };
  /// The checks of the operations above that are not in mobile_ops.h.
  static Picture check_picture(const Tensor& x);
  static void check_same(const char* what, const Tensor& x, const Tensor& y);
  static Picture check_channels(const char* what, const Tensor& x, const Tensor& channels);
  static Picture check_transposed(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Tensor& y);
};

}  // namespace driftless
