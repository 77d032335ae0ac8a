// Scenes that are mostly sky: gradient, space, aurora, mountains.

#include "media/scene_shading.h"

namespace driftless::scenes {

float stars(const View& view, float x, float y, float density) {
  constexpr float kCell = 26;
  const float u = x * kCell, v = y * kCell;
  const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
  const float chance = random(ix, iy, view.seed ^ 11);
  if (chance > density) return 0;
  const float dx = u - static_cast<float>(ix) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 12));
  const float dy = v - static_cast<float>(iy) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 13));
  const float size = mix(50.0f, 400.0f, std::sqrt(chance / density));
  const float twinkle =
      0.8f + 0.2f * std::sin(view.t * mix(0.5f, 2.0f, random(ix, iy, view.seed ^ 14)) +
                             40 * random(ix, iy, view.seed ^ 15));
  return std::exp(-size * (dx * dx + dy * dy)) * twinkle * mix(1.0f, 0.45f, chance / density);
}

Colour gradient(const View& view, float x, float y) {
  static constexpr int kPalettes[4][4] = {{0x23304f, 0x4a5f8f, 0xb08ea8, 0xf0c9a8},
                                          {0x14343c, 0x2f6f73, 0x7fb8a4, 0xe6dcc0},
                                          {0x2a1f45, 0x63418c, 0xb56aa0, 0xf2b8a0},
                                          {0x1d2b3f, 0x3c6a8c, 0x86b4cf, 0xe8e4dc}};
  const auto& palette = kPalettes[static_cast<int>(view.choose(0, 0, 3.99f))];
  const float t = view.t * 0.05f;
  const float bend = clouds(x * 0.7f + t, y * 0.7f - 0.6f * t, 3, view.seed);
  const float place = 0.15f + 0.55f * (1 - y) + 0.9f * (bend - 0.5f) +
                      0.12f * std::sin(1.3f * x + 4 * t + 3 * bend);
  return ramp(palette, place);
}

Colour space(const View& view, float x, float y) {
  const float t = view.t * 0.012f;
  const float u = 1.6f * x + t, v = 1.6f * y - 0.4f * t;
  const float warp = clouds(u, v, 4, view.seed);
  const float gas = clouds(u + 2.2f * warp, v + 1.7f * warp + 0.3f * t, 5, view.seed ^ 3);
  const float dust = clouds(1.3f * u + 9, 1.3f * v + 1.5f * warp, 4, view.seed ^ 5);
  static constexpr int kCold[4] = {0x05060f, 0x1a1f55, 0x4d63c8, 0xc9d8ff};
  static constexpr int kWarm[4] = {0x05060f, 0x4a1550, 0xc24f8e, 0xffd3b0};
  const float glow = smooth(0.35f, 0.95f, gas);
  Colour colour = mix(ramp(kCold, glow), ramp(kWarm, glow), smooth(0.35f, 0.65f, warp));
  colour = colour * (1 - 0.75f * smooth(0.45f, 0.75f, dust));
  const float light =
      stars(view, x + 0.3f * t, y, 0.22f) + stars(view, 1.9f * x, 1.9f * y + 5, 0.2f);
  return colour + Colour{1, 0.97f, 0.92f} * light;
}

Colour aurora(const View& view, float x, float y) {
  static constexpr int kSky[4] = {0x050a1c, 0x0a1c38, 0x123a4c, 0x1d5058};
  constexpr float kShore = 0.74f;
  const bool water = y > kShore;
  const float ripple =
      water ? 0.02f * (noise(9 * x, 60 * y - 1.4f * view.t, view.seed ^ 8) - 0.5f) : 0.0f;
  const float v = water ? 2 * kShore - y : y;
  const float u = x + ripple;
  Colour colour = ramp(kSky, v / kShore) + Colour{0.9f, 0.95f, 1} * stars(view, u, v, 0.3f);
  for (int i = 0; i < 3; ++i) {
    const auto n = static_cast<float>(i);
    const float drift = view.t * (0.05f + 0.02f * n);
    const float foot = view.choose(20 + i, 0.4f, 0.56f) - 0.1f * n +
                       0.16f * (noise(1.1f * u + drift, 3 * n, view.seed ^ 21) - 0.5f) +
                       0.05f * std::sin(3.1f * u + 2 * n - 3 * drift);
    const float height = foot - v;
    const float rays = 0.55f + 0.45f * noise(16 * u + 5 * drift, 0.6f * v + n, view.seed ^ 22);
    const float curtain =
        (height > 0 ? std::exp(-5.5f * height) : std::exp(45 * height)) * rays * (0.85f - 0.2f * n);
    static constexpr int kGlow[3] = {0x4dffa0, 0x35c7b4, 0x8a4fd0};
    colour = colour + ramp(kGlow, 2.6f * std::max(height, 0.0f)) * (0.85f * curtain);
  }
  const float ridge = kShore + 0.02f - 0.26f * clouds(2.2f * x + 4, 1, 4, view.seed ^ 30);
  if (!water && y > ridge) {
    colour = mix(rgb(0x0a1420), rgb(0x13242e), smooth(ridge, kShore, y));
  } else if (water) {
    const float mirrored = 2 * kShore - ridge;
    const float hill = 1 - smooth(mirrored - 0.02f, mirrored + 0.02f, y + ripple);
    colour = mix(colour * 0.6f, rgb(0x0a1822), 0.75f * hill);
  }
  return colour;
}

namespace {

/// The peak of a range that covers a place, and how high the range is there.
struct Peak {
  float x = 0, top = 0, height = -1;
};

/// Peaks about `spacing` apart, as tents of unlike steepness; heights above the range's foot.
Peak peak_at(float x, float spacing, float tall, uint32_t seed) {
  Peak best;
  const int nearest = static_cast<int>(std::floor(x / spacing));
  for (int i = nearest - 2; i <= nearest + 2; ++i) {
    const float at = (static_cast<float>(i) + mix(0.2f, 0.8f, random(i, 1, seed))) * spacing;
    const float top = tall * mix(0.55f, 1.0f, random(i, 2, seed));
    const float slope = mix(0.75f, 1.15f, random(i, x < at ? 3 : 4, seed));
    const float height = top - slope * std::abs(x - at);
    if (height > best.height) best = {at, top, height};
  }
  return best;
}

}  // namespace

// Everything is large: the autoencoder of a small model keeps nothing finer than a few pixels.
Colour mountains(const View& view, float x, float y) {
  static constexpr int kSky[4] = {0x2f66b0, 0x6ea6dc, 0xb9d8ee, 0xf7dfc8};
  Colour colour = ramp(kSky, y / 0.62f);
  const float cloud = clouds(1.1f * x + 0.02f * view.t, 3.2f * y, 4, view.seed ^ 40);
  colour = mix(colour, rgb(0xffffff), 0.8f * smooth(0.52f, 0.72f, cloud) * smooth(0.45f, 0.1f, y));
  for (int range = 0; range < 2; ++range) {
    const auto n = static_cast<float>(range);
    const uint32_t seed = view.seed ^ (50u + static_cast<uint32_t>(range));
    const float foot = 0.62f + 0.22f * n, tall = 0.46f + 0.16f * n;
    const Peak peak = peak_at(x + 3 * n, 0.55f + 0.4f * n, tall, seed);
    const float line = foot - peak.height - 0.035f * (clouds(7 * x + 3 * n, n, 3, seed ^ 8) - 0.5f);
    if (y < line) continue;
    // Gullies fall away from the peak, and a ridge that wanders a little parts light from shade.
    const float off = x + 3 * n - peak.x, below = y - (foot - peak.top);
    const float gully = clouds(2.6f * off / (below + 0.12f), 3.5f * y, 3, seed ^ 9);
    const float ridge = 0.10f * below * (4 * noise(7 * y, n, seed ^ 10) - 2);
    const float lit =
        clamp01(smooth(0.015f, -0.015f, off - ridge) * 0.75f + 0.1f + 0.7f * (gully - 0.4f));
    const Colour snow = mix(rgb(0x7fa3d8), rgb(0xffffff), lit);
    const Colour rock = mix(rgb(0x2c3857), rgb(0x8a7f86), lit);
    const float high = (foot - y) / tall + 0.7f * (gully - 0.5f);
    colour = mix(mix(rock, snow, smooth(0.22f, 0.36f, high)), rgb(0xc6d8ea), 0.42f * (1 - n));
  }
  // A wood of firs, dusted with snow, and the snow before it.
  for (int row = 0; row < 2; ++row) {
    const auto n = static_cast<float>(row);
    const float u = x * (13 - 4 * n) + 5 * n;
    const int tree = static_cast<int>(std::floor(u));
    const float side = std::abs(2 * (u - static_cast<float>(tree)) - 1);
    const float tall = mix(0.07f, 0.15f, random(tree, row, view.seed ^ 60)) * (1 + 0.4f * n);
    const float top = 0.90f + 0.05f * n - tall * (1 - side);
    const Colour fir = mix(rgb(0x1d3b3d), rgb(0x10262b), n) * (0.8f + 0.5f * (1 - side));
    colour = mix(colour, fir, smooth(top - 0.006f, top + 0.012f, y));
  }
  const float ground = 0.93f + 0.02f * std::sin(2.5f * x + view.choose(5, 0, 6));
  const float drift = clouds(3 * x, 9 * y, 3, view.seed ^ 61);
  colour = mix(colour, mix(rgb(0xa9c4e6), rgb(0xfbfdff), drift),
               smooth(ground - 0.01f, ground + 0.02f, y));
  const float u = 7 * x + 0.5f * std::sin(0.4f * view.t + 3 * y), v = 7 * y - 0.8f * view.t;
  const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
  const float dx = u - static_cast<float>(ix) - mix(0.25f, 0.75f, random(ix, iy, view.seed ^ 70));
  const float dy = v - static_cast<float>(iy) - mix(0.25f, 0.75f, random(ix, iy, view.seed ^ 71));
  if (random(ix, iy, view.seed ^ 72) > 0.5f) return colour;
  return mix(colour, rgb(0xffffff), 0.7f * smooth(0.14f, 0.06f, std::hypot(dx, dy)));
}

}  // namespace driftless::scenes
