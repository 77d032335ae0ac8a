#include "media/person_matte.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "media/ffmpeg_support.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
namespace {

// A mask from before a gap this long says nothing about the picture after it.
constexpr double kMaxGapMs = 500;

}  // namespace

const std::shared_ptr<const SegmentationModel>& MatteModels::for_size(int width, int height) const {
  const double shape = static_cast<double>(width) / height;
  const auto distance = [&](const SegmentationModel& model) {
    return std::abs(std::log(shape * model.height() / model.width()));
  };
  return distance(*landscape) < distance(*general) ? landscape : general;
}

std::shared_ptr<const MatteModels> load_matte_models(const std::string& dir,
                                                     const std::string& backend) {
  auto models = std::make_shared<MatteModels>();
  models->landscape =
      SegmentationModel::load(dir + "/selfie_segmentation_landscape.tflite", backend);
  models->general = SegmentationModel::load(dir + "/selfie_segmentation.tflite", backend);
  return models;
}

struct PersonMatte::Scaler {
  SwsContext* context = nullptr;
  AvFramePtr rgb;
  ~Scaler() { sws_freeContext(context); }
};

PersonMatte::PersonMatte(std::shared_ptr<const MatteModels> models) : models_(std::move(models)) {
  if (!models_) throw Error("person matte", "segmentation networks", "none");
}

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
  const auto& model = models_->for_size(width_, height_);
  if (model.get() != network_) {
    network_ = model.get();
    segmenter_ = std::make_unique<Segmenter>(model);
    refiner_ = std::make_unique<MatteRefiner>(model->width(), model->height());
  }
  scaler_ = std::make_unique<Scaler>();
  scaler_->rgb = make_frame();
  scaler_->rgb->width = segmenter_->width();
  scaler_->rgb->height = segmenter_->height();
  scaler_->rgb->format = AV_PIX_FMT_RGB24;
  const int code = av_frame_get_buffer(scaler_->rgb.get(), 0);
  if (code < 0) throw Error("small picture", "memory for it", av_error_text(code));
  scaler_->context =
      sws_getContext(width_, height_, AV_PIX_FMT_YUV420P, segmenter_->width(), segmenter_->height(),
                     AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr);
  if (!scaler_->context) throw Error("small picture", "a size that swscale can scale", width_);
  rgb_.resize(static_cast<size_t>(segmenter_->width()) * segmenter_->height() * 3);
  alpha_.resize(static_cast<size_t>(width_) * height_);
  refiner_->reset();
}

void PersonMatte::update(const AVFrame& frame, double capture_ms) {
  std::fill(alpha_.begin(), alpha_.end(), uint8_t{0});
  prepare(frame);
  const double gap = capture_ms - last_capture_ms_;
  last_capture_ms_ = capture_ms;
  if (gap < 0 || gap > kMaxGapMs) refiner_->reset();
  AVFrame& small = *scaler_->rgb;
  sws_scale(scaler_->context, frame.data, frame.linesize, 0, height_, small.data, small.linesize);
  const size_t row = static_cast<size_t>(small.width) * 3;
  for (int y = 0; y < small.height; ++y) {
    std::memcpy(rgb_.data() + row * y,
                small.data[0] + static_cast<ptrdiff_t>(y) * small.linesize[0], row);
  }
  refiner_->update(segmenter_->run(rgb_.data()), rgb_.data());
  gate_.update(refiner_->person_area(), capture_ms);
  refiner_->upsample(frame.data[0], frame.linesize[0], width_, height_, alpha_.data());
}

}  // namespace driftless
