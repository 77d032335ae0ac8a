#include "ops/checks.h"

#include "ops/check_values.h"

namespace driftless {
namespace checks {

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

MixSizes copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y, int64_t to,
                       DType token_dtype) {
  tokens("copy_channels input", x, token_dtype);
  tokens("copy_channels output", y, token_dtype);
  same_dtype("copy_channels output", x, y);
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

}  // namespace checks
}  // namespace driftless
