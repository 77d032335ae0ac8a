#include "media/decoder.h"

#include <cstring>
#include <utility>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/gpu_device.h"
#include "media/gpu_download.h"
#include "media/stream_header.h"

namespace driftless {
namespace {

AVCodecID codec_id(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kVp8:
      return AV_CODEC_ID_VP8;
    case VideoCodec::kH264:
      return AV_CODEC_ID_H264;
    case VideoCodec::kVp9:
      return AV_CODEC_ID_VP9;
    case VideoCodec::kAv1:
      return AV_CODEC_ID_AV1;
  }
  return AV_CODEC_ID_NONE;
}

const AVCodec* find_decoder(VideoCodec codec) {
  // FFmpeg's own decoder of AV1 works on a GPU alone.
  if (codec == VideoCodec::kAv1) return avcodec_find_decoder_by_name("libdav1d");
  return avcodec_find_decoder(codec_id(codec));
}

/// Whether an access unit may hold several pictures: spatial layers, of which the last is the
/// whole.
bool has_layers(VideoCodec codec) { return codec == VideoCodec::kVp9 || codec == VideoCodec::kAv1; }

bool gpu_decodes(VideoCodec codec) {
  return codec == VideoCodec::kVp8 || codec == VideoCodec::kH264;
}

/// What the pipeline reads: planes of 8 bits. Pictures on a GPU are NV12.
bool is_eight_bits(const AVFrame& frame) {
  if (frame.format == AV_PIX_FMT_CUDA) return true;
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  return format != nullptr && format->comp[0].depth == 8;
}

constexpr uint8_t kEmptyTemporalDelimiter[] = {0x12, 0x00};

std::string size_text(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

/// Called again without the GPU's format where the GPU does not take the stream.
AVPixelFormat choose_format(AVCodecContext* context, const AVPixelFormat* offered) {
  for (const AVPixelFormat* format = offered; *format != AV_PIX_FMT_NONE; ++format) {
    if (*format == AV_PIX_FMT_CUDA) return *format;
  }
  return avcodec_default_get_format(context, offered);
}

}  // namespace

struct Decoder::Impl {
  VideoCodec codec;
  SizeLimits limits;
  AvCodecContextPtr context;
  // The parser reads a key frame's size before the decoder allocates anything for it. It has a
  // context of its own because it writes stream properties into the one it is given.
  AvCodecContextPtr parser_context;
  AvParserPtr parser;
  AvPacketPtr packet;
  bool waiting_for_key = true;
  uint64_t errors = 0;
  AvBufferPtr gpu;  // none: the processor decodes
  bool leave_on_gpu = false;
  GpuDownload download;
  int gpu_width = 0, gpu_height = 0;  // of the last key frame, pixels
  int gpu_errors_in_a_row = 0;
  std::string refusal;

  void open();
  void open_context();
  void give_up_gpu(std::string reason);
  DecodeResult refuse(DecodeStatus status, std::string message);
  bool inside_limits(int width, int height) const;
  std::string limits_text() const;
  bool parse_key_frame();
  bool fill_packet(const uint8_t* data, size_t size);
  int receive(AvFramePtr& frame);
};

void Decoder::Impl::open() {
  const AVCodec* av_codec = find_decoder(codec);
  if (!av_codec) throw Error("FFmpeg decoder", codec_name(codec), "an FFmpeg without it");
  parser_context.reset(avcodec_alloc_context3(av_codec));
  parser.reset(av_parser_init(codec_id(codec)));
  packet.reset(av_packet_alloc());
  if (!parser_context || !parser || !packet) {
    throw Error("FFmpeg decoder", codec_name(codec), "no memory or no parser for it");
  }
  parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  open_context();
}

void Decoder::Impl::open_context() {
  const AVCodec* av_codec = find_decoder(codec);
  context.reset(avcodec_alloc_context3(av_codec));
  if (!context) throw Error("FFmpeg decoder", codec_name(codec), "no memory for it");
  context->thread_count = 1;  // frame threads would hold pictures back
  context->flags |= AV_CODEC_FLAG_LOW_DELAY;
  // The parser already refuses large pictures; this stops a stream that lies to it.
  context->max_pixels = static_cast<int64_t>(limits.max_width) * limits.max_height;
  if (gpu) {
    context->hw_device_ctx = av_buffer_ref(gpu.get());
    context->get_format = choose_format;
  }
  const int code = avcodec_open2(context.get(), av_codec, nullptr);
  if (code < 0) throw Error("FFmpeg decoder", codec_name(codec), av_error_text(code));
}

void Decoder::Impl::give_up_gpu(std::string reason) {
  gpu.reset();
  refusal = std::move(reason);
}

DecodeResult Decoder::Impl::refuse(DecodeStatus status, std::string message) {
  // References that the broken input may have touched are thrown away with it.
  avcodec_flush_buffers(context.get());
  waiting_for_key = true;
  if (status == DecodeStatus::kError) ++errors;
  if (status == DecodeStatus::kError && gpu && ++gpu_errors_in_a_row == kMaxGpuErrorsInARow) {
    give_up_gpu(message);
    open_context();
  }
  DecodeResult result;
  result.status = status;
  result.message = std::move(message);
  return result;
}

bool Decoder::Impl::inside_limits(int width, int height) const {
  return width >= limits.min_width && height >= limits.min_height && width <= limits.max_width &&
         height <= limits.max_height;
}

std::string Decoder::Impl::limits_text() const {
  return size_text(limits.min_width, limits.min_height) + " to " +
         size_text(limits.max_width, limits.max_height);
}

/// Fills parser->width and height when the packet is a key frame that says its size.
bool Decoder::Impl::parse_key_frame() {
  uint8_t* parsed = nullptr;
  int parsed_size = 0;
  parser->width = parser->height = 0;
  parser->key_frame = 0;
  av_parser_parse2(parser.get(), parser_context.get(), &parsed, &parsed_size, packet->data,
                   packet->size, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
  if (codec == VideoCodec::kVp9) {
    const auto size = vp9_key_frame_size(packet->data, static_cast<size_t>(packet->size));
    if (size) {
      parser->width = size->width;
      parser->height = size->height;
    }
    return size.has_value();
  }
  return parser->key_frame == 1;
}

/// Copies the input; the copy has the zero padding that FFmpeg's bit readers rely on.
bool Decoder::Impl::fill_packet(const uint8_t* data, size_t size) {
  av_packet_unref(packet.get());
  // Without it the decoder waits for the next unit before it shows a layered one.
  const bool delimit = codec == VideoCodec::kAv1 && !begins_temporal_unit(data, size);
  const size_t before = delimit ? sizeof(kEmptyTemporalDelimiter) : 0;
  if (size > static_cast<size_t>(INT32_MAX) - AV_INPUT_BUFFER_PADDING_SIZE - before ||
      av_new_packet(packet.get(), static_cast<int>(before + size)) < 0) {
    return false;
  }
  if (delimit) std::memcpy(packet->data, kEmptyTemporalDelimiter, before);
  std::memcpy(packet->data + before, data, size);
  return true;
}

/// The picture of the packet that was sent: of several layers the last. FFmpeg's code.
int Decoder::Impl::receive(AvFramePtr& frame) {
  frame = make_frame();
  const int code = avcodec_receive_frame(context.get(), frame.get());
  if (code < 0 || !has_layers(codec)) return code;
  for (;;) {
    AvFramePtr next = make_frame();
    const int more = avcodec_receive_frame(context.get(), next.get());
    if (more == AVERROR(EAGAIN)) return code;
    if (more < 0) return more;
    frame = std::move(next);
  }
}

Decoder::Decoder(VideoCodec codec, const SizeLimits& limits, int gpu)
    : impl_(std::make_unique<Impl>()) {
  silence_ffmpeg_log();
  impl_->codec = codec;
  impl_->limits = limits;
  if (gpu >= 0 && !gpu_decodes(codec)) {
    impl_->give_up_gpu(std::string(codec_name(codec)) + " is decoded by the processor");
  } else if (gpu >= 0) {
    try {
      impl_->gpu = gpu_device(gpu);
    } catch (const Error& error) {
      impl_->give_up_gpu(error.what());
    }
  }
  impl_->open();
}

Decoder::~Decoder() = default;

DecodeResult Decoder::decode(const uint8_t* data, size_t size) {
  Impl& impl = *impl_;
  AVCodecContext* context = impl.context.get();
  // An empty packet would tell FFmpeg that the stream has ended.
  if (size == 0) return impl.refuse(DecodeStatus::kError, "Expected a frame but received 0 bytes");
  if (!impl.fill_packet(data, size)) {
    return impl.refuse(
        DecodeStatus::kError,
        "Expected a frame that fits into memory but received " + std::to_string(size) + " bytes");
  }
  if (impl.parse_key_frame()) {
    const int width = impl.parser->width, height = impl.parser->height;
    if (width > 0 && height > 0 && !impl.inside_limits(width, height)) {
      return impl.refuse(DecodeStatus::kBadSize, "Expected a picture of " + impl.limits_text() +
                                                     " pixels but received " +
                                                     size_text(width, height));
    }
    // FFmpeg's VP8 keeps the GPU's surfaces of the first size (5.1), so a new size gets a new
    // decoder; a key frame needs nothing of the old one.
    if (width > 0 && height > 0) {
      const bool changed = width != impl.gpu_width || height != impl.gpu_height;
      if (impl.gpu && impl.gpu_width > 0 && changed) {
        impl.open_context();
        context = impl.context.get();
      }
      impl.gpu_width = width;
      impl.gpu_height = height;
    }
    impl.waiting_for_key = false;
  } else if (impl.waiting_for_key) {
    DecodeResult result;
    result.status = DecodeStatus::kNeedKeyFrame;
    return result;
  }

  const FfmpegComplaint complaint;
  int code = avcodec_send_packet(context, impl.packet.get());
  if (code < 0) {
    return impl.refuse(DecodeStatus::kError,
                       std::string("Expected a valid ") + codec_name(impl.codec) +
                           " frame but received " + std::to_string(size) +
                           " bytes that FFmpeg calls: " + av_error_text(code));
  }
  DecodeResult result;
  code = impl.receive(result.frame);
  if (code == AVERROR(EAGAIN)) {
    result.frame.reset();
    return result;
  }
  if (code < 0) {
    return impl.refuse(DecodeStatus::kError, std::string("Expected a valid ") +
                                                 codec_name(impl.codec) +
                                                 " frame but received: " + av_error_text(code));
  }
  const AVFrame& frame = *result.frame;
  if (frame.decode_error_flags != 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) != 0) {
    return impl.refuse(DecodeStatus::kError, std::string("Expected a whole ") +
                                                 codec_name(impl.codec) +
                                                 " frame but received one with missing parts");
  }
  if (!impl.inside_limits(frame.width, frame.height)) {
    return impl.refuse(DecodeStatus::kBadSize, "Expected a picture of " + impl.limits_text() +
                                                   " pixels but received " +
                                                   size_text(frame.width, frame.height));
  }
  if (!is_eight_bits(frame)) {
    return impl.refuse(DecodeStatus::kError,
                       std::string("Expected ") + codec_name(impl.codec) +
                           " pictures of 8 bits but received others (another profile)");
  }
  if (frame.format == AV_PIX_FMT_CUDA) {
    try {
      if (!impl.leave_on_gpu) result.frame = impl.download.run(frame);
    } catch (const Error& error) {
      return impl.refuse(DecodeStatus::kError, error.what());
    }
    impl.gpu_errors_in_a_row = 0;
  } else if (impl.gpu) {
    // FFmpeg went on with the processor.
    impl.give_up_gpu(complaint.text(AVERROR_DECODER_NOT_FOUND));
  }
  result.status = DecodeStatus::kFrame;
  return result;
}

void Decoder::leave_on_gpu(bool leave) { impl_->leave_on_gpu = leave; }
void Decoder::require_key_frame() { impl_->waiting_for_key = true; }
bool Decoder::waiting_for_key_frame() const { return impl_->waiting_for_key; }
uint64_t Decoder::errors() const { return impl_->errors; }
const std::string& Decoder::refusal() const { return impl_->refusal; }

}  // namespace driftless
