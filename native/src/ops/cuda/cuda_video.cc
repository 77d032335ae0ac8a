#include "ops/cuda/cuda_video.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/device_memory.h"
#include "ops/cuda/host_staging.h"
#include "ops/cuda/video.cuh"

namespace driftless {
namespace {

constexpr int kLargestSide = 1 << 14;

void require_size(const char* what, int width, int height, int multiple) {
  const bool fits = width >= 2 && height >= 2 && width <= kLargestSide && height <= kLargestSide &&
                    width % multiple == 0 && height % multiple == 0;
  DL_CHECK(fits, what, multiple == 2 ? "2x2 to 16384x16384, even" : "2x2 to 16384x16384",
           std::to_string(width) + "x" + std::to_string(height));
}

void require_part(const YuvPicture& from, const PicturePart& part) {
  require_size("picture to convert", from.width, from.height, 1);
  const bool inside = part.x >= 0 && part.y >= 0 && part.x % 2 == 0 && part.y % 2 == 0 &&
                      part.width >= 1 && part.height >= 1 && part.x + part.width <= from.width &&
                      part.y + part.height <= from.height;
  DL_CHECK(inside, "part of a picture",
           "one inside of " + std::to_string(from.width) + "x" + std::to_string(from.height) +
               " at an even place",
           std::to_string(part.width) + "x" + std::to_string(part.height) + " at " +
               std::to_string(part.x) + ", " + std::to_string(part.y));
}

void require_same_size(const char* what, const YuvPicture& expected, const YuvPicture& picture) {
  DL_CHECK(picture.width == expected.width && picture.height == expected.height, what,
           std::to_string(expected.width) + "x" + std::to_string(expected.height),
           std::to_string(picture.width) + "x" + std::to_string(picture.height));
}

YuvPicture corner_of(YuvPicture picture, const PicturePart& part) {
  picture.luma += part.y * picture.luma_pitch + part.x;
  const int64_t chroma = part.y / 2 * picture.chroma_pitch + part.x / 2 * picture.chroma_step;
  picture.blue += chroma;
  picture.red += chroma;
  return picture;
}

class CudaVideo : public VideoOps {
 public:
  explicit CudaVideo(int device) : memory_(cuda_memory(device)), stream_(device) {}

  int device() const override { return stream_.device(); }
  const MemorySource& memory() const override { return memory_; }

  void to_rgb(const YuvPicture& from, const YuvColours& colours, const PicturePart& part, int width,
              int height, uint8_t* rgb) override {
    require_part(from, part);
    require_size("pixels", width, height, 1);
    forget_old_tables();
    const int chroma_width = (part.width + 1) / 2, chroma_height = (part.height + 1) / 2;
    const cuda::YuvTaps taps = {
        this->taps(kTriangle, part.width, width), this->taps(kTriangle, part.height, height),
        this->taps(kTriangle, chroma_width, width), this->taps(kTriangle, chroma_height, height)};
    cuda::yuv_to_rgb(corner_of(from, part), taps, colours, rgb, stream_.get());
  }

  void to_luma(const YuvPicture& from, const PicturePart& part, int width, int height,
               uint8_t* luma) override {
    require_part(from, part);
    require_size("luma", width, height, 1);
    forget_old_tables();
    const cuda::Taps across = taps(kTriangle, part.width, width),
                     down = taps(kTriangle, part.height, height);
    cuda::resample_plane({corner_of(from, part).luma, from.luma_pitch, 1}, across, down,
                         {luma, width, 1}, stream_.get());
  }

  void to_yuv(const uint8_t* rgb, const YuvPicture& to) override {
    require_size("picture to make", to.width, to.height, 2);
    cuda::rgb_to_yuv(rgb, to, stream_.get());
  }

  void enlarge(const YuvPicture& small, const uint8_t* guide, int guide_width, int guide_height,
               const YuvPicture& to) override {
    require_size("picture to enlarge", small.width, small.height, 2);
    require_size("enlarged picture", to.width, to.height, 2);
    require_size("guide", guide_width, guide_height, 1);
    forget_old_tables();
    const cudaStream_t stream = stream_.get();
    const int64_t pixels = int64_t{small.width} * small.height;
    auto* room = scratch_.take<uint8_t>(kSmallPlanes, 3 * pixels);
    const cuda::GuidedPlanes planes = {room, room + pixels, room + 2 * pixels};
    const auto* sharp = guide;
    if (guide_width != to.width || guide_height != to.height) {
      auto* resized = scratch_.take<uint8_t>(kGuide, int64_t{to.width} * to.height);
      resample_luma(kTriangle, guide, guide_width, guide_height, resized, to.width, to.height);
      sharp = resized;
    }
    resample_luma(kArea, sharp, to.width, to.height, planes.shrunk, small.width, small.height);
    cuda::fit_slopes(small, planes, stream);
    const cuda::DetailTaps taps = {this->taps(kCubic, small.width, to.width),
                                   this->taps(kCubic, small.height, to.height),
                                   this->taps(kTriangle, small.width, to.width),
                                   this->taps(kTriangle, small.height, to.height)};
    cuda::add_detail(small, planes, taps, sharp, to, stream);
    const cuda::Taps across = this->taps(kCubic, small.width / 2, to.width / 2),
                     down = this->taps(kCubic, small.height / 2, to.height / 2);
    const auto chroma = [&](uint8_t* from, uint8_t* large) {
      cuda::resample_plane({from, small.chroma_pitch, small.chroma_step}, across, down,
                           {large, to.chroma_pitch, to.chroma_step}, stream);
    };
    chroma(small.blue, to.blue);
    chroma(small.red, to.red);
  }

  void convert(const YuvPicture& from, const YuvColours& colours, const YuvPicture& to) override {
    auto* rgb = scratch_.take<uint8_t>(kRgb, int64_t{to.width} * to.height * 3);
    to_rgb(from, colours, {0, 0, from.width, from.height}, to.width, to.height, rgb);
    to_yuv(rgb, to);
  }

  void copy(const YuvPicture& from, const YuvPicture& to) override {
    require_size("picture to copy", to.width, to.height, 2);
    require_same_size("picture to copy", from, to);
    cuda::copy_picture(from, to, stream_.get());
  }

  void compose(const YuvPicture& camera, const PersonMap& person, float opacity,
               const YuvPicture& scene, const PicturePart& part, const YuvPicture& to) override {
    require_size("composed picture", to.width, to.height, 2);
    require_same_size("composed picture", camera, to);
    require_part(scene, part);
    const uint32_t fade = MatteMath::fade(opacity);
    DL_CHECK(fade == 0 || (person.slope != nullptr && person.width >= 2 && person.height >= 2),
             "person to show", "a map of at least 2x2",
             std::to_string(person.width) + "x" + std::to_string(person.height));
    forget_old_tables();
    const cuda::YuvTaps taps = {this->taps(kTriangle, part.width, to.width),
                                this->taps(kTriangle, part.height, to.height),
                                this->taps(kTriangle, (part.width + 1) / 2, to.width / 2),
                                this->taps(kTriangle, (part.height + 1) / 2, to.height / 2)};
    cuda::compose({camera, corner_of(scene, part), to, person, fade, taps}, stream_.get());
  }

  void to_device(const void* from, void* to, size_t bytes) override {
    staging_.to_device(from, to, bytes);
  }
  void to_host(const void* from, void* to, size_t bytes) override {
    staging_.to_host(from, to, bytes);
  }
  void wait() override { cuda::check(cudaStreamSynchronize(stream_.get()), "wait for pictures"); }

 private:
  enum Filter { kTriangle, kArea, kCubic };
  enum Scratch : size_t { kSmallPlanes, kGuide, kRgb };
  /// What a camera needs at one size, several times over.
  static constexpr size_t kMostTables = 64;

  void forget_old_tables() {
    if (tables_.size() <= kMostTables) return;
    wait();
    tables_.clear();
  }

  void resample_luma(Filter filter, const uint8_t* from, int width, int height, uint8_t* to,
                     int to_width, int to_height) {
    const cuda::Taps across = taps(filter, width, to_width), down = taps(filter, height, to_height);
    cuda::resample_plane({const_cast<uint8_t*>(from), width, 1}, across, down, {to, to_width, 1},
                         stream_.get());
  }

  cuda::Taps taps(Filter filter, int from, int to) {
    cuda::DeviceBuffer& table = tables_[{filter, from, to}];
    if (table.data() == nullptr) {
      const Resampling axis = filter == kTriangle ? Resampling::triangle(from, to)
                              : filter == kArea   ? Resampling::area(from, to)
                                                  : Resampling::cubic(from, to);
      const size_t list = axis.taps.size() * sizeof(Resampling::Taps);
      const size_t weights = axis.weights.size() * sizeof(float);
      std::vector<unsigned char> bytes(list + weights);
      std::copy_n(reinterpret_cast<const unsigned char*>(axis.taps.data()), list, bytes.data());
      std::copy_n(reinterpret_cast<const unsigned char*>(axis.weights.data()), weights,
                  bytes.data() + list);
      const cudaStream_t stream = stream_.get();
      table = cuda::DeviceBuffer(bytes.size());
      cuda::check(
          cudaMemcpyAsync(table.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream),
          "resampling table");
    }
    const auto* list = static_cast<const Resampling::Taps*>(table.data());
    return {list, reinterpret_cast<const float*>(list + to), from, to};
  }

  const MemorySource& memory_;
  cuda::Stream stream_;
  cuda::StreamScratch scratch_{stream_.get()};
  cuda::HostStaging staging_{stream_};
  std::map<std::tuple<Filter, int, int>, cuda::DeviceBuffer> tables_;
};

}  // namespace

std::unique_ptr<VideoOps> make_cuda_video_ops(int device) {
  return std::make_unique<CudaVideo>(device);
}

}  // namespace driftless
