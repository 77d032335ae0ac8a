#include "stream/latent_history.h"

#include <algorithm>

namespace driftless {

LatentHistory::LatentHistory(Arena& arena, Ops& ops, size_t values, size_t first, size_t newest)
    : ops_(ops), first_(first), entries_(first + newest) {
  for (Entry& entry : entries_) entry.clean = arena.tensor({static_cast<int64_t>(values)});
}

size_t LatentHistory::bytes(size_t values, size_t first, size_t newest) {
  return (first + newest) * Arena::rounded(values * sizeof(float));
}

void LatentHistory::push(uint64_t index, float noise_scale, double timestep, const Tensor& clean) {
  const size_t ring = entries_.size() - first_;
  Entry& entry = entries_[pushed_ < first_ ? pushed_ : first_ + (pushed_ - first_) % ring];
  ++pushed_;
  entry.index = index;
  entry.noise_scale = noise_scale;
  entry.timestep = timestep;
  ops_.copy(clean, entry.clean);
}

size_t LatentHistory::size() const { return std::min<uint64_t>(pushed_, entries_.size()); }

const LatentHistory::Entry& LatentHistory::operator[](size_t i) const {
  if (i < first_ || pushed_ <= entries_.size()) return entries_[i];
  const size_t ring = entries_.size() - first_;
  return entries_[first_ + (pushed_ - first_ + i - first_) % ring];
}

}  // namespace driftless
