// Built scenes: city at night, cosy library, office.

#include "media/scene_shading.h"

namespace driftless::scenes {
namespace {

/// A disc of light out of focus: brighter at its rim, as lenses draw it.
float bokeh(float distance, float radius) {
  if (distance > radius) return 0;
  const float rim = distance / radius;
  return smooth(1.0f, 0.92f, rim) * (0.65f + 0.35f * rim * rim);
}

}  // namespace

// Houses and windows are large: the autoencoder of a small model keeps nothing finer than a few
// pixels.
Colour city(const View& view, float x, float y) {
  static constexpr int kSky[5] = {0x0a1238, 0x1f2b6b, 0x4c3f8c, 0x9a5590, 0xe58a76};
  const float moon = std::hypot(x - view.aspect * view.choose(6, 0.12f, 0.88f), y - 0.14f);
  Colour colour = ramp(kSky, y / 0.72f) + rgb(0x8fa8ff) * (0.25f * std::exp(-9 * moon));
  colour = mix(colour, rgb(0xfff4d8), smooth(0.052f, 0.044f, moon));
  for (int layer = 0; layer < 3; ++layer) {
    const auto n = static_cast<float>(layer);
    const float width = 0.13f + 0.06f * n;
    const float u = x / width + 13 * n;
    const int house = static_cast<int>(std::floor(u));
    const uint32_t seed = view.seed ^ (80u + static_cast<uint32_t>(layer));
    const float across = u - static_cast<float>(house);
    const float top = 0.60f + 0.10f * n - mix(0.04f, 0.42f - 0.05f * n, random(house, 0, seed));
    if (y < top || (layer > 0 && across > 0.94f)) continue;
    static constexpr int kWall[3] = {0x473b7c, 0x2a2760, 0x151640};
    colour = mix(rgb(kWall[layer]), rgb(0x7a4a80), (0.45f - 0.15f * n) * smooth(0.4f, 0.9f, y));
    if (layer == 0) continue;
    const float cells = 3 + n, inside = across / 0.94f * cells;
    const float storeys = (y - top) * (19 - 4 * n) + 0.75f;
    const int column = static_cast<int>(std::floor(inside)),
              storey = static_cast<int>(std::floor(storeys));
    const float wx = inside - static_cast<float>(column), wy = storeys - static_cast<float>(storey);
    if (wx < 0.2f || wx > 0.8f || wy < 0.25f || wy > 0.78f || storey < 1) continue;
    // A window goes on or off every minute or so.
    const float turn = random(house * 31 + column, storey, seed ^ 2) * 60 + view.t * 0.6f;
    if (random(static_cast<int>(turn / 30), storey * 97 + column, seed ^ 3) > 0.55f) continue;
    static constexpr int kLamp[4] = {0xffd27a, 0xffb85c, 0xfff0c4, 0xa8d4ff};
    const float lamp = random(house * 31 + column, storey, seed ^ 1);
    colour = mix(colour, rgb(kLamp[static_cast<int>(3.99f * lamp)]), 0.65f + 0.15f * n);
  }
  const float street = smooth(0.80f, 1.0f, y);
  const float shine = noise(3 * x, 14 * y - 0.4f * view.t, view.seed ^ 4);
  colour = mix(colour, rgb(0x241c44) + rgb(0xff9a5c) * (0.45f * shine), street);
  for (int light = 0; light < 16 && y > 0.7f; ++light) {
    const float speed = 0.03f * (random(light, 1, view.seed ^ 5) - 0.5f);
    float at = random(light, 2, view.seed ^ 5) + speed * view.t;
    at = (at - std::floor(at)) * (view.aspect + 0.3f) - 0.15f;
    const float height = mix(0.80f, 0.98f, random(light, 3, view.seed ^ 5));
    const float radius = mix(0.035f, 0.075f, random(light, 4, view.seed ^ 5));
    static constexpr int kLight[6] = {0xffc27a, 0xff6a4a, 0x7ab8ff, 0xffe8c0, 0xff72c0, 0x7affc8};
    const float pulse = 0.85f + 0.15f * std::sin(0.7f * view.t + static_cast<float>(light));
    colour = colour + rgb(kLight[light % 6]) *
                          (0.5f * pulse * bokeh(std::hypot(x - at, y - height), radius));
  }
  return colour;
}

Colour library(const View& view, float x, float y) {
  const float shelf_height = 0.205f, from_top = y + 0.02f;
  const int shelf = static_cast<int>(std::floor(from_top / shelf_height));
  const float in_shelf = from_top / shelf_height - static_cast<float>(shelf);
  Colour colour = rgb(0x24140b);
  const float bay = view.aspect / 3, in_bay = x / bay - std::floor(x / bay);
  const int post = static_cast<int>(std::floor(x / bay));
  if (in_shelf > 0.9f) {
    const float grain = noise(5 * x, 120 * y, view.seed ^ 1);
    colour = rgb(0x7a4a26) * (0.7f + 0.4f * grain) * (in_shelf < 0.925f ? 1.25f : 0.9f);
  } else {
    // Books of uneven width: a walk over cells, each cut in two at a random place.
    const float u = x * 19;
    const int cell = static_cast<int>(std::floor(u));
    const float cut = mix(0.35f, 0.7f, random(cell, shelf, view.seed ^ 2));
    const bool second = u - static_cast<float>(cell) > cut;
    const int book = 2 * cell + second;
    const float begin = second ? cut : 0.0f, end = second ? 1.0f : cut;
    const float across = (u - static_cast<float>(cell) - begin) / (end - begin);
    const float tall = mix(0.55f, 0.86f, random(book, shelf, view.seed ^ 3));
    const float tone = random(book, shelf, view.seed ^ 4);
    static constexpr int kCover[8] = {0x7d2b23, 0x2f4a3c, 0x9a7038, 0x35405f,
                                      0x5e3a26, 0xa89470, 0x6b2f3d, 0x3f2f26};
    if (in_shelf > 0.9f - tall && random(book, shelf, view.seed ^ 5) > 0.06f) {
      const float round = 0.62f + 0.5f * std::sin(3.1416f * clamp01(across));
      colour = rgb(kCover[static_cast<int>(7.99f * tone)]) * round;
      const float band = (in_shelf - 0.9f + tall) / tall;
      const bool gilt = (band > 0.14f && band < 0.18f) || (band > 0.8f && band < 0.83f);
      if (gilt && tone > 0.3f) colour = mix(colour, rgb(0xd9b25a), 0.65f);
    }
    colour = colour * (0.62f + 0.38f * smooth(0.0f, 0.35f, in_shelf));
  }
  if (in_bay < 0.035f) {
    colour =
        rgb(0x6a3f20) * (0.75f + 0.35f * noise(90 * x, 4 * y, view.seed ^ 6)) * (0.8f + 8 * in_bay);
  }
  // Two lamps whose light breathes, and dust in it.
  Colour light{0.30f, 0.26f, 0.24f};
  for (int lamp = 0; lamp < 2; ++lamp) {
    const float at =
        view.aspect * (lamp == 0 ? view.choose(8, 0.08f, 0.3f) : view.choose(9, 0.7f, 0.92f));
    const float height = view.choose(10 + lamp, 0.28f, 0.5f);
    const float far = std::hypot(x - at, y - height);
    const float breath = 1 + 0.04f * std::sin(1.7f * view.t + 2 * static_cast<float>(lamp)) +
                         0.03f * std::sin(0.6f * view.t + static_cast<float>(post & 1));
    light = light + rgb(0xffc27a) * (1.25f * breath * std::exp(-2.4f * far));
    colour = colour + rgb(0xffb060) * (0.10f * std::exp(-3.5f * far));
  }
  colour = colour * light * 1.25f;
  for (int lamp = 0; lamp < 2; ++lamp) {
    const float at =
        view.aspect * (lamp == 0 ? view.choose(8, 0.08f, 0.3f) : view.choose(9, 0.7f, 0.92f));
    const float height = view.choose(10 + lamp, 0.28f, 0.5f);
    const float far = std::hypot(x - at, (y - height) * 1.1f);
    colour =
        colour + rgb(0xffdca0) * (0.9f * smooth(0.055f, 0.03f, far) + 0.35f * std::exp(-14 * far));
  }
  const float u = 10 * x + 0.12f * view.t, v = 10 * y + 0.25f * view.t;
  const int ix = static_cast<int>(std::floor(u)), iy = static_cast<int>(std::floor(v));
  const float dx = u - static_cast<float>(ix) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 12));
  const float dy = v - static_cast<float>(iy) - mix(0.2f, 0.8f, random(ix, iy, view.seed ^ 13));
  if (random(ix, iy, view.seed ^ 14) < 0.2f) {
    colour = colour + rgb(0xffd9a0) * (0.25f * smooth(0.08f, 0.02f, std::hypot(dx, dy)));
  }
  return colour;
}

Colour office(const View& view, float x, float y) {
  const float u = x / view.aspect;
  // The wall, with daylight that falls off from the window.
  const bool mirrored = view.choose(1, 0, 1) < 0.5f;
  const float s = mirrored ? 1 - u : u;
  Colour colour = mix(rgb(0xf1ece4), rgb(0xb9b4ad), smooth(0.2f, 1.05f, s));
  colour = colour * (1.02f - 0.1f * std::abs(y - 0.4f));
  const float window_left = 0.04f, window_right = 0.56f, top = 0.08f, sill = 0.68f;
  if (s > window_left && s < window_right && y > top && y < sill) {
    static constexpr int kSky[3] = {0x9fc9ec, 0xd3e6f3, 0xf6efe2};
    colour = ramp(kSky, (y - top) / (sill - top));
    const float cloud = clouds(2.4f * x + 0.03f * view.t, 5 * y, 4, view.seed);
    colour = mix(colour, rgb(0xffffff), 0.7f * smooth(0.5f, 0.8f, cloud));
    // Towers across the street, out of focus.
    for (int tower = 0; tower < 7; ++tower) {
      const float at = window_left + 0.085f * static_cast<float>(tower) - 0.02f;
      const float wide = mix(0.03f, 0.055f, random(tower, 1, view.seed ^ 2));
      const float roof = mix(0.28f, 0.56f, random(tower, 2, view.seed ^ 2));
      const float body = smooth(wide + 0.012f, wide - 0.006f, std::abs(s - at)) *
                         smooth(roof - 0.012f, roof + 0.012f, y);
      const float panes = 0.85f + 0.15f * smooth(-0.3f, 0.3f, std::sin(150 * y));
      colour =
          mix(colour, mix(rgb(0x8aa4bd), rgb(0xb9c6d2), random(tower, 3, view.seed ^ 2)) * panes,
              0.85f * body);
    }
    const float bar = std::min({std::abs(s - 0.213f), std::abs(s - 0.387f)});
    colour = mix(colour, rgb(0x4b4f55), smooth(0.009f, 0.005f, bar));
    const float edge =
        std::min({s - window_left, window_right - s, (y - top) * 0.6f, (sill - y) * 0.6f});
    colour = mix(rgb(0x55595f), colour, smooth(0.004f, 0.009f, edge));
  }
  if (y > sill && y < sill + 0.025f && s < window_right + 0.02f) colour = rgb(0xe4ded4);
  // A picture and two shelves on the wall.
  const float px = (s - 0.80f) / 0.11f, py = (y - 0.24f) / 0.13f;
  if (std::max(std::abs(px), std::abs(py)) < 1) {
    colour = std::max(std::abs(px), std::abs(py)) > 0.9f
                 ? rgb(0x6b5a48)
                 : mix(rgb(0xe9d8b8), rgb(0xd07a56),
                       smooth(0.0f, 0.3f, py + 0.4f * std::sin(2 * px + view.choose(5, 0, 6))));
    if (std::hypot(px + 0.3f, py + 0.35f) < 0.28f) colour = rgb(0xf4b24a);
  }
  for (int board = 0; board < 2; ++board) {
    const float line = 0.52f + 0.15f * static_cast<float>(board);
    if (s < 0.66f || s > 0.95f) break;
    if (y > line && y < line + 0.014f) colour = rgb(0x9a7650);
    const float w = s * 60;
    const int item = static_cast<int>(std::floor(w));
    const float tall = mix(0.05f, 0.10f, random(item, board, view.seed ^ 6));
    static constexpr int kItem[6] = {0x3f6f8f, 0xc9594a, 0xe6c46a, 0x5a8a6a, 0xf2ede4, 0x4b4f6b};
    if (y < line && y > line - tall && random(item, board, view.seed ^ 7) < 0.75f) {
      const float across = w - static_cast<float>(item);
      colour = rgb(kItem[static_cast<int>(5.99f * random(item, board, view.seed ^ 8))]) *
               (0.75f + 0.3f * std::sin(3.1416f * across));
    }
  }
  // The table's edge in front.
  if (y > 0.90f) {
    const float grain = noise(6 * x, 140 * y, view.seed ^ 9);
    colour = mix(rgb(0xc79a68), rgb(0xa87c50), grain) * (y < 0.912f ? 1.15f : 0.92f);
  }
  // A plant beside the window whose leaves move.
  const float foot_s = 0.615f * view.aspect, foot_y = 0.90f;
  const float plant_x = (mirrored ? view.aspect - x : x) - foot_s;
  for (int leaf = 0; leaf < 11; ++leaf) {
    const float lean = -1.2f + 0.24f * static_cast<float>(leaf) +
                       0.03f * std::sin(0.8f * view.t + static_cast<float>(leaf));
    const float length = mix(0.26f, 0.42f, random(leaf, 1, view.seed ^ 10));
    const float c = std::cos(lean), n = std::sin(lean);
    const float along = (plant_x * n + (foot_y - 0.11f - y) * c) / length;
    const float off = (plant_x * c - (foot_y - 0.11f - y) * n) + 0.1f * n * along * along;
    if (along < 0 || along > 1) continue;
    const float half = 0.034f * std::sin(3.1416f * std::sqrt(along));
    const Colour green = mix(rgb(0x2f6b3c), rgb(0x74b062), clamp01(0.5f + 14 * off + 0.3f * along));
    colour = mix(colour, green, smooth(half + 0.004f, half - 0.002f, std::abs(off)));
  }
  if (std::abs(plant_x) < 0.065f - 0.12f * (y - 0.8f) && y > 0.78f && y < 0.905f) {
    colour = mix(rgb(0xf0e6da), rgb(0xb8a896), clamp01(0.5f + 8 * plant_x));
  }
  // The sun wanders over it all.
  const float sun = noise(0.8f * x + 0.05f * view.t, y + 0.03f * view.t, view.seed ^ 11);
  return colour * (0.93f + 0.14f * sun);
}

}  // namespace driftless::scenes
