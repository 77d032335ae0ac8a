#pragma once

#include <cstdint>
#include <functional>

namespace driftless {

/// oneDNN's own primitives on memory of their own and with weights in the layout it prefers, for
/// comparison. Each call of the returned function computes once. Inputs and weights are f32 or
/// bf16, outputs f32. Throws Error where oneDNN cannot do it on this processor.
std::function<void()> onednn_product(int64_t rows, int64_t in, int64_t out, bool bf16);
/// 3x3, padding 1, channels-last, bias.
std::function<void()> onednn_conv(int64_t n, int64_t h, int64_t w, int64_t in, int64_t out,
                                  int64_t stride, bool bf16);

/// How many threads oneDNN uses from now on.
void set_onednn_threads(int threads);

}  // namespace driftless
