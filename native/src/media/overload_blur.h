#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "media/session_types.h"
#include "ops/video_ops.h"

namespace driftless {

/// What viewers get in place of generated frames while the device is too busy to make any: the very
/// pictures that the model was to get, blurred until nothing in them can be read. Where the room is
/// hidden, those have none. Not thread-safe.
class OverloadBlur {
 public:
  /// The picture is brought to at most so many pixels, and their means over a tenth of it.
  static constexpr int kWidth = 64, kHeight = 36;

  explicit OverloadBlur(const ModelInfo& model);

  /// video: of the device where chunks may lie; null: none lies on one.
  void use(std::shared_ptr<VideoOps> video) { video_ = std::move(video); }

  /// The chunk's frames, in the host's memory and without anything of their cameras' contours.
  GeneratedChunk blurred(Chunk chunk);

 private:
  void blur(uint8_t* rgb);

  const ModelInfo model_;
  PictureSize size_;            // of the pictures that are blurred
  int width_ = 0, height_ = 0;  // of the small picture
  std::shared_ptr<VideoOps> video_;
  std::vector<float> maps_[3], counts_, memory_;
};

}  // namespace driftless
