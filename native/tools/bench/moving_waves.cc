#include "bench/moving_waves.h"

#include <algorithm>
#include <cmath>

#include "media/ffmpeg_support.h"

namespace driftless {

void draw_waves(AVFrame& frame, int64_t number) {
  for (int plane = 0; plane < 3; ++plane) {
    const int scale = plane == 0 ? 1 : 2;
    const double shift = 3.0 * static_cast<double>(number) / scale;
    for (int y = 0; y < (frame.height + scale - 1) / scale; ++y) {
      uint8_t* row = frame.data[plane] + static_cast<ptrdiff_t>(y) * frame.linesize[plane];
      for (int x = 0; x < (frame.width + scale - 1) / scale; ++x) {
        const double wave =
            std::sin((x + shift) * 0.06 * scale) + std::sin((y - shift) * 0.04 * scale);
        row[x] = static_cast<uint8_t>(128 + 45 * wave);
      }
    }
  }
}

double luma_psnr_db(const AVFrame& a, const AVFrame& b) {
  double sum = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const double difference = a.data[0][y * a.linesize[0] + x] - b.data[0][y * b.linesize[0] + x];
      sum += difference * difference;
    }
  }
  const double mean = sum / (static_cast<double>(a.width) * a.height);
  return 10 * std::log10(255.0 * 255.0 / std::max(mean, 1e-3));
}

}  // namespace driftless
