#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/safetensors.h"
#include "emulated_cuda.h"
#include "models/flatbuffer.h"
#include "models/segmenter.h"
#include "models/tflite.h"
#include "ops_test_support.h"
#include "segmentation_files.h"

namespace driftless {
namespace {

/// Head and shoulders in front of stripes, drawn with whole numbers only: the recorded masks were
/// made from the same bytes (test/golden/README.md).
std::vector<uint8_t> drawn_person(int h, int w) {
  std::vector<uint8_t> rgb(static_cast<size_t>(h) * w * 3);
  const int cx = w / 2, hy = h * 2 / 5, r = h / 5;
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      int colour[3] = {(x * 3 + y * 2) % 256, (x * x / w + y) % 256, 255 * y / h};
      const auto paint = [&](int red, int green, int blue) {
        colour[0] = red;
        colour[1] = green;
        colour[2] = blue;
      };
      const int dx = std::abs(x - cx), dy = y - hy;
      if (y > h * 3 / 5 && dx * 2 < (y - h * 2 / 5) * 2) paint(60, 80, 140);
      const bool head = dx * dx * 5 / 4 + dy * dy < r * r;
      if (head) paint(205, 160, 130);
      if (std::abs(y - (hy - r / 5)) < 3 && std::abs(dx - r / 3) < 4) paint(40, 30, 30);
      if (std::abs(y - (hy + r / 2)) < 2 && dx < r / 3) paint(170, 70, 70);
      if (head && y < hy - r / 2) paint(60, 40, 30);
      for (int c = 0; c < 3; ++c) {
        rgb[(static_cast<size_t>(y) * w + x) * 3 + c] = static_cast<uint8_t>(colour[c]);
      }
    }
  }
  return rgb;
}

class SegmenterTest : public ::testing::TestWithParam<std::string> {
 protected:
  EmulatedCuda cuda_;
};

TEST_P(SegmenterTest, ReproducesTensorFlowLitesMasks) {
  const SafeTensors golden(std::string(DRIFTLESS_SOURCE_DIR) +
                           "/test/golden/segmentation/masks.safetensors");
  Arena arena;
  for (const std::string name : {"landscape", "general"}) {
    Segmenter segmenter(SegmentationModel::load(segmentation_file(name), GetParam()));
    const std::vector<uint8_t> picture = drawn_person(segmenter.height(), segmenter.width());
    const Tensor expected = golden.load_f32(name, arena);
    // The second run must not see anything of the first. The plain loops are too slow for two.
    for (int turn = 0; turn < (GetParam() == "reference" ? 1 : 2); ++turn) {
      const float* mask = segmenter.run(picture.data());
      double worst = 0;
      for (int64_t y = 0; y < expected.dim(0); ++y) {
        for (int64_t x = 0; x < expected.dim(1); ++x) {
          worst = std::max(worst, std::abs(double{expected.at(y).f32()[x]} -
                                           mask[y * 4 * segmenter.width() + x * 4]));
        }
      }
      // Both sum in f32 in another order; where the mask is steep that shows in the fourth digit.
      EXPECT_LT(worst, 2e-3) << name << " in turn " << turn;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SegmenterTest, ::testing::Values("reference", "cpu", "cuda"),
                         [](const auto& item) { return item.param; });

TEST(TfliteTest, AnEarlyEndIsAnErrorThatNamesTheFile) {
  std::ifstream file(segmentation_file("landscape"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  ASSERT_GT(whole.size(), 100000u);
  const auto path = std::filesystem::path(::testing::TempDir()) / "cut.tflite";
  for (const size_t bytes :
       {size_t{0}, size_t{7}, size_t{40}, size_t{1000}, whole.size() / 2, whole.size() - 2000}) {
    std::ofstream(path, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(bytes));
    Arena arena;
    expect_error([&] { read_tflite(path.string(), arena); }, {"cut.tflite", "expected", "got"});
  }
  std::filesystem::remove(path);
}

TEST(TfliteTest, DamagedBytesAreErrorsOrNumbersButNeverWildReads) {
  // Run under the address sanitizer this finds missing checks; without it, crashes.
  std::ifstream file(segmentation_file("landscape"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const auto path = std::filesystem::path(::testing::TempDir()) / "damaged.tflite";
  uint64_t state = 1;
  int refused = 0;
  for (int round = 0; round < 40; ++round) {
    std::string bytes = whole;
    for (int flip = 0; flip < 400; ++flip) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bytes[(state >> 33) % bytes.size()] = static_cast<char>(state >> 24);
    }
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    Arena arena;
    try {
      read_tflite(path.string(), arena);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  std::filesystem::remove(path);
}

TEST(TfliteTest, AnotherFormatIsNamed) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "other.tflite";
  std::ofstream(path, std::ios::binary) << "GIF89a, surely not what was asked for";
  Arena arena;
  expect_error([&] { read_tflite(path.string(), arena); }, {"identifier", "TFL3"});
  std::filesystem::remove(path);
  expect_error([&] { read_tflite("/nonexistent.tflite", arena); }, {"/nonexistent.tflite"});
}

}  // namespace
}  // namespace driftless
