#pragma once

#include <memory>
#include <string>

#include "media/picture.h"

namespace driftless {

/// The pictures of a video file, one after the other, cropped around the centre and scaled to one
/// size in 4:2:0 limited range.
class ClipReader {
 public:
  /// width, height: even; 0 keeps the file's own size. Throws driftless::Error when the file cannot
  /// be read.
  ClipReader(const std::string& path, int width, int height);
  ~ClipReader();

  int width() const;
  int height() const;
  double fps() const;

  /// The next picture, which the next call overwrites; null at the end.
  AVFrame* next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
