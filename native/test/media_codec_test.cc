#include <gtest/gtest.h>

#include "core/error.h"
#include "media/decoder.h"
#include "media/encoder.h"
#include "media_test_pictures.h"

namespace driftless {
namespace {

class Codec : public ::testing::TestWithParam<VideoCodec> {
 protected:
  static EncoderOptions options(int width, int height) {
    EncoderOptions options;
    options.codec = GetParam();
    options.width = width;
    options.height = height;
    options.fps = 16;
    options.bitrate_bps = 800'000;
    return options;
  }

  static size_t bytes_at(int64_t bitrate_bps) {
    EncoderOptions with_rate = options(256, 144);
    with_rate.bitrate_bps = bitrate_bps;
    Encoder encoder(with_rate);
    size_t bytes = 0;
    for (int i = 0; i < 96; ++i) {
      const size_t size = encoder.encode(*grainy_picture(256, 144, i), i * 62.5).data.size();
      if (i >= 32) bytes += size;  // the rate control has settled by then
    }
    return bytes;
  }
};

INSTANTIATE_TEST_SUITE_P(Media, Codec, ::testing::Values(VideoCodec::kVp8, VideoCodec::kH264),
                         [](const auto& info) { return codec_name(info.param); });

TEST_P(Codec, RoundTripKeepsPictureAndCaptureTime) {
  Encoder encoder(options(256, 144));
  Decoder decoder(GetParam());
  for (int i = 0; i < 24; ++i) {
    const AvFramePtr source = moving_picture(256, 144, i);
    const double capture_ms = 1.7e12 + 62.5 * i;
    const EncodedPicture encoded = encoder.encode(*source, capture_ms);
    EXPECT_EQ(encoded.capture_time_ms, capture_ms);
    EXPECT_EQ(encoded.key_frame, i == 0);
    EXPECT_EQ(encoded.width, 256);
    const DecodeResult decoded = decoder.decode(encoded.data.data(), encoded.data.size());
    ASSERT_EQ(decoded.status, DecodeStatus::kFrame) << "frame " << i << ": " << decoded.message;
    EXPECT_GT(luma_psnr(*source, *decoded.frame), 24) << "frame " << i;
    EXPECT_NEAR(decoded.frame->data[1][0], 100, 6);
    EXPECT_NEAR(decoded.frame->data[2][0], 160, 6);
  }
}

// Without such a GPU: the processor encodes, and it is said why.
TEST(Nvenc, TheProcessorEncodesWhereNoGpuDoes) {
  EncoderOptions options;
  options.codec = VideoCodec::kH264;
  options.width = 256;
  options.height = 144;
  options.gpu = 0;
  Encoder encoder(options);
  if (encoder.refusal().empty()) {
    EXPECT_STREQ("h264_nvenc", encoder.name());
  } else {
    EXPECT_STREQ("libx264", encoder.name());
    EXPECT_NE(encoder.refusal().find("h264_nvenc"), std::string::npos) << encoder.refusal();
  }
  Decoder decoder(VideoCodec::kH264);
  for (int i = 0; i < 4; ++i) {
    const AvFramePtr source = moving_picture(256, 144, i);
    const EncodedPicture encoded = encoder.encode(*source, 62.5 * i);
    EXPECT_EQ(i == 0, encoded.key_frame);
    const DecodeResult decoded = decoder.decode(encoded.data.data(), encoded.data.size());
    ASSERT_EQ(decoded.status, DecodeStatus::kFrame) << decoded.message;
    EXPECT_GT(luma_psnr(*source, *decoded.frame), 24);
  }
  options.codec = VideoCodec::kVp8;
  EXPECT_STREQ("libvpx", Encoder(options).name());
  EXPECT_TRUE(Encoder(options).refusal().empty()) << "no GPU is asked for VP8";
}

TEST_P(Codec, KeyFrameRequestMakesTheNextFrameOne) {
  Encoder encoder(options(256, 144));
  for (int i = 0; i < 12; ++i) {
    if (i == 5 || i == 9) encoder.request_key_frame();
    const EncodedPicture encoded = encoder.encode(*moving_picture(256, 144, i), i * 62.5);
    EXPECT_EQ(encoded.key_frame, i == 0 || i == 5 || i == 9) << "frame " << i;
    if (encoded.key_frame) {
      Decoder fresh(GetParam());
      EXPECT_EQ(fresh.decode(encoded.data.data(), encoded.data.size()).status,
                DecodeStatus::kFrame);
    }
  }
}

TEST_P(Codec, BitrateTargetIsRoughlyHonoured) {
  const size_t low = bytes_at(150'000);
  const size_t high = bytes_at(600'000);
  const double ratio = static_cast<double>(high) / static_cast<double>(low);
  EXPECT_GT(ratio, 2.0) << low << " and " << high << " bytes";
  EXPECT_LT(ratio, 8.0) << low << " and " << high << " bytes";
  // 64 frames at 16 a second are 4 seconds.
  EXPECT_NEAR(static_cast<double>(high) * 8 / 4, 600'000, 300'000);
}

TEST_P(Codec, BitrateChangesAtRunTime) {
  EncoderOptions start = options(256, 144);
  start.bitrate_bps = 800'000;
  Encoder encoder(start);
  size_t before = 0, after = 0;
  for (int i = 0; i < 160; ++i) {
    if (i == 80) encoder.set_bitrate(200'000);
    const size_t size = encoder.encode(*grainy_picture(256, 144, i), i * 62.5).data.size();
    if (i >= 32 && i < 80) before += size;
    if (i >= 112) after += size;
  }
  EXPECT_GT(static_cast<double>(before), 2.0 * static_cast<double>(after));
  EXPECT_EQ(encoder.reopened(), GetParam() == VideoCodec::kVp8 ? 1u : 0u);
}

TEST_P(Codec, SmallBitrateChangesDoNotForceKeyFrames) {
  Encoder encoder(options(256, 144));
  for (int i = 0; i < 20; ++i) {
    if (i > 0) encoder.set_bitrate(800'000 + (i % 2 ? 40'000 : -40'000));
    EXPECT_EQ(encoder.encode(*moving_picture(256, 144, i), i * 62.5).key_frame, i == 0);
  }
  EXPECT_EQ(encoder.reopened(), 0u);
}

TEST_P(Codec, EncoderTakesCaptureTimesThatRepeatOrJump) {
  Encoder encoder(options(64, 64));
  Decoder decoder(GetParam());
  const double times[] = {1e12, 1e12, 1e12 - 5000, 1e12 + 1e9, 1e12 + 1e9 + 62, 0};
  for (const double time : times) {
    const EncodedPicture encoded = encoder.encode(*moving_picture(64, 64, 1), time);
    EXPECT_EQ(encoded.capture_time_ms, time);
    EXPECT_EQ(decoder.decode(encoded.data.data(), encoded.data.size()).status,
              DecodeStatus::kFrame);
  }
}

TEST_P(Codec, WrongFrameSizeIsRefusedWithBothSizes) {
  Encoder encoder(options(64, 64));
  try {
    encoder.encode(*moving_picture(32, 64, 0), 0);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("64x64"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("32x64"), std::string::npos) << error.what();
  }
}

TEST_P(Codec, ImpossibleOptionsAreRefused) {
  EXPECT_THROW(Encoder(options(0, 144)), Error);
  EXPECT_THROW(Encoder(options(256, 100'000)), Error);
  EncoderOptions no_fps = options(64, 64);
  no_fps.fps = 0;
  EXPECT_THROW(Encoder{no_fps}, Error);
}

}  // namespace
}  // namespace driftless
