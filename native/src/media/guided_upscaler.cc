#include "media/guided_upscaler.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "ops/guided_detail.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
namespace {

constexpr int kRadius = GuidedDetail::kRadius;

/// Scales one plane of bytes; remembers what it was made for.
class PlaneScaler {
 public:
  explicit PlaneScaler(int method) : method_(method) {}
  ~PlaneScaler() { sws_freeContext(context_); }
  PlaneScaler(const PlaneScaler&) = delete;
  PlaneScaler& operator=(const PlaneScaler&) = delete;

  void scale(const uint8_t* from, int from_stride, PictureSize from_size, uint8_t* to,
             int to_stride, PictureSize to_size) {
    if (context_ == nullptr || !(from_size == from_size_) || !(to_size == to_size_)) {
      sws_freeContext(context_);
      context_ = sws_getContext(from_size.width, from_size.height, AV_PIX_FMT_GRAY8, to_size.width,
                                to_size.height, AV_PIX_FMT_GRAY8, method_ | SWS_ACCURATE_RND,
                                nullptr, nullptr, nullptr);
      DL_CHECK(context_ != nullptr, "picture to enlarge", "a size that swscale can scale",
               std::to_string(from_size.width) + "x" + std::to_string(from_size.height));
      from_size_ = from_size;
      to_size_ = to_size;
    }
    const uint8_t* const source[4] = {from};
    uint8_t* const target[4] = {to};
    const int source_stride[4] = {from_stride}, target_stride[4] = {to_stride};
    sws_scale(context_, source, source_stride, 0, from_size.height, target, target_stride);
  }

 private:
  const int method_;
  SwsContext* context_ = nullptr;
  PictureSize from_size_, to_size_;
};

/// Sums over windows of 2 kRadius + 1 squared, cut off at the borders.
void box_sums(const std::vector<float>& in, int width, int height, std::vector<float>& rows,
              std::vector<float>& out) {
  for (int y = 0; y < height; ++y) {
    const float* line = in.data() + static_cast<ptrdiff_t>(y) * width;
    float* to = rows.data() + static_cast<ptrdiff_t>(y) * width;
    for (int x = 0; x < width; ++x) {
      float sum = 0;
      for (int i = std::max(0, x - kRadius); i <= std::min(width - 1, x + kRadius); ++i) {
        sum += line[i];
      }
      to[x] = sum;
    }
  }
  for (int y = 0; y < height; ++y) {
    float* to = out.data() + static_cast<ptrdiff_t>(y) * width;
    std::fill(to, to + width, 0.0f);
    for (int i = std::max(0, y - kRadius); i <= std::min(height - 1, y + kRadius); ++i) {
      const float* line = rows.data() + static_cast<ptrdiff_t>(i) * width;
      for (int x = 0; x < width; ++x) to[x] += line[x];
    }
  }
}

int window(int at, int size) {
  return std::min(size - 1, at + kRadius) - std::max(0, at - kRadius) + 1;
}

}  // namespace

struct GuidedUpscaler::Impl {
  PictureSize small, size;
  AvFramePtr out;
  // Brightness planes: of the camera at the output's size, shrunk, and shrunk and enlarged again;
  // slopes at both sizes.
  AvFramePtr guide, shrunk, soft, smooth, slope, slopes;
  std::vector<float> i, p, ii, ip, rows, sums[4];
  PlaneScaler bring{SWS_BILINEAR}, shrink{SWS_AREA}, enlarge{SWS_BICUBIC},
      enlarge_slope{SWS_BILINEAR}, enlarge_colour{SWS_BICUBIC};

  void prepare(PictureSize small_size, PictureSize out_size) {
    if (out != nullptr && small_size == small && out_size == size) return;
    small = small_size;
    size = out_size;
    out = make_yuv_frame(size.width, size.height);
    guide = make_yuv_frame(size.width, size.height);
    smooth = make_yuv_frame(size.width, size.height);
    slopes = make_yuv_frame(size.width, size.height);
    shrunk = make_yuv_frame(small.width, small.height);
    soft = make_yuv_frame(small.width, small.height);
    slope = make_yuv_frame(small.width, small.height);
    const size_t pixels = static_cast<size_t>(small.width) * small.height;
    for (auto* plane : {&i, &p, &ii, &ip, &rows, &sums[0], &sums[1], &sums[2], &sums[3]}) {
      plane->resize(pixels);
    }
  }

  void fit_slopes(const AVFrame& picture) {
    const int width = small.width, height = small.height;
    for (int y = 0; y < height; ++y) {
      const uint8_t* guide_line = shrunk->data[0] + static_cast<ptrdiff_t>(y) * shrunk->linesize[0];
      const uint8_t* line = picture.data[0] + static_cast<ptrdiff_t>(y) * picture.linesize[0];
      const size_t row = static_cast<size_t>(y) * width;
      for (int x = 0; x < width; ++x) {
        const float a = guide_line[x], b = line[x];
        i[row + x] = a;
        p[row + x] = b;
        ii[row + x] = a * a;
        ip[row + x] = a * b;
      }
    }
    const std::vector<float>* const planes[4] = {&i, &p, &ii, &ip};
    for (int plane = 0; plane < 4; ++plane) {
      box_sums(*planes[plane], width, height, rows, sums[plane]);
    }
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const size_t at = static_cast<size_t>(y) * width + x;
        slope->data[0][static_cast<ptrdiff_t>(y) * slope->linesize[0] + x] =
            GuidedDetail::slope(sums[0][at], sums[1][at], sums[2][at], sums[3][at],
                                window(x, width) * window(y, height));
      }
    }
  }

  /// [1 2 1] / 4 in both directions: about what the model's autoencoder leaves of the camera's
  /// sharpness, so that the detail added begins where the model's ends.
  void soften_shrunk() {
    const int width = small.width, height = small.height;
    for (int y = 0; y < height; ++y) {
      const auto line = [&](int at) {
        return shrunk->data[0] +
               static_cast<ptrdiff_t>(std::clamp(at, 0, height - 1)) * shrunk->linesize[0];
      };
      const uint8_t *above = line(y - 1), *here = line(y), *below = line(y + 1);
      const auto column = [&](int x) {
        const int at = std::clamp(x, 0, width - 1);
        return above[at] + 2 * here[at] + below[at];
      };
      uint8_t* to = soft->data[0] + static_cast<ptrdiff_t>(y) * soft->linesize[0];
      for (int x = 0; x < width; ++x) {
        to[x] = static_cast<uint8_t>((column(x - 1) + 2 * column(x) + column(x + 1) + 8) / 16);
      }
    }
  }

  void add_detail() {
    for (int y = 0; y < size.height; ++y) {
      const auto line = [y](const AvFramePtr& frame) {
        return frame->data[0] + static_cast<ptrdiff_t>(y) * frame->linesize[0];
      };
      const uint8_t *sharp = line(guide), *blurred = line(smooth), *factor = line(slopes);
      uint8_t* to = line(out);
      for (int x = 0; x < size.width; ++x) {
        to[x] = GuidedDetail::add(to[x], factor[x], sharp[x], blurred[x]);
      }
    }
  }
};

GuidedUpscaler::GuidedUpscaler() : impl_(std::make_unique<Impl>()) {}
GuidedUpscaler::~GuidedUpscaler() = default;

const AVFrame& GuidedUpscaler::upscale(const AVFrame& small, const AVFrame& camera,
                                       PictureSize size) {
  Impl& s = *impl_;
  s.prepare({small.width, small.height}, size);
  // The encoder may still hold a reference to the last picture.
  const int code = av_frame_make_writable(s.out.get());
  if (code < 0) throw Error("picture to encode", "memory for it", av_error_text(code));
  s.bring.scale(camera.data[0], camera.linesize[0], {camera.width, camera.height}, s.guide->data[0],
                s.guide->linesize[0], size);
  s.shrink.scale(s.guide->data[0], s.guide->linesize[0], size, s.shrunk->data[0],
                 s.shrunk->linesize[0], s.small);
  s.fit_slopes(small);
  s.soften_shrunk();
  s.enlarge.scale(s.soft->data[0], s.soft->linesize[0], s.small, s.smooth->data[0],
                  s.smooth->linesize[0], size);
  s.enlarge_slope.scale(s.slope->data[0], s.slope->linesize[0], s.small, s.slopes->data[0],
                        s.slopes->linesize[0], size);
  s.enlarge.scale(small.data[0], small.linesize[0], s.small, s.out->data[0], s.out->linesize[0],
                  size);
  const auto half = [](PictureSize whole) {
    return PictureSize{(whole.width + 1) / 2, (whole.height + 1) / 2};
  };
  for (int plane = 1; plane <= 2; ++plane) {
    s.enlarge_colour.scale(small.data[plane], small.linesize[plane], half(s.small),
                           s.out->data[plane], s.out->linesize[plane], half(size));
  }
  s.add_detail();
  return *s.out;
}

}  // namespace driftless
