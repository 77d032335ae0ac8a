#include <vector>

#include "models/wan_vae.h"
#include "parity/cases.h"
#include "parity/model_loading.h"

namespace driftless {

namespace {

// bytes [n, 3, h, w] -> [n, h, w, 3] in -1..1.
Tensor pixels_of(GoldenCase& golden, Ops& ops, Arena& arena) {
  const Shape shape = golden.shape("frames_u8");
  std::vector<uint8_t> bytes = golden.bytes("frames_u8");
  const Tensor planar = arena.tensor(shape);
  ops.u8_to_f32(Tensor(DType::u8, shape, bytes.data()), 2.0f, -1.0f, planar);
  const Tensor pixels = arena.tensor({shape[0], shape[2], shape[3], shape[1]});
  ops.nchw_to_nhwc(planar, pixels);
  return pixels;
}

std::vector<float> as_nchw(const Tensor& x, Ops& ops) {
  std::vector<float> out(static_cast<size_t>(x.count()));
  ops.nhwc_to_nchw(x, Tensor({x.dim(0), x.dim(3), x.dim(1), x.dim(2)}, out.data()));
  return out;
}

// Encodes the clip call by call; `prefix` names the tensors to compare with.
void check_encoder(GoldenCase& golden, WanVae& vae, bool normalise, const std::string& prefix,
                   Ops& ops, Comparison& out) {
  Arena arena;
  const Tensor pixels = pixels_of(golden, ops, arena);
  WanVaeState state = vae.encoder_state();
  int64_t at = 0;
  const auto calls = json_get<std::vector<int64_t>>(golden.config(), "calls", golden.where());
  for (size_t call = 0; call < calls.size(); ++call) {
    const int64_t latents = WanVae::latents_of(calls[call], state.started);
    const Tensor z =
        arena.tensor({latents, pixels.dim(1) / WanVae::kSpatialScale,
                      pixels.dim(2) / WanVae::kSpatialScale, vae.config().latent_channels});
    vae.encode(pixels.slice(at, at + calls[call]), state, normalise, z);
    at += calls[call];
    const std::string name = prefix + std::to_string(call);
    out.floats(name, golden.floats(name), as_nchw(z, ops));
  }
}

void check_decoder(GoldenCase& golden, WanVae& vae, Ops& ops, Comparison& out) {
  Arena arena;
  const Tensor latents = golden.images("dec_latents", ops);
  WanVaeState state = vae.decoder_state();
  int64_t at = 0;
  for (size_t call = 0; golden.has("dec_call" + std::to_string(call)); ++call) {
    const std::string name = "dec_call" + std::to_string(call);
    const Shape shape = golden.shape(name);
    // How many latents a call takes follows from the frames that it gave.
    const int64_t count = WanVae::latents_of(shape[0], state.started);
    const Tensor rgb = arena.tensor({shape[0], shape[2], shape[3], shape[1]});
    vae.decode(latents.slice(at, at + count), state, rgb);
    at += count;
    out.floats(name, golden.floats(name), as_nchw(rgb, ops));
  }
}

void check_slots(GoldenCase& golden, const std::string& name, size_t used, size_t allocated,
                 Comparison& out) {
  const Tensor slots = golden.integers(name);
  out.integer(name, 0, slots.i32()[0], static_cast<int64_t>(used));
  out.integer(name, 1, slots.i32()[1], static_cast<int64_t>(allocated));
}

}  // namespace

Comparison check_wan_vae(const GoldenSet& set, const std::string& name, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const std::unique_ptr<WanVae> vae = load_wan_vae(set, ops);
  check_slots(*golden, "enc_cache_slots_used", vae->encoder_slots(), vae->encoder_convolutions(),
              out);
  check_slots(*golden, "dec_cache_slots_used", vae->decoder_slots(), vae->decoder_convolutions(),
              out);
  check_encoder(*golden, *vae, false, "enc_raw_call", ops, out);
  check_encoder(*golden, *vae, true, "enc_norm_call", ops, out);
  check_decoder(*golden, *vae, ops, out);
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
