// mediasoup's worker includes ankerl::unordered_dense, which Debian does not package. The worker
// uses only its map and set interfaces, which the standard containers share; they are a little
// slower to walk, which no profile of the worker shows.
#pragma once

#include <unordered_map>
#include <unordered_set>

namespace ankerl::unordered_dense {

template <class Key>
struct hash : std::hash<Key> {};

template <class Key, class Value, class... Rest>
using map = std::unordered_map<Key, Value, Rest...>;

template <class Key, class... Rest>
using set = std::unordered_set<Key, Rest...>;

}  // namespace ankerl::unordered_dense
