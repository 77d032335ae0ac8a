#pragma once

#include <cstdint>

namespace driftless {
namespace cuda {

/// What became of work that is done again and again; for whoever is not compiled for CUDA too.
struct ReplayCounts {
  int64_t graphs = 0;  ///< Times that a graph was started.
  int64_t direct = 0;  ///< Times that steps were started one by one.
  int64_t made = 0;    ///< Graphs that were made.
};

}  // namespace cuda
}  // namespace driftless
