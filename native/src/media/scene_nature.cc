// Scenes close to the ground: beach, forest, garden, underwater.

#include "media/scene_shading.h"

namespace driftless::scenes {

Colour beach(const View& view, float x, float y) {
  const float horizon = view.choose(1, 0.46f, 0.54f),
              sun_x = view.aspect * view.choose(2, 0.2f, 0.8f);
  const float sun_y = horizon - view.choose(3, 0.06f, 0.14f), shore = 0.80f;
  const float dx = x - sun_x, dy = y - sun_y, far = std::sqrt(dx * dx + dy * dy);
  if (y < horizon) {
    static constexpr int kSky[6] = {0x2b2c5e, 0x5d4380, 0xb05a86, 0xf0846a, 0xffb566, 0xffdd92};
    Colour colour = ramp(kSky, y / horizon);
    const float cloud = clouds(1.5f * x + 0.015f * view.t, 9 * y, 5, view.seed);
    const Colour lit = mix(rgb(0x6d4a86), rgb(0xffa878), clamp01(1.3f - far));
    colour = mix(colour, lit, 0.8f * smooth(0.5f, 0.78f, cloud) * smooth(horizon, 0.25f, y));
    colour = colour + rgb(0xff9a50) * (0.55f * std::exp(-4.5f * far));
    return mix(colour, rgb(0xfff6d2), smooth(0.062f, 0.054f, far));
  }
  // Distance on the water: small steps near the horizon, large ones near the shore.
  const float depth = (y - horizon) / (1 - horizon);
  const float away = 1 / (depth + 0.04f);
  const float wave =
      noise(1.5f * x * (1 + away), 8 * std::log(depth + 0.02f) - 0.9f * view.t, view.seed ^ 2) +
      0.6f * noise(4 * x * (1 + 0.5f * away), 20 * std::log(depth + 0.02f) - 1.6f * view.t,
                   view.seed ^ 3);
  static constexpr int kSea[4] = {0xf2a377, 0xa46f92, 0x4f5a92, 0x2f5f86};
  Colour colour = ramp(kSea, 1.25f * depth) * (0.85f + 0.22f * wave);
  const float path = std::exp(-std::abs(dx) * (7 - 3 * depth)) * smooth(0.75f, 1.15f, wave);
  colour = colour + rgb(0xffc880) * (0.9f * path);
  const float swell =
      shore + 0.035f * std::sin(0.45f * view.t) +
      0.05f * (noise(2.3f * x + 0.1f * view.t, 0.12f * view.t, view.seed ^ 4) - 0.5f) +
      0.05f * (x / view.aspect - 0.5f);
  if (y > swell) {
    const float wet = smooth(0.10f, 0.0f, y - swell);
    const float grain = clouds(30 * x, 60 * y, 2, view.seed ^ 6);
    const Colour sand =
        mix(rgb(0xd8a97f), rgb(0xb98660), smooth(0.8f, 1.0f, y)) * (0.9f + 0.2f * grain);
    colour = mix(sand, rgb(0xa87468), 0.75f * wet);
  }
  const float edge = y - swell;
  const float lace = noise(16 * x, 40 * edge + view.t * 0.3f, view.seed ^ 5);
  const float foam = std::exp(-edge * edge * 6000) + 0.6f * smooth(0.0f, -0.05f, edge) *
                                                         smooth(-0.1f, -0.02f, edge) *
                                                         smooth(0.5f, 0.75f, lace);
  return mix(colour, rgb(0xfff2e2), clamp01(0.85f * foam));
}

Colour forest(const View& view, float x, float y) {
  static constexpr int kDepth[5] = {0xf4f3c8, 0xc9dc98, 0x8fb468, 0x56803f, 0x2f4f26};
  const float sun_x = view.aspect * view.choose(1, 0.25f, 0.75f);
  const float sway = 0.02f * std::sin(0.5f * view.t);
  const float leaves = clouds(4.5f * x + sway, 4.5f * y, 5, view.seed);
  const float away = std::hypot(0.8f * (x - sun_x), y - 0.12f);
  Colour colour = ramp(kDepth, 0.1f + 0.75f * away + 0.5f * (leaves - 0.5f));
  for (int layer = 0; layer < 3; ++layer) {
    const auto n = static_cast<float>(layer);
    const float spacing = 0.16f + 0.13f * n;
    const float u = x / spacing + 7 * n;
    const int tree = static_cast<int>(std::floor(u));
    for (int near = tree - 1; near <= tree + 1; ++near) {
      const float lean = 0.12f * (random(near, layer, view.seed ^ 5) - 0.5f);
      const float at = static_cast<float>(near) + mix(0.15f, 0.85f, random(near, layer, view.seed));
      const float half =
          mix(0.06f, 0.11f, random(near, layer, view.seed ^ 4)) * (0.8f + 0.5f * y * y * y);
      const float off = (u - at - lean * (y - 1)) / half;
      if (std::abs(off) > 1.15f || random(near, layer, view.seed ^ 6) < 0.2f) continue;
      const float bark = clouds(28 * off * half + 3 * n, 5 * y, 3, view.seed ^ 7);
      static constexpr int kBark[3] = {0x90a277, 0x5f6a48, 0x33301f};
      Colour trunk = rgb(kBark[layer]) * (0.75f + 0.45f * bark) * (1.08f - 0.35f * off);
      trunk = mix(trunk, rgb(0xdfe6b0), (0.45f - 0.2f * n) * std::exp(-3.0f * away));
      colour = mix(colour, trunk, smooth(1.15f, 0.9f, std::abs(off)));
    }
    const float ground = 0.80f + 0.07f * n - 0.05f * noise(3 * x + 5 * n, n, view.seed ^ 8);
    if (y < 0.7f) continue;
    const float fern = clouds(9 * x + 3 * sway * (n + 1), 12 * y, 4,
                              view.seed ^ (9 + static_cast<uint32_t>(layer)));
    static constexpr int kFern[3] = {0x9dbd68, 0x6b963f, 0x3c6526};
    colour = mix(colour, rgb(kFern[layer]) * (0.55f + 0.8f * fern),
                 smooth(ground - 0.05f, ground + 0.05f, y + 0.12f * (fern - 0.5f)));
  }
  // The canopy above, moving a little, and shafts of light through it.
  const float crown = y < 0.65f ? clouds(6 * x + 2 * sway, 6 * y + sway, 5, view.seed ^ 15) : 0.0f;
  colour = mix(colour, mix(rgb(0x35602a), rgb(0x8fc050), crown),
               0.9f * smooth(0.45f, 0.62f, crown + 0.9f * (0.24f - y)));
  const float angle = (x - sun_x) / (y + 0.35f);
  const float shaft = noise(7 * angle + 0.05f * view.t, 0.1f * view.t, view.seed ^ 16);
  return colour + rgb(0xfff0b0) * (0.34f * smooth(0.5f, 0.9f, shaft) * (1 - 0.8f * y) *
                                   std::exp(-1.6f * std::abs(angle)));
}

Colour garden(const View& view, float x, float y) {
  static constexpr int kSky[3] = {0x7fb8ea, 0xb9dcf2, 0xf0f4ea};
  Colour colour = ramp(kSky, y / 0.55f);
  const float cloud = clouds(1.6f * x + 0.02f * view.t, 3.2f * y, 5, view.seed);
  colour = mix(colour, rgb(0xffffff), 0.85f * smooth(0.5f, 0.75f, cloud));
  const float breeze = 0.012f * std::sin(0.9f * view.t + 2 * x);
  // Hedges, the nearer the darker and the more detailed.
  for (int layer = 0; layer < 2; ++layer) {
    const auto n = static_cast<float>(layer);
    const uint32_t seed = view.seed ^ (20u + static_cast<uint32_t>(layer));
    if (y < 0.3f) continue;
    const float top = 0.50f + 0.09f * n - 0.14f * clouds(2.2f * x + 6 * n, n, 3, seed);
    const float leaf = clouds((9 + 3 * n) * (x + breeze), (9 + 3 * n) * y, 4, seed ^ 1);
    const Colour green =
        mix(rgb(layer == 0 ? 0x5c8c58 : 0x3f7436), rgb(layer == 0 ? 0xa9cf8c : 0x93c55a), leaf);
    colour = mix(colour, green, smooth(top - 0.01f, top + 0.015f, y + 0.05f * (leaf - 0.5f)));
  }
  const float lawn = 0.70f + 0.02f * std::sin(2 * x);
  if (y > lawn - 0.02f) {
    const float depth = (y - lawn) / (1 - lawn);
    const float blade = clouds(40 * (x + breeze) / (0.5f + depth), 26 * depth, 3, view.seed ^ 26);
    const Colour grass = mix(rgb(0x8ec25a), rgb(0x4b8f35), clamp01(depth)) * (0.75f + 0.5f * blade);
    colour = mix(colour, grass, smooth(lawn - 0.02f, lawn + 0.01f, y));
    // Tulips and daisies, larger towards the viewer.
    for (int row = 0; row < 5; ++row) {
      const float at = 0.1f + 0.2f * static_cast<float>(row);
      const float size = 0.16f + 0.34f * at;
      const float u = x * 5.5f / size + 17 * static_cast<float>(row);
      const int flower = static_cast<int>(std::floor(u));
      const float rise = (random(flower, row, view.seed ^ 27) - 0.5f) * 0.12f;
      const float dx = u - static_cast<float>(flower) - 0.5f +
                       0.25f * (random(flower, row, view.seed ^ 28) - 0.5f) + 3 * breeze;
      const float dy = (depth - at - rise) * (1 - lawn) * 5.5f / size;
      static constexpr int kBloom[5] = {0xf25f7a, 0xffd34d, 0xffffff, 0xc86be0, 0xff8f4d};
      const int bloom = kBloom[static_cast<int>(4.99f * random(flower, row, view.seed ^ 29))];
      const float petal = std::sqrt(dx * dx + 0.8f * dy * dy);
      if (random(flower, row, view.seed ^ 30) < 0.6f) {
        colour = mix(colour, rgb(bloom) * (0.8f + 0.5f * (0.3f - dy)), smooth(0.27f, 0.2f, petal));
        colour = mix(colour, rgb(0xffc53a), smooth(0.09f, 0.05f, petal));
      }
    }
  }
  // A blossoming branch at one side.
  const bool left = view.choose(3, 0, 1) < 0.5f;
  const float side = left ? x : view.aspect - x;
  const float spread = std::hypot(side * 0.8f + 0.05f, (y - 0.1f) * 1.35f);
  if (spread < 0.75f) {
    const float bough = clouds(5.5f * (x + 1.5f * breeze), 5.5f * y + breeze, 5, view.seed ^ 33);
    const float cover = smooth(0.47f, 0.58f, bough + 0.7f * (0.42f - spread));
    const float shade = clouds(13 * (x + breeze), 13 * y, 3, view.seed ^ 34);
    colour = mix(colour, mix(rgb(0xd87fa6), rgb(0xfff0f6), smooth(0.25f, 0.7f, shade)), cover);
  }
  // Petals in the air.
  const float u = 7 * x + 1.3f * std::sin(0.5f * view.t + 2 * y), v = 7 * y - 0.55f * view.t;
  const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
  const float dx = u - static_cast<float>(ix) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 35));
  const float dy = v - static_cast<float>(iy) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 36));
  if (random(ix, iy, view.seed ^ 37) < 0.3f) {
    colour = mix(colour, rgb(0xffd6e6), 0.9f * smooth(0.1f, 0.05f, std::hypot(dx, 1.8f * dy)));
  }
  return colour;
}

Colour underwater(const View& view, float x, float y) {
  static constexpr int kWater[5] = {0x9be8e2, 0x3fb3cb, 0x1a7fae, 0x0f5487, 0x0a335e};
  const float sun_x = view.aspect * view.choose(1, 0.25f, 0.75f);
  const float drift = clouds(2 * x + 0.08f * view.t, 2 * y - 0.05f * view.t, 3, view.seed);
  Colour colour = ramp(kWater, y + 0.3f * (drift - 0.5f) + 0.15f * std::abs(x - sun_x));
  const float angle = (x - sun_x) / (y + 0.3f);
  const float ray = noise(6 * angle + 0.15f * view.t, 0.25f * view.t, view.seed ^ 1) *
                    noise(11 * angle - 0.1f * view.t, 3, view.seed ^ 2);
  colour = colour + rgb(0xc8fff0) * (0.8f * smooth(0.2f, 0.7f, ray) * (1 - smooth(0, 0.95f, y)) *
                                     std::exp(-0.7f * std::abs(angle)));
  // Rocks far away, then sand with caustics.
  const float reef = 0.72f - 0.25f * clouds(2.4f * x + 3, 1, 4, view.seed ^ 3);
  colour = mix(colour, mix(rgb(0x175f7e), rgb(0x2b8795), clouds(8 * x, 8 * y, 3, view.seed ^ 4)),
               0.75f * smooth(reef - 0.01f, reef + 0.02f, y));
  const float floor = 0.86f + 0.03f * std::sin(2.5f * x + view.choose(2, 0, 6));
  if (y > floor - 0.01f) {
    const float depth = (y - floor) * 8 + 0.6f;
    const float a = noise(9 * x / depth + 0.3f * view.t, 9 * depth, view.seed ^ 5);
    const float b = noise(9 * x / depth - 0.25f * view.t, 9 * depth + 4, view.seed ^ 6);
    const float caustic = smooth(0.12f, 0.0f, std::abs(a - b));
    const Colour sand = rgb(0x6fa79a) + rgb(0xbfffe6) * (0.35f * caustic);
    colour = mix(colour, sand, smooth(floor - 0.01f, floor + 0.015f, y));
  }
  // Corals and weeds that sway.
  for (int plant = 0; plant < 12; ++plant) {
    const float at = view.aspect * random(plant, 1, view.seed ^ 7);
    const float tall = mix(0.14f, 0.42f, random(plant, 2, view.seed ^ 7));
    const float up = (0.97f - y) / tall;
    if (up < 0 || up > 1) continue;
    const float bend =
        0.05f * up * up * std::sin(0.8f * view.t + 3 * up + 9 * random(plant, 3, view.seed ^ 7));
    const float half = mix(0.012f, 0.03f, random(plant, 4, view.seed ^ 7)) * (1.05f - up) *
                       (1 + 0.3f * std::sin(40 * up));
    static constexpr int kPlant[4] = {0x1d7a5a, 0x2f9a63, 0xd9706a, 0x8a5fb0};
    const Colour tone = rgb(kPlant[plant % 4]) * (0.6f + 0.5f * up);
    colour = mix(colour, tone, 0.92f * smooth(half + 0.008f, half, std::abs(x - at - bend)));
  }
  for (int layer = 0; layer < 2; ++layer) {
    const float scale = layer == 0 ? 9.0f : 5.0f;
    const float u = scale * x + 0.25f * std::sin(1.2f * view.t + 5 * y);
    const float v = scale * y + view.t * (0.5f + 0.15f * static_cast<float>(layer));
    const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
    const uint32_t seed = view.seed ^ (60u + static_cast<uint32_t>(layer));
    const float dx = u - static_cast<float>(ix) - mix(0.25f, 0.75f, random(ix, iy, seed));
    const float dy = v - static_cast<float>(iy) - mix(0.25f, 0.75f, random(ix, iy, seed ^ 1));
    const float ring = std::hypot(dx, dy) / mix(0.06f, 0.16f, random(ix, iy, seed ^ 2));
    if (random(ix, iy, seed ^ 3) > 0.28f || ring > 1) continue;
    colour = colour + rgb(0xd8fff8) *
                          (smooth(1.0f, 0.85f, ring) * (0.12f + 0.5f * smooth(0.5f, 0.9f, ring)));
  }
  return colour;
}

}  // namespace driftless::scenes
