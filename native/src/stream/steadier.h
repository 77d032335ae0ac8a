#pragma once

// Holds still what the camera holds still. A decoder that makes several frames of one latent paints
// fine texture a little differently in each; where nothing moves before the camera, that is flicker
// and nothing else. There a picture takes only a part of the new frame and keeps the rest of the
// picture before:
//
//   shown = before + weight * (made - before)
//
// The weight is 1 wherever something moves, so motion is never smeared.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "stream/motion_map.h"

namespace driftless {

class Steadier {
 public:
  // Pictures of width x height. hold: how much of the picture before stays where the camera stands
  // still, 0 to less than 1. Its picture lies in `arena`, where it takes bytes().
  Steadier(Arena& arena, int width, int height, double hold);
  static size_t bytes(int width, int height);

  // frames: `count` frames [., height, width, 3], corrected in place. motion: MotionMap's of the
  // camera frames they were made from. another_look: take the frames as they are. No allocation.
  void apply(uint8_t* frames, size_t count, const uint8_t* motion, bool another_look);

 private:
  void weigh(const uint8_t* motion);

  const int width_, height_, columns_, rows_;
  const float least_;
  uint16_t* shown_;  // the last picture, in 256ths, so that small steps add up
  bool begun_ = false;
  std::vector<float> weights_;  // by block
  // Of each column of pixels: the block to its left and the share of the one to its right.
  std::vector<int> left_;
  std::vector<float> right_share_;
  std::vector<int> row_;  // weights of one row of values, in 256ths
};

}  // namespace driftless
