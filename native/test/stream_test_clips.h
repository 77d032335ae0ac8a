#pragma once

// Moving pictures for the tests of streams, and how to put them through a pipeline.

#include <cmath>
#include <cstdlib>
#include <vector>

#include "models_test_support.h"
#include "stream/pipeline.h"

namespace driftless {

// Four frames of 64 x 32, the size of the tiny model.
constexpr size_t kTinyChunk = 4 * 32 * 64 * 3;
using Pixels = std::vector<uint8_t>;

// A moving pattern; `stream` tells streams apart.
inline Pixels tiny_chunk(int stream, int index) {
  constexpr size_t kWidth = 64, kHeight = 32, kFrames = 4;
  Pixels pixels(kTinyChunk);
  for (size_t f = 0; f < kFrames; ++f) {
    const double t = static_cast<double>(index) * 4 + static_cast<double>(f);
    for (size_t i = 0; i < kHeight * kWidth * 3; ++i) {
      const double x = static_cast<double>(i / 3 % kWidth), y = static_cast<double>(i / 3 / kWidth);
      const double c = static_cast<double>(i % 3);
      pixels[f * kHeight * kWidth * 3 + i] = static_cast<uint8_t>(
          127.5 + 120 * std::sin(0.2 * x + 0.3 * y + 0.4 * t + c + 1.7 * stream));
    }
  }
  return pixels;
}

struct Out {
  ChunkResult result;
  Pixels pixels;
};

inline Out run_one(Pipeline& pipeline, StreamSession& session, const Pixels& in) {
  Out out;
  out.pixels.assign(kTinyChunk, 0);
  Pipeline::Job job{&session, in.data(), out.pixels.data(), {}};
  pipeline.run(&job, 1);
  out.result = job.result;
  return out;
}

inline double mean_difference(const Pixels& a, const Pixels& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(static_cast<int>(a[i]) - b[i]);
  return sum / static_cast<double>(a.size());
}

}  // namespace driftless
