#pragma once

#include <cmath>
#include <utility>

#include "ops/checks.h"

namespace driftless {

/// Axis (0 temporal, 1 height, 2 width) and angular frequency of one pair of a head.
inline std::pair<int, double> rope_frequency(const checks::RopeSizes& s, int64_t pair) {
  int axis = 0;
  int64_t pairs = s.pairs_t;
  if (pair >= s.pairs_t) {
    axis = pair < s.pairs_t + s.pairs_h ? 1 : 2;
    pair -= s.pairs_t + (axis == 2 ? s.pairs_h : 0);
    pairs = s.pairs_h;
  }
  return {axis, std::pow(10000.0, -static_cast<double>(pair) / static_cast<double>(pairs))};
}

}  // namespace driftless
