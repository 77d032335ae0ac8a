#pragma once

// The emulated devices' memory: what is handed out, and who may touch it when.

#include <cstddef>
#include <mutex>

#include "emulation/cuda_runtime.h"

namespace driftless {
namespace emulation {

/// One for everything: kernels, copies and allocations of all threads take turns.
std::recursive_mutex& turn();

/// As cudaMalloc or, where `managed`, cudaMallocManaged, within what the machine has.
cudaError_t allocate(void** memory, size_t bytes, bool managed);
/// Gives memory back at once.
cudaError_t release(void* memory);

}  // namespace emulation
}  // namespace driftless
