#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/task_ref.h"
#include "core/tensor.h"
#include "ops/links.h"
#include "ops/mark.h"
#include "ops/packed.h"
#include "ops/resampling.h"
#include "ops/stillness.h"
#include "ops/video_ops.h"

namespace driftless {

class MobileOps;

enum class Activation { none, relu, silu, gelu_tanh };

/// One vector of the model's width per group of consecutive token rows (a group is the tokens of
/// one latent frame): row r of R uses vector r / (R / groups). `stride` is the distance between
/// two groups' vectors in floats, so that one of six modulation vectors can be picked out of a
/// [groups, 6, d] tensor without a copy. data == nullptr means absent.
struct GroupVectors {
  const float* data = nullptr;
  int64_t groups = 0;
  int64_t stride = 0;
};

/// y = residual + gate * activation(x W^T + bias); both extras optional.
struct LinearEpilogue {
  Activation activation = Activation::none;
  Tensor residual;    ///< [rows, out]; may be the output tensor itself.
  GroupVectors gate;  ///< Needs residual.
};

/// One query block: `queries` tokens against the first `keys` tokens of a ring. Pointers are
/// [token, head, head_dim].
struct AttentionRow {
  const void* q;  ///< Of dtype.
  const void* k;  ///< Of kv_dtype.
  const void* v;  ///< Of kv_dtype.
  void* out;      ///< Of dtype.
  int64_t queries;
  int64_t keys;  ///< >= 1.
  DType kv_dtype = DType::f32;
  DType dtype = DType::f32;
};

/// One layer's keys and values of a stream, [slots, tokens, heads, head_dim] of f32, token_dtype()
/// or ring_dtype() each. The first `sinks` slots hold anchors, the others roll.
struct RingLayer {
  Tensor k, v;
  int64_t sinks = 0;
};

/// A row's ring of one layer, before a chunk of one latent frame is written into it.
struct RingRow {
  RingLayer ring;  ///< Keys without their temporal rotation.
  /// In the shape of ring.k, for the keys with the rotation of their present place: of the ring's
  /// type, or of token_dtype() where that of the ring is narrower.
  Tensor rotated;
  int64_t frames = 0;  ///< That the ring has seen: see RingPlace.
  /// Of Ops::refresh_sink(), which comes first where the anchors are due; -1: they never are.
  float sink_threshold = -1;
  bool sink_due = false;  ///< Only of a full ring.
  Tensor values = {};  ///< Like rotated, for the values, where the ring is narrower; else absent.
};

/// What appending a chunk to rings needs beside it.
struct RingNorms {
  Tensor q, k;  ///< [heads * head_dim], weights of the RMS norms.
  float eps = 0;
};

/// What tells one piece of work that is done again and again from another: sizes, addresses.
using RepeatKey = std::array<int64_t, 5>;

/// Keeps the logarithm of a constant channel's spread finite.
constexpr double kTinySpread = 1e-3;

/// Everything the models compute with, one implementation per device. Conventions:
///  - Tensors lie in the memory() of the operations. Activations are f32 unless a function says
///    "or token_dtype()", contiguous and channels-last: images [n, h, w, c] (n counts frames of
///    all sessions in the batch), tokens [rows, d].
///  - Outputs are written into tensors the caller provides. Unless a function says otherwise an
///    output may be the very same tensor as an input of the same shape, and may not overlap an
///    input in any other way.
///  - Wrong dtypes or shapes throw Error with the expected and the received value before anything
///    is written.
///  - One Ops object serves one thread at a time (it owns scratch memory and cached primitives).
///    Packed weights are immutable and may be shared by Ops objects of the same backend.
///  - Primitives and scratch memory are kept: after the first call with a given shape no working
///    memory is allocated.
class Ops {
 public:
  virtual ~Ops() = default;
  virtual const char* name() const = 0;
  /// What linear layers, convolutions and attention multiply in: f32, bf16 or f16.
  virtual DType dtype() const { return DType::f32; }
  /// What they were asked for: the dtype's name, "fp8" or "fp8-kv".
  virtual const char* precision() const { return dtype_name(dtype()); }
  /// What products and attention take without rounding it first: what a prompt's keys and values
  /// are best kept in, and tokens on their way between linear layers.
  virtual DType token_dtype() const { return DType::f32; }
  /// What rings are best kept in: token_dtype(), or e4m3 where that was asked for.
  virtual DType ring_dtype() const { return token_dtype(); }

  // ---- Sharing work ---------------------------------------------------------------------------

  /// Compute threads.
  virtual int threads() const { return 1; }
  /// Calls task(0) .. task(count - 1), at the same time where there are threads, and returns when
  /// all are done; rethrows what a task threw. Tasks must be independent. A task may use this
  /// object as if it were alone: its operations stay on its thread and have scratch memory of their
  /// own. No each() within a task.
  virtual void each(int64_t count, TaskRef task) {
    for (int64_t index = 0; index < count; ++index) task(index);
  }

  /// Calls work(0), operations that are likely to be those of the last call with the same key
  /// again, on the same memory, but for what the host hands over (positions, rows, rings). A
  /// backend may start them together when it returns.
  virtual void repeated(const RepeatKey& /*key*/, TaskRef work) { work(0); }
  /// Times that it did.
  virtual int64_t replays() const { return 0; }

  // ---- Memory ---------------------------------------------------------------------------------

  /// Where tensors have to lie, and where arena() takes its blocks.
  virtual const MemorySource& memory() const { return host_memory(); }
  /// Working memory for whoever computes with this object (use ArenaScope); inside a task of each()
  /// that task's own.
  virtual Arena& arena() { return arena_; }
  /// The same in the host's memory, for what operations take from there: positions, lists of rows.
  virtual Arena& host_arena() { return arena(); }
  /// As many elements of the same type, each side in any memory. `from` may be changed as soon as
  /// the call returns, and what goes to the host is there by then.
  virtual void copy(const Tensor& from, const Tensor& to);
  /// x's values in y's type; both f32 or token_dtype().
  virtual void convert(const Tensor& x, const Tensor& y);
  /// All bytes zero.
  virtual void clear(const Tensor& x);
  /// Returns when all that was started is done.
  virtual void wait() {}
  /// A mark of these operations, which must outlive it.
  virtual std::unique_ptr<Mark> make_mark() const { return std::make_unique<Mark>(); }
  /// What is started from now on comes after what `mark`, of any operations, was set behind. A
  /// device waits for another one by itself, and this returns at once.
  virtual void follow(Mark& mark) { mark.wait(); }
  /// The links of a pipeline whose operations, these first, outlive them: copies, or what these
  /// were made with.
  virtual std::unique_ptr<Links> make_links(const std::vector<Ops*>& pipeline) const;
  /// Makes copies to what `other` computes with as direct as the machine allows.
  virtual void connect(const Ops& /*other*/) {}

  // ---- Linear algebra -------------------------------------------------------------------------

  /// weight [out, in], bias [out] or absent. Both are copied. `bulk`: one of the many whose
  /// rounding averages out, which a backend may keep in 8 bits if it was asked to.
  virtual std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias,
                                                    bool bulk = false) = 0;
  /// Weights that another object of this backend packed, where this one can use them.
  virtual std::unique_ptr<PackedLinear> adopt_linear(std::unique_ptr<PackedLinear> weights) {
    return weights;
  }
  /// x [rows, in] -> y [rows, out], f32 or token_dtype(): y is of the latter only where x is, and
  /// then without a residual. y may be epilogue.residual but not x. A row's result does not
  /// depend on the rows beside it, to the bit: sessions share a batch.
  virtual void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
                      const LinearEpilogue& epilogue = {}) = 0;

  /// weight [out, in, k, k] with k 1 or 3, bias [out] or absent. Both are copied.
  virtual std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                                const ConvOptions& options = {}) = 0;
  /// y = act(conv(concat(x, x2)) + bias + residual), act none or relu.
  /// x [n, h, w, in - second], x2 [n, h, w, second] or absent, y [n, h', w', out] with
  /// h' = 2h (upsample2), ceil(h / stride) otherwise; residual like y or absent (may be y). x and y
  /// are f32 or token_dtype() each, x2 and residual of the types of x and y.
  virtual void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2,
                      const Tensor& residual, Activation activation, const Tensor& y) = 0;
  /// With weights of ConvOptions::frames = t: each frame of x [n, h, w, in / t] and the t - 1
  /// before it, those before the first from `past` [t - 1, h, w, in / t]. Otherwise as conv2d().
  virtual void conv_frames(const PackedConv& weights, const Tensor& x, const Tensor& past,
                           const Tensor& residual, Activation activation, const Tensor& y);

  /// softmax(q k^T * scale) v for every row and head. `out` may be `q`.
  virtual void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                         float scale) = 0;

  /// Looks for the fastest way for rows of this size, of token_dtype(): once, at the beginning,
  /// because it may take seconds. Whether a library was found that does them; rows whose `out` is
  /// `q` it does not do. Rows of one size are always done alike.
  virtual bool prepare_attention(int64_t /*queries*/, int64_t /*keys*/, int64_t /*heads*/,
                                 int64_t /*head_dim*/) {
    return false;
  }

  /// The same for linear() with these weights, a residual and gates of so many rows each.
  virtual bool prepare_gated(const PackedLinear& /*weights*/, int64_t /*rows*/) { return false; }

  /// Calls work(0) where there are libraries to be tried on convolutions: those of its sizes are
  /// then done by the fastest way. Once, at the beginning, because it may take seconds.
  virtual void try_libraries(TaskRef /*work*/) {}

  // ---- Token-wise -----------------------------------------------------------------------------

  /// x [rows, d] -> (x - mean) / sqrt(var + eps), then * weight + bias ([d], both or none), then
  /// * (1 + scale) + shift (both or none). y is f32 or token_dtype().
  virtual void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const GroupVectors& scale, const GroupVectors& shift, float eps,
                          const Tensor& y) = 0;
  /// x [rows, d] -> x / sqrt(mean(x^2) + eps) * weight [d]. Both f32 or token_dtype().
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) = 0;
  /// 3-D rotary embedding with Wan's split of the c = head_dim / 2 adjacent pairs: c - 2 (c / 3)
  /// temporal, c / 3 height, c / 3 width; theta_j = 10000^(-2j / dim) with dim = twice the pairs
  /// of that axis. x [frames, height * width, heads, head_dim]; `positions[f]` is the temporal
  /// position of frame f (any real number); angles are computed in double. Both f32 or
  /// token_dtype().
  virtual void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
                      const Tensor& y) = 0;
  /// The temporal part of rope3d alone. x [frames, tokens, heads, head_dim], f32 or token_dtype().
  virtual void rope_time(const Tensor& x, const double* positions, const Tensor& y);
  /// What self-attention does between its projections and its product, for rows of one latent frame
  /// of height * width tokens each: RMS norm of q and k over all heads, RoPE, anchors looked at
  /// where they are due, keys and values into their slots, and every valid key of a row rotated to
  /// its present place; values are widened where rings are narrower, which takes tokens of
  /// token_dtype(). q, k, v [count * height * width, heads * head_dim], f32 or token_dtype(); q is
  /// changed in place, k may be.
  virtual void append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v,
                               const RingNorms& norms, int64_t height, int64_t width,
                               const RingRow* rows, int64_t count);
  /// Where the stream has moved on from an anchor. k, v [tokens, heads * head_dim] are a chunk's,
  /// f32 or token_dtype();
  /// an anchor resembles it by 0.5 (cos(mean k of both) + cos(mean v of both)), and the least
  /// alike, when that is less than `threshold`, becomes a copy of the slot `leaving`.
  virtual void refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v,
                            int64_t leaving, float threshold);
  /// t[n] -> y [n, dim]: cos half, then sin half, angle t * 10000^(-i / (dim / 2)), in double.
  virtual void timestep_embedding(const double* t, const Tensor& y) = 0;
  /// x [rows, d] -> y [d], the mean over rows.
  virtual void mean_rows(const Tensor& x, const Tensor& y) = 0;

  // ---- Elementwise ----------------------------------------------------------------------------

  /// Any shape; f32 or token_dtype(), like tanh_clamp().
  virtual void activate(Activation activation, const Tensor& x, const Tensor& y) = 0;
  /// tanh(x / limit) * limit.
  virtual void tanh_clamp(const Tensor& x, float limit, const Tensor& y) = 0;
  virtual void clamp(const Tensor& x, float low, float high, const Tensor& y);
  /// out = a * x + b * y: adding noise, blending, flow to x0.
  virtual void axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) = 0;
  /// x [.., c] * scale [c] + shift [c]; either may be absent.
  virtual void affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                               const Tensor& y) = 0;
  /// x [.., ci] -> y [.., co] = matrix [co, ci] applied to the channels; for a handful of channels.
  virtual void mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) = 0;
  /// Normal noise, a function of (seed, stream, first + index) alone: core/philox.h.
  virtual void normal_noise(uint64_t seed, uint64_t stream, uint64_t first, const Tensor& y);
  /// x [.., c] -> y [2, c]: each channel's mean, and the logarithm of its standard deviation plus
  /// kTinySpread, in double and then rounded.
  virtual void channel_moments(const Tensor& x, const Tensor& y);
  /// Mean over all elements of (a - b)^2, accumulated in double.
  virtual double mean_square_difference(const Tensor& a, const Tensor& b) = 0;

  // ---- Moving pixels (never in place) ---------------------------------------------------------

  /// x [n, h, w, c] -> y [n, 2h, 2w, c], nearest neighbour. Both f32 or token_dtype().
  virtual void upsample2(const Tensor& x, const Tensor& y) = 0;
  /// x [n, h, w, c] -> y [n * repeat, h * scale, w * scale, c], bilinear, pixel centres
  /// (align_corners = false); each frame of x is used for `repeat` consecutive frames of y, where
  /// repeat and scale follow from the shapes. `accumulate` adds to y.
  virtual void upsample_bilinear(const Tensor& x, const Tensor& y, bool accumulate) = 0;
  /// x [n, h, w, c] -> y [n / t, h / s, w / s, c], mean over t frames and s x s pixels, where t and
  /// s follow from the shapes.
  virtual void average_pool(const Tensor& x, const Tensor& y) = 0;
  /// x [n, h, w, c] -> y [n, h / r, w / r, c * r * r], channel order c * r * r + dy * r + dx
  /// (torch). With y viewed as tokens this is also the patch order of a patch embedding whose
  /// weight is [d, c, 1, r, r]. Both f32 or token_dtype().
  virtual void pixel_unshuffle(const Tensor& x, const Tensor& y) = 0;
  /// The inverse of pixel_unshuffle.
  virtual void pixel_shuffle(const Tensor& x, const Tensor& y) = 0;
  /// Tokens [n, h, w, r * r * c], order (dy, dx, c) with c fastest (Wan's head) ->
  /// y [n, h * r, w * r, c].
  virtual void unpatchify(const Tensor& x, const Tensor& y) = 0;
  /// x [n * t, h, w, c] -> y [n, h, w, t * c]: t consecutive frames side by side, earlier first.
  /// Both f32 or token_dtype().
  virtual void frames_to_channels(const Tensor& x, const Tensor& y) = 0;
  /// The inverse of frames_to_channels.
  virtual void channels_to_frames(const Tensor& x, const Tensor& y) = 0;
  /// Channels [from, from + count) of x [.., cx] become channels [to, to + count) of y [.., cy];
  /// the others stay. Both f32 or token_dtype().
  virtual void copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y,
                             int64_t to);
  /// x [n, c, h, w] -> y [n, h, w, c], and back.
  virtual void nchw_to_nhwc(const Tensor& x, const Tensor& y) = 0;
  virtual void nhwc_to_nchw(const Tensor& x, const Tensor& y) = 0;
  /// u8 x -> f32 y = x / 255 * scale + shift.
  virtual void u8_to_f32(const Tensor& x, float scale, float shift, const Tensor& y) = 0;
  /// f32 x -> u8 y = clamp(round((x * scale + shift) * 255), 0, 255), ties to even.
  virtual void f32_to_u8(const Tensor& x, float scale, float shift, const Tensor& y) = 0;

  // ---- Pictures: bytes, [n, h, w, 3] ----------------------------------------------------------

  /// sums [n], the host's: of the squared differences of each frame to the one before it, which is
  /// `before` [h, w, 3] for the first; where that is absent the first sum is 0. Waits.
  virtual void frame_differences(const Tensor& before, const Tensor& frames, uint64_t* sums);
  /// sums [2][3], the host's: of each channel's values and of their squares, over every stride-th
  /// pixel from the first on. Waits.
  virtual void picture_sums(const Tensor& pictures, int64_t stride, uint64_t* sums);
  /// A value of channel c becomes tables[c * 256 + value], in place; tables [3][256], the host's.
  virtual void map_bytes(const uint8_t* tables, const Tensor& pictures);
  /// Where each frame moves against the one before it (`before` for the first): motion, bytes
  /// [n, motion_blocks(h), motion_blocks(w)], the largest difference of softened brightness within
  /// a block. Softening leaves little of a sensor's noise and most of an edge. Without `before`
  /// everything moves in the first frame.
  virtual void measure_motion(const Tensor& before, const Tensor& frames, const Tensor& motion);
  /// Corrects frames in place, one after the other: shown += weight * (frame - shown), where weight
  /// follows from `motion`, of measure_motion(), and is `least` where nothing moves. shown: bytes
  /// [h, w, 3, 2], 16 bits a value, the last picture in 256ths. `anew`: the frames are left as they
  /// are, and the last one is what was shown.
  virtual void hold_still(const Tensor& motion, float least, bool anew, const Tensor& shown,
                          const Tensor& frames);
  /// x [n, h, w, 3] -> y at another size, by the resamplings of both axes. Never in place.
  virtual void resample(const Resampling& across, const Resampling& down, const Tensor& x,
                        const Tensor& y);
  /// More operations on the same memory, in one order with these, which outlive them.
  virtual std::unique_ptr<MobileOps> mobile() const;
  /// Conversions of video on the same device, for another thread; null where it has none of its
  /// own: then pictures are brought to the host. Safe from any thread.
  virtual std::unique_ptr<VideoOps> video() const { return nullptr; }

 private:
  Arena arena_{size_t{4} << 20};
};

/// backend: "reference" (plain loops, the oracle, always f32), "cpu" (packed panels and vectorised
/// loops) or, in a CUDA build, "cuda" (the first GPU) or "cuda:N" (number N, see
/// ops/cuda/cuda_ops.h); "auto": see choose_backend(). threads: compute
/// threads of this object, >= 1; only "cpu" uses it. dtype: what "cpu" and "cuda" multiply in
/// linear layers, convolutions and attention. "f32"; "bf16", whose factors have 8 significant bits
/// and whose sums stay f32; "f16" (GPUs alone), the same with 11 bits and up to 65504; "auto", bf16
/// where it is the faster one (AMX, or AVX512_BF16 of AMD's) and on GPUs, else f32. Tensors stay
/// f32 in all cases. Throws Error for an unknown backend or dtype, and for "bf16" on a processor
/// without it.
std::unique_ptr<Ops> make_ops(const std::string& backend, int threads = 1,
                              const std::string& dtype = "f32");

/// The names between the commas of a list of backends: at least one, none empty.
std::vector<std::string> split_backends(const std::string& list);

/// Whether operations of a second object for the same device go on beside the first one's: "cuda",
/// where each has a stream, unless DRIFTLESS_CUDA_OVERLAP is "off".
bool runs_beside_itself(const std::string& backend);

/// What make_ops() calls for "cuda"; null where the build has no such backend. Tests put another
/// one here, and before they end the one that was there.
using CudaBackend = std::unique_ptr<Ops> (*)(int device, const std::string& dtype);
CudaBackend& cuda_backend();

/// For "auto": "cuda" where the build has it and the machine a GPU that it can use, else "cpu".
/// Another backend's name as it is; throws Error for what is none.
std::string choose_backend(const std::string& asked);

}  // namespace driftless
