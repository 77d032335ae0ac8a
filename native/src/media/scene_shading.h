#pragma once

// What the scenes are drawn with: hashes, value noise and colours. A scene is a function from a
// place and a time to a colour, as a fragment shader is.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace driftless::scenes {

struct Colour {
  float r, g, b;
};
inline Colour operator+(Colour a, Colour b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Colour operator*(Colour a, float k) { return {a.r * k, a.g * k, a.b * k}; }
inline Colour operator*(Colour a, Colour b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
inline Colour mix(Colour a, Colour b, float k) { return a + (b + a * -1.0f) * k; }
inline float mix(float a, float b, float k) { return a + (b - a) * k; }
inline Colour rgb(int hex) {
  return {static_cast<float>(hex >> 16 & 255) / 255, static_cast<float>(hex >> 8 & 255) / 255,
          static_cast<float>(hex & 255) / 255};
}

inline float clamp01(float x) { return std::clamp(x, 0.0f, 1.0f); }
inline float smooth(float low, float high, float x) {
  const float t = clamp01((x - low) / (high - low));
  return t * t * (3 - 2 * t);
}
/// Colours at equal distances along 0..1.
template <int kCount>
Colour ramp(const int (&stops)[kCount], float x) {
  const float at = clamp01(x) * (kCount - 1);
  const int low = std::min(static_cast<int>(at), kCount - 2);
  return mix(rgb(stops[low]), rgb(stops[low + 1]), at - static_cast<float>(low));
}

inline uint32_t hash(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ x >> 16;
}
/// 0 to 1 for each pair of whole numbers.
inline float random(int x, int y, uint32_t seed) {
  return static_cast<float>(hash(static_cast<uint32_t>(x) * 0x9e3779b9U ^
                                 static_cast<uint32_t>(y) * 0x85ebca6bU ^ seed * 0xc2b2ae35U) >>
                            8) /
         16777216.0f;
}

/// Smooth noise, 0 to 1, features of size 1.
inline float noise(float x, float y, uint32_t seed) {
  const float fx = std::floor(x), fy = std::floor(y);
  const int ix = static_cast<int>(fx), iy = static_cast<int>(fy);
  float u = x - fx, v = y - fy;
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  return mix(mix(random(ix, iy, seed), random(ix + 1, iy, seed), u),
             mix(random(ix, iy + 1, seed), random(ix + 1, iy + 1, seed), u), v);
}
/// Noise with detail, 0 to 1.
inline float clouds(float x, float y, int octaves, uint32_t seed) {
  float sum = 0, weight = 0.5f, total = 0;
  for (int i = 0; i < octaves; ++i) {
    sum += weight * noise(x, y, seed + static_cast<uint32_t>(i) * 101);
    total += weight;
    weight *= 0.5f;
    const float turned = 1.6f * x - 1.2f * y + 7.3f;
    y = 1.2f * x + 1.6f * y + 3.1f;
    x = turned;
  }
  return sum / total;
}

/// One picture of one scene.
struct View {
  float t;       ///< Seconds.
  float aspect;  ///< Width by height: x runs from 0 to it, y from 0 at the top to 1.
  uint32_t seed;

  /// A value of this stream's own, between low and high.
  float choose(int which, float low, float high) const {
    return mix(low, high, random(which, 7919, seed));
  }
};

using Shader = Colour (*)(const View& view, float x, float y);

Colour gradient(const View& view, float x, float y);
Colour beach(const View& view, float x, float y);
Colour forest(const View& view, float x, float y);
Colour city(const View& view, float x, float y);
Colour mountains(const View& view, float x, float y);
Colour library(const View& view, float x, float y);
Colour space(const View& view, float x, float y);
Colour aurora(const View& view, float x, float y);
Colour office(const View& view, float x, float y);
Colour garden(const View& view, float x, float y);
Colour underwater(const View& view, float x, float y);

/// Points of light on a dark sky that twinkle.
float stars(const View& view, float x, float y, float density);

}  // namespace driftless::scenes
