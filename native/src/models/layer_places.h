#pragma once

// Which device each layer of the transformer is on, and the keys and values that lie beside it.
// With one device that is always the same; see dit_ranks.h for several.

#include <cstdint>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "ops/ops.h"

namespace driftless {

class KvLayers;

class LayerPlaces {
 public:
  // All layers beside `ops`, which must outlive it.
  LayerPlaces(Ops& ops, int64_t layers);
  LayerPlaces(const LayerPlaces&) = delete;
  LayerPlaces& operator=(const LayerPlaces&) = delete;

  int64_t layers() const { return static_cast<int64_t>(places_.size()); }
  // What the layer's block runs on. Safe from any thread; another one may move the layer at once.
  Ops& ops(int64_t layer) const;

  // Brings everything of a layer to where `to` computes, or throws and moves nothing. Called by the
  // thread that uses `to`, while nobody else uses the layer.
  void move(int64_t layer, Ops& to);
  // Bytes that a move to other memory takes there.
  size_t bytes_of_layer() const;

 private:
  friend class KvLayers;

  mutable std::mutex mutex_;
  std::vector<Ops*> places_;  // by layer
  std::vector<KvLayers*> members_;
};

// Keys and values for each layer, wherever its block is: a row's rings, or what a prompt says.
class KvLayers {
 public:
  struct Layer {
    Tensor k, v;
  };

  // `shape` and `dtype` of each tensor; uninitialised. `places` must outlive it.
  KvLayers(LayerPlaces& places, const Shape& shape, DType dtype);
  ~KvLayers();
  KvLayers(const KvLayers&) = delete;
  KvLayers& operator=(const KvLayers&) = delete;

  int64_t count() const { return static_cast<int64_t>(layers_.size()); }
  // For the thread that runs the layer's block, or for any while none is run.
  const Layer& operator[](int64_t layer) const { return layers_[static_cast<size_t>(layer)].kv; }
  LayerPlaces& places() const { return places_; }

  size_t bytes() const { return bytes(count(), shape_, dtype_); }
  static size_t bytes(int64_t layers, const Shape& shape, DType dtype);

 private:
  friend class LayerPlaces;

  struct Place {
    Arena memory;  // each layer's own, so that it can go alone
    Layer kv;
  };
  Place take(const MemorySource& source) const;

  LayerPlaces& places_;
  const Shape shape_;
  const DType dtype_;
  std::vector<Place> layers_;
};

}  // namespace driftless
