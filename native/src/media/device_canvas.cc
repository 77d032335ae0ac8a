#include <utility>
#include <vector>

#include "media/background_canvas.h"
#include "media/device_camera.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

class DeviceCanvas : public BackgroundCanvas {
 public:
  DeviceCanvas(std::shared_ptr<const MatteModels> models, std::shared_ptr<VideoOps> video)
      : video_(std::move(video)), mask_(std::move(models)) {}

  void take(const AVFrame& camera) override {
    const PictureSize size = size_for({camera.width, camera.height});
    const YuvColours colours = colours_of(camera);
    picture_ = camera_.reach(camera, *video_);
    const bool as_it_is = size.width == camera.width && size.height == camera.height &&
                          !colours.full_range && !colours.bt709;
    if (!as_it_is) {
      const YuvPicture normal =
          normal_.make(video_->memory(), size.width, size.height, size.width, size.width / 2);
      video_->convert(picture_, colours, normal);
      picture_ = normal;
    }
    if (size_ == size) return;
    mask_.fit(size.width, size.height);
    const MatteRefiner& refiner = mask_.refiner();
    const size_t pixels = static_cast<size_t>(refiner.width()) * refiner.height();
    rgb_.resize(pixels * 3);
    small_ = DevicePool::make(video_->memory(), rgb_.size())->take();
    map_ = DevicePool::make(video_->memory(), pixels * kMapFloats * sizeof(float))->take();
    finished_ =
        DevicePool::make(video_->memory(), static_cast<size_t>(size.width) * size.height * 3 / 2);
    size_ = size;
  }

  PictureSize size() const override { return size_; }

  void cut(double capture_ms) override {
    const MatteRefiner& refiner = mask_.refiner();
    video_->to_rgb(picture_, {}, {0, 0, size_.width, size_.height}, refiner.width(),
                   refiner.height(), small_.get());
    video_->to_host(small_.get(), rgb_.data(), rgb_.size());
    mask_.update(rgb_.data(), capture_ms,
                 Tensor(DType::u8, {refiner.height(), refiner.width(), 3}, small_.get(),
                        video_->memory().kind()));
    if (mask_.opacity() == 0) return;
    float* const at = reinterpret_cast<float*>(map_.get());
    const size_t pixels = refiner.slope().size();
    const auto bring = [this](const std::vector<float>& from, float* to) {
      video_->to_device(from.data(), to, from.size() * sizeof(float));
    };
    bring(refiner.slope(), at);
    bring(refiner.offset(), at + pixels);
    bring(refiner.rim_colours(), at + 2 * pixels);
  }

  const PersonMask& person() const override { return mask_; }
  const uint8_t* small_rgb() const override { return rgb_.data(); }

  ComposedPicture compose(const AVFrame& scene, const PicturePart& part, float opacity) override {
    ComposedPicture out;
    out.memory = finished_->take();
    uint8_t* const at = out.memory.get();
    const size_t luma = static_cast<size_t>(size_.width) * size_.height;
    out.device = {at, at + luma,   at + luma * 5 / 4, size_.width, size_.width / 2,
                  1,  size_.width, size_.height};
    const MatteRefiner& refiner = mask_.refiner();
    const auto* map = reinterpret_cast<const float*>(map_.get());
    const size_t pixels = refiner.slope().size();
    video_->compose(
        picture_, {map, map + pixels, map + 2 * pixels, refiner.width(), refiner.height()}, opacity,
        scene_.upload(scene.data, scene.linesize, scene.width, scene.height, *video_), part,
        out.device);
    // The decoder may use the camera's picture again, and others read what was made of it.
    video_->wait();
    return out;
  }

 private:
  static constexpr size_t kMapFloats = 6;  // slope, offset, four of the rim's colours

  const std::shared_ptr<VideoOps> video_;
  PersonMask mask_;
  DeviceCamera camera_;
  DevicePlanes normal_, scene_;
  std::vector<uint8_t> rgb_;
  std::shared_ptr<uint8_t> small_, map_;
  std::shared_ptr<DevicePool> finished_;
  PictureSize size_;
  YuvPicture picture_;
};

}  // namespace

std::unique_ptr<BackgroundCanvas> make_device_canvas(std::shared_ptr<const MatteModels> models,
                                                     std::shared_ptr<VideoOps> video) {
  return std::make_unique<DeviceCanvas>(std::move(models), std::move(video));
}

}  // namespace driftless
