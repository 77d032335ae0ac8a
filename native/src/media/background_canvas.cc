#include "media/background_canvas.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "media/compositor.h"
#include "media/ffmpeg_support.h"
#include "media/person_matte.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
namespace {

/// A swscale context and what it was made for.
struct Scaler {
  SwsContext* context = nullptr;
  int from_width = 0, from_height = 0, format = -1, range = -1, space = -1, width = 0, height = 0;

  ~Scaler() { sws_freeContext(context); }

  void prepare(const AVFrame& from, int source_width, int source_height, const AVFrame& to) {
    if (context && source_width == from_width && source_height == from_height &&
        from.format == format && from.color_range == range && from.colorspace == space &&
        to.width == width && to.height == height) {
      return;
    }
    sws_freeContext(context);
    context = sws_getContext(source_width, source_height, static_cast<AVPixelFormat>(from.format),
                             to.width, to.height, AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr,
                             nullptr, nullptr);
    if (!context) {
      throw Error("picture to scale", "a size and format that swscale knows",
                  std::to_string(source_width) + "x" + std::to_string(source_height) +
                      " in format " + std::to_string(from.format));
    }
    from_width = source_width;
    from_height = source_height;
    format = from.format;
    range = from.color_range;
    space = from.colorspace;
    width = to.width;
    height = to.height;
    const bool full = is_full_range(from) || format == AV_PIX_FMT_RGB24;
    const int* coefficients =
        sws_getCoefficients(from.colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(context, coefficients, full ? 1 : 0,
                             sws_getCoefficients(SWS_CS_ITU601), 0, 0, 1 << 16, 1 << 16);
  }

  void run(const AVFrame& from, const uint8_t* const planes[4], int rows, AVFrame& to) {
    sws_scale(context, planes, from.linesize, 0, rows, to.data, to.linesize);
  }
};

class HostCanvas : public BackgroundCanvas {
 public:
  explicit HostCanvas(std::shared_ptr<const MatteModels> models) : matte_(std::move(models)) {}

  void take(const AVFrame& camera) override {
    const PictureSize size = size_for({camera.width, camera.height});
    const bool as_it_is = size.width == camera.width && size.height == camera.height &&
                          camera.format == AV_PIX_FMT_YUV420P && !is_full_range(camera) &&
                          camera.colorspace != AVCOL_SPC_BT709;
    picture_ = &camera;
    if (as_it_is) return;
    if (!normal_ || normal_->width != size.width || normal_->height != size.height) {
      normal_ = make_yuv_frame(size.width, size.height);
    }
    camera_scaler_.prepare(camera, camera.width, camera.height, *normal_);
    camera_scaler_.run(camera, camera.data, camera.height, *normal_);
    picture_ = normal_.get();
  }

  PictureSize size() const override { return {picture_->width, picture_->height}; }
  void cut(double capture_ms) override { matte_.update(*picture_, capture_ms); }
  const PersonMask& person() const override { return matte_.mask(); }
  const uint8_t* small_rgb() const override { return matte_.small_rgb(); }

  ComposedPicture compose(const AVFrame& scene, const PicturePart& part, float opacity) override {
    ComposedPicture out;
    out.host = make_yuv_frame(picture_->width, picture_->height);
    const uint8_t* planes[4] = {};
    for (int plane = 0; plane < 3; ++plane) {
      const int shift = plane == 0 ? 0 : 1;
      planes[plane] = scene.data[plane] +
                      static_cast<ptrdiff_t>(part.y >> shift) * scene.linesize[plane] +
                      (part.x >> shift);
    }
    scene_scaler_.prepare(scene, part.width, part.height, *out.host);
    scene_scaler_.run(scene, planes, part.height, *out.host);
    if (opacity > 0) {
      compositor_.compose(*picture_, *out.host, matte_.alpha(), matte_.refiner(), opacity,
                          *out.host);
    }
    return out;
  }

 private:
  PersonMatte matte_;
  Compositor compositor_;
  Scaler camera_scaler_, scene_scaler_;
  AvFramePtr normal_;
  const AVFrame* picture_ = nullptr;  // the camera's, or normal_
};

}  // namespace

PictureSize ComposedPicture::size() const {
  return on_device() ? PictureSize{device.width, device.height}
                     : PictureSize{host->width, host->height};
}

PictureSize BackgroundCanvas::size_for(const PictureSize& camera) {
  int width = camera.width, height = camera.height;
  const double factor = std::min(static_cast<double>(kMostLongSide) / std::max(width, height),
                                 static_cast<double>(kMostShortSide) / std::min(width, height));
  if (factor < 1) {
    width = static_cast<int>(width * factor);
    height = static_cast<int>(height * factor);
  }
  return {std::max(16, width / 2 * 2), std::max(16, height / 2 * 2)};
}

std::unique_ptr<BackgroundCanvas> make_host_canvas(std::shared_ptr<const MatteModels> models) {
  return std::make_unique<HostCanvas>(std::move(models));
}

std::unique_ptr<BackgroundCanvas> BackgroundCanvas::make(std::shared_ptr<const MatteModels> models,
                                                         std::shared_ptr<VideoOps> video) {
  if (!video) return make_host_canvas(std::move(models));
  return make_device_canvas(std::move(models), std::move(video));
}

}  // namespace driftless
