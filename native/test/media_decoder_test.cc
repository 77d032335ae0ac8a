#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "media/decoder.h"
#include "media_test_pictures.h"

namespace driftless {
namespace {

class DecoderInput : public ::testing::TestWithParam<VideoCodec> {
 protected:
  static DecodeStatus feed(Decoder& decoder, const EncodedPicture& picture) {
    return decoder.decode(picture.data.data(), picture.data.size()).status;
  }

  static EncodedPicture blank_key_frame(int width, int height) {
    if (GetParam() == VideoCodec::kVp8) {
      // Encoding an 8K picture takes VP8 seconds. A key frame says its size in bytes 6 to 9, and
      // only those matter to a decoder that refuses it.
      EncodedPicture picture = encode_clip(VideoCodec::kVp8, 64, 64, 1)[0];
      picture.data[6] = static_cast<uint8_t>(width);
      picture.data[7] = static_cast<uint8_t>(width >> 8);
      picture.data[8] = static_cast<uint8_t>(height);
      picture.data[9] = static_cast<uint8_t>(height >> 8);
      return picture;
    }
    EncoderOptions options;
    options.codec = GetParam();
    options.width = width;
    options.height = height;
    const AvFramePtr blank = make_yuv_frame(width, height);
    for (int plane = 0; plane < 3; ++plane) {
      const int rows = plane == 0 ? height : height / 2;
      std::memset(blank->data[plane], 128, static_cast<size_t>(blank->linesize[plane]) * rows);
    }
    return Encoder(options).encode(*blank, 0);
  }
};

INSTANTIATE_TEST_SUITE_P(Media, DecoderInput,
                         ::testing::Values(VideoCodec::kVp8, VideoCodec::kH264),
                         [](const auto& info) { return codec_name(info.param); });

TEST_P(DecoderInput, AsksForAKeyFrameFirst) {
  const auto clip = encode_clip(GetParam(), 128, 96, 4);
  Decoder decoder(GetParam());
  EXPECT_EQ(feed(decoder, clip[1]), DecodeStatus::kNeedKeyFrame);
  EXPECT_EQ(feed(decoder, clip[2]), DecodeStatus::kNeedKeyFrame);
  EXPECT_EQ(feed(decoder, clip[0]), DecodeStatus::kFrame);
  EXPECT_EQ(feed(decoder, clip[1]), DecodeStatus::kFrame);
  decoder.require_key_frame();
  EXPECT_EQ(feed(decoder, clip[2]), DecodeStatus::kNeedKeyFrame);
  EXPECT_EQ(decoder.errors(), 0u);
}

TEST_P(DecoderInput, GarbageIsCountedOrRefusedAndNeverShown) {
  Decoder decoder(GetParam());
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::vector<uint8_t> noise(random() % 600);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
    EXPECT_NE(decoder.decode(noise.data(), noise.size()).status, DecodeStatus::kFrame);
  }
  EXPECT_EQ(decoder.decode(nullptr, 0).status, DecodeStatus::kError);
  EXPECT_GE(decoder.errors(), 1u);
  const auto clip = encode_clip(GetParam(), 128, 96, 2);
  EXPECT_EQ(feed(decoder, clip[0]), DecodeStatus::kFrame);
  EXPECT_EQ(feed(decoder, clip[1]), DecodeStatus::kFrame);
}

TEST_P(DecoderInput, SurvivesDamagedFramesAndRecoversAtAKeyFrame) {
  const auto clip = encode_clip(GetParam(), 128, 96, 30);
  Decoder decoder(GetParam());
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    for (const EncodedPicture& picture : clip) {
      std::vector<uint8_t> data = picture.data;
      for (int hit = 0; hit < 4; ++hit) data[random() % data.size()] ^= 1 << (random() % 8);
      if (random() % 3 == 0) data.resize(random() % data.size());
      decoder.decode(data.data(), data.size());
    }
  }
  EXPECT_GT(decoder.errors(), 0u);
  EXPECT_EQ(feed(decoder, clip[0]), DecodeStatus::kFrame);
}

TEST_P(DecoderInput, ATruncatedKeyFrameIsAnErrorAndBlocksWhatFollows) {
  const auto clip = encode_clip(GetParam(), 320, 240, 3);
  Decoder decoder(GetParam());
  const DecodeResult result = decoder.decode(clip[0].data.data(), clip[0].data.size() / 4);
  EXPECT_EQ(result.status, DecodeStatus::kError);
  EXPECT_FALSE(result.message.empty());
  EXPECT_EQ(feed(decoder, clip[1]), DecodeStatus::kNeedKeyFrame);
  EXPECT_EQ(feed(decoder, clip[0]), DecodeStatus::kFrame);
}

TEST_P(DecoderInput, RefusesPicturesThatAreTooSmallOrTooLargeByName) {
  struct Case {
    int width, height;
    const char* text;
  };
  for (const Case& size : {Case{8, 8, "8x8"}, Case{7680, 4320, "7680x4320"}}) {
    const EncodedPicture picture = blank_key_frame(size.width, size.height);
    Decoder decoder(GetParam());
    const DecodeResult result = decoder.decode(picture.data.data(), picture.data.size());
    EXPECT_EQ(result.status, DecodeStatus::kBadSize);
    EXPECT_NE(result.message.find(size.text), std::string::npos) << result.message;
    EXPECT_NE(result.message.find("16x16"), std::string::npos) << result.message;
    EXPECT_TRUE(decoder.waiting_for_key_frame());
    const auto good = encode_clip(GetParam(), 64, 64, 1);
    EXPECT_EQ(feed(decoder, good[0]), DecodeStatus::kFrame);
  }
}

TEST_P(DecoderInput, FollowsASizeChangeMidStream) {
  Decoder decoder(GetParam());
  for (const auto& [width, height] : {std::pair{320, 240}, {640, 360}, {161, 99}, {320, 240}}) {
    if (GetParam() == VideoCodec::kH264 && (width % 2 || height % 2)) continue;  // x264: even only
    for (const EncodedPicture& picture : encode_clip(GetParam(), width, height, 3)) {
      const DecodeResult result = decoder.decode(picture.data.data(), picture.data.size());
      ASSERT_EQ(result.status, DecodeStatus::kFrame) << result.message;
      EXPECT_EQ(result.frame->width, width);
      EXPECT_EQ(result.frame->height, height);
    }
  }
}

}  // namespace
}  // namespace driftless
