// Of convolutions, and of what moves pixels.

#include "ops/check_values.h"
#include "ops/checks.h"

namespace driftless {
namespace checks {

void pack_conv(const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  rank("conv weight", weight, 4);
  const int64_t kernel = weight.dim(2);
  DL_CHECK(kernel == weight.dim(3) && (kernel == 1 || kernel == 3), "conv kernel", "1x1 or 3x3",
           std::to_string(kernel) + "x" + std::to_string(weight.dim(3)));
  if (bias.present()) shape("conv bias", {weight.dim(0)}, bias);
  DL_CHECK(options.stride == 1 || options.stride == 2, "conv stride", "1 or 2", options.stride);
  DL_CHECK(!options.upsample2 || options.stride == 1, "conv stride with upsample2", "1",
           options.stride);
  DL_CHECK(options.frames >= 1 && weight.dim(1) % options.frames == 0, "conv frames",
           "a divisor of " + std::to_string(weight.dim(1)) + " channels", options.frames);
  DL_CHECK(options.frames == 1 ||
               (options.stride == 1 && !options.upsample2 && options.second_input_channels == 0),
           "conv over frames", "no stride, enlargement or second input", "one");
  const int64_t second = options.second_input_channels;
  DL_CHECK(second >= 0 && second < weight.dim(1), "conv second input channels",
           "0.." + std::to_string(weight.dim(1) - 1), second);
}

namespace {

/// What every convolution ends with.
void conv_output(const ConvSizes& sizes, const Tensor& x, const Tensor& residual,
                 Activation activation, const Tensor& y, DType token_dtype) {
  const Shape out = {sizes.n, sizes.out_h, sizes.out_w, sizes.out};
  tokens("conv output", out, y, token_dtype);
  not_same("conv", x, y);
  if (residual.present()) {
    tokens("conv residual", out, residual, token_dtype);
    same_dtype("conv residual", y, residual);
  }
  DL_CHECK(activation == Activation::none || activation == Activation::relu, "conv activation",
           "none or relu", static_cast<int>(activation));
}

}  // namespace

ConvSizes conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                 const Tensor& residual, Activation activation, const Tensor& y,
                 DType token_dtype) {
  tokens("conv input", x, token_dtype);
  rank_of("conv input", x, 4);
  ConvSizes sizes = {};
  sizes.n = x.dim(0);
  sizes.h = x.dim(1);
  sizes.w = x.dim(2);
  sizes.second = weights.second();
  sizes.first = weights.in() - sizes.second;
  sizes.out = weights.out();
  DL_CHECK_EQ("conv input channels", sizes.first, x.dim(3));
  if (sizes.second > 0) {
    tokens("conv second input", {sizes.n, sizes.h, sizes.w, sizes.second}, x2, token_dtype);
    same_dtype("conv second input", x, x2);
    not_same("conv", x2, y);
  } else {
    DL_CHECK(!x2.present(), "conv second input", "none", x2.shape());
  }
  const int64_t stride = weights.options().stride;
  const int64_t up = weights.options().upsample2 ? 2 : 1;
  sizes.out_h = (sizes.h * up + stride - 1) / stride;
  sizes.out_w = (sizes.w * up + stride - 1) / stride;
  conv_output(sizes, x, residual, activation, y, token_dtype);
  return sizes;
}

ConvSizes conv_frames(const PackedConv& weights, const Tensor& x, const Tensor& past,
                      const Tensor& residual, Activation activation, const Tensor& y,
                      DType token_dtype) {
  tokens("conv_frames input", x, token_dtype);
  rank_of("conv_frames input", x, 4);
  const int64_t frames = weights.options().frames;
  ConvSizes sizes = {};
  sizes.n = x.dim(0);
  sizes.h = sizes.out_h = x.dim(1);
  sizes.w = sizes.out_w = x.dim(2);
  sizes.first = weights.in() / frames;
  sizes.out = weights.out();
  DL_CHECK_EQ("conv_frames input channels", sizes.first, x.dim(3));
  DL_CHECK(frames > 1, "conv_frames weights", "of 2 frames or more", frames);
  tokens("conv_frames past", {frames - 1, sizes.h, sizes.w, sizes.first}, past, token_dtype);
  same_dtype("conv_frames past", x, past);
  not_same("conv_frames", past, y);
  conv_output(sizes, x, residual, activation, y, token_dtype);
  return sizes;
}

PixelSizes upsample2(const Tensor& x, const Tensor& y, DType token_dtype) {
  tokens("upsample2 input", x, token_dtype);
  rank_of("upsample2 input", x, 4);
  tokens("upsample2 output", {x.dim(0), 2 * x.dim(1), 2 * x.dim(2), x.dim(3)}, y, token_dtype);
  same_dtype("upsample2 output", x, y);
  not_same("upsample2", x, y);
  return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), 1, 2};
}

PixelSizes upsample_bilinear(const Tensor& x, const Tensor& y) {
  rank("upsample_bilinear input", x, 4);
  rank("upsample_bilinear output", y, 4);
  const int64_t repeat = factor("upsample_bilinear output frames", x.dim(0), y.dim(0));
  const int64_t scale = factor("upsample_bilinear output height", x.dim(1), y.dim(1));
  shape("upsample_bilinear output",
        {x.dim(0) * repeat, x.dim(1) * scale, x.dim(2) * scale, x.dim(3)}, y);
  not_same("upsample_bilinear", x, y);
  return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), repeat, scale};
}

PixelSizes average_pool(const Tensor& x, const Tensor& y) {
  rank("average_pool input", x, 4);
  rank("average_pool output", y, 4);
  const int64_t frames = factor("average_pool input frames", y.dim(0), x.dim(0));
  const int64_t scale = factor("average_pool input height", y.dim(1), x.dim(1));
  shape("average_pool input", {y.dim(0) * frames, y.dim(1) * scale, y.dim(2) * scale, y.dim(3)}, x);
  not_same("average_pool", x, y);
  return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), frames, scale};
}

PixelSizes pixel_unshuffle(const Tensor& x, const Tensor& y, DType token_dtype) {
  tokens("pixel_unshuffle picture", x, token_dtype);
  rank_of("pixel_unshuffle picture", x, 4);
  tokens("pixel_unshuffle blocks", y, token_dtype);
  rank_of("pixel_unshuffle blocks", y, 4);
  same_dtype("pixel_unshuffle blocks", x, y);
  const int64_t scale = factor("pixel_unshuffle picture height", y.dim(1), x.dim(1));
  const Shape blocks = {x.dim(0), x.dim(1) / scale, x.dim(2) / scale, x.dim(3) * scale * scale};
  DL_CHECK_EQ("pixel_unshuffle blocks shape", blocks, y.shape());
  DL_CHECK_EQ("pixel_unshuffle picture width", y.dim(2) * scale, x.dim(2));
  not_same("pixel_unshuffle", x, y);
  return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), 1, scale};
}

PixelSizes unpatchify(const Tensor& x, const Tensor& y) {
  rank("unpatchify tokens", x, 4);
  rank("unpatchify picture", y, 4);
  const int64_t scale = factor("unpatchify picture height", x.dim(1), y.dim(1));
  shape("unpatchify picture", {x.dim(0), x.dim(1) * scale, x.dim(2) * scale, y.dim(3)}, y);
  DL_CHECK_EQ("unpatchify token width", scale * scale * y.dim(3), x.dim(3));
  not_same("unpatchify", x, y);
  return {x.dim(0), x.dim(1), x.dim(2), y.dim(3), 1, scale};
}

PixelSizes frames_to_channels(const Tensor& separate, const Tensor& merged, DType token_dtype) {
  tokens("separate frames", separate, token_dtype);
  rank_of("separate frames", separate, 4);
  tokens("merged frames", merged, token_dtype);
  rank_of("merged frames", merged, 4);
  same_dtype("merged frames", separate, merged);
  const int64_t frames = factor("number of separate frames", merged.dim(0), separate.dim(0));
  const Shape expected = {separate.dim(0) / frames, separate.dim(1), separate.dim(2),
                          frames * separate.dim(3)};
  DL_CHECK_EQ("merged frames shape", expected, merged.shape());
  not_same("frames_to_channels", separate, merged);
  return {merged.dim(0), merged.dim(1), merged.dim(2), separate.dim(3), frames, 1};
}

PixelSizes planar(const Tensor& planar, const Tensor& interleaved) {
  rank("planar picture", planar, 4);
  shape("channels-last picture", {planar.dim(0), planar.dim(2), planar.dim(3), planar.dim(1)},
        interleaved);
  not_same("planar conversion", planar, interleaved);
  return {planar.dim(0), planar.dim(2), planar.dim(3), planar.dim(1), 1, 1};
}

int64_t u8_f32(const Tensor& bytes, const Tensor& floats) {
  f32("float picture", floats);
  DL_CHECK(bytes.present(), "byte picture", "a u8 tensor", "an absent tensor");
  if (bytes.dtype() != DType::u8)
    throw Error("byte picture dtype", "u8", dtype_name(bytes.dtype()));
  DL_CHECK_EQ("byte picture elements", floats.count(), bytes.count());
  return floats.count();
}

namespace {

void bytes(const char* what, const Tensor& x) {
  DL_CHECK(x.present(), what, "a u8 tensor", "an absent tensor");
  if (x.dtype() != DType::u8)
    throw Error(std::string(what) + " dtype", "u8", dtype_name(x.dtype()));
}

void bytes(const char* what, const Shape& expected, const Tensor& x) {
  bytes(what, x);
  DL_CHECK_EQ(std::string(what) + " shape", expected, x.shape());
}

Shape motion_shape(const PictureSizes& s) {
  return {s.n, motion_blocks(static_cast<int>(s.h)), motion_blocks(static_cast<int>(s.w))};
}

}  // namespace

PictureSizes pictures(const char* what, const Tensor& pictures) {
  bytes(what, pictures);
  rank_of(what, pictures, 4);
  DL_CHECK_EQ(std::string(what) + " channels", 3, pictures.dim(3));
  return {pictures.dim(0), pictures.dim(1), pictures.dim(2)};
}

PictureSizes frames_after(const char* what, const Tensor& before, const Tensor& frames) {
  const PictureSizes s = pictures(what, frames);
  if (before.present()) bytes("frame before", {s.h, s.w, 3}, before);
  return s;
}

PictureSizes measure_motion(const Tensor& before, const Tensor& frames, const Tensor& motion) {
  const PictureSizes s = frames_after("measure_motion", before, frames);
  bytes("motion", motion_shape(s), motion);
  return s;
}

PictureSizes hold_still(const Tensor& motion, float least, const Tensor& shown,
                        const Tensor& frames) {
  const PictureSizes s = pictures("hold_still", frames);
  bytes("motion", motion_shape(s), motion);
  bytes("shown picture", {s.h, s.w, 3, 2}, shown);
  DL_CHECK(least > 0 && least <= 1, "least weight of a new frame", "over 0 to 1", least);
  return s;
}

PictureSizes resample(const Resampling& across, const Resampling& down, const Tensor& x,
                      const Tensor& y) {
  const PictureSizes s = pictures("resample", x);
  DL_CHECK(s.h == down.from && s.w == across.from, "resample input",
           std::to_string(across.from) + "x" + std::to_string(down.from),
           std::to_string(s.w) + "x" + std::to_string(s.h));
  bytes("resample output", {s.n, down.to, across.to, 3}, y);
  not_same("resample", x, y);
  return s;
}

}  // namespace checks
}  // namespace driftless
