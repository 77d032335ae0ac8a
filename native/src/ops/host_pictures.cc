// What is done to pictures of bytes in the host's memory.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ops/checks.h"
#include "ops/ops.h"

namespace driftless {

namespace {

uint64_t square_differences(const uint8_t* a, const uint8_t* b, int64_t values) {
  // Bytes differ by integers, so the sum is exact and does not depend on its order.
  uint64_t sum = 0;
  constexpr int64_t kBlock = 1 << 14;  // 16384 * 255^2 fits in 32 bits
  for (int64_t begin = 0; begin < values; begin += kBlock) {
    const int64_t end = std::min(values, begin + kBlock);
    uint32_t block = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int32_t difference = static_cast<int32_t>(a[i]) - static_cast<int32_t>(b[i]);
      block += static_cast<uint32_t>(difference * difference);
    }
    sum += block;
  }
  return sum;
}

/// One frame's map. difference [h, w] and sums [w + 2] are working memory.
void motion_of(const uint8_t* now, const uint8_t* last, int h, int w, int* difference, int* sums,
               uint8_t* motion) {
  const int columns = motion_blocks(w);
  std::fill_n(motion, columns * motion_blocks(h), uint8_t{0});
  // Brightness of the difference, in quarters: (r + 2 g + b) / 4.
  for (int i = 0; i < h * w; ++i) {
    difference[i] = now[3 * i] - last[3 * i] + 2 * (now[3 * i + 1] - last[3 * i + 1]) +
                    now[3 * i + 2] - last[3 * i + 2];
  }
  ++sums;
  for (int y = 0; y < h; ++y) {
    const int* above = difference + std::max(y - 1, 0) * w;
    const int* here = difference + y * w;
    const int* below = difference + std::min(y + 1, h - 1) * w;
    for (int x = 0; x < w; ++x) sums[x] = above[x] + here[x] + below[x];
    sums[-1] = sums[0];
    sums[w] = sums[w - 1];
    uint8_t* const row = motion + y / kMotionBlock * columns;
    for (int column = 0; column < columns; ++column) {
      const int end = std::min(w, (column + 1) * kMotionBlock);
      int most = 0;
      for (int x = column * kMotionBlock; x < end; ++x) {
        most = std::max(most, std::abs(sums[x - 1] + sums[x] + sums[x + 1]));
      }
      row[column] = static_cast<uint8_t>(std::max<int>(row[column], most / (9 * 4)));
    }
  }
}

}  // namespace

void Ops::frame_differences(const Tensor& before, const Tensor& frames, uint64_t* sums) {
  const auto s = checks::frames_after("frame_differences", before, frames);
  const uint8_t* last = before.present() ? before.u8() : nullptr;
  for (int64_t f = 0; f < s.n; ++f) {
    const uint8_t* frame = frames.u8() + f * s.values();
    sums[f] = last == nullptr ? 0 : square_differences(frame, last, s.values());
    last = frame;
  }
}

void Ops::picture_sums(const Tensor& pictures, int64_t stride, uint64_t* sums) {
  const auto s = checks::pictures("picture_sums", pictures);
  const uint8_t* values = pictures.u8();
  std::fill_n(sums, 6, uint64_t{0});
  for (int64_t p = 0; p < s.n * s.h * s.w; p += stride) {
    for (int64_t c = 0; c < 3; ++c) {
      const uint32_t value = values[3 * p + c];
      sums[c] += value;
      sums[3 + c] += value * value;
    }
  }
}

void Ops::map_bytes(const uint8_t* tables, const Tensor& pictures) {
  const auto s = checks::pictures("map_bytes", pictures);
  uint8_t* values = pictures.u8();
  for (int64_t p = 0; p < s.n * s.h * s.w; ++p, values += 3) {
    for (int c = 0; c < 3; ++c) values[c] = tables[256 * c + values[c]];
  }
}

void Ops::measure_motion(const Tensor& before, const Tensor& frames, const Tensor& motion) {
  const auto s = checks::measure_motion(before, frames, motion);
  const int64_t blocks = motion.dim(1) * motion.dim(2);
  const ArenaScope scope(host_arena());
  int* difference = host_arena().tensor({s.h * s.w}, DType::i32).i32();
  int* sums = host_arena().tensor({s.w + 2}, DType::i32).i32();
  const uint8_t* last = before.present() ? before.u8() : nullptr;
  for (int64_t f = 0; f < s.n; ++f) {
    const uint8_t* frame = frames.u8() + f * s.values();
    uint8_t* to = motion.u8() + f * blocks;
    if (last == nullptr) {
      std::fill_n(to, blocks, uint8_t{255});
    } else {
      motion_of(frame, last, static_cast<int>(s.h), static_cast<int>(s.w), difference, sums, to);
    }
    last = frame;
  }
}

void Ops::hold_still(const Tensor& motion, float least, bool anew, const Tensor& shown,
                     const Tensor& frames) {
  const auto s = checks::hold_still(motion, least, shown, frames);
  const int h = static_cast<int>(s.h), w = static_cast<int>(s.w);
  const Stillness still{motion_blocks(w), motion_blocks(h), least};
  const int blocks = still.columns * still.rows;
  const ArenaScope scope(host_arena());
  float* weights = host_arena().tensor({blocks}).f32();
  int* row = host_arena().tensor({3 * s.w}, DType::i32).i32();  // of one row of values, in 256ths
  auto* before = reinterpret_cast<uint16_t*>(shown.u8());
  for (int64_t f = 0; f < s.n; ++f) {
    uint8_t* out = frames.u8() + f * s.values();
    if (anew) {
      for (int64_t i = 0; i < s.values(); ++i) before[i] = static_cast<uint16_t>(out[i] << 8);
      continue;
    }
    const uint8_t* moved = motion.u8() + f * blocks;
    for (int b = 0; b < blocks; ++b) {
      weights[b] = still.weight(moved, b % still.columns, b / still.columns);
    }
    uint16_t* last = before;
    for (int y = 0; y < h; ++y, out += 3 * w, last += 3 * w) {
      const auto down = Stillness::between(y, still.rows);
      const float *upper = weights + down.first * still.columns,
                  *lower = weights + down.second * still.columns;
      for (int x = 0; x < w; ++x) {
        const auto across = Stillness::between(x, still.columns);
        const int l = across.first, r = across.second;
        const float left = upper[l] + down.share * (lower[l] - upper[l]);
        const float right = upper[r] + down.share * (lower[r] - upper[r]);
        const float weight = left + across.share * (right - left);
        std::fill_n(row + 3 * x, 3, static_cast<int>(weight * 256 + 0.5f));
      }
      for (int i = 0; i < 3 * w; ++i) {
        const int value = Stillness::step(last[i], out[i], row[i]);
        last[i] = static_cast<uint16_t>(value);
        out[i] = Stillness::rounded(value);
      }
    }
  }
}

void Ops::resample(const Resampling& across, const Resampling& down, const Tensor& x,
                   const Tensor& y) {
  const auto s = checks::resample(across, down, x, y);
  const int64_t width = 3 * s.w;
  const ArenaScope scope(host_arena());
  float* row = host_arena().tensor({width}).f32();
  uint8_t* out = y.u8();
  for (int64_t f = 0; f < s.n; ++f) {
    const uint8_t* in = x.u8() + f * s.values();
    for (const Resampling::Taps& v : down.taps) {
      std::fill_n(row, width, 0.0f);
      for (int32_t j = 0; j < v.count; ++j) {
        const float weight = down.weights[static_cast<size_t>(v.weights + j)];
        const uint8_t* from = in + (v.first + j) * width;
        for (int64_t i = 0; i < width; ++i) row[i] += weight * static_cast<float>(from[i]);
      }
      for (const Resampling::Taps& u : across.taps) {
        const float* weights = across.weights.data() + u.weights;
        const float* from = row + 3 * u.first;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (int32_t j = 0; j < u.count; ++j, from += 3) {
          for (int c = 0; c < 3; ++c) sum[c] += weights[j] * from[c];
        }
        for (const float value : sum) {
          *out++ = static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
        }
      }
    }
  }
}

}  // namespace driftless
