// A stream has no longest length: 3 000 chunks (twelve and a half minutes) of a looped clip on a
// small model.

#include <cmath>
#include <fstream>

#include "models_test_support.h"
#include "stream/pipeline.h"
#include "stream/session.h"

namespace driftless {
namespace {

constexpr int kChunks = 3000, kLoop = 20;  // chunks of the stream, and of the clip
constexpr size_t kFrames = 4, kFrameBytes = 64 * 32 * 3, kBytes = kFrames * kFrameBytes;

using Pixels = std::vector<uint8_t>;

// A clip that ends where it begins: waves that turn a whole number of times in it.
std::vector<Pixels> looped_clip() {
  std::vector<Pixels> clip(kLoop, Pixels(kBytes));
  for (int c = 0; c < kLoop; ++c) {
    for (size_t i = 0; i < kBytes; ++i) {
      const double frame = 4.0 * c + static_cast<double>(i / kFrameBytes);
      const double t = 2 * M_PI * frame / (4 * kLoop);
      const double x = static_cast<double>(i / 3 % 64), y = static_cast<double>(i / 192 % 32);
      clip[static_cast<size_t>(c)][i] =
          static_cast<uint8_t>(127.5 + 70 * std::sin(0.2 * x + 2 * t + static_cast<double>(i % 3)) +
                               40 * std::sin(0.4 * y - 3 * t));
    }
  }
  return clip;
}

// Resident memory of this process.
double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024.0 * 1024.0);
}

// One pass over the clip: what its output looked like. In units of pixels, 0..255.
struct Pass {
  double mean[3] = {}, std[3] = {};
  double frame_difference = 0;  // rms between consecutive frames
};

class LongStream : public testing::Test {
 protected:
  LongStream()
      : pipeline_(Pipeline::load(ModelOptions{tiny_.dir(), "cpu", 1})),
        session_(pipeline_->open(TransformSettings{"rain", 1, 2, 1})),
        clip_(looped_clip()) {}

  Pass run_pass() {
    Pass pass;
    double sum[3] = {}, squares[3] = {}, difference = 0;
    for (const Pixels& in : clip_) {
      Pipeline::Job job{session_.get(), in.data(), out_.data(), {}};
      pipeline_->run(&job, 1);
      ++chunks_;
      for (size_t i = 0; i < kBytes; ++i) {
        const double value = out_[i];
        const double before = i < kFrameBytes ? last_[i] : out_[i - kFrameBytes];
        sum[i % 3] += value;
        squares[i % 3] += value * value;
        difference += (value - before) * (value - before);
      }
      last_.assign(out_.end() - static_cast<long>(kFrameBytes), out_.end());
    }
    const double count = static_cast<double>(kBytes * kLoop);
    for (int c = 0; c < 3; ++c) {
      pass.mean[c] = sum[c] * 3 / count;
      pass.std[c] = std::sqrt(squares[c] * 3 / count - pass.mean[c] * pass.mean[c]);
    }
    pass.frame_difference = std::sqrt(difference / count);
    return pass;
  }

  TinyModel tiny_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<StreamSession> session_;
  std::vector<Pixels> clip_;
  Pixels out_ = Pixels(kBytes), last_ = Pixels(kFrameBytes);
  int chunks_ = 0;
};

TEST_F(LongStream, EndsAsItBegan) {
  run_pass();  // the ring and the stream batch fill
  const Pass start = run_pass();
  const double rss_start = resident_mb();
  Pass end;
  while (chunks_ < kChunks) {
    end = run_pass();
    const RollingCache& cache = dynamic_cast<Session&>(*session_).cache(0);
    ASSERT_EQ(cache.query_position(cache.moment()), 3) << chunks_;
  }
  for (int c = 0; c < 3; ++c) {
    EXPECT_NEAR(end.mean[c], start.mean[c], 0.05) << "channel " << c;
    EXPECT_NEAR(end.std[c], start.std[c], 0.05) << "channel " << c;
  }
  EXPECT_GT(start.frame_difference, 1.0) << "the clip should move";
  EXPECT_NEAR(end.frame_difference, start.frame_difference, 0.02 * start.frame_difference);
#ifndef __SANITIZE_ADDRESS__  // Which keeps what was freed for a while.
  EXPECT_LT(resident_mb() - rss_start, 4.0) << "MB grown over " << kChunks << " chunks";
#endif
}

}  // namespace
}  // namespace driftless
