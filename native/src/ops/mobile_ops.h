#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace driftless {

/// What MobileNet-like segmentation networks need beside Ops. Conventions are those of ops.h, for
/// one picture: f32, channels-last, [h, w, c]; wrong dtypes or shapes throw Error before anything
/// is written; outputs do not overlap inputs unless a function says so.
enum class MobileActivation { none, relu, hard_swish, sigmoid };

class MobileOps {
 public:
  virtual ~MobileOps() = default;

  /// The pixels under a kernel side by side, which makes a convolution a matrix product:
  /// picture u8 [h, w, c] -> y [ceil(h / stride), ceil(w / stride), kernel * kernel * c], values
  /// / 255, 0 outside. Pads as TensorFlow's "SAME": (kernel - stride) / 2 in front for even sizes.
  virtual void patches(const Tensor& picture, int kernel, int stride, const Tensor& y) = 0;
  /// One k x k kernel a channel, "SAME" padding: x [h, w, c], weight [k, k, c] with k odd, bias [c]
  /// -> y [ceil(h / stride), ceil(w / stride), c].
  virtual void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                         MobileActivation activation, const Tensor& y) = 0;
  /// Any shape; y may be x.
  virtual void activate(MobileActivation activation, const Tensor& x, const Tensor& y) = 0;
  /// Mean over height and width: x [h, w, c] -> y [c].
  virtual void global_average(const Tensor& x, const Tensor& y) = 0;
  /// y = x * scale + addend: x [h, w, c], scale [c], addend like x or absent.
  virtual void scale_channels(const Tensor& x, const Tensor& scale, const Tensor& addend,
                              const Tensor& y) = 0;
  /// 2x2 transposed convolution of stride 2 to one channel: x [h, w, c], weight [2, 2, c],
  /// bias [1] -> y [2h, 2w].
  virtual void transposed2(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           MobileActivation activation, const Tensor& y) = 0;
};

/// backend: "reference" (plain loops, the oracle) or "cpu" (vectorised). Throws Error otherwise. Of
/// a GPU: Ops::mobile().
std::unique_ptr<MobileOps> make_mobile_ops(const std::string& backend);

namespace checks {

/// Padding in front and output size of one axis, as TensorFlow's "SAME" has them.
struct SameAxis {
  int64_t out, before;
};
SameAxis same_padding(int64_t size, int64_t kernel, int64_t stride);

struct DepthwiseSizes {
  int64_t h, w, c, kernel;
  SameAxis rows, columns;
};
DepthwiseSizes depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, int stride,
                         const Tensor& y);
DepthwiseSizes patches(const Tensor& picture, int kernel, int stride, const Tensor& y);

}  // namespace checks
}  // namespace driftless
