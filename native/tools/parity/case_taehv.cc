#include <algorithm>
#include <vector>

#include "parity/cases.h"
#include "parity/model_loading.h"

namespace driftless {

namespace {

constexpr int64_t kFrames = 4;  // per latent

std::vector<float> as_nchw(const Tensor& x, Ops& ops) {
  std::vector<float> out(static_cast<size_t>(x.count()));
  ops.nhwc_to_nchw(x, Tensor({x.dim(0), x.dim(3), x.dim(1), x.dim(2)}, out.data()));
  return out;
}

Tensor decode(Autoencoder& taehv, const Tensor& z, AutoencoderState& state, Arena& arena) {
  const int64_t scale = taehv.config().spatial_scale;
  const Tensor pixels = arena.tensor({z.dim(0) * kFrames, z.dim(1) * scale, z.dim(2) * scale, 3});
  taehv.decode_raw(z, state, pixels);
  for (int64_t i = 0; i < pixels.count(); ++i) {
    pixels.f32()[i] = std::clamp(pixels.f32()[i], 0.0f, 1.0f);
  }
  return pixels;
}

// The whole clip, its last frame repeated up to a multiple of four, fed chunk
// by chunk. A latent appears with the last frame of its chunk; for a chunk that
// the clip does not fill, with the clip's last frame.
void check_encoder(GoldenCase& golden, Autoencoder& taehv, Ops& ops, Comparison& out) {
  const Shape shape = golden.shape("frames_u8");
  std::vector<uint8_t> bytes = golden.bytes("frames_u8");
  Arena arena;
  const int64_t frames = shape[0], chunks = (frames + kFrames - 1) / kFrames;
  const Tensor planar = arena.tensor(shape);
  ops.u8_to_f32(Tensor(DType::u8, shape, bytes.data()), 1.0f, 0.0f, planar);
  const Tensor pixels = arena.tensor({chunks * kFrames, shape[2], shape[3], shape[1]});
  ops.nchw_to_nhwc(planar, pixels.slice(0, frames));
  for (int64_t f = frames; f < chunks * kFrames; ++f) {
    const Tensor last = pixels.at(frames - 1);
    std::copy_n(last.f32(), last.count(), pixels.at(f).f32());
  }
  const AutoencoderConfig& config = taehv.config();
  const Tensor z = arena.tensor({chunks, shape[2] / config.spatial_scale,
                                 shape[3] / config.spatial_scale, config.latent_channels});
  AutoencoderState state;
  std::vector<int32_t> emitted;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    taehv.encode_raw(pixels.slice(chunk * kFrames, (chunk + 1) * kFrames), state,
                     z.slice(chunk, chunk + 1));
    const int64_t last = (chunk + 1) * kFrames - 1;
    emitted.push_back(static_cast<int32_t>(std::min(last, frames)));
  }
  const Tensor expected = golden.integers("enc_stream_emit_after_frame");
  out.integers("enc_stream_emit_after_frame", expected.i32(), emitted.data(),
               static_cast<size_t>(expected.count()));
  out.floats("enc", golden.floats("enc"), as_nchw(z, ops));
}

// Latent by latent; the first frames are warm-up and not shown.
void check_decoder(GoldenCase& golden, Autoencoder& taehv, int64_t trim, Ops& ops,
                   Comparison& out) {
  const Tensor latents = golden.images("dec_latents", ops);
  AutoencoderState state;
  std::vector<float> shown;
  std::vector<int32_t> counts;
  for (int64_t i = 0; i < latents.dim(0); ++i) {
    Arena arena;
    const Tensor pixels = decode(taehv, latents.slice(i, i + 1), state, arena);
    const int64_t skip = i == 0 ? trim : 0;
    const std::vector<float> frames = as_nchw(pixels.slice(skip, kFrames), ops);
    shown.insert(shown.end(), frames.begin(), frames.end());
    counts.push_back(static_cast<int32_t>(kFrames - skip));
  }
  const Tensor expected = golden.integers("dec_stream_frames_per_latent");
  out.integers("dec_stream_frames_per_latent", expected.i32(), counts.data(),
               static_cast<size_t>(expected.count()));
  out.floats("dec", golden.floats("dec"), shown);
}

// StreamDiffusionV2 keeps no memory: each call decodes up to three latents of
// context and the new ones from zeros, drops the warm-up frames and shows the
// last four per new latent.
void check_restarting_decoder(GoldenCase& golden, Autoencoder& taehv, int64_t trim, Ops& ops,
                              Comparison& out) {
  constexpr int64_t kContext = 3;
  const Tensor latents = golden.images("sdv2_dec_latents", ops);
  const Tensor expected = golden.integers("sdv2_dec_frames_per_call");
  const int64_t calls = expected.count();
  // The first call takes what the later ones, of one latent each, leave.
  int64_t end = latents.dim(0) - (calls - 1), start = 0;
  std::vector<int32_t> counts;
  std::vector<float> last;
  for (int64_t call = 0; call < calls; ++call) {
    const int64_t begin = std::max<int64_t>(0, start - kContext);
    AutoencoderState state;
    Arena arena;
    const Tensor pixels = decode(taehv, latents.slice(begin, end), state, arena);
    const int64_t available = pixels.dim(0) - trim;
    const int64_t count =
        call == 0 ? (end - 1) * kFrames : std::min(available, (end - start) * kFrames);
    counts.push_back(static_cast<int32_t>(count));
    last = as_nchw(pixels.slice(pixels.dim(0) - count, pixels.dim(0)), ops);
    start = end++;
  }
  for (float& value : last) value = 2.0f * value - 1.0f;
  out.integers("sdv2_dec_frames_per_call", expected.i32(), counts.data(), counts.size());
  out.floats("sdv2_dec_last_call", golden.floats("sdv2_dec_last_call"), last);
}

}  // namespace

Comparison check_taehv(const GoldenSet& set, const std::string& name, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const std::unique_ptr<Autoencoder> taehv = load_taehv(set, ops);
  const auto trim =
      json_get<int64_t>(set.model("taehv"), "frames_to_trim", "manifest.models.taehv");
  check_encoder(*golden, *taehv, ops, out);
  check_decoder(*golden, *taehv, trim, ops, out);
  check_restarting_decoder(*golden, *taehv, trim, ops, out);
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
