#pragma once

// What the FFmpeg users of this folder share; included by .cc files only.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

#include <memory>
#include <string>

namespace driftless {

struct AvCodecContextDeleter {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};
using AvCodecContextPtr = std::unique_ptr<AVCodecContext, AvCodecContextDeleter>;

struct AvPacketDeleter {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using AvPacketPtr = std::unique_ptr<AVPacket, AvPacketDeleter>;

struct AvParserDeleter {
  void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
};
using AvParserPtr = std::unique_ptr<AVCodecParserContext, AvParserDeleter>;

/// Whether a picture's luma goes from 0 to 255, not from 16 to 235.
bool is_full_range(const AVFrame& frame);

/// FFmpeg's own words for an error code.
std::string av_error_text(int code);

/// Keeps FFmpeg from writing to the process's stderr: broken input is counted and reported by the
/// caller, and a stranger must not be able to fill the log. Safe to call from any thread.
void silence_ffmpeg_log();

/// While one lives, the first error that FFmpeg logs on this thread is kept: what was the matter
/// when a code says no more than "not permitted". One at a time on a thread.
class FfmpegComplaint {
 public:
  FfmpegComplaint();
  ~FfmpegComplaint();
  FfmpegComplaint(const FfmpegComplaint&) = delete;
  FfmpegComplaint& operator=(const FfmpegComplaint&) = delete;
  /// What was logged, or the code's text where nothing was.
  std::string text(int code) const;

 private:
  std::string text_;
};

}  // namespace driftless
