#pragma once

#include <cstdint>

struct AVFrame;

namespace driftless {

// Colour waves in 4:2:0 that move by some pixels from frame to frame.
void draw_waves(AVFrame& frame, int64_t number);

// Of the luma of two pictures of one size.
double luma_psnr_db(const AVFrame& a, const AVFrame& b);

}  // namespace driftless
