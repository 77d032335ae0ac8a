#include "media/person_mask.h"

#include <cmath>
#include <utility>

#include "core/error.h"

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

PersonMask::PersonMask(std::shared_ptr<const MatteModels> models) : models_(std::move(models)) {
  if (!models_) throw Error("person matte", "segmentation networks", "none");
}

void PersonMask::fit(int width, int height) {
  const auto& model = models_->for_size(width, height);
  if (model.get() != network_) {
    network_ = model.get();
    segmenter_ = std::make_unique<Segmenter>(model);
    refiner_ = std::make_unique<MatteRefiner>(model->width(), model->height());
  }
  refiner_->reset();
}

void PersonMask::update(const uint8_t* rgb, double capture_ms, const Tensor& on_gpu) {
  const double gap = capture_ms - last_capture_ms_;
  last_capture_ms_ = capture_ms;
  if (gap < 0 || gap > kMaxGapMs) refiner_->reset();
  const bool there = on_gpu.present() && segmenter_->on_device();
  refiner_->update(there ? segmenter_->run(on_gpu) : segmenter_->run(rgb), rgb);
  gate_.update(refiner_->person_area(), capture_ms);
}

}  // namespace driftless
