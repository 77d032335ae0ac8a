#include "media/device_camera.h"

#include "core/error.h"
#include "media/ffmpeg_support.h"
#include "media/gpu_device.h"

namespace driftless {

YuvColours colours_of(const AVFrame& frame) {
  return {is_full_range(frame), frame.colorspace == AVCOL_SPC_BT709};
}

YuvPicture DeviceCamera::reach(const AVFrame& frame, VideoOps& video) {
  if (frame.format == AV_PIX_FMT_CUDA) {
    await_gpu(frame);
    uint8_t* chroma = frame.data[1];
    return {frame.data[0],     chroma, chroma + 1,  frame.linesize[0],
            frame.linesize[1], 2,      frame.width, frame.height};
  }
  const bool planes = frame.format == AV_PIX_FMT_YUV420P || frame.format == AV_PIX_FMT_YUVJ420P;
  const bool forward =
      frame.linesize[0] > 0 && frame.linesize[1] > 0 && frame.linesize[2] == frame.linesize[1];
  if (!planes || !forward) {
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame.format));
    throw Error("picture to convert", "4:2:0 of 8 bits", name != nullptr ? name : "another");
  }
  return copied_.upload(frame.data, frame.linesize, frame.width, frame.height, video);
}

}  // namespace driftless
