#pragma once

#include <memory>

#include "ops/video_ops.h"

namespace driftless {

/// On a stream of its own. Throws Error when there is no such device.
std::unique_ptr<VideoOps> make_cuda_video_ops(int device);

}  // namespace driftless
