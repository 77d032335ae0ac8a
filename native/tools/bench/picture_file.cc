#include "bench/picture_file.h"

#include <algorithm>
#include <fstream>

#include "media/ffmpeg_support.h"

namespace driftless {

void write_picture(const std::string& path, const AVFrame& frame) {
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << frame.width << " " << frame.height << "\n255\n";
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) {
      const double luma = 1.164 * (frame.data[0][y * frame.linesize[0] + x] - 16);
      const double u = frame.data[1][y / 2 * frame.linesize[1] + x / 2] - 128.0;
      const double v = frame.data[2][y / 2 * frame.linesize[2] + x / 2] - 128.0;
      for (const double value :
           {luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u}) {
        file.put(static_cast<char>(static_cast<uint8_t>(std::clamp(value, 0.0, 255.0))));
      }
    }
  }
}

}  // namespace driftless
