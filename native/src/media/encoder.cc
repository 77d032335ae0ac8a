#include "media/encoder.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/gpu_device.h"

namespace driftless {
namespace {

// The time base of both encoders; libvpx plans its rate by these times.
constexpr int kTicksPerSecond = 1000;

const std::string kNvenc = "h264_nvenc";

void set_option(AVCodecContext* context, const char* name, const char* value) {
  const int code = av_opt_set(context->priv_data, name, value, 0);
  if (code < 0) {
    throw Error(std::string("encoder option ") + name + "=" + value, "an encoder that knows it",
                av_error_text(code));
  }
}

void configure_vp8(AVCodecContext* context) {
  set_option(context, "deadline", "realtime");
  set_option(context, "cpu-used", "8");
  set_option(context, "lag-in-frames", "0");
  set_option(context, "error-resilient", "0");
  // Percent of an ordinary frame: bounds the burst that a key frame sends into the network.
  set_option(context, "max-intra-rate", "400");
  context->qmin = 2;
  context->qmax = 56;
  // min = max = target selects constant bit rate. One second of buffer, half of it free at the
  // start: libvpx's own default would allow four seconds of bits above the target.
  context->rc_min_rate = context->rc_max_rate = context->bit_rate;
  context->rc_buffer_size = static_cast<int>(context->bit_rate);
  context->rc_initial_buffer_occupancy = static_cast<int>(context->bit_rate / 2);
}

void configure_h264(AVCodecContext* context) {
  set_option(context, "preset", "ultrafast");
  set_option(context, "tune", "zerolatency");
  set_option(context, "profile", "baseline");
  set_option(context, "forced-idr", "1");
  // 42e01f, which every browser offers, promises level 3.1; larger pictures get what they need.
  if (context->width <= 1280 && context->height <= 720) context->level = 31;
  context->max_b_frames = 0;
  context->refs = 1;
  // Half a second of VBV keeps the size of single frames near what the network expects.
  context->rc_max_rate = context->bit_rate;
  context->rc_buffer_size = static_cast<int>(context->bit_rate / 2);
}

void configure_nvenc(AVCodecContext* context, int gpu) {
  set_option(context, "gpu", std::to_string(gpu).c_str());
  set_option(context, "preset", "p2");
  set_option(context, "tune", "ull");
  set_option(context, "profile", "baseline");
  set_option(context, "rc", "cbr");
  set_option(context, "zerolatency", "1");
  set_option(context, "delay", "0");
  set_option(context, "forced-idr", "1");
  if (context->width <= 1280 && context->height <= 720) set_option(context, "level", "3.1");
  context->max_b_frames = 0;
  context->rc_max_rate = context->bit_rate;
  context->rc_buffer_size = static_cast<int>(context->bit_rate / 2);
}

}  // namespace

struct Encoder::Impl {
  EncoderOptions options;
  AvCodecContextPtr context;
  AvPacketPtr packet{av_packet_alloc()};
  AvFramePtr input = make_frame();
  int64_t wanted_bitrate = 0;  // what set_bitrate asked for
  int64_t open_bitrate = 0;    // what the context runs with
  bool key_requested = true;
  bool started = false;
  double first_capture_ms = 0;
  int64_t last_ticks = 0;
  uint64_t reopened = 0;
  std::string refusal;

  void open();
  void open(const char* name);
  void apply_bitrate();
  int64_t ticks_for(double capture_ms);
};

void Encoder::Impl::open() {
  if (options.codec == VideoCodec::kVp8) return open("libvpx");
  if (options.codec != VideoCodec::kH264) {
    throw Error("video encoder", "vp8 or h264", codec_name(options.codec));
  }
  if (options.gpu >= 0) {
    try {
      return open(kNvenc.c_str());
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  open("libx264");
}

void Encoder::Impl::open(const char* name) {
  const AVCodec* codec = avcodec_find_encoder_by_name(name);
  if (!codec) throw Error("FFmpeg encoder", name, "an FFmpeg without it");
  context.reset(avcodec_alloc_context3(codec));
  if (!context) throw Error("FFmpeg encoder", "memory for it", "none");
  context->width = options.width;
  context->height = options.height;
  context->pix_fmt = AV_PIX_FMT_YUV420P;
  context->color_range = AVCOL_RANGE_MPEG;
  context->colorspace = AVCOL_SPC_SMPTE170M;
  context->time_base = {1, kTicksPerSecond};
  context->framerate = av_d2q(options.fps, 1000);
  context->gop_size = options.max_key_interval_frames;
  context->thread_count = 1;
  context->bit_rate = wanted_bitrate;
  if (options.codec == VideoCodec::kVp8) {
    configure_vp8(context.get());
  } else if (name == kNvenc) {
    configure_nvenc(context.get(), options.gpu);
    if (options.gpu_frames) {
      const AvBufferPtr frames = driftless::gpu_frames(options.gpu, options.width, options.height);
      context->pix_fmt = AV_PIX_FMT_CUDA;
      context->hw_frames_ctx = av_buffer_ref(frames.get());
    }
  } else {
    configure_h264(context.get());
  }
  const FfmpegComplaint complaint;
  const int code = avcodec_open2(context.get(), codec, nullptr);
  if (code < 0) {
    throw Error(std::string("FFmpeg encoder ") + codec->name + " for " +
                    std::to_string(options.width) + "x" + std::to_string(options.height),
                "that it opens", complaint.text(code));
  }
  open_bitrate = wanted_bitrate;
  last_ticks = 0;
  started = false;
}

void Encoder::Impl::apply_bitrate() {
  if (wanted_bitrate == open_bitrate) return;
  const double ratio = static_cast<double>(wanted_bitrate) / static_cast<double>(open_bitrate);
  const bool worth_a_key_frame =
      key_requested || ratio >= kKeyFrameRatio || ratio <= 1 / kKeyFrameRatio;
  if (options.codec == VideoCodec::kVp8) {
    if (!worth_a_key_frame) return;
    open();
    ++reopened;
    return;
  }
  if (context->codec->name == kNvenc && !worth_a_key_frame) return;
  // FFmpeg's wrappers of x264 and NVENC compare these with what is running before each frame.
  context->bit_rate = context->rc_max_rate = wanted_bitrate;
  context->rc_buffer_size = static_cast<int>(wanted_bitrate / 2);
  open_bitrate = wanted_bitrate;
}

int64_t Encoder::Impl::ticks_for(double capture_ms) {
  if (!started) {
    started = true;
    first_capture_ms = capture_ms;
    return last_ticks = 0;
  }
  const double step = std::max(1.0, kTicksPerSecond / options.fps);
  const int64_t ticks = std::llround((capture_ms - first_capture_ms) * kTicksPerSecond / 1000);
  // A jump of the sender's clock must not reach the rate control: libvpx refuses times that do not
  // rise, and a leap of hours would grant it a fortune of bits.
  if (ticks <= last_ticks || ticks > last_ticks + 10 * kTicksPerSecond) {
    last_ticks += static_cast<int64_t>(step);
    first_capture_ms = capture_ms - static_cast<double>(last_ticks) * 1000 / kTicksPerSecond;
    return last_ticks;
  }
  return last_ticks = ticks;
}

Encoder::Encoder(const EncoderOptions& options) : impl_(std::make_unique<Impl>()) {
  silence_ffmpeg_log();
  if (options.width < 2 || options.height < 2 || options.width > 8192 || options.height > 8192) {
    throw Error("encoder size", "2x2 to 8192x8192",
                std::to_string(options.width) + "x" + std::to_string(options.height));
  }
  if (!(options.fps >= 1 && options.fps <= 240)) {
    throw Error("encoder frame rate", "1 to 240", options.fps);
  }
  if (!impl_->packet) throw Error("FFmpeg encoder", "memory for a packet", "none");
  impl_->options = options;
  impl_->wanted_bitrate = std::max(options.bitrate_bps, kMinBitrateBps);
  impl_->open();
}

Encoder::~Encoder() = default;

void Encoder::request_key_frame() { impl_->key_requested = true; }

void Encoder::set_bitrate(int64_t bits_per_second) {
  impl_->wanted_bitrate = std::max(bits_per_second, kMinBitrateBps);
}

EncodedPicture Encoder::encode(const AVFrame& frame, double capture_time_ms) {
  Impl& impl = *impl_;
  if (frame.width != impl.options.width || frame.height != impl.options.height ||
      frame.format != impl.context->pix_fmt) {
    throw Error("frame to encode",
                std::string(av_get_pix_fmt_name(impl.context->pix_fmt)) + " of " +
                    std::to_string(impl.options.width) + "x" + std::to_string(impl.options.height),
                std::to_string(frame.width) + "x" + std::to_string(frame.height) + " in format " +
                    std::to_string(frame.format));
  }
  impl.apply_bitrate();
  AVFrame* input = impl.input.get();
  av_frame_unref(input);
  int code = av_frame_ref(input, &frame);
  if (code < 0) throw Error("frame to encode", "a reference to it", av_error_text(code));
  input->pts = impl.ticks_for(capture_time_ms);
  input->pict_type = impl.key_requested ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
  code = avcodec_send_frame(impl.context.get(), input);
  if (code >= 0) code = avcodec_receive_packet(impl.context.get(), impl.packet.get());
  av_frame_unref(input);
  if (code < 0) {
    throw Error(std::string(codec_name(impl.options.codec)) + " encoder", "one frame for one frame",
                av_error_text(code));
  }
  impl.key_requested = false;

  EncodedPicture picture;
  const AVPacket& packet = *impl.packet;
  picture.data.assign(packet.data, packet.data + packet.size);
  picture.key_frame = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  picture.width = impl.options.width;
  picture.height = impl.options.height;
  picture.capture_time_ms = capture_time_ms;
  av_packet_unref(impl.packet.get());
  return picture;
}

AVBufferRef* Encoder::gpu_frames() const { return impl_->context->hw_frames_ctx; }
uint64_t Encoder::reopened() const { return impl_->reopened; }
const char* Encoder::name() const { return impl_->context->codec->name; }
const std::string& Encoder::refusal() const { return impl_->refusal; }

}  // namespace driftless
