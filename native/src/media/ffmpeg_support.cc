#include "media/ffmpeg_support.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "core/error.h"
#include "media/picture.h"

namespace driftless {

void AvFrameDeleter::operator()(AVFrame* frame) const { av_frame_free(&frame); }

AvFramePtr make_frame() {
  AvFramePtr frame(av_frame_alloc());
  if (!frame) throw Error("video frame", "memory for one frame", "none");
  return frame;
}

AvFramePtr make_yuv_frame(int width, int height) {
  AvFramePtr frame = make_frame();
  frame->width = width;
  frame->height = height;
  frame->format = AV_PIX_FMT_YUV420P;
  frame->color_range = AVCOL_RANGE_MPEG;
  frame->colorspace = AVCOL_SPC_SMPTE170M;
  const int code = av_frame_get_buffer(frame.get(), 0);
  if (code < 0) {
    throw Error("video frame of " + std::to_string(width) + "x" + std::to_string(height),
                "buffers for its planes", av_error_text(code));
  }
  return frame;
}

bool is_full_range(const AVFrame& frame) {
  return frame.color_range == AVCOL_RANGE_JPEG || frame.format == AV_PIX_FMT_YUVJ420P ||
         frame.format == AV_PIX_FMT_YUVJ422P || frame.format == AV_PIX_FMT_YUVJ444P;
}

std::string av_error_text(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

namespace {

thread_local std::string* complaint = nullptr;  // where it is kept

void keep_complaint(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR || complaint == nullptr || !complaint->empty()) return;
  char line[256] = {};
  std::vsnprintf(line, sizeof line, format, arguments);
  *complaint = line;
  while (!complaint->empty() && complaint->back() == '\n') complaint->pop_back();
}

}  // namespace

void silence_ffmpeg_log() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(keep_complaint); });
}

FfmpegComplaint::FfmpegComplaint() {
  silence_ffmpeg_log();
  complaint = &text_;
}
FfmpegComplaint::~FfmpegComplaint() { complaint = nullptr; }

std::string FfmpegComplaint::text(int code) const {
  return text_.empty() ? av_error_text(code) : text_;
}

}  // namespace driftless
