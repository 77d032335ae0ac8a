#include "media/gpu_download.h"

#include "core/error.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace driftless {
namespace {

void check(int code, const FfmpegComplaint& complaint) {
  if (code < 0) throw Error("picture on a GPU", "that it can be fetched", complaint.text(code));
}

}  // namespace

AvFramePtr GpuDownload::run(const AVFrame& frame) {
  const FfmpegComplaint complaint;
  if (!staging_ || staging_->width != frame.width || staging_->height != frame.height) {
    AvFramePtr staging = make_frame();
    staging->width = frame.width;
    staging->height = frame.height;
    staging->format = AV_PIX_FMT_NV12;
    check(av_frame_get_buffer(staging.get(), 0), complaint);
    staging_ = std::move(staging);
  }
  check(av_hwframe_transfer_data(staging_.get(), &frame, 0), complaint);
  AvFramePtr out = make_yuv_frame(frame.width, frame.height);
  check(av_frame_copy_props(out.get(), &frame), complaint);
  const AVFrame& nv12 = *staging_;
  av_image_copy_plane(out->data[0], out->linesize[0], nv12.data[0], nv12.linesize[0], frame.width,
                      frame.height);
  const int width = (frame.width + 1) / 2, height = (frame.height + 1) / 2;
  for (int y = 0; y < height; ++y) {
    const uint8_t* pairs = nv12.data[1] + static_cast<ptrdiff_t>(y) * nv12.linesize[1];
    uint8_t* blue = out->data[1] + static_cast<ptrdiff_t>(y) * out->linesize[1];
    uint8_t* red = out->data[2] + static_cast<ptrdiff_t>(y) * out->linesize[2];
    for (int x = 0; x < width; ++x) {
      blue[x] = pairs[2 * x];
      red[x] = pairs[2 * x + 1];
    }
  }
  return out;
}

}  // namespace driftless
