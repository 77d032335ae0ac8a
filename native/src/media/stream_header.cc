#include "media/stream_header.h"

namespace driftless {
namespace {

/// Bits from the highest on; beyond the end they are 0.
class Bits {
 public:
  Bits(const uint8_t* data, size_t size) : data_(data), bits_(8 * size) {}
  uint32_t take(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const uint32_t bit = at_ < bits_ ? data_[at_ / 8] >> (7 - at_ % 8) & 1u : 0u;
      value = value << 1 | bit;
    }
    return value;
  }
  bool past_end() const { return at_ > bits_; }

 private:
  const uint8_t* data_;
  size_t bits_, at_ = 0;
};

constexpr uint32_t kSyncCode = 0x498342;
constexpr uint32_t kColourSpaceRgb = 7;
constexpr int kTemporalDelimiter = 2;

}  // namespace

std::optional<PictureSize> vp9_key_frame_size(const uint8_t* data, size_t size) {
  Bits bits(data, size);
  if (bits.take(2) != 2) return std::nullopt;  // frame_marker
  uint32_t profile = bits.take(1);
  profile |= bits.take(1) << 1;
  if (profile == 3) bits.take(1);
  if (bits.take(1) != 0) return std::nullopt;  // show_existing_frame
  if (bits.take(1) != 0) return std::nullopt;  // frame_type: not a key frame
  bits.take(2);                                // show_frame, error_resilient_mode
  if (bits.take(24) != kSyncCode) return std::nullopt;
  if (profile >= 2) bits.take(1);  // ten_or_twelve_bit
  if (bits.take(3) != kColourSpaceRgb) {
    bits.take(1);                                    // color_range
    if (profile == 1 || profile == 3) bits.take(3);  // subsampling, reserved
  } else if (profile == 1 || profile == 3) {
    bits.take(1);
  }
  PictureSize picture;
  picture.width = static_cast<int>(bits.take(16)) + 1;
  picture.height = static_cast<int>(bits.take(16)) + 1;
  if (bits.past_end()) return std::nullopt;
  return picture;
}

bool begins_temporal_unit(const uint8_t* data, size_t size) {
  return size > 0 && (data[0] >> 3 & 15) == kTemporalDelimiter;
}

}  // namespace driftless
