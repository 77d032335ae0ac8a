#pragma once

#include <memory>

#include "ops/ops.h"

namespace driftless {

/// A device's operations for callers whose tensors lie in the host's memory: what an operation
/// reads is copied to the device, and what it wrote is copied back. Tokens, keys and values are f32
/// outside of it. Slow, and for comparisons only.
std::unique_ptr<Ops> stage_on_device(std::unique_ptr<Ops> device);

}  // namespace driftless
