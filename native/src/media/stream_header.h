#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "stream/picture_size.h"

namespace driftless {

/// The picture size that a VP9 key frame says in its uncompressed header (VP9 bitstream
/// specification 0.6, section 6.2), or nothing where the data begin with no key frame. FFmpeg's
/// parser tells key frames but not their size. Of a superframe: of its first, smallest layer.
std::optional<PictureSize> vp9_key_frame_size(const uint8_t* data, size_t size);

/// Whether AV1 data (low-overhead format) begin with a temporal delimiter (AV1 specification,
/// section 5.6), which RTP leaves out (RTP payload format for AV1, section 5).
bool begins_temporal_unit(const uint8_t* data, size_t size);

}  // namespace driftless
