#include "media/compositor.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "ops/matte_math.h"

namespace driftless {
namespace {

void require_like(const char* what, const AVFrame& first, const AVFrame& frame) {
  const auto text = [](const AVFrame& f) {
    return std::to_string(f.width) + "x" + std::to_string(f.height) + " in format " +
           std::to_string(f.format);
  };
  if (frame.format != AV_PIX_FMT_YUV420P || frame.width % 2 != 0 || frame.height % 2 != 0 ||
      frame.width != first.width || frame.height != first.height) {
    throw Error(what, "4:2:0 of an even size like " + text(first), text(frame));
  }
}

}  // namespace

void Compositor::compose(const AVFrame& camera, const AVFrame& scene, const uint8_t* alpha,
                         const MatteRefiner& matte, float opacity, AVFrame& out) {
  require_like("camera picture", camera, camera);
  require_like("scene", camera, scene);
  require_like("composed picture", camera, out);
  const int width = camera.width, height = camera.height;
  const size_t pixels = static_cast<size_t>(width) * height;
  if (opacity < 1) {
    const uint32_t fade = MatteMath::fade(opacity);
    faded_.resize(pixels);
    for (size_t i = 0; i < pixels; ++i) {
      faded_[i] = MatteMath::faded(alpha[i], fade);
    }
    alpha = faded_.data();
  }
  const int half_width = width / 2, half_height = height / 2;
  small_.resize(pixels / 4);
  for (int y = 0; y < half_height; ++y) {
    const uint8_t *top = alpha + static_cast<ptrdiff_t>(2 * y) * width, *bottom = top + width;
    uint8_t* to = small_.data() + static_cast<ptrdiff_t>(y) * half_width;
    for (int x = 0; x < half_width; ++x) {
      to[x] = static_cast<uint8_t>(
          (top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1] + 2) >> 2);
    }
  }
  for (int plane = 0; plane < 3; ++plane) {
    const int w = plane == 0 ? width : half_width, h = plane == 0 ? height : half_height;
    const uint8_t* plane_alpha = plane == 0 ? alpha : small_.data();
    for (int y = 0; y < h; ++y) {
      const int rim_row = std::min(y * matte.height() / h, matte.height() - 1);
      paint_row(camera.data[plane] + static_cast<ptrdiff_t>(y) * camera.linesize[plane],
                scene.data[plane] + static_cast<ptrdiff_t>(y) * scene.linesize[plane],
                plane_alpha + static_cast<ptrdiff_t>(y) * w, w,
                matte.rim_colours().data() + static_cast<ptrdiff_t>(rim_row) * matte.width() * 4,
                matte.width(), plane,
                out.data[plane] + static_cast<ptrdiff_t>(y) * out.linesize[plane]);
    }
  }
}

void Compositor::paint_row(const uint8_t* camera, const uint8_t* scene, const uint8_t* alpha,
                           int width, const float* rim, int rim_width, int channel, uint8_t* out) {
  row_.assign(camera, camera + width);
  for (int x = 0; x < width; ++x) {
    if (alpha[x] == 0) continue;
    const float* colours = rim + static_cast<ptrdiff_t>(4) * (x * rim_width / width);
    row_[x] = MatteMath::person(camera[x], alpha[x], colours, channel);
  }
  const uint8_t* person = row_.data();
  for (int x = 0; x < width; ++x) {
    out[x] = MatteMath::mix(person[x], scene[x], alpha[x]);
  }
}

}  // namespace driftless
