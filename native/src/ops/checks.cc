#include "ops/checks.h"

#include "core/error.h"

namespace driftless {
namespace checks {

namespace {

// Names are literals and become text only in an error: a chunk's steady path makes no strings.

void f32(const char* what, const Tensor& x, const char* more = "") {
  DL_CHECK(x.present(), std::string(what) + more, "an f32 tensor", "an absent tensor");
  if (x.dtype() != DType::f32) {
    throw Error(std::string(what) + more + " dtype", "f32", dtype_name(x.dtype()));
  }
}

void rank_of(const char* what, const Tensor& x, int expected) {
  DL_CHECK_EQ(what + (" rank of shape " + x.shape().text()), expected, x.rank());
}
void rank(const char* what, const Tensor& x, int expected) {
  f32(what, x);
  rank_of(what, x, expected);
}

void shape(const char* what, const Shape& expected, const Tensor& x, const char* more = "") {
  f32(what, x, more);
  DL_CHECK_EQ(std::string(what) + more + " shape", expected, x.shape());
}

/// Tokens, keys and values: f32 or what the backend keeps them in.
void tokens(const char* what, const Tensor& x, DType token_dtype) {
  if (x.present() && (x.dtype() == DType::f32 || x.dtype() == token_dtype)) return;
  throw Error(std::string(what) + " dtype",
              token_dtype == DType::f32 ? "f32" : std::string("f32 or ") + dtype_name(token_dtype),
              x.present() ? dtype_name(x.dtype()) : "an absent tensor");
}
void tokens(const char* what, const Shape& expected, const Tensor& x, DType token_dtype) {
  tokens(what, x, token_dtype);
  DL_CHECK_EQ(std::string(what) + " shape", expected, x.shape());
}
void same_dtype(const char* what, const Tensor& expected, const Tensor& x) {
  DL_CHECK(x.dtype() == expected.dtype(), std::string(what) + " dtype",
           dtype_name(expected.dtype()), dtype_name(x.dtype()));
}

void not_same(const char* what, const Tensor& x, const Tensor& y) {
  DL_CHECK(x.data() != y.data() || x.count() == 0, std::string(what) + " output",
           "memory of its own", "its input's memory");
}

/// Rows per vector, after checking that groups divide the rows.
int64_t group_rows(const char* what, const GroupVectors& vectors, int64_t rows, int64_t width) {
  if (vectors.data == nullptr) return 0;
  DL_CHECK(vectors.groups > 0 && rows % vectors.groups == 0, std::string(what) + " groups",
           "a divisor of " + std::to_string(rows) + " rows", vectors.groups);
  DL_CHECK(vectors.groups == 1 || vectors.stride >= width, std::string(what) + " stride",
           "at least " + std::to_string(width), vectors.stride);
  return rows / vectors.groups;
}

int64_t factor(const char* what, int64_t small, int64_t large) {
  DL_CHECK(small > 0 && large % small == 0, what, "a multiple of " + std::to_string(small), large);
  return large / small;
}

}  // namespace

void pack_linear(const Tensor& weight, const Tensor& bias) {
  rank("linear weight", weight, 2);
  if (bias.present()) shape("linear bias", {weight.dim(0)}, bias);
}

LinearSizes linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                   const LinearEpilogue& epilogue, DType token_dtype) {
  tokens("linear input", x, token_dtype);
  rank_of("linear input", x, 2);
  const LinearSizes sizes = {x.dim(0), weights.in(), weights.out(),
                             group_rows("linear gate", epilogue.gate, x.dim(0), weights.out())};
  DL_CHECK_EQ("linear input width", sizes.in, x.dim(1));
  tokens("linear output", {sizes.rows, sizes.out}, y, token_dtype);
  not_same("linear", x, y);
  if (y.dtype() != DType::f32) {
    same_dtype("linear input", y, x);
    DL_CHECK(!epilogue.residual.present(), "linear residual",
             std::string("none with an output of ") + dtype_name(y.dtype()), "one");
  }
  if (epilogue.residual.present()) {
    shape("linear residual", {sizes.rows, sizes.out}, epilogue.residual);
  } else {
    DL_CHECK(epilogue.gate.data == nullptr, "linear gate", "a residual with it", "none");
  }
  return sizes;
}

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

void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
               DType token_dtype) {
  DL_CHECK(heads > 0, "attention heads", "at least 1", heads);
  DL_CHECK(head_dim > 0, "attention head_dim", "at least 1", head_dim);
  for (int64_t row = 0; row < count; ++row) {
    const AttentionRow& r = rows[row];
    const auto where = [row] { return "attention row " + std::to_string(row); };
    DL_CHECK(r.q != nullptr && r.k != nullptr && r.v != nullptr && r.out != nullptr, where(),
             "q, k, v and out", "a null pointer");
    DL_CHECK(r.dtype == DType::f32 || r.dtype == token_dtype, where() + " queries' dtype",
             dtype_name(token_dtype), dtype_name(r.dtype));
    DL_CHECK(r.queries >= 0, where() + " queries", "0 or more", r.queries);
    DL_CHECK(r.keys >= 1, where() + " keys", "at least 1", r.keys);
    DL_CHECK(r.kv_dtype == DType::f32 || r.kv_dtype == token_dtype, where() + " keys and values",
             dtype_name(token_dtype), dtype_name(r.kv_dtype));
  }
}

RowSizes layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const GroupVectors& scale, const GroupVectors& shift, const Tensor& y,
                    DType token_dtype) {
  rank("layer_norm input", x, 2);
  tokens("layer_norm output", x.shape(), y, token_dtype);
  const RowSizes sizes = {x.dim(0), x.dim(1)};
  DL_CHECK_EQ("layer_norm bias present", weight.present(), bias.present());
  if (weight.present()) {
    shape("layer_norm weight", {sizes.width}, weight);
    shape("layer_norm bias", {sizes.width}, bias);
  }
  DL_CHECK_EQ("layer_norm shift present", scale.data != nullptr, shift.data != nullptr);
  const int64_t scale_rows = group_rows("layer_norm scale", scale, sizes.rows, sizes.width);
  const int64_t shift_rows = group_rows("layer_norm shift", shift, sizes.rows, sizes.width);
  DL_CHECK_EQ("layer_norm rows per shift", scale_rows, shift_rows);
  return sizes;
}

RowSizes rms_norm(const Tensor& x, const Tensor& weight, const Tensor& y, DType token_dtype) {
  tokens("rms_norm input", x, token_dtype);
  rank_of("rms_norm input", x, 2);
  shape("rms_norm weight", {x.dim(1)}, weight);
  tokens("rms_norm output", x.shape(), y, token_dtype);
  same_dtype("rms_norm output", x, y);
  return {x.dim(0), x.dim(1)};
}

RowSizes timestep_embedding(const Tensor& y) {
  rank("timestep_embedding output", y, 2);
  DL_CHECK(y.dim(1) % 2 == 0, "timestep_embedding width", "an even number", y.dim(1));
  return {y.dim(0), y.dim(1)};
}

RowSizes mean_rows(const Tensor& x, const Tensor& y) {
  rank("mean_rows input", x, 2);
  DL_CHECK(x.dim(0) > 0, "mean_rows rows", "at least 1", x.dim(0));
  shape("mean_rows output", {x.dim(1)}, y);
  return {x.dim(0), x.dim(1)};
}

RowSizes affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                         const Tensor& y) {
  same_shape("affine_channels", x, y);
  const int64_t width = x.dim(-1);
  if (scale.present()) shape("affine_channels scale", {width}, scale);
  if (shift.present()) shape("affine_channels shift", {width}, shift);
  return {width == 0 ? 0 : x.count() / width, width};
}

MixSizes mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) {
  f32("mix_channels input", x);
  rank("mix_channels matrix", matrix, 2);
  f32("mix_channels output", y);
  const MixSizes sizes = {matrix.dim(1) == 0 ? 0 : x.count() / matrix.dim(1), matrix.dim(1),
                          matrix.dim(0)};
  DL_CHECK_EQ("mix_channels input channels", sizes.in, x.dim(-1));
  DL_CHECK_EQ("mix_channels output channels", sizes.out, y.dim(-1));
  DL_CHECK_EQ("mix_channels output elements", sizes.rows * sizes.out, y.count());
  not_same("mix_channels", x, y);
  return sizes;
}

RopeSizes rope3d(const Tensor& x, int64_t height, int64_t width, const Tensor& y,
                 DType token_dtype) {
  tokens("rope3d input", x, token_dtype);
  rank_of("rope3d input", x, 4);
  tokens("rope3d output", x.shape(), y, token_dtype);
  same_dtype("rope3d output", x, y);
  DL_CHECK_EQ("rope3d tokens per frame", height * width, x.dim(1));
  DL_CHECK(x.dim(3) % 2 == 0, "rope3d head_dim", "an even number", x.dim(3));
  const int64_t pairs = x.dim(3) / 2;
  const int64_t third = pairs / 3;
  return {x.dim(0), height, width, x.dim(2), x.dim(3), pairs - 2 * third, third, third};
}

RopeSizes rope_time(const Tensor& x, const Tensor& y, DType token_dtype) {
  tokens("rope_time input", x, token_dtype);
  DL_CHECK_EQ("rope_time rank of shape " + x.shape().text(), 4, x.rank());
  same_dtype("rope_time output", x, y);
  DL_CHECK_EQ("rope_time output shape", x.shape(), y.shape());
  DL_CHECK(x.dim(3) % 2 == 0, "rope_time head_dim", "an even number", x.dim(3));
  const int64_t pairs = x.dim(3) / 2, third = pairs / 3;
  return {x.dim(0), 0, 0, x.dim(2), x.dim(3), pairs - 2 * third, third, third};
}

RowSizes channel_moments(const Tensor& x, const Tensor& y) {
  f32("channel_moments input", x);
  const int64_t width = x.dim(-1);
  shape("channel_moments output", {2, width}, y);
  DL_CHECK(x.count() > 0, "channel_moments input", "at least one value", x.shape());
  return {x.count() / width, width};
}

RowSizes refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v, int64_t leaving,
                      DType token_dtype) {
  tokens("refresh_sink ring", ring.k, token_dtype);
  DL_CHECK_EQ("refresh_sink ring's rank", 4, ring.k.rank());
  DL_CHECK(ring.v.dtype() == ring.k.dtype(), "refresh_sink ring of values dtype",
           dtype_name(ring.k.dtype()), dtype_name(ring.v.dtype()));
  DL_CHECK_EQ("refresh_sink ring of values shape", ring.k.shape(), ring.v.shape());
  const int64_t slots = ring.k.dim(0), width = ring.k.dim(2) * ring.k.dim(3);
  tokens("refresh_sink keys", {ring.k.dim(1), width}, k, token_dtype);
  tokens("refresh_sink values", {ring.k.dim(1), width}, v, token_dtype);
  same_dtype("refresh_sink values", k, v);
  DL_CHECK(ring.sinks >= 0 && ring.sinks < slots, "refresh_sink sinks",
           "0.." + std::to_string(slots - 1), ring.sinks);
  DL_CHECK(leaving >= ring.sinks && leaving < slots, "refresh_sink slot that leaves",
           std::to_string(ring.sinks) + ".." + std::to_string(slots - 1), leaving);
  return {ring.k.dim(1), width};
}

RingSizes append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
                          int64_t height, int64_t width, const RingRow* rows, int64_t count,
                          DType token_dtype, DType ring_dtype) {
  DL_CHECK(count > 0, "append_to_rings rows", "at least 1", count);
  const Tensor& first = rows[0].ring.k;
  const bool narrow = first.present() && first.dtype() == ring_dtype && ring_dtype != token_dtype;
  const DType read = narrow ? token_dtype : first.dtype();
  if (!narrow) tokens("append_to_rings ring", first, token_dtype);
  DL_CHECK_EQ("append_to_rings ring's rank", 4, first.rank());
  const RingSizes s = {first.dim(1), first.dim(2), first.dim(3), static_cast<int>(first.dim(0)),
                       static_cast<int>(rows[0].ring.sinks)};
  DL_CHECK_EQ("append_to_rings tokens of a frame", s.tokens, height * width);
  DL_CHECK(s.head_dim % 2 == 0, "append_to_rings head_dim", "an even number", s.head_dim);
  DL_CHECK(s.sinks >= 0 && s.sinks < s.slots, "append_to_rings sinks",
           "0.." + std::to_string(s.slots - 1), s.sinks);
  const Shape wide{count * s.tokens, s.heads * s.head_dim};
  tokens("append_to_rings q", wide, q, token_dtype);
  tokens("append_to_rings k", wide, k, token_dtype);
  tokens("append_to_rings v", wide, v, token_dtype);
  same_dtype("append_to_rings k", q, k);
  same_dtype("append_to_rings v", q, v);
  if (q.dtype() != DType::f32 && !narrow) same_dtype("append_to_rings ring", q, first);
  DL_CHECK(!narrow || q.dtype() == token_dtype, "append_to_rings q of narrow rings",
           dtype_name(token_dtype), dtype_name(q.dtype()));
  shape("append_to_rings q norm", {wide[1]}, norms.q);
  shape("append_to_rings k norm", {wide[1]}, norms.k);
  for (int64_t r = 0; r < count; ++r) {
    const RingRow& row = rows[r];
    DL_CHECK(row.frames >= 0, "append_to_rings frames", "0 or more", row.frames);
    DL_CHECK_EQ("append_to_rings sinks of a row", rows[0].ring.sinks, row.ring.sinks);
    DL_CHECK(!row.sink_due || row.frames >= s.slots, "append_to_rings frames of a due row",
             std::to_string(s.slots) + " or more", row.frames);
    DL_CHECK_EQ("append_to_rings values present", narrow, row.values.present());
    const auto check = [&](const Tensor& part, DType dtype) {
      DL_CHECK(part.present() && part.dtype() == dtype, "append_to_rings ring's dtype",
               dtype_name(dtype), part.present() ? dtype_name(part.dtype()) : "an absent tensor");
      DL_CHECK_EQ("append_to_rings ring's shape", first.shape(), part.shape());
    };
    check(row.ring.k, first.dtype());
    check(row.ring.v, first.dtype());
    check(row.rotated, read);
    if (narrow) check(row.values, read);
  }
  return s;
}

MixSizes copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y, int64_t to) {
  f32("copy_channels input", x);
  f32("copy_channels output", y);
  const int64_t in = x.dim(-1), out = y.dim(-1);
  DL_CHECK(count > 0 && from >= 0 && from + count <= in, "copy_channels channels of the input",
           "within " + std::to_string(in),
           std::to_string(from) + " to " + std::to_string(from + count));
  DL_CHECK(to >= 0 && to + count <= out, "copy_channels channels of the output",
           "within " + std::to_string(out),
           std::to_string(to) + " to " + std::to_string(to + count));
  DL_CHECK_EQ("copy_channels rows", x.count() / in, y.count() / out);
  return {x.count() / in, in, out};
}

void copy(const Tensor& from, const Tensor& to) {
  DL_CHECK(from.dtype() == to.dtype(), "copy output type", dtype_name(from.dtype()),
           dtype_name(to.dtype()));
  DL_CHECK_EQ("copy output elements", from.count(), to.count());
}

void convert(const Tensor& x, const Tensor& y, DType token_dtype) {
  tokens("convert input", x, token_dtype);
  tokens("convert output", y, token_dtype);
  DL_CHECK_EQ("convert output elements", x.count(), y.count());
}

int64_t same_shape(const char* what, const Tensor& x, const Tensor& y) {
  f32(what, x, " input");
  shape(what, x.shape(), y, " output");
  return x.count();
}

int64_t same_tokens(const char* what, const Tensor& x, const Tensor& y, DType token_dtype) {
  tokens(what, x, token_dtype);
  tokens(what, x.shape(), y, token_dtype);
  same_dtype(what, x, y);
  return x.count();
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

PixelSizes pixel_unshuffle(const Tensor& x, const Tensor& y) {
  rank("pixel_unshuffle picture", x, 4);
  rank("pixel_unshuffle blocks", y, 4);
  const int64_t scale = factor("pixel_unshuffle picture height", y.dim(1), x.dim(1));
  shape("pixel_unshuffle blocks",
        {x.dim(0), x.dim(1) / scale, x.dim(2) / scale, x.dim(3) * scale * scale}, y);
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

}  // namespace checks
}  // namespace driftless
