#include "media/person_matte.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.h"
#include "media/ffmpeg_support.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
struct PersonMatte::Scaler {
  SwsContext* context = nullptr;
  AvFramePtr rgb;
  ~Scaler() { sws_freeContext(context); }
};

PersonMatte::PersonMatte(std::shared_ptr<const MatteModels> models) : mask_(std::move(models)) {}

PersonMatte::~PersonMatte() = default;

void PersonMatte::prepare(const AVFrame& frame) {
  if (frame.format != AV_PIX_FMT_YUV420P || frame.width < 16 || frame.height < 16) {
    throw Error("picture to cut a person out of", "4:2:0 of at least 16x16",
                std::to_string(frame.width) + "x" + std::to_string(frame.height) + " in format " +
                    std::to_string(frame.format));
  }
  if (scaler_ && frame.width == width_ && frame.height == height_) return;
  width_ = frame.width;
  height_ = frame.height;
  mask_.fit(width_, height_);
  const int small_width = refiner().width(), small_height = refiner().height();
  scaler_ = std::make_unique<Scaler>();
  scaler_->rgb = make_frame();
  scaler_->rgb->width = small_width;
  scaler_->rgb->height = small_height;
  scaler_->rgb->format = AV_PIX_FMT_RGB24;
  const int code = av_frame_get_buffer(scaler_->rgb.get(), 0);
  if (code < 0) throw Error("small picture", "memory for it", av_error_text(code));
  scaler_->context = sws_getContext(width_, height_, AV_PIX_FMT_YUV420P, small_width, small_height,
                                    AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr);
  if (!scaler_->context) throw Error("small picture", "a size that swscale can scale", width_);
  rgb_.resize(static_cast<size_t>(small_width) * small_height * 3);
  alpha_.resize(static_cast<size_t>(width_) * height_);
}

void PersonMatte::update(const AVFrame& frame, double capture_ms) {
  std::fill(alpha_.begin(), alpha_.end(), uint8_t{0});
  prepare(frame);
  AVFrame& small = *scaler_->rgb;
  sws_scale(scaler_->context, frame.data, frame.linesize, 0, height_, small.data, small.linesize);
  const size_t row = static_cast<size_t>(small.width) * 3;
  for (int y = 0; y < small.height; ++y) {
    std::memcpy(rgb_.data() + row * y,
                small.data[0] + static_cast<ptrdiff_t>(y) * small.linesize[0], row);
  }
  mask_.update(rgb_.data(), capture_ms);
  mask_.refiner().upsample(frame.data[0], frame.linesize[0], width_, height_, alpha_.data());
}

}  // namespace driftless
