#include "models/random_weights.h"

#include <cmath>

#include "core/philox.h"

namespace driftless {

namespace {

// FNV-1a: stable between machines, unlike std::hash.
uint64_t hash(const std::string& text) {
  uint64_t h = 1469598103934665603ull;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return h;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Tensor RandomWeights::take(const std::string& key, const Shape& shape, Arena& arena) {
  const Tensor out = arena.tensor(shape);
  const size_t count = static_cast<size_t>(out.count());
  fill_normal(seed_, hash(key), 0, out.f32(), count);
  float spread = 0.05f, centre = 0;
  if (shape.rank() > 1) {
    spread = 1.0f / std::sqrt(static_cast<float>(out.count() / shape[0]));
  } else if (ends_with(key, "weight")) {
    centre = 1;
  }
  for (size_t i = 0; i < count; ++i) out.f32()[i] = centre + spread * out.f32()[i];
  if (keep) entries_[key] = Entry{shape, std::vector<float>(out.f32(), out.f32() + count)};
  return out;
}

}  // namespace driftless
