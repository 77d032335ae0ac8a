// Stands in for NVIDIA's decoder (libnvcuvid.so.1): decodes what FFmpeg hands over on the
// processor, and gives NV12 in "device" memory with a pitch of its own, as the real one does.
// Loaded by media_gpu_decoder_test.cc.

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_cuviddec.h>

extern "C" {
#include <libavcodec/avcodec.h>
}

#include <cstring>
#include <map>
#include <set>

#include "nvcodec/doubles.h"

extern "C" {
NvcuvidState driftless_nvcuvid;
}

namespace {

constexpr auto kInvalidValue = static_cast<CUresult>(1);
constexpr auto kNotSupported = static_cast<CUresult>(801);
constexpr size_t kPitchUnit = 512;

struct FakeDecoder {
  CUVIDDECODECREATEINFO info;
  AVCodecContext* context = nullptr;
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  std::map<int, std::vector<uint8_t>> surfaces;  // By picture index.
  std::set<int> mapped;

  explicit FakeDecoder(const CUVIDDECODECREATEINFO& wanted) : info(wanted) {
    const bool vp8 = info.CodecType == cudaVideoCodec_VP8;
    const AVCodec* codec = avcodec_find_decoder(vp8 ? AV_CODEC_ID_VP8 : AV_CODEC_ID_H264);
    context = avcodec_alloc_context3(codec);
    context->thread_count = 1;
    context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    avcodec_open2(context, codec, nullptr);
  }
  ~FakeDecoder() {
    avcodec_free_context(&context);
    av_frame_free(&frame);
    av_packet_free(&packet);
  }
  size_t pitch() const { return (info.ulTargetWidth + kPitchUnit - 1) / kPitchUnit * kPitchUnit; }

  bool decode(const CUVIDPICPARAMS& picture) {
    std::vector<uint8_t> data;
    if (info.CodecType == cudaVideoCodec_H264) data = driftless_nvcuvid.headers;
    data.insert(data.end(), picture.pBitstreamData,
                picture.pBitstreamData + picture.nBitstreamDataLen);
    if (av_new_packet(packet, static_cast<int>(data.size())) < 0) return false;
    std::memcpy(packet->data, data.data(), data.size());
    const bool sent = avcodec_send_packet(context, packet) >= 0;
    av_packet_unref(packet);
    if (!sent || avcodec_receive_frame(context, frame) < 0) return false;
    const auto width = static_cast<tcu_ulong>(frame->width);
    const auto height = static_cast<tcu_ulong>(frame->height);
    // A stream of another size wants another decoder.
    if (width > info.ulTargetWidth || height > info.ulTargetHeight) return false;
    if (width + 16 <= info.ulTargetWidth || height + 16 <= info.ulTargetHeight) return false;
    std::vector<uint8_t>& surface = surfaces[picture.CurrPicIdx];
    surface.assign(pitch() * info.ulTargetHeight * 3 / 2, 0);
    uint8_t* chroma = surface.data() + pitch() * info.ulTargetHeight;
    for (int y = 0; y < frame->height; ++y) {
      std::memcpy(surface.data() + y * pitch(), frame->data[0] + y * frame->linesize[0],
                  static_cast<size_t>(frame->width));
    }
    for (int y = 0; y < frame->height / 2; ++y) {
      for (int x = 0; x < frame->width / 2; ++x) {
        chroma[y * pitch() + 2 * x] = frame->data[1][y * frame->linesize[1] + x];
        chroma[y * pitch() + 2 * x + 1] = frame->data[2][y * frame->linesize[2] + x];
      }
    }
    return true;
  }
};

FakeDecoder& of(CUvideodecoder decoder) { return *static_cast<FakeDecoder*>(decoder); }

}  // namespace

extern "C" {

CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS* caps) {
  const bool known =
      caps->eCodecType == cudaVideoCodec_VP8 || caps->eCodecType == cudaVideoCodec_H264;
  caps->bIsSupported =
      known && caps->eChromaFormat == cudaVideoChromaFormat_420 && caps->nBitDepthMinus8 == 0;
  caps->nOutputFormatMask = 1 << cudaVideoSurfaceFormat_NV12;
  caps->nMaxWidth = caps->nMaxHeight = static_cast<unsigned>(driftless_nvcuvid.max_width);
  caps->nMaxMBCount = caps->nMaxWidth * caps->nMaxHeight / 256;
  caps->nMinWidth = 48;
  caps->nMinHeight = 16;
  return CUDA_SUCCESS;
}

CUresult cuvidCreateDecoder(CUvideodecoder* decoder, CUVIDDECODECREATEINFO* info) {
  if (info->OutputFormat != cudaVideoSurfaceFormat_NV12 || info->ulTargetWidth % 2 != 0 ||
      info->ulTargetHeight % 2 != 0 || info->ulNumDecodeSurfaces == 0) {
    return kInvalidValue;
  }
  ++driftless_nvcuvid.decoders;
  return *decoder = new FakeDecoder(*info), CUDA_SUCCESS;
}

CUresult cuvidDestroyDecoder(CUvideodecoder decoder) {
  --driftless_nvcuvid.decoders;
  delete &of(decoder);
  return CUDA_SUCCESS;
}

CUresult cuvidDecodePicture(CUvideodecoder decoder, CUVIDPICPARAMS* picture) {
  if (driftless_nvcuvid.fail > 0) return --driftless_nvcuvid.fail, kInvalidValue;
  const bool inside = picture->CurrPicIdx >= 0 && static_cast<tcu_ulong>(picture->CurrPicIdx) <
                                                      of(decoder).info.ulNumDecodeSurfaces;
  // What is mapped is being read.
  if (!inside || of(decoder).mapped.count(picture->CurrPicIdx) > 0) return kInvalidValue;
  if (!of(decoder).decode(*picture)) return kInvalidValue;
  ++driftless_nvcuvid.pictures;
  return CUDA_SUCCESS;
}

CUresult cuvidMapVideoFrame64(CUvideodecoder decoder, int index, unsigned long long* address,
                              unsigned int* pitch, CUVIDPROCPARAMS*) {
  const auto surface = of(decoder).surfaces.find(index);
  if (surface == of(decoder).surfaces.end()) return kInvalidValue;
  if (of(decoder).mapped.size() >= of(decoder).info.ulNumOutputSurfaces) return kInvalidValue;
  of(decoder).mapped.insert(index);
  ++driftless_nvcuvid.mapped;
  *address = reinterpret_cast<uintptr_t>(surface->second.data());
  *pitch = static_cast<unsigned>(of(decoder).pitch());
  return CUDA_SUCCESS;
}

CUresult cuvidUnmapVideoFrame64(CUvideodecoder decoder, unsigned long long address) {
  for (const int index : of(decoder).mapped) {
    if (reinterpret_cast<uintptr_t>(of(decoder).surfaces[index].data()) != address) continue;
    of(decoder).mapped.erase(index);
    --driftless_nvcuvid.mapped;
    return CUDA_SUCCESS;
  }
  return kInvalidValue;
}

// FFmpeg wants these to be there, and calls none.
#define DL_UNUSED(name) \
  CUresult name() { return kNotSupported; }
DL_UNUSED(cuvidGetDecodeStatus)
DL_UNUSED(cuvidReconfigureDecoder)
DL_UNUSED(cuvidCtxLockCreate)
DL_UNUSED(cuvidCtxLockDestroy)
DL_UNUSED(cuvidCtxLock)
DL_UNUSED(cuvidCtxUnlock)
DL_UNUSED(cuvidCreateVideoSource)
DL_UNUSED(cuvidCreateVideoSourceW)
DL_UNUSED(cuvidDestroyVideoSource)
DL_UNUSED(cuvidSetVideoSourceState)
DL_UNUSED(cuvidGetVideoSourceState)
DL_UNUSED(cuvidGetSourceVideoFormat)
DL_UNUSED(cuvidGetSourceAudioFormat)
DL_UNUSED(cuvidCreateVideoParser)
DL_UNUSED(cuvidParseVideoData)
DL_UNUSED(cuvidDestroyVideoParser)
}
