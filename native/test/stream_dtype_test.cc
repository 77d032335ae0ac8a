// The default model's picture in bf16 beside its picture in f32.

#include <gtest/gtest.h>

#include <cmath>

#include "ops/words.h"
#include "stream/pipeline.h"

namespace driftless {
namespace {

// Levels of 0..255. Rounding to 8 significant bits shows as noise below what an eye or a video
// codec keeps; a wrong kernel is off by tens of levels.
constexpr double kAllowedRms = 1.5;

// Chunks of the default model, one after another.
std::vector<uint8_t> repaint(const char* dtype, int chunks) {
  ModelOptions options;
  options.dir = std::string(DRIFTLESS_SOURCE_DIR) + "/models/drift-nano";
  options.dtype = dtype;
  const auto pipeline = Pipeline::load(options);
  const ModelInfo& info = pipeline->info();
  TransformSettings settings;
  settings.prompt = "watercolour painting on paper";
  settings.strength = 1;
  const auto session = pipeline->open(settings);
  std::vector<uint8_t> in, out;
  const auto line = static_cast<size_t>(info.width) * 3;
  in.resize(static_cast<size_t>(info.frames_per_chunk * info.height) * line);
  out.resize(in.size());
  for (int chunk = 0; chunk < chunks; ++chunk) {
    for (size_t i = 0; i < in.size(); ++i) {
      const double x = static_cast<double>(i % line), y = static_cast<double>(i / line);
      in[i] = static_cast<uint8_t>(127 + 100 * std::sin(0.02 * x + 0.05 * y + 0.3 * chunk));
    }
    Pipeline::Job job{session.get(), in.data(), out.data(), {}};
    pipeline->run(&job, 1);
  }
  return out;
}

TEST(Dtype, TheDefaultModelsPictureInBf16StaysCloseToF32) {
  if (!kHasBf16) GTEST_SKIP() << "this build has no bf16 products";
  const std::vector<uint8_t> exact = repaint("f32", 8), rounded = repaint("bf16", 8);
  double squares = 0, brightness = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double difference = static_cast<double>(exact[i]) - static_cast<double>(rounded[i]);
    squares += difference * difference;
    brightness += static_cast<double>(exact[i]);
  }
  const auto count = static_cast<double>(exact.size());
  EXPECT_LT(std::sqrt(squares / count), kAllowedRms);
  EXPECT_GT(squares, 0) << "bf16 must really be another arithmetic";
  EXPECT_GT(brightness / count, 20) << "there must be a picture to compare";
}

}  // namespace
}  // namespace driftless
