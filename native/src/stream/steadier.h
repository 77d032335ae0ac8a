#pragma once

// Holds still what the camera holds still. A decoder that makes several frames of one latent paints
// fine texture a little differently in each; where nothing moves before the camera, that is flicker
// and nothing else. There a picture takes only a part of the new frame and keeps the rest of the
// picture before:
//
//   shown = before + weight * (made - before)
//
// The weight is 1 wherever something moves, so motion is never smeared.

#include "core/arena.h"
#include "ops/ops.h"

namespace driftless {

class Steadier {
 public:
  // Pictures of width x height. hold: how much of the picture before stays where the camera stands
  // still, 0 to less than 1. Its picture lies in `arena`, of the memory of `ops`, where it takes
  // bytes().
  Steadier(Ops& ops, Arena& arena, int width, int height, double hold);
  static size_t bytes(int width, int height);
  // Of the map that Ops::measure_motion() makes of so many frames.
  static Shape motion_shape(int frames, int width, int height);

  // frames [., height, width, 3], corrected in place. motion: of the camera frames they were made
  // from. another_look: take the frames as they are. No allocation.
  void apply(const Tensor& frames, const Tensor& motion, bool another_look);

 private:
  Ops& ops_;
  const float least_;
  const Tensor shown_;
  bool begun_ = false;
};

}  // namespace driftless
