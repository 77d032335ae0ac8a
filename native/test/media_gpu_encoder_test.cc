// Encoding on a GPU, without one: FFmpeg's own NVENC code against doubles of NVIDIA's libraries;
// and whole sessions whose pictures never leave the GPU.

#include <cstring>
#include <optional>

#include "core/error.h"
#include "emulated_cuda.h"
#include "media/ffmpeg_support.h"
#include "media/gpu_codecs.h"
#include "media_session_test_support.h"
#include "media_test_pictures.h"
#include "models_test_support.h"
#include "nvcodec/loaded_doubles.h"
#include "segmentation_files.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace driftless {
namespace {

constexpr int kWidth = 320, kHeight = 180;

class GpuEncoder : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!LoadedDoubles::exist())
      GTEST_SKIP() << "no headers of NVENC (Debian: libffmpeg-nvenc-dev)";
    doubles_.emplace();
    nvenc_ = doubles_->encoder;
    ASSERT_NE(nullptr, nvenc_);
  }

  static EncoderOptions options(bool gpu_frames) {
    EncoderOptions options;
    options.codec = VideoCodec::kH264;
    options.width = kWidth;
    options.height = kHeight;
    options.bitrate_bps = 2'000'000;
    options.gpu = 0;
    options.gpu_frames = gpu_frames;
    return options;
  }

  /// The picture as NV12 in one of the encoder's frames, which the double's GPU has in the host's
  /// memory.
  static AvFramePtr on_gpu(const AVFrame& picture, AVBufferRef* frames) {
    AvFramePtr out = make_frame();
    EXPECT_EQ(0, av_hwframe_get_buffer(frames, out.get(), 0));
    for (int y = 0; y < picture.height; ++y) {
      std::memcpy(out->data[0] + y * out->linesize[0], picture.data[0] + y * picture.linesize[0],
                  static_cast<size_t>(picture.width));
    }
    for (int y = 0; y < picture.height / 2; ++y) {
      for (int x = 0; x < picture.width; ++x) {
        const int plane = 1 + x % 2;
        out->data[1][y * out->linesize[1] + x] =
            picture.data[plane][y * picture.linesize[plane] + x / 2];
      }
    }
    return out;
  }

  static void expect_picture(Decoder& decoder, const EncodedPicture& encoded, const AVFrame& made) {
    const DecodeResult shown = decoder.decode(encoded.data.data(), encoded.data.size());
    ASSERT_EQ(DecodeStatus::kFrame, shown.status) << shown.message;
    EXPECT_GT(luma_psnr(made, *shown.frame), 30);
    EXPECT_NEAR(made.data[1][0], shown.frame->data[1][0], 4);
    EXPECT_NEAR(made.data[2][0], shown.frame->data[2][0], 4);
  }

  std::optional<LoadedDoubles> doubles_;
  NvencState* nvenc_ = nullptr;
};

TEST_F(GpuEncoder, TakesPicturesFromTheHostsMemory) {
  EXPECT_EQ("h264_nvenc", describe_encoder(0));
  Encoder encoder(options(false));
  EXPECT_STREQ("h264_nvenc", encoder.name());
  EXPECT_EQ(nullptr, encoder.gpu_frames());
  Decoder decoder(VideoCodec::kH264);
  for (int i = 0; i < 8; ++i) {
    const AvFramePtr picture = moving_picture(kWidth, kHeight, i);
    if (i == 5) encoder.request_key_frame();
    const EncodedPicture encoded = encoder.encode(*picture, 1000 + 33.0 * i);
    EXPECT_EQ(i == 0 || i == 5, encoded.key_frame) << i;
    expect_picture(decoder, encoded, *picture);
  }
  EXPECT_EQ(8, nvenc_->host_pictures);
  EXPECT_DOUBLE_EQ(30, nvenc_->fps) << "each picture gets its share of the bits";
  EXPECT_EQ(2'000'000u, nvenc_->bitrate_bps);
}

TEST_F(GpuEncoder, TakesPicturesFromItsOwnMemory) {
  Encoder encoder(options(true));
  EXPECT_EQ("", encoder.refusal());
  ASSERT_NE(nullptr, encoder.gpu_frames());
  Decoder decoder(VideoCodec::kH264);
  for (int i = 0; i < 8; ++i) {
    const AvFramePtr picture = moving_picture(kWidth, kHeight, i);
    const EncodedPicture encoded =
        encoder.encode(*on_gpu(*picture, encoder.gpu_frames()), 1000 + 33.0 * i);
    EXPECT_EQ(i == 0, encoded.key_frame) << i;
    expect_picture(decoder, encoded, *picture);
  }
  EXPECT_EQ(8, nvenc_->gpu_pictures);
  EXPECT_EQ(0, nvenc_->host_pictures);
  const AvFramePtr picture = moving_picture(kWidth, kHeight, 0);
  EXPECT_THROW(encoder.encode(*picture, 2000), Error) << "of the host's memory";
}

// FFmpeg answers every new rate of NVENC with a key frame.
TEST_F(GpuEncoder, SmallChangesOfTheRateWaitForAKeyFrame) {
  Encoder encoder(options(false));
  int keys = 0;
  const auto encode = [&](int i, int64_t bitrate) {
    encoder.set_bitrate(bitrate);
    keys += encoder.encode(*moving_picture(kWidth, kHeight, i), 1000 + 33.0 * i).key_frame;
  };
  for (int i = 0; i < 10; ++i) encode(i, 2'000'000 + 30'000 * i);
  EXPECT_EQ(1, keys);
  EXPECT_EQ(0, nvenc_->reconfigured);
  encode(10, 3'000'000);
  encode(11, 3'000'000);
  EXPECT_EQ(2, keys);
  EXPECT_EQ(1, nvenc_->reconfigured);
  EXPECT_EQ(3'000'000u, nvenc_->bitrate_bps);
  encoder.request_key_frame();
  encode(12, 3'100'000);
  EXPECT_EQ(3, keys);
  EXPECT_EQ(2, nvenc_->reconfigured);
}

TEST_F(GpuEncoder, TheProcessorEncodesWhereNoSessionIsLeft) {
  nvenc_->most_sessions = 1;
  const Encoder first(options(true)), second(options(true));
  EXPECT_STREQ("h264_nvenc", first.name());
  EXPECT_STREQ("libx264", second.name());
  EXPECT_NE(std::string::npos, second.refusal().find("OpenEncodeSessionEx")) << second.refusal();
  EXPECT_EQ(nullptr, second.gpu_frames());
  nvenc_->most_sessions = 3;
}

/// Sessions on the emulated GPU, from a VP8 camera that a GPU decodes to H.264 that it encodes.
class GpuSession : public SessionHarness, public GpuEncoder {
 protected:
  void TearDown() override { close(); }

  void run(TransformMode mode, int encoder, int decoder) {
    engine_ = std::make_unique<MediaEngine>(Pipeline::load({model_.dir(), "cuda", 1, "f32"}), 2,
                                            mattes(), GpuCodecs{encoder, decoder});
    SessionOptions options;
    options.output_codec = VideoCodec::kH264;
    options.bitrate_bps = 4'000'000;
    options.delay_budget_ms = 10'000;
    options.transform.mode = mode;
    open(options);
    const auto camera = encode_clip(VideoCodec::kVp8, 128, 64, 8);
    for (size_t i = 0; i < camera.size(); ++i) {
      EncodedPicture picture = camera[i];
      picture.capture_time_ms = 1000 + 70.0 * static_cast<double>(i);
      push(picture);
      if (i % 4 == 3) {
        ASSERT_TRUE(collect(i + 1)) << "picture " << i;
      }
    }
    const SessionCounters& counters = session_->counters();
    EXPECT_EQ(0u, counters.compute_errors + counters.decode_errors + counters.encode_errors);
    Decoder viewer(VideoCodec::kH264);
    for (size_t i = 0; i < frames_.size(); ++i) {
      const EncodedPicture& picture = frames_[i].picture;
      EXPECT_EQ(i == 0, picture.key_frame) << i;
      const DecodeResult shown = viewer.decode(picture.data.data(), picture.data.size());
      ASSERT_EQ(DecodeStatus::kFrame, shown.status) << shown.message;
      EXPECT_EQ(128, shown.frame->width);
      EXPECT_EQ(64, shown.frame->height);
      if (mode == TransformMode::kPassthrough) {
        EXPECT_GT(luma_psnr(*moving_picture(128, 64, static_cast<int>(i)), *shown.frame), 20);
      }
    }
  }

  static std::shared_ptr<const MatteModels> mattes() {
    const std::string file = segmentation_file("general");
    return load_matte_models(file.substr(0, file.rfind('/')), "cuda");
  }

  EmulatedCuda cuda_;
  const TinyModel model_;
};

TEST_F(GpuSession, NoPictureLeavesTheGpu) {
  for (const TransformMode mode :
       {TransformMode::kRestyle, TransformMode::kPassthrough, TransformMode::kBackground}) {
    frames_.clear();
    const int before = nvenc_->gpu_pictures;
    run(mode, 0, 0);
    EXPECT_EQ(8, nvenc_->gpu_pictures - before);
    close();
  }
  EXPECT_LE(24, doubles_->decoder->pictures);
  EXPECT_EQ(0, doubles_->counts->copies) << "planes that were fetched";
  EXPECT_EQ(0, nvenc_->host_pictures);
}

TEST_F(GpuSession, EitherCodecMayBeTheProcessors) {
  run(TransformMode::kRestyle, -1, 0);
  EXPECT_EQ(0, doubles_->counts->copies);
  EXPECT_EQ(0, nvenc_->gpu_pictures);
  close();
  frames_.clear();
  run(TransformMode::kRestyle, 0, -1);
  EXPECT_EQ(8, nvenc_->gpu_pictures);
  EXPECT_EQ(0, nvenc_->host_pictures);
}

TEST_F(GpuSession, GoesOnByTheProcessorWhereTheGpuHasNoEncoder) {
  nvenc_->most_sessions = 0;
  run(TransformMode::kRestyle, 0, 0);
  EXPECT_EQ(1u, session_->counters().encoder_refusals);
  EXPECT_EQ(0, nvenc_->gpu_pictures);
  EXPECT_EQ(0, doubles_->counts->copies);
  nvenc_->most_sessions = 3;
}

}  // namespace
}  // namespace driftless
