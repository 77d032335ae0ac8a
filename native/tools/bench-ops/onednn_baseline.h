#pragma once

#include <cstdint>
#include <functional>

namespace driftless {

/// oneDNN's own f32 primitives on memory of their own, for comparison. Each call of the returned
/// function computes once.
std::function<void()> onednn_product(int64_t rows, int64_t in, int64_t out);
/// 3x3, padding 1, channels-last, bias, weights in the layout oneDNN prefers.
std::function<void()> onednn_conv(int64_t n, int64_t h, int64_t w, int64_t in, int64_t out,
                                  int64_t stride);

}  // namespace driftless
