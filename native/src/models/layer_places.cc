#include "models/layer_places.h"

#include <algorithm>

namespace driftless {

LayerPlaces::LayerPlaces(Ops& ops, int64_t layers) : places_(static_cast<size_t>(layers), &ops) {}

Ops& LayerPlaces::ops(int64_t layer) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return *places_[static_cast<size_t>(layer)];
}

void LayerPlaces::move(int64_t layer, Ops& to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto index = static_cast<size_t>(layer);
  if (&places_[index]->memory() == &to.memory()) {
    places_[index] = &to;
    return;
  }
  std::vector<KvLayers::Place> taken;  // all of it before anything moves: there may be no room
  taken.reserve(members_.size());
  for (const KvLayers* member : members_) taken.push_back(member->take(to.memory()));
  for (size_t m = 0; m < members_.size(); ++m) {
    KvLayers::Place& here = members_[m]->layers_[index];
    to.copy(here.kv.k, taken[m].kv.k);
    to.copy(here.kv.v, taken[m].kv.v);
  }
  to.wait();
  for (size_t m = 0; m < members_.size(); ++m) {
    members_[m]->layers_[index] = std::move(taken[m]);
  }
  places_[index] = &to;
}

size_t LayerPlaces::bytes_of_layer() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t bytes = 0;
  for (const KvLayers* member : members_) {
    bytes += KvLayers::bytes(1, member->shape_, member->dtype_);
  }
  return bytes;
}

KvLayers::KvLayers(LayerPlaces& places, const Shape& shape, DType dtype)
    : places_(places), shape_(shape), dtype_(dtype) {
  const std::lock_guard<std::mutex> lock(places.mutex_);
  for (const Ops* ops : places.places_) layers_.push_back(take(ops->memory()));
  places.members_.push_back(this);
}

KvLayers::~KvLayers() {
  const std::lock_guard<std::mutex> lock(places_.mutex_);
  places_.members_.erase(std::find(places_.members_.begin(), places_.members_.end(), this));
}

KvLayers::Place KvLayers::take(const MemorySource& source) const {
  Place place{Arena(bytes(1, shape_, dtype_), 0, source), {}};
  place.kv.k = place.memory.tensor(shape_, dtype_);
  place.kv.v = place.memory.tensor(shape_, dtype_);
  return place;
}

size_t KvLayers::bytes(int64_t layers, const Shape& shape, DType dtype) {
  return 2 * static_cast<size_t>(layers) *
         Arena::rounded(static_cast<size_t>(shape.count()) * dtype_size(dtype));
}

}  // namespace driftless
