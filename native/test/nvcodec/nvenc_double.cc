// Stands in for NVIDIA's encoder (libnvidia-encode.so.1): encodes on the processor what FFmpeg
// hands over, from buffers that it made itself or from "device" memory. Loaded by the tests of
// media.

#include <ffnvcodec/nvEncodeAPI.h>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
}

#include <cstring>
#include <string>
#include <vector>

#include "nvcodec/doubles.h"

extern "C" {
NvencState driftless_nvenc;
}

namespace {

constexpr uint32_t kPitchUnit = 64;

/// A picture for the encoder: memory of its own in YV12, or somebody's NV12.
struct Input {
  std::vector<uint8_t> own;
  uint8_t* data = nullptr;
  uint32_t width = 0, height = 0, pitch = 0;
  NV_ENC_BUFFER_FORMAT format = NV_ENC_BUFFER_FORMAT_UNDEFINED;
  int mapped = 0;
};

struct Output {
  std::vector<uint8_t> data;
  uint64_t time = 0;
  bool key = false;
};

struct Session {
  AVCodecContext* context = nullptr;
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  bool key_wanted = false;

  ~Session() {
    avcodec_free_context(&context);
    av_frame_free(&frame);
    av_packet_free(&packet);
  }

  bool open(uint32_t width, uint32_t height) {
    avcodec_free_context(&context);
    const AVCodec* codec = avcodec_find_encoder_by_name("libx264");
    if (codec == nullptr) return false;
    context = avcodec_alloc_context3(codec);
    context->width = static_cast<int>(width);
    context->height = static_cast<int>(height);
    context->pix_fmt = AV_PIX_FMT_YUV420P;
    context->time_base = {1, 1000};
    context->gop_size = 100000;
    context->max_b_frames = 0;
    context->thread_count = 1;
    av_opt_set(context->priv_data, "preset", "ultrafast", 0);
    av_opt_set(context->priv_data, "tune", "zerolatency", 0);
    av_opt_set(context->priv_data, "profile", "baseline", 0);
    av_opt_set(context->priv_data, "forced-idr", "1", 0);
    av_opt_set(context->priv_data, "crf", "18", 0);
    return avcodec_open2(context, codec, nullptr) >= 0;
  }

  /// Planes of the picture into the encoder's own.
  bool take(const Input& input) {
    av_frame_unref(frame);
    frame->width = context->width;
    frame->height = context->height;
    frame->format = AV_PIX_FMT_YUV420P;
    if (av_frame_get_buffer(frame, 0) < 0) return false;
    const size_t luma = static_cast<size_t>(input.pitch) * input.height;
    for (int y = 0; y < frame->height; ++y) {
      std::memcpy(frame->data[0] + y * frame->linesize[0], input.data + y * size_t{input.pitch},
                  static_cast<size_t>(frame->width));
    }
    for (int y = 0; y < frame->height / 2; ++y) {
      uint8_t* blue = frame->data[1] + y * frame->linesize[1];
      uint8_t* red = frame->data[2] + y * frame->linesize[2];
      if (input.format == NV_ENC_BUFFER_FORMAT_NV12) {
        const uint8_t* pairs = input.data + luma + y * size_t{input.pitch};
        for (int x = 0; x < frame->width / 2; ++x) {
          blue[x] = pairs[2 * x];
          red[x] = pairs[2 * x + 1];
        }
        continue;
      }
      const uint8_t* planes = input.data + luma + y * size_t{input.pitch / 2};
      std::memcpy(red, planes, static_cast<size_t>(frame->width / 2));
      std::memcpy(blue, planes + luma / 4, static_cast<size_t>(frame->width / 2));
    }
    return true;
  }
};

Session& of(void* session) { return *static_cast<Session*>(session); }

bool same(const GUID& a, const GUID& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

NVENCSTATUS open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS* params, void** session) {
  *session = nullptr;
  if (params->version != NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)
    return NV_ENC_ERR_INVALID_VERSION;
  if (params->deviceType != NV_ENC_DEVICE_TYPE_CUDA || params->device == nullptr) {
    return NV_ENC_ERR_INVALID_DEVICE;
  }
  if (driftless_nvenc.sessions >= driftless_nvenc.most_sessions) return NV_ENC_ERR_OUT_OF_MEMORY;
  ++driftless_nvenc.sessions;
  return *session = new Session, NV_ENC_SUCCESS;
}

NVENCSTATUS destroy_session(void* session) {
  --driftless_nvenc.sessions;
  delete &of(session);
  return NV_ENC_SUCCESS;
}

NVENCSTATUS guid_count(void*, uint32_t* count) { return *count = 1, NV_ENC_SUCCESS; }
NVENCSTATUS guids(void*, GUID* list, uint32_t room, uint32_t* count) {
  if (room < 1) return NV_ENC_ERR_INVALID_PARAM;
  list[0] = NV_ENC_CODEC_H264_GUID;
  return *count = 1, NV_ENC_SUCCESS;
}

NVENCSTATUS caps(void*, GUID codec, NV_ENC_CAPS_PARAM* params, int* value) {
  if (!same(codec, NV_ENC_CODEC_H264_GUID)) return NV_ENC_ERR_INVALID_PARAM;
  switch (params->capsToQuery) {
    case NV_ENC_CAPS_WIDTH_MAX:
    case NV_ENC_CAPS_HEIGHT_MAX:
      *value = 4096;
      break;
    case NV_ENC_CAPS_SUPPORT_CABAC:
    case NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE:
      *value = 1;
      break;
    default:
      *value = 0;
  }
  return NV_ENC_SUCCESS;
}

NVENCSTATUS preset(void*, GUID, GUID, NV_ENC_PRESET_CONFIG* config) {
  config->presetCfg.rcParams.rateControlMode = NV_ENC_PARAMS_RC_CBR;
  return NV_ENC_SUCCESS;
}
NVENCSTATUS preset_ex(void* session, GUID codec, GUID name, NV_ENC_TUNING_INFO tuning,
                      NV_ENC_PRESET_CONFIG* config) {
  if (tuning == NV_ENC_TUNING_INFO_UNDEFINED) return NV_ENC_ERR_INVALID_PARAM;
  return preset(session, codec, name, config);
}

NVENCSTATUS initialize(void* session, NV_ENC_INITIALIZE_PARAMS* params) {
  const NV_ENC_CONFIG& config = *params->encodeConfig;
  // One frame in, one frame out.
  if (params->enablePTD != 1 || config.frameIntervalP != 1 ||
      config.rcParams.enableLookahead != 0) {
    return NV_ENC_ERR_INVALID_PARAM;
  }
  if (!same(config.profileGUID, NV_ENC_H264_PROFILE_BASELINE_GUID)) return NV_ENC_ERR_INVALID_PARAM;
  driftless_nvenc.fps = static_cast<double>(params->frameRateNum) / params->frameRateDen;
  driftless_nvenc.bitrate_bps = config.rcParams.averageBitRate;
  const bool open = of(session).open(params->encodeWidth, params->encodeHeight);
  return open ? NV_ENC_SUCCESS : NV_ENC_ERR_GENERIC;
}

NVENCSTATUS reconfigure(void* session, NV_ENC_RECONFIGURE_PARAMS* params) {
  ++driftless_nvenc.reconfigured;
  if (params->reInitEncodeParams.encodeConfig != nullptr) {
    driftless_nvenc.bitrate_bps = params->reInitEncodeParams.encodeConfig->rcParams.averageBitRate;
  }
  if (params->forceIDR) of(session).key_wanted = true;
  return NV_ENC_SUCCESS;
}

NVENCSTATUS create_input(void*, NV_ENC_CREATE_INPUT_BUFFER* params) {
  if (params->bufferFmt != NV_ENC_BUFFER_FORMAT_YV12) return NV_ENC_ERR_UNSUPPORTED_PARAM;
  auto* input = new Input;
  input->width = params->width;
  input->height = params->height;
  input->pitch = (params->width + kPitchUnit - 1) / kPitchUnit * kPitchUnit;
  input->format = params->bufferFmt;
  input->own.resize(size_t{input->pitch} * input->height * 3 / 2);
  input->data = input->own.data();
  return params->inputBuffer = input, NV_ENC_SUCCESS;
}
NVENCSTATUS destroy_input(void*, NV_ENC_INPUT_PTR input) {
  delete static_cast<Input*>(input);
  return NV_ENC_SUCCESS;
}
NVENCSTATUS lock_input(void*, NV_ENC_LOCK_INPUT_BUFFER* params) {
  auto& input = *static_cast<Input*>(params->inputBuffer);
  params->bufferDataPtr = input.data;
  params->pitch = input.pitch;
  return NV_ENC_SUCCESS;
}
NVENCSTATUS unlock_input(void*, NV_ENC_INPUT_PTR) { return NV_ENC_SUCCESS; }

NVENCSTATUS create_output(void*, NV_ENC_CREATE_BITSTREAM_BUFFER* params) {
  return params->bitstreamBuffer = new Output, NV_ENC_SUCCESS;
}
NVENCSTATUS destroy_output(void*, NV_ENC_OUTPUT_PTR output) {
  delete static_cast<Output*>(output);
  return NV_ENC_SUCCESS;
}

NVENCSTATUS register_resource(void* session, NV_ENC_REGISTER_RESOURCE* params) {
  const AVCodecContext& context = *of(session).context;
  const bool fits = static_cast<int>(params->width) == context.width &&
                    static_cast<int>(params->height) == context.height &&
                    params->pitch >= params->width && params->pitch % 4 == 0;
  if (params->resourceType != NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR || !fits ||
      params->bufferFormat != NV_ENC_BUFFER_FORMAT_NV12) {
    return NV_ENC_ERR_INVALID_PARAM;
  }
  auto* input = new Input;
  input->data = static_cast<uint8_t*>(params->resourceToRegister);
  input->width = params->width;
  input->height = params->height;
  input->pitch = params->pitch;
  input->format = params->bufferFormat;
  ++driftless_nvenc.registered;
  return params->registeredResource = input, NV_ENC_SUCCESS;
}
NVENCSTATUS unregister_resource(void*, NV_ENC_REGISTERED_PTR resource) {
  if (static_cast<Input*>(resource)->mapped != 0) return NV_ENC_ERR_RESOURCE_REGISTER_FAILED;
  --driftless_nvenc.registered;
  delete static_cast<Input*>(resource);
  return NV_ENC_SUCCESS;
}
NVENCSTATUS map(void*, NV_ENC_MAP_INPUT_RESOURCE* params) {
  auto* input = static_cast<Input*>(params->registeredResource);
  ++input->mapped;
  params->mappedResource = input;
  params->mappedBufferFmt = input->format;
  return NV_ENC_SUCCESS;
}
NVENCSTATUS unmap(void*, NV_ENC_INPUT_PTR input) {
  if (static_cast<Input*>(input)->mapped-- <= 0) return NV_ENC_ERR_RESOURCE_NOT_MAPPED;
  return NV_ENC_SUCCESS;
}

NVENCSTATUS encode(void* handle, NV_ENC_PIC_PARAMS* params) {
  if ((params->encodePicFlags & NV_ENC_PIC_FLAG_EOS) != 0) return NV_ENC_SUCCESS;
  Session& session = of(handle);
  const auto& input = *static_cast<Input*>(params->inputBuffer);
  const bool on_gpu = input.own.empty();
  if (on_gpu && input.mapped == 0) return NV_ENC_ERR_RESOURCE_NOT_MAPPED;
  if (!session.take(input)) return NV_ENC_ERR_OUT_OF_MEMORY;
  const bool key = (params->encodePicFlags & NV_ENC_PIC_FLAG_FORCEIDR) != 0 || session.key_wanted;
  session.key_wanted = false;
  session.frame->pts = static_cast<int64_t>(params->inputTimeStamp);
  session.frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
  if (avcodec_send_frame(session.context, session.frame) < 0 ||
      avcodec_receive_packet(session.context, session.packet) < 0) {
    return NV_ENC_ERR_GENERIC;
  }
  auto& output = *static_cast<Output*>(params->outputBitstream);
  output.data.assign(session.packet->data, session.packet->data + session.packet->size);
  output.time = params->inputTimeStamp;
  output.key = (session.packet->flags & AV_PKT_FLAG_KEY) != 0;
  av_packet_unref(session.packet);
  ++(on_gpu ? driftless_nvenc.gpu_pictures : driftless_nvenc.host_pictures);
  return NV_ENC_SUCCESS;
}

NVENCSTATUS lock_output(void*, NV_ENC_LOCK_BITSTREAM* params) {
  auto& output = *static_cast<Output*>(params->outputBitstream);
  params->bitstreamBufferPtr = output.data.data();
  params->bitstreamSizeInBytes = static_cast<uint32_t>(output.data.size());
  params->outputTimeStamp = output.time;
  params->pictureType = output.key ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P;
  params->frameAvgQP = 26;
  return NV_ENC_SUCCESS;
}
NVENCSTATUS unlock_output(void*, NV_ENC_OUTPUT_PTR) { return NV_ENC_SUCCESS; }

NVENCSTATUS use_streams(void*, NV_ENC_CUSTREAM_PTR in, NV_ENC_CUSTREAM_PTR out) {
  return in != nullptr && out != nullptr ? NV_ENC_SUCCESS : NV_ENC_ERR_INVALID_PTR;
}
const char* last_error(void*) { return "refused by the double"; }

}  // namespace

extern "C" {

NVENCSTATUS NvEncodeAPIGetMaxSupportedVersion(uint32_t* version) {
  *version = NVENCAPI_MAJOR_VERSION << 4 | NVENCAPI_MINOR_VERSION;
  return NV_ENC_SUCCESS;
}

NVENCSTATUS NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST* list) {
  if (list->version != NV_ENCODE_API_FUNCTION_LIST_VER) return NV_ENC_ERR_INVALID_VERSION;
  list->nvEncOpenEncodeSessionEx = open_session;
  list->nvEncDestroyEncoder = destroy_session;
  list->nvEncGetEncodeGUIDCount = guid_count;
  list->nvEncGetEncodeGUIDs = guids;
  list->nvEncGetEncodeCaps = caps;
  list->nvEncGetEncodePresetConfig = preset;
  list->nvEncGetEncodePresetConfigEx = preset_ex;
  list->nvEncInitializeEncoder = initialize;
  list->nvEncReconfigureEncoder = reconfigure;
  list->nvEncCreateInputBuffer = create_input;
  list->nvEncDestroyInputBuffer = destroy_input;
  list->nvEncLockInputBuffer = lock_input;
  list->nvEncUnlockInputBuffer = unlock_input;
  list->nvEncCreateBitstreamBuffer = create_output;
  list->nvEncDestroyBitstreamBuffer = destroy_output;
  list->nvEncRegisterResource = register_resource;
  list->nvEncUnregisterResource = unregister_resource;
  list->nvEncMapInputResource = map;
  list->nvEncUnmapInputResource = unmap;
  list->nvEncEncodePicture = encode;
  list->nvEncLockBitstream = lock_output;
  list->nvEncUnlockBitstream = unlock_output;
  list->nvEncSetIOCudaStreams = use_streams;
  list->nvEncGetLastErrorString = last_error;
  return NV_ENC_SUCCESS;
}
}
