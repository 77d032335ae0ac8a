#pragma once

#include <cstddef>
#include <cstdint>

namespace driftless {

/// Weights in the backend's own layout.
class PackedLinear {
 public:
  PackedLinear(int64_t in, int64_t out) : in_(in), out_(out) {}
  virtual ~PackedLinear() = default;
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  /// What adopt_linear() on another device takes there; 0 where it takes nothing.
  virtual size_t bytes() const { return 0; }

 private:
  int64_t in_, out_;
};

struct ConvOptions {
  int stride = 1;          ///< 1 or 2. Padding is kernel / 2 on each side.
  bool upsample2 = false;  ///< Convolve the nearest-neighbour 2x enlargement of the input.
  /// Channels that come from the second input (concatenated after the first one's); 0 = none.
  int64_t second_input_channels = 0;
  /// Over 1: the input channels are those of so many frames in a row, the earliest first; stride is
  /// 1, and there is no enlargement and no second input. See conv_frames().
  int64_t frames = 1;
};

class PackedConv {
 public:
  PackedConv(int64_t in, int64_t out, int64_t kernel, ConvOptions options)
      : in_(in), out_(out), kernel_(kernel), options_(options) {}
  virtual ~PackedConv() = default;
  int64_t in() const { return in_; }  ///< Of both inputs together.
  int64_t out() const { return out_; }
  int64_t kernel() const { return kernel_; }
  const ConvOptions& options() const { return options_; }
  /// Of the second input of conv2d(), which of two frames is the later one.
  int64_t second() const { return options_.frames == 2 ? in_ / 2 : options_.second_input_channels; }

 private:
  int64_t in_, out_, kernel_;
  ConvOptions options_;
};

}  // namespace driftless
