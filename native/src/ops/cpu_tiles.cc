#include "ops/cpu_tiles.h"

#if defined(__AVX512F__) && defined(__linux__) && defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace driftless {

namespace {

// The tile instructions as assembly of our own: the compiler's intrinsics (GCC 12) do not tell it
// that they read and write memory, so it may move a store behind the load that needs it.

/// Operand of LDTILECFG: bytes and rows of each of the eight tile registers.
struct alignas(64) TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// Registers: 0 to 3 sums of (first, second 16 pixels) x (first, second vector), 4 and 5 the pixels,
// 6 and 7 the weights.
template <int kTile>
inline void load_tile(const void* from, int64_t row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(kTile) : "memory");
}
template <int kTile>
inline void store_tile(void* to, int64_t row_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(kTile) : "memory");
}
template <int kTile>
inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kSum, int kX, int kWeights>
inline void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kX), "i"(kWeights));
}

/// Rows of the calling thread's tiles, 0 = not set up.
thread_local int64_t configured_pixels = 0;

void configure(int64_t pixels) {
  if (configured_pixels == pixels) return;
  TileConfig config = {};
  config.palette = 1;
  const auto first = static_cast<uint8_t>(pixels < kTileRows ? pixels : kTileRows);
  const auto second = static_cast<uint8_t>(pixels > kTileRows ? pixels - kTileRows : first);
  const uint8_t rows[8] = {first, first, second, second, first, second, kTileWords, kTileWords};
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = rows[tile];
    config.row_bytes[tile] = kTileWords * sizeof(Word);
  }
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  configured_pixels = pixels;
}

/// Sums of one tile to begin with. Bias: the same 16 numbers for every row.
template <int kTile>
void start_tile(const PanelOutput& out, int64_t pixel, int64_t channel) {
  if (!out.first) {
    load_tile<kTile>(out.sums + pixel * out.sums_stride + channel, out.sums_stride * 4);
  } else if (out.bias != nullptr) {
    load_tile<kTile>(out.bias + channel, 0);
  } else {
    zero_tile<kTile>();
  }
}

/// Stores one finished tile of `pixels` rows: with residual and ReLU where asked for.
template <int kTile>
void finish_tile(const PanelOutput& out, int64_t pixel, int64_t pixels, int64_t channel) {
  if (!out.last) {
    store_tile<kTile>(out.sums + pixel * out.sums_stride + channel, out.sums_stride * 4);
    return;
  }
  const int64_t channels = out.channels - channel;
  float* y = out.y + pixel * out.pixel_stride + channel;
  if (channels >= kLanes && out.residual == nullptr && !out.relu) {
    store_tile<kTile>(y, out.pixel_stride * 4);
    return;
  }
  alignas(64) float sums[kTileRows * kLanes];
  store_tile<kTile>(sums, kLanes * 4);
  const float* residual =
      out.residual == nullptr ? nullptr : out.residual + pixel * out.pixel_stride + channel;
  for (int64_t p = 0; p < pixels; ++p) {
    Vec value = load_vec(sums + p * kLanes);
    const int64_t at = p * out.pixel_stride;
    if (channels >= kLanes) {
      if (residual != nullptr) value += load_vec(residual + at);
      store_vec(y + at, out.relu ? relu_vec(value) : value);
    } else {
      if (residual != nullptr) value += load_part(residual + at, channels);
      store_part(y + at, out.relu ? relu_vec(value) : value, channels);
    }
  }
}

template <int kVectors, int kPixelTiles>
void tile_kernel(const PanelSegment* segments, int count, const Word* weights,
                 const PanelOutput& out) {
  constexpr int64_t kWidth = kVectors * kLanes, kWeightBytes = kWidth * 4;
  configure(out.pixels);
  start_tile<0>(out, 0, 0);
  if constexpr (kVectors == 2) start_tile<1>(out, 0, kLanes);
  if constexpr (kPixelTiles == 2) start_tile<2>(out, kTileRows, 0);
  if constexpr (kVectors == 2 && kPixelTiles == 2) start_tile<3>(out, kTileRows, kLanes);
  for (int s = 0; s < count; ++s) {
    const int64_t x_bytes = segments[s].pixel_stride * 4, second = segments[s].tile_stride;
    const Word* x = segments[s].x;
    for (int64_t left = segments[s].length; left > 0; left -= kTileWords) {
      load_tile<4>(x, x_bytes);
      load_tile<6>(weights, kWeightBytes);
      multiply_tiles<0, 4, 6>();
      if constexpr (kVectors == 2) {
        load_tile<7>(weights + kLanes, kWeightBytes);
        multiply_tiles<1, 4, 7>();
      }
      if constexpr (kPixelTiles == 2) {
        load_tile<5>(x + second, x_bytes);
        multiply_tiles<2, 5, 6>();
        if constexpr (kVectors == 2) multiply_tiles<3, 5, 7>();
      }
      x += segments[s].step_stride;
      weights += kTileWords * kWidth;
    }
  }
  const int64_t first = kPixelTiles == 2 ? kTileRows : out.pixels;
  finish_tile<0>(out, 0, first, 0);
  if constexpr (kVectors == 2) finish_tile<1>(out, 0, first, kLanes);
  if constexpr (kPixelTiles == 2) finish_tile<2>(out, kTileRows, out.pixels - kTileRows, 0);
  if constexpr (kVectors == 2 && kPixelTiles == 2) {
    finish_tile<3>(out, kTileRows, out.pixels - kTileRows, kLanes);
  }
}

PanelKernel find(int vectors, int64_t pixels) {
  if (pixels > kTileRows) return vectors == 2 ? tile_kernel<2, 2> : tile_kernel<1, 2>;
  return vectors == 2 ? tile_kernel<2, 1> : tile_kernel<1, 1>;
}

/// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18 (detection);
/// Linux, Documentation/arch/x86/xstate.rst (permission).
bool processor_and_system_have_tiles() {
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;
  if ((low & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const PanelKernels* tile_kernels() {
  static constexpr PanelKernels kKernels = {
      WordType::bf16, 2, {0, 2 * kTileRows, 2 * kTileRows}, kTileWords, find};
  // DRIFTLESS_AMX=0 is for comparisons.
  static const char* const wish = std::getenv("DRIFTLESS_AMX");
  static const bool present =
      !(wish != nullptr && std::strcmp(wish, "0") == 0) && processor_and_system_have_tiles();
  return present ? &kKernels : nullptr;
}

TileScope::~TileScope() {
  if (configured_pixels == 0) return;
  asm volatile("tilerelease");
  configured_pixels = 0;
}

}  // namespace driftless

#else

namespace driftless {

const PanelKernels* tile_kernels() { return nullptr; }
TileScope::~TileScope() = default;

}  // namespace driftless

#endif
