#pragma once

#include "ops/ops.h"

namespace driftless {
namespace checks {

/// Argument checks shared by all backends, so that the same mistake gives the same message
/// everywhere. Each throws Error and otherwise returns the sizes the kernel needs.

struct LinearSizes {
  int64_t rows, in, out;
  int64_t gate_rows;  ///< Rows of one gate vector (0 without a gate).
};
void pack_linear(const Tensor& weight, const Tensor& bias);
LinearSizes linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                   const LinearEpilogue& epilogue, DType token_dtype = DType::f32);

struct ConvSizes {
  int64_t n, h, w;             ///< Of the inputs.
  int64_t out_h, out_w;        ///< Of the output.
  int64_t first, second, out;  ///< Channels of x, x2, y.
};
void pack_conv(const Tensor& weight, const Tensor& bias, const ConvOptions& options);
ConvSizes conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                 const Tensor& residual, Activation activation, const Tensor& y,
                 DType token_dtype = DType::f32);
ConvSizes conv_frames(const PackedConv& weights, const Tensor& x, const Tensor& past,
                      const Tensor& residual, Activation activation, const Tensor& y,
                      DType token_dtype = DType::f32);

void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
               DType token_dtype);

struct RowSizes {
  int64_t rows, width;
};
RowSizes layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const GroupVectors& scale, const GroupVectors& shift, const Tensor& y,
                    DType token_dtype = DType::f32);
RowSizes rms_norm(const Tensor& x, const Tensor& weight, const Tensor& y,
                  DType token_dtype = DType::f32);
RowSizes channel_moments(const Tensor& x, const Tensor& y);
/// Tokens and width of a chunk.
RowSizes refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v, int64_t leaving,
                      DType token_dtype);
/// Sizes of one row's chunk; all rings have the first one's shape and type.
struct RingSizes {
  int64_t tokens, heads, head_dim;
  int slots, sinks;
};
RingSizes append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
                          int64_t height, int64_t width, const RingRow* rows, int64_t count,
                          DType token_dtype, DType ring_dtype);
RowSizes timestep_embedding(const Tensor& y);
RowSizes mean_rows(const Tensor& x, const Tensor& y);
RowSizes affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                         const Tensor& y);
struct MixSizes {
  int64_t rows, in, out;
};
MixSizes mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y);

/// Pairs of each axis and the sizes of x [frames, height * width, heads, head_dim].
struct RopeSizes {  // height and width are 0 for rope_time
  int64_t frames, height, width, heads, head_dim;
  int64_t pairs_t, pairs_h, pairs_w;
};
RopeSizes rope3d(const Tensor& x, int64_t height, int64_t width, const Tensor& y,
                 DType token_dtype = DType::f32);
RopeSizes rope_time(const Tensor& x, const Tensor& y, DType token_dtype);

/// Rows, and channels of x and y.
MixSizes copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y, int64_t to,
                       DType token_dtype = DType::f32);
/// Throws Error unless both have the same type and count.
void copy(const Tensor& from, const Tensor& to);
void convert(const Tensor& x, const Tensor& y, DType token_dtype);

/// All tensors f32 (or absent where `optional`) and of the shape of the first; returns the count.
int64_t same_shape(const char* what, const Tensor& x, const Tensor& y);
/// The same of f32 or token_dtype, both alike.
int64_t same_tokens(const char* what, const Tensor& x, const Tensor& y, DType token_dtype);

/// Input sizes and the integer factors between x and y.
struct PixelSizes {
  int64_t n, h, w, c;  ///< Of the side named in ops.h as x.
  int64_t frames;      ///< repeat or t; 1 where it has no meaning.
  int64_t scale;       ///< Spatial factor.
};
PixelSizes upsample2(const Tensor& x, const Tensor& y, DType token_dtype = DType::f32);
PixelSizes upsample_bilinear(const Tensor& x, const Tensor& y);
PixelSizes average_pool(const Tensor& x, const Tensor& y);
PixelSizes pixel_unshuffle(const Tensor& x, const Tensor& y, DType token_dtype = DType::f32);
/// n, h, w and scale of the tokens, c of the picture.
PixelSizes unpatchify(const Tensor& x, const Tensor& y);
/// n of the merged tensor (x for channels_to_frames, y for frames_to_channels), c of one frame.
PixelSizes frames_to_channels(const Tensor& separate, const Tensor& merged,
                              DType token_dtype = DType::f32);
/// planar [n, c, h, w] and its channels-last twin.
PixelSizes planar(const Tensor& planar, const Tensor& interleaved);
int64_t u8_f32(const Tensor& bytes, const Tensor& floats);

/// Of pictures of bytes, [n, h, w, 3].
struct PictureSizes {
  int64_t n, h, w;
  int64_t values() const { return h * w * 3; }  ///< Of one picture.
};
PictureSizes pictures(const char* what, const Tensor& pictures);
/// before: one picture of their size, or absent.
PictureSizes frames_after(const char* what, const Tensor& before, const Tensor& frames);
PictureSizes measure_motion(const Tensor& before, const Tensor& frames, const Tensor& motion);
PictureSizes hold_still(const Tensor& motion, float least, const Tensor& shown,
                        const Tensor& frames);
/// Of x.
PictureSizes resample(const Resampling& across, const Resampling& down, const Tensor& x,
                      const Tensor& y);

}  // namespace checks
}  // namespace driftless
