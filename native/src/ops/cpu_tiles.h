#pragma once

#include "ops/cpu_panel.h"

namespace driftless {

/// bf16 panels by AMX: a tile of 16 pixels times one of 16 channels in one instruction. Null where
/// the build has no AVX-512, or the processor or the operating system no AMX. The first call asks
/// the system for the tiles' registers, for the process.
const PanelKernels* tile_kernels();

/// Gives the calling thread's tile registers back at the end of a block, so that switching to
/// another thread need not save their 8 kB.
class TileScope {
 public:
  TileScope() = default;
  ~TileScope();
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

}  // namespace driftless
