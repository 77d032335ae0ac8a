#pragma once

// Pictures of bytes; and what goes with these operations on the same device.

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "ops/cuda/cuda_mobile.h"
#include "ops/cuda/cuda_tokens.h"
#include "ops/cuda/cuda_video.h"
#include "ops/cuda/pictures.cuh"

namespace driftless {

class CudaPictures : public CudaTokens {
 public:
  using CudaTokens::CudaTokens;

  void frame_differences(const Tensor& before, const Tensor& frames, uint64_t* sums) override {
    const auto s = checks::frames_after("frame_differences", before, frames);
    auto* parts = scratch_.take<uint64_t>(kSums, s.n * cuda::kPictureBlocks);
    cuda::frame_differences(on_device<uint8_t>(before), on_device<uint8_t>(frames), s.n, s.values(),
                            parts, stream_.get());
    fetch_sums(parts, s.n, sums);
  }

  void picture_sums(const Tensor& pictures, int64_t stride, uint64_t* sums) override {
    const auto s = checks::pictures("picture_sums", pictures);
    auto* parts = scratch_.take<uint64_t>(kSums, 6 * cuda::kPictureBlocks);
    cuda::picture_sums(on_device<uint8_t>(pictures), s.n * s.h * s.w, stride, parts, stream_.get());
    fetch_sums(parts, 6, sums);
  }

  void map_bytes(const uint8_t* tables, const Tensor& pictures) override {
    const auto s = checks::pictures("map_bytes", pictures);
    cuda::map_bytes(upload(kByteTables, tables, 3 * 256), s.n * s.values(),
                    on_device<uint8_t>(pictures), stream_.get());
  }

  void measure_motion(const Tensor& before, const Tensor& frames, const Tensor& motion) override {
    const auto s = checks::measure_motion(before, frames, motion);
    cuda::measure_motion(on_device<uint8_t>(before), on_device<uint8_t>(frames), s.n,
                         static_cast<int>(s.h), static_cast<int>(s.w), on_device<uint8_t>(motion),
                         stream_.get());
  }

  void hold_still(const Tensor& motion, float least, bool anew, const Tensor& shown,
                  const Tensor& frames) override {
    const auto s = checks::hold_still(motion, least, shown, frames);
    const int h = static_cast<int>(s.h), w = static_cast<int>(s.w);
    cuda::hold_still(anew ? nullptr : on_device<uint8_t>(motion),
                     Stillness{motion_blocks(w), motion_blocks(h), least}, s.n, h, w,
                     on_device<uint16_t>(shown), on_device<uint8_t>(frames), stream_.get());
  }

  void resample(const Resampling& across, const Resampling& down, const Tensor& x,
                const Tensor& y) override {
    const auto s = checks::resample(across, down, x, y);
    const cuda::Taps columns = taps(kAcross, across), rows = taps(kDown, down);
    cuda::resample(columns, rows, s.n, on_device<uint8_t>(x), on_device<uint8_t>(y), stream_.get());
  }

  std::unique_ptr<MobileOps> mobile() const override {
    return std::make_unique<CudaMobile>(stream_);
  }
  std::unique_ptr<VideoOps> video() const override { return make_cuda_video_ops(stream_.device()); }

 private:
  /// Adds up `count` times kPictureBlocks parts.
  void fetch_sums(const uint64_t* parts, int64_t count, uint64_t* sums) {
    parts_.resize(static_cast<size_t>(count) * cuda::kPictureBlocks);
    fetch(parts, parts_.data(), parts_.size() * sizeof(uint64_t));
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t* from = parts_.data() + i * cuda::kPictureBlocks;
      sums[i] = std::accumulate(from, from + cuda::kPictureBlocks, uint64_t{0});
    }
  }

  /// One upload: the weights lie behind the list.
  cuda::Taps taps(Scratch piece, const Resampling& axis) {
    static_assert(sizeof(Resampling::Taps) == 3 * sizeof(float), "taps of three words");
    const size_t words = 3 * axis.taps.size();
    const ArenaScope scope(host_arena());
    const auto count = static_cast<int64_t>(words + axis.weights.size());
    float* list = host_arena().tensor({count}).f32();
    std::copy_n(reinterpret_cast<const float*>(axis.taps.data()), words, list);
    std::copy(axis.weights.begin(), axis.weights.end(), list + words);
    const float* there = upload(piece, list, count);
    return {reinterpret_cast<const Resampling::Taps*>(there), there + words, axis.from, axis.to};
  }

  std::vector<uint64_t> parts_;
};

}  // namespace driftless
