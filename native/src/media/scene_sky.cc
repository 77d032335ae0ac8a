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

Colour mountains(const View& view, float x, float y) {
  static constexpr int kSky[4] = {0x3f6fae, 0x7fa9d6, 0xbcd3e8, 0xf3e3d6};
  Colour colour = ramp(kSky, y / 0.6f);
  const float cloud = clouds(1.8f * x + 0.02f * view.t, 5 * y, 5, view.seed ^ 40);
  colour = mix(colour, rgb(0xffffff), 0.75f * smooth(0.5f, 0.8f, cloud) * smooth(0.5f, 0.1f, y));
  for (int i = 0; i < 3; ++i) {
    const auto n = static_cast<float>(i);
    const float base = 0.5f + 0.15f * n, tall = 0.36f - 0.07f * n, wide = 1.5f + 0.9f * n;
    const uint32_t seed = view.seed ^ (50u + static_cast<uint32_t>(i));
    // Folded noise has the sharp crests that mountains have.
    const auto height = [&](float at, int octaves) {
      return 1 - std::abs(2 * clouds(wide * at + 3 * n, 2.5f * n, octaves, seed) - 1);
    };
    if (y < base + 0.1f - tall) continue;
    const float line = base + 0.1f - tall * height(x, 5);
    if (y < line) continue;
    const float depth = y - line;
    // Faces towards the light: crests that run down and across, not straight down.
    const float across = x + 0.45f * depth;
    const float rough = clouds(11 * across, 7 * y, 4, seed ^ 9);
    const float face = noise(7 * across + 2 * rough, 5 * y, seed ^ 10) -
                       noise(7 * across + 2 * rough + 0.25f, 5 * y, seed ^ 10);
    const float lit = clamp01(0.55f + 1.6f * face + 0.9f * (rough - 0.5f));
    Colour rock = mix(rgb(0x1c2740), rgb(0x5a6a88), lit);
    const float snow =
        smooth(0.20f - 0.03f * n, 0.05f, depth + 0.45f * (rough - 0.5f)) * (i == 2 ? 0.55f : 0.95f);
    rock = mix(rock, mix(rgb(0x8ea9d0), rgb(0xfdfdff), lit), snow);
    if (i == 2) rock = mix(rock, rgb(0x1f3a3a), 0.55f * smooth(0.1f, 0.3f, depth));
    const float haze = 0.5f - 0.2f * n;
    colour = mix(rock, rgb(0xc3d4e6), haze * smooth(0.1f, 0.4f, depth) + 0.10f * (2 - n));
  }
  // Falling snow in two depths.
  for (int layer = 0; layer < 2; ++layer) {
    const float scale = layer == 0 ? 15.0f : 8.0f;
    const float u = x * scale + 0.5f * std::sin(0.4f * view.t + 3 * y);
    const float v = y * scale - view.t * (layer == 0 ? 1.1f : 0.9f);
    const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
    const uint32_t seed = view.seed ^ (70u + static_cast<uint32_t>(layer));
    const float dx = u - static_cast<float>(ix) - mix(0.25f, 0.75f, random(ix, iy, seed));
    const float dy = v - static_cast<float>(iy) - mix(0.25f, 0.75f, random(ix, iy, seed ^ 1));
    const float flake = smooth(0.13f, 0.05f, std::sqrt(dx * dx + dy * dy));
    if (random(ix, iy, seed ^ 2) < 0.45f) colour = mix(colour, rgb(0xffffff), 0.75f * flake);
  }
  return colour;
}

}  // namespace driftless::scenes
