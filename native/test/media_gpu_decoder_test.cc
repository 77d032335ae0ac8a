// Decoding on a GPU, without one: FFmpeg's own NVDEC code against doubles of NVIDIA's two
// libraries.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <random>

#include "media/decoder.h"
#include "media/gpu_codecs.h"
#include "media_test_pictures.h"
#include "nvcodec/loaded_doubles.h"

namespace driftless {
namespace {

class GpuDecoder : public ::testing::TestWithParam<VideoCodec> {
 protected:
  void SetUp() override {
    if (!LoadedDoubles::exist())
      GTEST_SKIP() << "no headers of NVDEC (Debian: libffmpeg-nvenc-dev)";
    doubles_.emplace();
    counts_ = doubles_->counts;
    state_ = doubles_->decoder;
    ASSERT_NE(nullptr, state_);
  }

  std::vector<EncodedPicture> clip(int width, int height, int count) {
    std::vector<EncodedPicture> pictures = encode_clip(GetParam(), width, height, count);
    if (GetParam() == VideoCodec::kH264) state_->headers = parameter_sets(pictures.front().data);
    return pictures;
  }

  void expect_same(const AVFrame& expected, const AVFrame& frame) {
    ASSERT_EQ(expected.width, frame.width);
    ASSERT_EQ(expected.height, frame.height);
    ASSERT_EQ(expected.format, frame.format);
    EXPECT_EQ(expected.color_range, frame.color_range);
    EXPECT_EQ(expected.colorspace, frame.colorspace);
    for (int plane = 0; plane < 3; ++plane) {
      const int shift = plane == 0 ? 0 : 1;
      for (int y = 0; y < expected.height >> shift; ++y) {
        ASSERT_EQ(0, std::memcmp(expected.data[plane] + y * expected.linesize[plane],
                                 frame.data[plane] + y * frame.linesize[plane],
                                 static_cast<size_t>(expected.width >> shift)))
            << "plane " << plane << " row " << y;
      }
    }
  }

  static DecodeResult feed(Decoder& decoder, const EncodedPicture& picture) {
    return decoder.decode(picture.data.data(), picture.data.size());
  }

  std::optional<LoadedDoubles> doubles_;
  CudaCounts* counts_ = nullptr;
  NvcuvidState* state_ = nullptr;

 private:
  /// The units of types 7 and 8.
  static std::vector<uint8_t> parameter_sets(const std::vector<uint8_t>& data) {
    std::vector<uint8_t> sets;
    std::vector<size_t> starts;
    for (size_t i = 0; i + 3 < data.size(); ++i) {
      if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) starts.push_back(i);
    }
    for (size_t i = 0; i < starts.size(); ++i) {
      const int type = data[starts[i] + 3] & 31;
      if (type != 7 && type != 8) continue;
      const size_t end = i + 1 < starts.size() ? starts[i + 1] : data.size();
      sets.insert(sets.end(), data.begin() + static_cast<ptrdiff_t>(starts[i]),
                  data.begin() + static_cast<ptrdiff_t>(end));
    }
    return sets;
  }
};

INSTANTIATE_TEST_SUITE_P(Media, GpuDecoder, ::testing::Values(VideoCodec::kVp8, VideoCodec::kH264),
                         [](const auto& info) { return codec_name(info.param); });

TEST_P(GpuDecoder, GivesTheProcessorsPictures) {
  // Heights that are no whole number of macroblocks, and another size in the same stream.
  Decoder gpu(GetParam(), {}, 0), processor(GetParam());
  int pictures = 0;
  for (const auto& [width, height] : {std::pair{320, 180}, {176, 144}, {640, 362}}) {
    for (const EncodedPicture& picture : clip(width, height, 12)) {
      const DecodeResult expected = feed(processor, picture), result = feed(gpu, picture);
      ASSERT_EQ(DecodeStatus::kFrame, expected.status);
      ASSERT_EQ(DecodeStatus::kFrame, result.status) << result.message;
      expect_same(*expected.frame, *result.frame);
      EXPECT_EQ(++pictures, state_->pictures);
      EXPECT_EQ(2 * pictures, counts_->copies);
    }
  }
  EXPECT_EQ("", gpu.refusal());
  EXPECT_EQ(1, state_->decoders);
}

TEST_P(GpuDecoder, LeavesWhatTheGpuDoesNotTakeToTheProcessor) {
  state_->max_width = 256;
  Decoder decoder(GetParam(), {}, 0);
  for (const EncodedPicture& picture : clip(320, 192, 3)) {
    EXPECT_EQ(DecodeStatus::kFrame, feed(decoder, picture).status);
  }
  EXPECT_NE("", decoder.refusal());
  EXPECT_EQ(0, state_->pictures);
}

TEST_P(GpuDecoder, GivesUpAGpuThatFailsAgainAndAgain) {
  const auto pictures = clip(320, 192, 4);
  Decoder decoder(GetParam(), {}, 0);
  EXPECT_EQ(DecodeStatus::kFrame, feed(decoder, pictures[0]).status);
  state_->fail = 1000;
  for (int i = 0; i < Decoder::kMaxGpuErrorsInARow; ++i) {
    EXPECT_EQ("", decoder.refusal());
    EXPECT_EQ(DecodeStatus::kError, feed(decoder, pictures[0]).status);
    EXPECT_EQ(DecodeStatus::kNeedKeyFrame, feed(decoder, pictures[1]).status);
  }
  EXPECT_NE("", decoder.refusal());
  for (const EncodedPicture& picture : pictures) {
    EXPECT_EQ(DecodeStatus::kFrame, feed(decoder, picture).status);
  }
}

TEST_P(GpuDecoder, SurvivesBrokenInput) {
  const auto pictures = clip(320, 192, 24);
  Decoder decoder(GetParam(), {}, 0);
  std::mt19937 random(5);
  for (int round = 0; round < 40; ++round) {
    EncodedPicture broken = pictures[random() % pictures.size()];
    for (int i = 0; i < 4; ++i) broken.data[random() % broken.data.size()] ^= 1 << random() % 8;
    broken.data.resize(1 + random() % broken.data.size());
    feed(decoder, broken);
    feed(decoder, pictures[0]);
  }
}

TEST_P(GpuDecoder, TheProbeDecodesAPicture) {
  EXPECT_EQ("software", describe_decoder(-1));
  EXPECT_EQ("nvdec", describe_decoder(0));
  EXPECT_EQ(0u,
            describe_decoder(7).find("software: GPU 7 for codecs: expected one, got cuDeviceGet"));
  EXPECT_EQ(1, state_->pictures);
}

TEST(GpuDecoderMissing, TheProcessorDecodesAndTheReasonIsSaid) {
  const std::string said = describe_decoder(0);
  if (said == "nvdec") GTEST_SKIP() << "this machine has one";
  EXPECT_EQ(0u, said.find("software: GPU 0 for codecs: expected one, got")) << said;
  Decoder decoder(VideoCodec::kVp8, {}, 0);
  EXPECT_NE("", decoder.refusal());
  const EncodedPicture picture = encode_clip(VideoCodec::kVp8, 64, 64, 1)[0];
  EXPECT_EQ(DecodeStatus::kFrame, decoder.decode(picture.data.data(), picture.data.size()).status);
}

}  // namespace
}  // namespace driftless
