#pragma once

// Pictures of 4:2:0 on a GPU, between a video codec and a model, so that frames need not leave it.

#include <cstddef>
#include <cstdint>

#include "core/arena.h"

namespace driftless {

/// 8 bits of 4:2:0: a plane of luma, and chroma of half the size, rounded up, in two planes
/// (chroma_step 1) or side by side in one (2, as NV12 has them). Pitches are in bytes.
struct YuvPicture {
  uint8_t *luma = nullptr, *blue = nullptr, *red = nullptr;
  int64_t luma_pitch = 0, chroma_pitch = 0;
  int chroma_step = 1;
  int width = 0, height = 0;
};

/// How its numbers mean colours; what the engine makes is BT.601 of limited range.
struct YuvColours {
  bool full_range = false;
  bool bt709 = false;
};

/// A part of a picture, in pixels; x and y are even.
struct PicturePart {
  int x = 0, y = 0, width = 0, height = 0;
};

/// Where a picture's person is, on a small grid [height, width] of floats, as MatteRefiner finds
/// it: alpha = slope * luma + offset, and colours [height, width, 4] for the person's rim.
struct PersonMap {
  const float *slope = nullptr, *offset = nullptr, *colours = nullptr;
  int width = 0, height = 0;
};

/// Conversions on one stream of one device: started, not awaited. Pixels are rows of `width` x 3
/// bytes without gaps. Addresses are the device's unless a function says otherwise. Throws Error
/// for impossible sizes, and as operations do. Not thread-safe.
class VideoOps {
 public:
  virtual ~VideoOps() = default;
  virtual int device() const = 0;
  virtual const MemorySource& memory() const = 0;

  /// rgb [height, width, 3]: a part of a picture, brought to that size as Resampling::triangle()
  /// does.
  virtual void to_rgb(const YuvPicture& from, const YuvColours& colours, const PicturePart& part,
                      int width, int height, uint8_t* rgb) = 0;
  /// The part's luma as it is, [height, width].
  virtual void to_luma(const YuvPicture& from, const PicturePart& part, int width, int height,
                       uint8_t* luma) = 0;
  /// rgb of the picture's size, which is even -> BT.601 of limited range.
  virtual void to_yuv(const uint8_t* rgb, const YuvPicture& to) = 0;
  /// A small picture enlarged with the contours of a guide [guide_height, guide_width], the
  /// camera's luma in the same shape: see GuidedUpscaler. Both sizes are even.
  virtual void enlarge(const YuvPicture& small, const uint8_t* guide, int guide_width,
                       int guide_height, const YuvPicture& to) = 0;

  /// A picture as BT.601 of limited range at another size; the latter is even.
  virtual void convert(const YuvPicture& from, const YuvColours& colours, const YuvPicture& to) = 0;
  /// The same picture in another layout; sizes are even and alike.
  virtual void copy(const YuvPicture& from, const YuvPicture& to) = 0;
  /// The camera's person before a part of a scene, which is enlarged, as Compositor paints it.
  /// camera and to are of one even size. opacity 0..1 fades the person; 0: nobody, and `person` may
  /// be empty.
  virtual void compose(const YuvPicture& camera, const PersonMap& person, float opacity,
                       const YuvPicture& scene, const PicturePart& part, const YuvPicture& to) = 0;

  /// From and to the host's memory; to_host() waits, and to_device() has read it when it returns.
  virtual void to_device(const void* from, void* to, size_t bytes) = 0;
  virtual void to_host(const void* from, void* to, size_t bytes) = 0;
  /// Returns when all that was started is done.
  virtual void wait() = 0;
};

}  // namespace driftless
