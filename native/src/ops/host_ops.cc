// What operations do where nothing speaks against plain loops in the host's memory.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/philox.h"
#include "ops/checks.h"
#include "ops/ops.h"
#include "ops/ring_place.h"
#include "ops/sink_similarity.h"

namespace driftless {

namespace {

void on_host(const char* what, const Tensor& x) {
  DL_CHECK(x.memory() != Memory::device, std::string(what) + " memory", "the host's", "a GPU's");
}

}  // namespace

void Ops::copy(const Tensor& from, const Tensor& to) {
  checks::copy(from, to);
  on_host("copy", from);
  on_host("copy", to);
  if (from.bytes() > 0) std::memcpy(to.data(), from.data(), from.bytes());
}

void Ops::convert(const Tensor& x, const Tensor& y) {
  checks::convert(x, y, DType::f32);
  copy(x, y);
}

void Ops::clear(const Tensor& x) {
  on_host("clear", x);
  if (x.bytes() > 0) std::memset(x.data(), 0, x.bytes());
}

void Ops::copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y, int64_t to) {
  const auto s = checks::copy_channels(x, from, count, y, to);
  const float* source = x.f32() + from;
  float* target = y.f32() + to;
  for (int64_t row = 0; row < s.rows; ++row, source += s.in, target += s.out) {
    std::copy_n(source, count, target);
  }
}

void Ops::conv_frames(const PackedConv& weights, const Tensor& x, const Tensor& past,
                      const Tensor& residual, Activation activation, const Tensor& y) {
  const auto s = checks::conv_frames(weights, x, past, residual, activation, y);
  const int64_t frames = weights.options().frames;
  if (frames == 2) {
    // Frames and those before them, without a copy of either.
    const auto convolve = [&](const Tensor& before, int64_t from, int64_t to) {
      conv2d(weights, before, x.slice(from, to),
             residual.present() ? residual.slice(from, to) : residual, activation,
             y.slice(from, to));
    };
    convolve(past, 0, 1);
    if (s.n > 1) convolve(x.slice(0, s.n - 1), 1, s.n);
    return;
  }
  const ArenaScope scope(arena());
  const Tensor joined = arena().tensor({s.n, s.h, s.w, weights.in()});
  for (int64_t frame = 0; frame < s.n; ++frame) {
    for (int64_t tap = 0; tap < frames; ++tap) {
      const int64_t source = frame + tap - (frames - 1);
      const Tensor from = source < 0 ? past.at(source + frames - 1) : x.at(source);
      copy_channels(from, 0, s.first, joined.at(frame), tap * s.first);
    }
  }
  conv2d(weights, joined, {}, residual, activation, y);
}

void Ops::rope_time(const Tensor& x, const double* positions, const Tensor& y) {
  const auto s = checks::rope_time(x, y, DType::f32);
  const int64_t heads = x.dim(1) * s.heads;
  // (cosine, sine) of each temporal pair of one frame.
  const ArenaScope scope(host_arena());
  float* turn = host_arena().tensor({2 * s.pairs_t}).f32();
  const float* in = x.f32();
  float* out = y.f32();
  for (int64_t f = 0; f < s.frames; ++f) {
    for (int64_t j = 0; j < s.pairs_t; ++j) {
      const double angle = positions[f] * std::pow(10000.0, -static_cast<double>(j) /
                                                                static_cast<double>(s.pairs_t));
      turn[2 * j] = static_cast<float>(std::cos(angle));
      turn[2 * j + 1] = static_cast<float>(std::sin(angle));
    }
    for (int64_t h = 0; h < heads; ++h, in += s.head_dim, out += s.head_dim) {
      for (int64_t i = 0; i < 2 * s.pairs_t; i += 2) {
        const float a = in[i], b = in[i + 1];
        out[i] = a * turn[i] - b * turn[i + 1];
        out[i + 1] = b * turn[i] + a * turn[i + 1];
      }
      if (out != in) std::copy(in + 2 * s.pairs_t, in + s.head_dim, out + 2 * s.pairs_t);
    }
  }
}

void Ops::append_to_rings(const Tensor& q, const Tensor& k, const Tensor& v, const RingNorms& norms,
                          int64_t height, int64_t width, const RingRow* rows, int64_t count) {
  const auto s = checks::append_to_rings(q, k, v, norms, height, width, rows, count, token_dtype(),
                                         ring_dtype());
  const RingPlace place{s.slots, s.sinks};
  const ArenaScope scope(host_arena());
  const auto doubles = [&](int64_t n) {
    return static_cast<double*>(host_arena().allocate(static_cast<size_t>(n) * sizeof(double)));
  };
  double *here = doubles(count), *none = doubles(count), *positions = doubles(s.slots);
  for (int64_t r = 0; r < count; ++r) {
    here[r] = place.position(rows[r].frames, place.slot(rows[r].frames));
    none[r] = 0;
  }
  rms_norm(q, norms.q, norms.eps, q);
  rms_norm(k, norms.k, norms.eps, k);
  const Shape split{count, s.tokens, s.heads, s.head_dim};
  rope3d(q.reshape(split), here, height, width, q.reshape(split));
  rope3d(k.reshape(split), none, height, width, k.reshape(split));
  for (int64_t r = 0; r < count; ++r) {
    const RingRow& row = rows[r];
    const int slot = place.slot(row.frames), valid = place.valid(row.frames);
    const Tensor keys = k.slice(r * s.tokens, (r + 1) * s.tokens);
    const Tensor values = v.slice(r * s.tokens, (r + 1) * s.tokens);
    if (row.sink_due) refresh_sink(row.ring, keys, values, slot, row.sink_threshold);
    convert(keys, row.ring.k.at(slot));
    convert(values, row.ring.v.at(slot));
    for (int of = 0; of < valid; ++of) positions[of] = place.position(row.frames, of);
    rope_time(row.ring.k.slice(0, valid), positions, row.rotated.slice(0, valid));
  }
}

void Ops::refresh_sink(const RingLayer& ring, const Tensor& k, const Tensor& v, int64_t leaving,
                       float threshold) {
  const auto s = checks::refresh_sink(ring, k, v, leaving, DType::f32);
  int64_t lowest = -1;
  for (int64_t sink = 0; sink < ring.sinks; ++sink) {
    const float alike =
        sink_similarity(ring.k.at(sink).f32(), ring.v.at(sink).f32(), k.f32(), v.f32(),
                        static_cast<size_t>(s.rows), static_cast<size_t>(s.width));
    if (alike < threshold) {
      threshold = alike;
      lowest = sink;
    }
  }
  if (lowest < 0) return;
  copy(ring.k.at(leaving), ring.k.at(lowest));
  copy(ring.v.at(leaving), ring.v.at(lowest));
}

void Ops::clamp(const Tensor& x, float low, float high, const Tensor& y) {
  const int64_t count = checks::same_shape("clamp", x, y);
  const float* from = x.f32();
  float* to = y.f32();
  for (int64_t i = 0; i < count; ++i) to[i] = std::clamp(from[i], low, high);
}

void Ops::normal_noise(uint64_t seed, uint64_t stream, uint64_t first, const Tensor& y) {
  fill_normal(seed, stream, first, y.f32(), static_cast<size_t>(y.count()));
}

void Ops::channel_moments(const Tensor& x, const Tensor& y) {
  const auto s = checks::channel_moments(x, y);
  const ArenaScope scope(host_arena());
  const size_t width = static_cast<size_t>(s.width);
  auto* sums = static_cast<double*>(host_arena().allocate(2 * width * sizeof(double)));
  std::fill_n(sums, 2 * width, 0.0);
  const float* value = x.f32();
  for (int64_t row = 0; row < s.rows; ++row) {
    for (size_t c = 0; c < width; ++c, ++value) {
      sums[c] += double{*value};
      sums[width + c] += double{*value} * double{*value};
    }
  }
  for (size_t c = 0; c < width; ++c) {
    const double mean = sums[c] / static_cast<double>(s.rows);
    const double square = sums[width + c] / static_cast<double>(s.rows);
    y.f32()[c] = static_cast<float>(mean);
    y.f32()[width + c] =
        static_cast<float>(std::log(std::sqrt(std::max(0.0, square - mean * mean)) + kTinySpread));
  }
}

}  // namespace driftless
