#include <algorithm>
#include <cmath>
#include <vector>

#include "parity/cases.h"
#include "parity/model_loading.h"
#include "stream/reference_stream.h"

namespace driftless {

namespace {

// Half floats in the recording add this much to the error of a pixel.
constexpr float kHalfPixel = 5e-4f;

std::vector<float> as_nchw(const Tensor& x, Ops& ops) {
  std::vector<float> out(static_cast<size_t>(x.count()));
  ops.nhwc_to_nchw(x, Tensor({x.dim(0), x.dim(3), x.dim(1), x.dim(2)}, out.data()));
  return out;
}

void append(std::vector<float>& list, const std::vector<float>& values) {
  list.insert(list.end(), values.begin(), values.end());
}

// What the run produced, in the order of the recording.
struct Recording {
  std::vector<float> latents, x0_rows, final_latents, noise_scale, pixels;
  std::vector<int32_t> step, chunks_emitted;
};

// One pass over the clip through all networks; every random number comes from
// the recording.
class PipelineRun {
 public:
  PipelineRun(const GoldenSet& set, GoldenCase& golden, CausalDit& dit, Ops& ops)
      : golden_(golden),
        dit_(dit),
        ops_(ops),
        vae_(load_wan_vae(set, ops)),
        umt5_(load_umt5(set, ops)) {
    const Json& json = golden.config();
    config_.steps = json_get<std::vector<int>>(json, "steps", golden.where());
    config_.kv_frames = json_get<int>(json, "kv", golden.where());
    config_.sink_frames = json_get<int>(json, "sink", golden.where());
    config_.sink_threshold = json_get<float>(json, "threshold", golden.where());
    config_.noise_scale = json_get<double>(json, "init_noise_scale", golden.where());
    config_.shift = set.shift();
    config_.schedule_entries = set.schedule_entries();
    encoder_ = vae_->encoder_state();
    decoder_ = vae_->decoder_state();
    read_pixels();
  }

  Recording run(Comparison& out) {
    const Tensor prepare_eps = golden_.images("prepare_eps_in", ops_);
    const Tensor eps = golden_.images("eps_in", ops_);
    Tensor prepare_renoise, renoise;
    if (config_.steps.size() > 1) {
      prepare_renoise = golden_.images("prepare_eps_renoise", ops_);
      renoise = golden_.images("eps_renoise", ops_);
    }
    config_.latent_height = eps.dim(1);
    config_.latent_width = eps.dim(2);
    ReferenceStream stream(config_, dit_);
    const int64_t first = prepare_eps.dim(0);
    const int64_t first_frames = 1 + (first - 1) * WanVae::kFramesPerLatent;
    const std::vector<std::vector<float>> prepared =
        stream.prepare(encode(0, first_frames), noise_of(prepare_eps, prepare_renoise, 0, first),
                       dit_.encode_prompt(encode_text(out)), frame_bytes(first_frames - 1));
    out.floats("prepare_x0", golden_.images("prepare_x0", ops_), prepared.back());
    append(recording_.final_latents, prepared.back());
    decode(prepared.back());
    for (int64_t i = 0; i < eps.dim(0); ++i) {
      const int64_t at = first_frames + i * WanVae::kFramesPerLatent;
      const Tensor latent = encode(at, WanVae::kFramesPerLatent);
      const ReferenceStream::Iteration it = stream.next(
          bytes_.data() + static_cast<size_t>(at) * frame_bytes_,
          static_cast<size_t>(WanVae::kFramesPerLatent), latent, noise_of(eps, renoise, i, 1));
      recording_.step.push_back(it.decision.step);
      recording_.noise_scale.push_back(static_cast<float>(it.decision.noise_scale));
      for (const std::vector<float>& x0 : it.x0) append(recording_.x0_rows, x0);
      recording_.chunks_emitted.push_back(it.finished ? 1 : 0);
      if (!it.finished) continue;
      append(recording_.final_latents, it.x0.back());
      decode(it.x0.back());
    }
    return std::move(recording_);
  }

 private:
  void read_pixels() {
    const Shape shape = golden_.shape("frames_u8");
    const std::vector<uint8_t> planar = golden_.bytes("frames_u8");
    frame_bytes_ = planar.size() / static_cast<size_t>(shape[0]);
    bytes_ = planar;
    const Tensor values = arena_.tensor(shape);
    ops_.u8_to_f32(Tensor(DType::u8, shape, bytes_.data()), 2.0f, -1.0f, values);
    pixels_ = arena_.tensor({shape[0], shape[2], shape[3], shape[1]});
    ops_.nchw_to_nhwc(values, pixels_);
  }

  std::vector<uint8_t> frame_bytes(int64_t frame) const {
    const auto at = bytes_.begin() + static_cast<long>(frame) * static_cast<long>(frame_bytes_);
    return std::vector<uint8_t>(at, at + static_cast<long>(frame_bytes_));
  }

  Tensor encode_text(Comparison& out) {
    const Tensor ids = golden_.integers("text_ids"), mask = golden_.integers("text_mask");
    const int64_t length = std::count(mask.i32(), mask.i32() + mask.count(), 1);
    const Tensor text = arena_.tensor({ids.count(), umt5_->config().dim});
    umt5_->encode(ids, length, text);
    out.floats("text_embeds", golden_.floats("text_embeds"),
               std::vector<float>(text.f32(), text.f32() + text.count()));
    return text;
  }

  Tensor encode(int64_t at, int64_t frames) {
    const Tensor z =
        arena_.tensor({WanVae::latents_of(frames, encoder_.started), config_.latent_height,
                       config_.latent_width, vae_->config().latent_channels});
    vae_->encode(pixels_.slice(at, at + frames), encoder_, false, z);
    append(recording_.latents, as_nchw(z, ops_));
    return z;
  }

  void decode(std::vector<float> latents) {
    const int64_t h = config_.latent_height, w = config_.latent_width;
    const int64_t channels = vae_->config().latent_channels;
    const auto count = static_cast<int64_t>(latents.size()) / (h * w * channels);
    const int64_t frames = decoder_.started ? count * WanVae::kFramesPerLatent
                                            : 1 + (count - 1) * WanVae::kFramesPerLatent;
    Arena arena;
    const Tensor rgb =
        arena.tensor({frames, h * WanVae::kSpatialScale, w * WanVae::kSpatialScale, 3});
    vae_->decode(Tensor({count, h, w, channels}, latents.data()), decoder_, rgb);
    for (int64_t i = 0; i < rgb.count(); ++i) {
      recording_.pixels.push_back(0.5f * rgb.f32()[i] + 0.5f);
    }
  }

  std::vector<Tensor> noise_of(const Tensor& input, const Tensor& renoise, int64_t pass,
                               int64_t count) const {
    std::vector<Tensor> noise{input.slice(pass * count, (pass + 1) * count)};
    const auto more = static_cast<int64_t>(config_.steps.size()) - 1;
    for (int64_t i = 0; i < more; ++i) {
      const int64_t at = (pass * more + i) * count;
      noise.push_back(renoise.slice(at, at + count));
    }
    return noise;
  }

  GoldenCase& golden_;
  CausalDit& dit_;
  Ops& ops_;
  std::unique_ptr<WanVae> vae_;
  std::unique_ptr<Umt5Encoder> umt5_;
  ReferenceStreamConfig config_;
  WanVaeState encoder_, decoder_;
  Arena arena_;
  std::vector<uint8_t> bytes_;
  size_t frame_bytes_ = 0;
  Tensor pixels_;
  Recording recording_;
};

void compare_integers(GoldenCase& golden, const std::string& name, const std::vector<int32_t>& got,
                      Comparison& out) {
  const Tensor expected = golden.integers(name);
  if (static_cast<size_t>(expected.count()) != got.size()) {
    out.fail(name + ": expected " + std::to_string(expected.count()) + " values, got " +
             std::to_string(got.size()));
    return;
  }
  out.integers(name, expected.i32(), got.data(), got.size());
}

// Pixels are recorded as half floats, so they get an absolute allowance of
// their own.
void compare_pixels(const Tensor& expected, const std::vector<float>& got, Comparison& out) {
  if (static_cast<size_t>(expected.count()) != got.size()) {
    out.fail("pixels_out: expected " + std::to_string(expected.count()) + " values, got " +
             std::to_string(got.size()));
    return;
  }
  std::vector<float> forgiven(got);
  for (size_t i = 0; i < got.size(); ++i) {
    const float error = got[i] - expected.f32()[i];
    forgiven[i] =
        expected.f32()[i] + std::copysign(std::max(0.0f, std::fabs(error) - kHalfPixel), error);
  }
  out.floats("pixels_out", expected, forgiven);
}

}  // namespace

Comparison check_pipeline(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const Recording got = PipelineRun(set, *golden, dit, ops).run(out);
  compare_integers(*golden, "step", got.step, out);
  compare_integers(*golden, "chunks_emitted", got.chunks_emitted, out);
  out.floats("noise_scale", golden->floats("noise_scale"), got.noise_scale);
  out.floats("latents", golden->floats("latents"), got.latents);
  out.floats("x0_rows", golden->images("x0_rows", ops), got.x0_rows);
  out.floats("final_latents", golden->images("final_latents", ops), got.final_latents);
  compare_pixels(golden->floats("pixels_out"), got.pixels, out);
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
