#include "media/frame_converter.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.h"
#include "media/ffmpeg_support.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
namespace {

struct SwsDeleter {
  void operator()(SwsContext* context) const { sws_freeContext(context); }
};
using SwsPtr = std::unique_ptr<SwsContext, SwsDeleter>;

AvFramePtr make_rgb_frame(int width, int height) {
  AvFramePtr frame = make_frame();
  frame->width = width;
  frame->height = height;
  frame->format = AV_PIX_FMT_RGB24;
  const int code = av_frame_get_buffer(frame.get(), 0);
  if (code < 0) throw Error("RGB frame", "memory for it", av_error_text(code));
  return frame;
}

}  // namespace

struct FrameConverter::Impl {
  int width, height;
  // swscale's vector code may touch bytes beyond a line's end, so it works on padded frames.
  AvFramePtr rgb;
  AvFramePtr yuv;
  SwsPtr to_rgb, to_yuv;
  // What to_rgb was made for.
  int source_width = 0, source_height = 0, source_format = -1, source_range = -1, source_space = -1;

  void prepare_source(const AVFrame& frame);
};

void FrameConverter::Impl::prepare_source(const AVFrame& frame) {
  if (to_rgb && frame.width == source_width && frame.height == source_height &&
      frame.format == source_format && frame.color_range == source_range &&
      frame.colorspace == source_space) {
    return;
  }
  const auto format = static_cast<AVPixelFormat>(frame.format);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
  if (!descriptor || !sws_isSupportedInput(format) ||
      (descriptor->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BITSTREAM)) != 0) {
    throw Error("picture to convert", "a pixel format in memory",
                descriptor ? descriptor->name : std::to_string(frame.format).c_str());
  }
  SwsPtr context(sws_getContext(frame.width, frame.height, format, width, height, AV_PIX_FMT_RGB24,
                                SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr));
  if (!context) {
    throw Error("picture to convert", "a size that swscale can scale",
                std::to_string(frame.width) + "x" + std::to_string(frame.height));
  }
  const bool bt709 = frame.colorspace == AVCOL_SPC_BT709;
  const int* source_table = sws_getCoefficients(bt709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
  sws_setColorspaceDetails(context.get(), source_table, is_full_range(frame) ? 1 : 0,
                           sws_getCoefficients(SWS_CS_ITU601), 1, 0, 1 << 16, 1 << 16);
  to_rgb = std::move(context);
  source_width = frame.width;
  source_height = frame.height;
  source_format = frame.format;
  source_range = frame.color_range;
  source_space = frame.colorspace;
}

FrameConverter::FrameConverter(int width, int height) : impl_(std::make_unique<Impl>()) {
  if (width < 2 || height < 2) {
    throw Error("model frame size", "at least 2x2",
                std::to_string(width) + "x" + std::to_string(height));
  }
  silence_ffmpeg_log();
  impl_->width = width;
  impl_->height = height;
  impl_->rgb = make_rgb_frame(width, height);
  impl_->yuv = make_yuv_frame(width, height);
  impl_->to_yuv.reset(sws_getContext(width, height, AV_PIX_FMT_RGB24, width, height,
                                     AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND, nullptr,
                                     nullptr, nullptr));
  if (!impl_->to_yuv) {
    throw Error("model frame size", "one that swscale can convert",
                std::to_string(width) + "x" + std::to_string(height));
  }
}

FrameConverter::~FrameConverter() = default;

void FrameConverter::to_rgb(const AVFrame& frame, uint8_t* rgb) {
  Impl& impl = *impl_;
  impl.prepare_source(frame);
  sws_scale(impl.to_rgb.get(), frame.data, frame.linesize, 0, frame.height, impl.rgb->data,
            impl.rgb->linesize);
  const size_t row = static_cast<size_t>(impl.width) * 3;
  for (int y = 0; y < impl.height; ++y) {
    std::memcpy(rgb + row * y,
                impl.rgb->data[0] + static_cast<ptrdiff_t>(y) * impl.rgb->linesize[0], row);
  }
}

const AVFrame& FrameConverter::to_yuv(const uint8_t* rgb) {
  Impl& impl = *impl_;
  const size_t row = static_cast<size_t>(impl.width) * 3;
  for (int y = 0; y < impl.height; ++y) {
    std::memcpy(impl.rgb->data[0] + static_cast<ptrdiff_t>(y) * impl.rgb->linesize[0],
                rgb + row * y, row);
  }
  // The encoder may still hold a reference to the last picture.
  const int code = av_frame_make_writable(impl.yuv.get());
  if (code < 0) throw Error("picture to encode", "memory for it", av_error_text(code));
  sws_scale(impl.to_yuv.get(), impl.rgb->data, impl.rgb->linesize, 0, impl.height, impl.yuv->data,
            impl.yuv->linesize);
  return *impl.yuv;
}

}  // namespace driftless
