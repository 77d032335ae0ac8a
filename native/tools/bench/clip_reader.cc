#include "bench/clip_reader.h"

#include "core/error.h"
#include "media/ffmpeg_support.h"

extern "C" {
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace driftless {

struct ClipReader::Impl {
  AVFormatContext* format = nullptr;
  AvCodecContextPtr codec;
  AvPacketPtr packet{av_packet_alloc()};
  AvFramePtr decoded = make_frame(), out;
  SwsContext* scaler = nullptr;
  int stream = -1, crop_x = 0, crop_y = 0, crop_width = 0, crop_height = 0;
  double fps = 25;
  bool draining = false;

  ~Impl() {
    sws_freeContext(scaler);
    avformat_close_input(&format);
  }
};

ClipReader::ClipReader(const std::string& path, int width, int height)
    : impl_(std::make_unique<Impl>()) {
  silence_ffmpeg_log();
  Impl& impl = *impl_;
  int code = avformat_open_input(&impl.format, path.c_str(), nullptr, nullptr);
  if (code < 0) throw Error(path, "a video file", av_error_text(code));
  code = avformat_find_stream_info(impl.format, nullptr);
  const AVCodec* codec = nullptr;
  if (code >= 0) {
    code = av_find_best_stream(impl.format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
  }
  if (code < 0) throw Error(path, "a video stream", av_error_text(code));
  impl.stream = code;
  const AVStream& stream = *impl.format->streams[impl.stream];
  if (stream.avg_frame_rate.num > 0) impl.fps = av_q2d(stream.avg_frame_rate);
  impl.codec.reset(avcodec_alloc_context3(codec));
  avcodec_parameters_to_context(impl.codec.get(), stream.codecpar);
  impl.codec->thread_count = 1;
  code = avcodec_open2(impl.codec.get(), codec, nullptr);
  if (code < 0) throw Error(path, "a codec that opens", av_error_text(code));
  const int from_width = impl.codec->width, from_height = impl.codec->height;
  if (width == 0 || height == 0) {
    width = from_width / 2 * 2;
    height = from_height / 2 * 2;
  }
  impl.crop_width = from_width;
  impl.crop_height = from_height;
  if (int64_t{from_width} * height > int64_t{from_height} * width) {
    impl.crop_width = static_cast<int>(int64_t{from_height} * width / height);
    impl.crop_x = (from_width - impl.crop_width) / 4 * 2;
  } else {
    impl.crop_height = static_cast<int>(int64_t{from_width} * height / width);
    impl.crop_y = (from_height - impl.crop_height) / 4 * 2;
  }
  impl.out = make_yuv_frame(width, height);
  impl.scaler = sws_getContext(impl.crop_width, impl.crop_height, impl.codec->pix_fmt, width,
                               height, AV_PIX_FMT_YUV420P, SWS_BICUBIC, nullptr, nullptr, nullptr);
  if (!impl.scaler || impl.codec->pix_fmt != AV_PIX_FMT_YUV420P) {
    throw Error(path, "a 4:2:0 video that can be scaled", impl.codec->pix_fmt);
  }
}

ClipReader::~ClipReader() = default;

int ClipReader::width() const { return impl_->out->width; }
int ClipReader::height() const { return impl_->out->height; }
double ClipReader::fps() const { return impl_->fps; }

AVFrame* ClipReader::next() {
  Impl& impl = *impl_;
  for (;;) {
    const int code = avcodec_receive_frame(impl.codec.get(), impl.decoded.get());
    if (code == 0) break;
    if (code != AVERROR(EAGAIN) || impl.draining) return nullptr;
    if (av_read_frame(impl.format, impl.packet.get()) < 0) {
      impl.draining = true;
      avcodec_send_packet(impl.codec.get(), nullptr);
      continue;
    }
    if (impl.packet->stream_index == impl.stream) {
      avcodec_send_packet(impl.codec.get(), impl.packet.get());
    }
    av_packet_unref(impl.packet.get());
  }
  const uint8_t* planes[4] = {};
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    planes[plane] = impl.decoded->data[plane] +
                    static_cast<ptrdiff_t>(impl.crop_y >> shift) * impl.decoded->linesize[plane] +
                    (impl.crop_x >> shift);
  }
  sws_scale(impl.scaler, planes, impl.decoded->linesize, 0, impl.crop_height, impl.out->data,
            impl.out->linesize);
  return impl.out.get();
}

}  // namespace driftless
