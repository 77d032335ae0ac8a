// A chunk's way through an autoencoder of the published sizes, with random weights.

#include <cstdio>
#include <string>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/error.h"
#include "core/json.h"
#include "models/checkpoint.h"
#include "models/codec_config.h"
#include "models/random_weights.h"

namespace driftless {
namespace {

/// taehv: of TAEHV for Wan 2.1 (taew2_1); wan: Wan 2.1's own.
CodecConfig config_of(const std::string& kind) {
  if (kind == "wan") return WanVaeConfig::wan21();
  DL_CHECK(kind == "taehv", "--kind", "taehv or wan", kind);
  return taehv_config(64, {256, 128, 64, 64}, 16);
}

}  // namespace

int bench_codec(const Arguments& arguments) {
  const std::string kind = arguments.text("--kind", "taehv");
  const int64_t width = arguments.integer("--width", 256, 16, 4096) / 16 * 16;
  const int64_t height = arguments.integer("--height", 256, 16, 4096) / 16 * 16;
  const double seconds = arguments.number("--seconds", 2, 0.1, 600);
  const int threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  const std::string backend = arguments.text("--backend", "cpu");
  const std::unique_ptr<Ops> ops = make_ops(backend, threads, arguments.text("--dtype", "auto"));
  RandomWeights weights(1);
  CodecConfig config = config_of(kind);
  set_codec_dtype(config, ops->token_dtype());
  const auto codec = make_codec(config, weights, *ops);
  const int64_t scale = codec->spatial_scale();
  Arena arena(size_t{1} << 20, 0, ops->memory());
  const Tensor rgb = arena.tensor({codec->frames_per_latent(), height, width, 3}, DType::u8);
  const Tensor z = arena.tensor({1, height / scale, width / scale, codec->latent_channels()});
  ops->clear(rgb);
  const auto encoder = codec->make_encoder_state(height, width);
  const auto decoder = codec->make_decoder_state(height, width);
  const auto timed = [&](auto&& run) {
    const double start = seconds_now();
    run();
    ops->wait();
    return (seconds_now() - start) * 1e3;
  };
  const auto encode = [&] { codec->encode(rgb, *encoder, z); };
  const auto decode = [&] { codec->decode(z, *decoder, rgb); };
  ops->try_libraries([&](int64_t) {
    encode();
    decode();
  });
  // The first ones of a stream are others, and a graph is made after two that are alike.
  for (int i = 0; i < 3; ++i) {
    encode();
    decode();
  }
  ops->wait();
  std::vector<double> encodes, decodes;
  const double end = seconds_now() + seconds;
  while (encodes.size() < 3 || seconds_now() < end) {
    encodes.push_back(timed(encode));
    decodes.push_back(timed(decode));
  }
  const double encode_ms = percentile(encodes, 0.5), decode_ms = percentile(decodes, 0.5);
  std::printf(
      "%s at %lldx%lld, %s on %s, %d thread(s): a chunk of %lld frames is encoded in %.2f ms and "
      "decoded in %.2f ms (medians of %zu)\n",
      kind.c_str(), static_cast<long long>(width), static_cast<long long>(height), ops->precision(),
      backend.c_str(), threads, static_cast<long long>(rgb.dim(0)), encode_ms, decode_ms,
      encodes.size());
  if (arguments.flag("--json")) {
    const Json line = {{"kind", kind},
                       {"encodeMsPerChunk", encode_ms},
                       {"decodeMsPerChunk", decode_ms},
                       {"framesPerChunk", rgb.dim(0)},
                       {"dtype", ops->precision()},
                       {"graphReplays", ops->replays()},
                       {"backend", backend},
                       {"threads", threads}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
