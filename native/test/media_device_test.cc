// Pictures that stay on a GPU between codecs and model, on the emulated one, whose memory the
// host's code cannot touch.

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "emulated_cuda.h"
#include "media/background_canvas.h"
#include "media/ffmpeg_support.h"
#include "media/output_size.h"
#include "media/picture_intake.h"
#include "media/picture_outlet.h"
#include "media_session_test_support.h"
#include "media_test_pictures.h"
#include "models_test_support.h"
#include "ops/cuda/cuda_video.h"
#include "segmentation_files.h"

namespace driftless {
namespace {

ModelInfo model_of(int width, int height) {
  ModelInfo model;
  model.width = width;
  model.height = height;
  model.frames_per_chunk = 2;
  model.fps = 16;
  return model;
}

// In the host's memory, wherever they lie.
std::vector<uint8_t> fetched(const ChunkPixels& pixels) {
  if (!pixels.on_device()) return pixels.rgb;
  std::vector<uint8_t> rgb(pixels.pool->bytes());
  make_cuda_video_ops(0)->to_host(pixels.data(), rgb.data(), rgb.size());
  return rgb;
}

double psnr(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum == 0 ? 99 : 10 * std::log10(65025.0 * static_cast<double>(a.size()) / sum);
}

// A picture whose colours change slowly, with different chroma everywhere.
std::shared_ptr<AVFrame> smooth_picture(int width, int height, int index) {
  AvFramePtr frame = make_yuv_frame(width, height);
  for (int plane = 0; plane < 3; ++plane) {
    const int half = plane == 0 ? 1 : 2;
    for (int y = 0; y < (height + half - 1) / half; ++y) {
      for (int x = 0; x < (width + half - 1) / half; ++x) {
        const double wave = std::sin(12.0 * x * half / width + index + plane) *
                            std::cos(9.0 * y * half / height - plane);
        frame->data[plane][y * frame->linesize[plane] + x] =
            static_cast<uint8_t>(plane == 0 ? 120 + 80 * wave : 128 + 30 * wave);
      }
    }
  }
  return {frame.release(), AvFrameDeleter()};
}

class DevicePictures : public ::testing::Test {
 protected:
  // The same frames by swscale and on the device, as one chunk each.
  void take(const ModelInfo& model, const std::vector<std::shared_ptr<AVFrame>>& frames) {
    const auto host = PictureIntake::make(nullptr, model),
               device = PictureIntake::make(make_cuda_video_ops(0), model);
    for (GeneratedChunk* chunk : {&host_, &device_}) *chunk = GeneratedChunk();
    for (size_t i = 0; i < frames.size(); ++i) {
      FrameMeta here, there;
      host->take(frames[i], i, host_, here);
      device->take(frames[i], i, device_, there);
      host_.frames.push_back(here);
      device_.frames.push_back(there);
    }
  }

  EmulatedCuda cuda_;
  GeneratedChunk host_, device_;
};

TEST_F(DevicePictures, GoInAsSwscaleBringsThem) {
  const ModelInfo model = model_of(64, 36);
  for (const auto& [width, height] :
       {std::pair{64, 36}, {160, 90}, {200, 60}, {90, 160}, {31, 47}, {321, 181}}) {
    take(model, {smooth_picture(width, height, 0), smooth_picture(width, height, 1)});
    EXPECT_TRUE(device_.on_device());
    EXPECT_EQ(Memory::device, device_.memory());
    // At the model's own size swscale does not interpolate colour.
    EXPECT_GT(psnr(fetched(host_), fetched(device_)), width == 64 ? 35 : 37)
        << width << "x" << height;
  }
}

TEST_F(DevicePictures, FollowRangeAndStandardOfTheStream) {
  const ModelInfo model = model_of(64, 36);
  for (const AVColorRange range : {AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG}) {
    for (const AVColorSpace space : {AVCOL_SPC_SMPTE170M, AVCOL_SPC_BT709}) {
      const auto picture = smooth_picture(128, 72, 2);
      picture->color_range = range;
      picture->colorspace = space;
      take(model, {picture, picture});
      EXPECT_GT(psnr(fetched(host_), fetched(device_)), 37) << range << ", " << space;
    }
  }
}

TEST_F(DevicePictures, RefuseWhatIsNotEightBitsOf420) {
  AvFramePtr frame = make_frame();
  frame->width = 64;
  frame->height = 36;
  frame->format = AV_PIX_FMT_YUV444P;
  ASSERT_EQ(0, av_frame_get_buffer(frame.get(), 0));
  try {
    take(model_of(64, 36), {{frame.release(), AvFrameDeleter()}});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ("picture to convert: expected 4:2:0 of 8 bits, got yuv444p", error.what());
  }
}

TEST_F(DevicePictures, ComeOutAsTheHostEnlargesThem) {
  const ModelInfo model = model_of(64, 36);
  const auto host = PictureOutlet::make(nullptr, model),
             device = PictureOutlet::make(make_cuda_video_ops(0), model);
  for (const auto& [width, height] :
       {std::pair{64, 36}, {150, 84}, {128, 90}, {48, 27}, {90, 160}}) {
    take(model, {smooth_picture(width, height, 0), smooth_picture(width, height, 3)});
    for (size_t i = 0; i < 2; ++i) {
      const PictureSize size = device->size(device_, i);
      EXPECT_TRUE(size == host->size(host_, i));
      EXPECT_TRUE(size == output_size(model, {width, height}));
      const AVFrame &expected = host->picture(host_, i, nullptr),
                    &got = device->picture(device_, i, nullptr);
      ASSERT_EQ(expected.width, got.width);
      ASSERT_EQ(expected.height, got.height);
      EXPECT_GT(luma_psnr(expected, got), 37) << width << "x" << height;
      for (int plane = 1; plane < 3; ++plane) {
        for (int y = 0; y < got.height / 2; ++y) {
          for (int x = 0; x < got.width / 2; ++x) {
            ASSERT_NEAR(expected.data[plane][y * expected.linesize[plane] + x],
                        got.data[plane][y * got.linesize[plane] + x], 8)
                << plane << ": " << x << ", " << y;
          }
        }
      }
    }
  }
}

/// A cartoon that the network takes for a person: a head over shoulders before a wall.
std::shared_ptr<AVFrame> person_picture(int width, int height) {
  const auto frame = smooth_picture(width, height, 0);
  const auto inside = [&](double x, double y, double cx, double cy, double rx, double ry) {
    return std::pow((x / width - cx) / rx, 2) + std::pow((y / height - cy) / ry, 2) < 1;
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* luma = frame->data[0] + y * frame->linesize[0] + x;
      uint8_t* blue = frame->data[1] + y / 2 * frame->linesize[1] + x / 2;
      uint8_t* red = frame->data[2] + y / 2 * frame->linesize[2] + x / 2;
      *luma = 200, *blue = *red = 128;
      if (inside(x, y, 0.5, 1.05, 0.3, 0.45)) *luma = 60, *blue = 140, *red = 120;
      if (inside(x, y, 0.5, 0.38, 0.1, 0.25)) *luma = 150, *blue = 110, *red = 155;
      if (inside(x, y, 0.5, 0.2, 0.11, 0.1)) *luma = 40, *blue = *red = 128;
      for (const double eye : {0.46, 0.54}) {
        if (inside(x, y, eye, 0.36, 0.012, 0.02)) *luma = 30, *blue = *red = 128;
      }
      if (inside(x, y, 0.5, 0.5, 0.03, 0.015)) *luma = 90, *red = 170;
    }
  }
  return frame;
}

TEST_F(DevicePictures, PeopleArePutBeforeScenesAsOnTheHost) {
  const std::string file = segmentation_file("general");
  const std::string dir = file.substr(0, file.rfind('/'));
  const auto host = BackgroundCanvas::make(load_matte_models(dir, "cpu"), nullptr),
             device =
                 BackgroundCanvas::make(load_matte_models(dir, "cuda"), make_cuda_video_ops(0));
  const auto outlet = PictureOutlet::make(make_cuda_video_ops(0), model_of(64, 36));
  const auto scene = smooth_picture(64, 36, 4);
  float most = 0;
  for (const auto& [width, height] : {std::pair{320, 180}, {161, 91}, {1600, 900}}) {
    const auto camera = person_picture(width, height);
    if (width == 161) camera->color_range = AVCOL_RANGE_JPEG;
    for (int i = 0; i < 9; ++i) {
      for (BackgroundCanvas* canvas : {host.get(), device.get()}) {
        canvas->take(*camera);
        canvas->cut(1000 + 200.0 * i);  // somebody is believed after a second
      }
      EXPECT_TRUE(host->size() == device->size());
      const float opacity = host->person().opacity();
      EXPECT_NEAR(opacity, device->person().opacity(), 0.01);
      most = std::max(most, opacity);
      const PicturePart part = {2, 4, 60, 32};
      const ComposedPicture expected = host->compose(*scene, part, opacity),
                            got = device->compose(*scene, part, opacity);
      ASSERT_FALSE(expected.on_device());
      ASSERT_TRUE(got.on_device());
      const AVFrame& fetched = outlet->whole(got, nullptr);
      ASSERT_EQ(expected.host->width, fetched.width);
      ASSERT_EQ(expected.host->height, fetched.height);
      EXPECT_GT(luma_psnr(*expected.host, fetched), 34) << width << ", picture " << i;
    }
  }
  EXPECT_EQ(1, most) << "the network must see somebody";
}

TEST_F(DevicePictures, MemoryIsUsedAgain) {
  const auto pool = DevicePool::make(cuda_memory(0), 1000);
  const uint8_t* first = pool->take().get();
  auto again = pool->take();
  EXPECT_EQ(first, again.get());
  EXPECT_NE(first, pool->take().get());
}

// The engine's threads, from a VP8 camera to VP8 viewers.
struct SessionCase {
  TransformMode mode;
  int steps;
  bool upright = false;
};

class DeviceSession : public SessionHarness, public ::testing::TestWithParam<SessionCase> {
 protected:
  void TearDown() override { close(); }

  std::vector<AvFramePtr> shown_by(const std::string& backend) {
    engine_ = std::make_unique<MediaEngine>(Pipeline::load({model_.dir(), backend, 1, "f32"}), 2);
    SessionOptions options;
    options.bitrate_bps = 4'000'000;
    options.delay_budget_ms = 10'000;
    options.transform.mode = GetParam().mode;
    options.transform.settings.steps = GetParam().steps;
    open(options);
    // A chunk at a time, at the model's rate. With two steps the first comes with the second.
    for (size_t i = 0; i < camera_.size(); ++i) {
      EncodedPicture picture = camera_[i];
      picture.capture_time_ms = 1000 + 70.0 * static_cast<double>(i);
      push(picture);
      const size_t inside = 4 * static_cast<size_t>(GetParam().steps - 1);
      if (i % 4 != 3) continue;
      if (i < inside) {
        // The model is done with it, and its memory is there for the next one.
        for (int ms = 0; session_->counters().batch.last_ms() == 0 && ms < 20'000; ms += 5) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
      } else if (!collect(i + 1 - inside)) {
        ADD_FAILURE() << "no picture " << i - inside << " by " << backend;
      }
    }
    EXPECT_EQ(0u, session_->counters().compute_errors);
    EXPECT_EQ(0u, session_->counters().decode_errors);
    std::vector<AvFramePtr> shown;
    Decoder decoder(VideoCodec::kVp8);
    for (const OutgoingFrame& frame : frames_) {
      DecodeResult result = decoder.decode(frame.picture.data.data(), frame.picture.data.size());
      EXPECT_EQ(DecodeStatus::kFrame, result.status) << result.message;
      if (result.frame) shown.push_back(std::move(result.frame));
    }
    close();
    frames_.clear();
    return shown;
  }

  // So that nobody waits for the device on the way: the guards do, and ranks in a clean context
  // pass do not.
  static Json model_json() {
    Json json = tiny_model_json();
    json["schedule"]["driftGuard"] = "off";
    if (GetParam().steps > 1) json["schedule"]["contextPass"] = "clean";
    if (GetParam().upright) json["sizes"] = {{64, 32}, {32, 64}};
    return json;
  }

  EmulatedCuda cuda_;
  const TinyModel model_{model_json()};
  const std::vector<EncodedPicture> camera_ = encode_clip(
      VideoCodec::kVp8, GetParam().upright ? 64 : 128, GetParam().upright ? 128 : 64, 12);
};

INSTANTIATE_TEST_SUITE_P(Media, DeviceSession,
                         ::testing::Values(SessionCase{TransformMode::kRestyle, 1},
                                           SessionCase{TransformMode::kRestyle, 2},
                                           SessionCase{TransformMode::kPassthrough, 1},
                                           SessionCase{TransformMode::kRestyle, 2, true},
                                           SessionCase{TransformMode::kPassthrough, 1, true}),
                         [](const auto& info) {
                           return (info.param.mode == TransformMode::kRestyle ? "Restyle"
                                                                              : "Passthrough") +
                                  std::to_string(info.param.steps) +
                                  (info.param.upright ? "Upright" : "");
                         });

TEST_P(DeviceSession, ShowsWhatTheProcessorShows) {
  const auto expected = shown_by("reference"), got = shown_by("cuda");
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(expected[i]->width, got[i]->width);
    ASSERT_EQ(expected[i]->height, got[i]->height);
    EXPECT_EQ(got[i]->height, GetParam().upright ? 128 : 64);
    EXPECT_GT(luma_psnr(*expected[i], *got[i]), 27) << "frame " << i;
  }
}

// Also where the model has nothing to do that would notice.
class LostDevice : public SessionHarness, public ::testing::TestWithParam<TransformMode> {
 protected:
  void TearDown() override {
    emulation::machine().lost = cudaSuccess;
    close();
  }

  EmulatedCuda cuda_;
  const TinyModel model_;
};

INSTANTIATE_TEST_SUITE_P(Media, LostDevice,
                         ::testing::Values(TransformMode::kPassthrough, TransformMode::kBackground),
                         [](const auto& info) {
                           return info.param == TransformMode::kBackground ? "Background"
                                                                           : "Passthrough";
                         });

TEST_P(LostDevice, IsSaidSoThatTheProcessEnds) {
  const std::string file = segmentation_file("general");
  engine_ =
      std::make_unique<MediaEngine>(Pipeline::load({model_.dir(), "cuda", 1, "f32"}), 1,
                                    load_matte_models(file.substr(0, file.rfind('/')), "cpu"));
  SessionOptions options;
  options.transform.mode = GetParam();
  options.transform.background.repaint = false;
  open(options);
  const auto camera = encode_clip(VideoCodec::kVp8, 128, 64, 2);
  emulation::machine().lost = cudaErrorIllegalAddress;
  push(camera[0]);
  ASSERT_TRUE(collect(0, 2));
  EXPECT_EQ(1u, count(SessionEvent::Type::kDeviceLost));
  EXPECT_EQ(0u, frames_.size());
}

}  // namespace
}  // namespace driftless
