#pragma once

// How far a picture is held still, by what moves before the camera: shared by the host's code and
// by kernels.

#include <cstdint>

#include "ops/host_and_device.h"

namespace driftless {

/// Pixels of a side of the blocks in which motion is measured; the last ones may be smaller.
constexpr int kMotionBlock = 16;

/// Blocks that cover so many pixels.
DL_HOST_AND_DEVICE inline int motion_blocks(int pixels) {
  return (pixels + kMotionBlock - 1) / kMotionBlock;
}

struct Stillness {
  int columns, rows;  ///< Of motion_blocks().
  float least;        ///< The weight of a new frame where nothing moves.

  /// Of a block: it is as free as the one of its neighbours in which most moves. Motion up to 4 is
  /// a sensor's noise; from 12 on something moves.
  DL_HOST_AND_DEVICE float weight(const uint8_t* motion, int column, int row) const {
    int most = 0;
    for (int v = row - 1; v <= row + 1; ++v) {
      if (v < 0 || v >= rows) continue;
      for (int u = column - 1; u <= column + 1; ++u) {
        if (u < 0 || u >= columns) continue;
        const int here = motion[v * columns + u];
        most = here > most ? here : most;
      }
    }
    const float moving = static_cast<float>(most - 4) / 8.0f;
    return least + (1.0f - least) * (moving > 0.0f ? (moving < 1.0f ? moving : 1.0f) : 0.0f);
  }

  /// Between which two blocks' centres a pixel lies: the first, and the share of the second.
  struct Between {
    int first, second;
    float share;
  };
  DL_HOST_AND_DEVICE static Between between(int pixel, int blocks) {
    const float at = (static_cast<float>(pixel) + 0.5f) / static_cast<float>(kMotionBlock) - 0.5f;
    const float last = static_cast<float>(blocks - 1);
    const float inside = at > 0.0f ? (at < last ? at : last) : 0.0f;
    int first = static_cast<int>(inside);
    if (first > blocks - 2) first = blocks > 1 ? blocks - 2 : 0;
    return {first, blocks > 1 ? first + 1 : first, inside - static_cast<float>(first)};
  }

  /// One value's next step, in 256ths of a value as `shown` is: `weight` in 256ths too.
  DL_HOST_AND_DEVICE static int step(int shown, int made, int weight) {
    return shown + ((made << 8) - shown) * weight / 256;
  }
  DL_HOST_AND_DEVICE static uint8_t rounded(int shown) {
    const int value = (shown + 128) >> 8;
    return static_cast<uint8_t>(value < 255 ? value : 255);
  }
};

}  // namespace driftless
